"""`paycordon simulate`: a gateway on this machine, for users' own tests."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from paycordon.plugins import Plugins
from paycordon.simulators import SimulatedWebhook, SimulatorOptions

stripe = pytest.importorskip("stripe")
pytest.importorskip("paycordon_stripe")
PATIENCE = 90.0
SECRET = "whsec_given"


@contextmanager
def running(*args: str | Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", "from paycordon.cli import main; main()", "simulate", *map(str, args)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def described(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def client_of(address: str, key: str = "sk_test_simulated") -> Any:
    return stripe.StripeClient(key, base_addresses={"api": address})


def test_it_runs_until_it_is_told_to_stop_and_ends_cleanly() -> None:
    with running("stripe", "--json", "--clock", "2026-03-02T12:00:00Z") as process:
        found = described(process)
        account = client_of(found["address"]).v1.accounts.create({"country": "DE"})
        with urlopen(f"{found['control']}clock", timeout=PATIENCE) as answer:
            now = json.load(answer)["now"]
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE)
        assert process.stderr is not None
        assert (code, process.stderr.read()) == (0, "")

    assert found["simulator"] == "stripe"
    assert now.startswith("2026-03-02T12:0")
    assert account.created < 1_772_460_000


def test_people_are_told_how_to_point_the_sdk_at_it() -> None:
    with running("stripe") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        address = lines[0].split()[4]
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0

    assert lines[0].startswith(f"stripe is simulated at {address} until")
    assert f'base_addresses={{"api": "{address}"' in lines[1]
    assert f"base_url: {address}" in lines[2]
    assert f"{address}/_simulator/" in lines[3]


def test_what_happens_is_delivered_signed_with_the_secret_that_is_referred_to(tmp_path: Path, httpserver: Any) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data(status=200)
    (tmp_path / "secret").write_text(SECRET)
    options = ("--webhook", httpserver.url_for("/hook"), "--secret", f"file:{tmp_path / 'secret'}")
    with running("stripe", "--json", "--api-key", "sk_test_own", *options) as process:
        client = client_of(described(process)["address"], "sk_test_own")
        account = client.v1.accounts.create({"country": "DE"})
        client.v1.transfers.create({"amount": 500, "currency": "eur", "destination": account.id})
        deadline = time.monotonic() + PATIENCE
        while not any(b"transfer.created" in request.data for request, _ in httpserver.log):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0

    for request, _ in httpserver.log:
        stripe.WebhookSignature.verify_header(request.data.decode(), request.headers["stripe-signature"], SECRET, 300)
    told = [json.loads(request.data) for request, _ in httpserver.log]
    assert {(event["type"], event.get("account")) for event in told} >= {
        ("account.updated", account.id),
        ("transfer.created", None),
    }


def test_without_a_name_it_lists_what_there_is(cli: Any) -> None:
    listed = [each["name"] for each in cli("simulate", "--json").json["simulators"]]
    assert "stripe" in listed
    done = cli("simulate")
    assert (done.code, f"paycordon simulate {listed[0]}" in done.out) == (0, True)


def test_without_any_simulator_it_says_what_to_install(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plugins, "simulators", lambda _: {})

    done = cli("simulate")
    assert (done.code, "pip install paycordon-stripe" in done.out) == (0, True)
    assert cli("simulate", "--json").json == {"simulators": []}
    assert "none; pip install" in cli("simulate", "stripe").err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("acme",), "there is no simulator of `acme`"),
        (("stripe", "--webhook", "http://127.0.0.1:9/"), "go together"),
        (("stripe", "--secret", "env:HOME"), "go together"),
        (("stripe", "--webhook", "http://127.0.0.1:9/", "--secret", "whsec_plain"), "`env:` or `file:`"),
        (("stripe", "--webhook", "http://hooks.example/", "--secret", "env:HOME"), "this machine only"),
        (("stripe", "--clock", "yesterday"), "is not a time"),
        (("stripe", "--port", "70000"), "--port"),
    ],
)
def test_what_it_cannot_do_is_said_before_anything_runs(cli: Any, args: tuple[str, ...], said: str) -> None:
    done = cli("simulate", *args)

    assert (done.code, said in done.err) == (2, True), done.err
    assert done.out == ""


def test_a_port_that_is_taken_is_named(cli: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cli("simulate", "stripe", "--port", str(port))

    assert (done.code, f"127.0.0.1:{port}" in done.err) == (2, True), done.err


def test_options_do_not_show_secrets_when_printed() -> None:
    options = SimulatorOptions(api_key="sk_test_own", webhooks=(SimulatedWebhook("http://127.0.0.1:9/", SECRET),))

    assert SECRET not in repr(options)
    assert "sk_test_own" not in repr(options)


def test_a_whole_loop_on_this_machine_from_what_a_backend_does_to_the_payouts_held(
    cli: Any, deployment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOP_KEY", "sk_test_simulated")
    monkeypatch.setenv("LOOP_SECRET", SECRET)
    add = ("--source", "IWF", "--reference", "case-7", "--confidence", "90", "--status", "confirmed")
    add = (*add, "--by", "ada", "--reason", "IWF told us")
    assert cli("indicator", "add", "--kind", "email", "--value-file", "-", *add, stdin="owner@shop.example").code == 0
    with socket.create_server(("127.0.0.1", 0)) as free:  # serve takes it right after
        port = free.getsockname()[1]
    hook = ("--webhook", f"http://127.0.0.1:{port}/webhooks/stripe_main", "--secret", "env:LOOP_SECRET")
    with running("stripe", "--json", *hook) as simulator:
        address = described(simulator)["address"]
        config = deployment / "paycordon.yaml"
        config.write_text(
            config.read_text().replace("gateways: {}", "")
            + "gateways:\n  stripe_main:\n    adapter: stripe\n    mode: test\n    api_key: env:LOOP_KEY\n"
            f"    webhook_secrets: [env:LOOP_SECRET]\n    base_url: {address}\n"
        )
        command = [sys.executable, "-m", "paycordon", "serve", "--with-worker", "--json", "--port", str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as serving:
            try:
                assert json.loads(serving.stdout.readline())["port"] == port if serving.stdout else False
                accounts = client_of(address).v1.accounts
                account = accounts.create({"country": "DE", "email": "owner@shop.example"}).id
                deadline = time.monotonic() + PATIENCE
                while accounts.retrieve(account).settings.payouts.schedule.interval != "manual":
                    assert time.monotonic() < deadline, cli("delivery", "list").out
                    time.sleep(0.05)
            finally:
                serving.terminate()

    held = cli("hold", "list", "--json").json
    assert held
    assert account in json.dumps(held)
