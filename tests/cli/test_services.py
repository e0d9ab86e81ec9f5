"""`serve` and `work` as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from paycordon.cli.serve import listening

PATIENCE = 30.0


def until(happened: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (result := happened()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)
    return result


@contextmanager
def process(*args: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, "-m", "paycordon", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        print(*started.communicate())  # shown when a test fails


def ended(started: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    started.send_signal(number)
    _, err = started.communicate(timeout=PATIENCE)
    return started.returncode, err


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    try:
        with urlopen(Request(url, data=body, headers=headers, method="POST"), timeout=PATIENCE) as response:
            return response.status, response.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", [("work",), ("serve", "--port", "0", "--with-worker")], ids=["work", "serve"])
def test_a_signal_stops_a_service_cleanly(deployment: Path, command, number: signal.Signals) -> None:
    with process(*command) as started:
        assert started.stderr is not None
        if command[0] == "serve":
            url = started.stderr.readline().removeprefix("listening on ").strip()
            until(lambda: urlopen(f"{url}/healthz", timeout=PATIENCE).read())
        assert any("works on " in line and "checkpoints" in line for line in iter(started.stderr.readline, ""))
        code, err = ended(started, number)

    assert code == 0, err
    assert "Traceback" not in err


def test_an_answer_in_two_parts_does_not_wait_for_an_acknowledgement() -> None:
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_screening_over_http_is_answered_and_recorded(cli, deployment: Path, known: str, make_event) -> None:
    token = (deployment / ".paycordon" / "api.token").read_text()
    with process("serve", "--port", "0", "--json") as started:
        assert started.stdout is not None
        url = f"http://127.0.0.1:{json.loads(started.stdout.readline())['port']}/v1/screen"
        body = json.dumps(make_event()).encode()
        json_body = {"content-type": "application/json"}
        assert post(url, body, json_body)[0] == 401
        status, answer = post(url, body, {**json_body, "authorization": f"Bearer {token}"})
        code, err = ended(started, signal.SIGTERM)

    assert (status, json.loads(answer)["outcome"]) == (200, "hold")
    assert code == 0, err
    assert len(cli("hold", "list", "--json").json) == 1


def test_a_signed_delivery_ends_as_a_hold_at_the_gateway_and_a_release_undoes_it(
    cli, deployment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = pytest.importorskip("paycordon_stripe.simulator")
    from paycordon_stripe.simulator import events

    with simulator.StripeSimulator(livemode=False, api_key="sk_test_simulated") as stripe:
        account = stripe.create_account(email="owner@shop.example")
        environ = {"STRIPE_API_KEY": stripe.api_key, "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        config = deployment / "paycordon.yaml"
        config.write_text(
            config.read_text().replace("gateways: {}", "")
            + "required: [stripe]\ngateways:\n  stripe_main:\n    adapter: stripe\n    mode: test\n"
            "    api_key: env:STRIPE_API_KEY\n    webhook_secrets: [env:STRIPE_WEBHOOK_SECRET]\n"
            f"    base_url: {stripe.base_url}\n"
        )
        add = ("--source", "IWF", "--reference", "case-7", "--confidence", "90", "--status", "confirmed")
        add = (*add, "--by", "ada", "--reason", "IWF told us")
        done = cli("indicator", "add", "--kind", "email", "--value-file", "-", *add, stdin="owner@shop.example")
        assert done.code == 0, done.err
        now = datetime.now(UTC)
        changed = events.account(account, now, email="owner@shop.example")
        event = events.event("account.updated", changed, now, account=account, livemode=False)

        def manual() -> bool:
            return bool(stripe.schedule(account)["interval"] == "manual")

        with process("serve", "--port", "0", "--with-worker", "--json", **environ) as started:
            assert started.stdout is not None
            url = f"http://127.0.0.1:{json.loads(started.stdout.readline())['port']}/webhooks/stripe_main"
            headers, body = stripe.signed_delivery(event)
            assert post(url, body.replace(b"owner@", b"other@"), headers)[0] == 401
            assert post(url, body, headers)[0] == 200
            until(manual)
            (hold,) = cli("hold", "list", "--json").json
            assert cli("hold", "release", hold["id"], "--by", "anna", "--reason", "seen", "--yes").code == 1
            (proposal,) = cli("proposal", "list", "--json").json
            assert cli("proposal", "agree", proposal["id"], "--by", "ben", "--reason", "seen too").code == 0
            until(lambda: not manual())
            code, err = ended(started, signal.SIGTERM)

        assert code == 0, err
        assert cli("log", "verify").code == 0
        assert cli("doctor").code == 0
        assert json.loads(cli("work", "--once", "--json").out) == {"done": 0}


def test_an_address_in_use_is_one_clear_line(cli, deployment: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cli("serve", "--port", str(port))

    assert done.code == 2
    assert done.err.startswith(f"error: cannot listen on 127.0.0.1:{port}: address already in use")
    assert cli("serve", "--host", "no.such.host.invalid").code == 2


def test_work_once_without_a_usable_store_fails_loudly(cli, deployment: Path) -> None:
    (deployment / "paycordon.db").mkdir()

    done = cli("work", "--once")

    assert done.code == 2
    assert "the store cannot be used" in done.err
