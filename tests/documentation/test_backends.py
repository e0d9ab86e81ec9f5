"""The backends of `examples/backends` run as they were written, and guarded after three more lines."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from paycordon import Cordon, Identifier, IdentifierKind
from paycordon.deployment import create
from paycordon.store import indicators

simulators = pytest.importorskip("paycordon_stripe.simulator")

BACKENDS = Path(__file__).parents[2] / "examples" / "backends"
PATIENCE = 30
KNOWN = {"email": "known@seller.example", "country": "NL"}
HONEST = {"email": "honest@seller.example", "country": "NL"}
COMMANDS = {
    "fastapi": ("uvicorn", "{module}:app", "--host", "127.0.0.1", "--port", "{port}"),
    "flask": ("flask", "--app", "{module}", "run", "--host", "127.0.0.1", "--port", "{port}"),
    "django": (str(BACKENDS / "{module}.py"), "runserver", "--noreload", "--skip-checks", "127.0.0.1:{port}"),
}
Ask = Callable[[str, dict[str, Any]], tuple[int, dict[str, Any]]]


@pytest.fixture
def simulator() -> Iterator[Any]:
    with simulators.StripeSimulator(api_key="sk_test_simulated", livemode=False) as running:
        yield running


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    """What `paycordon init` makes, where the coalition knows one address."""
    create(tmp_path)
    cordon = Cordon.from_config(tmp_path / "paycordon.yaml")
    digest = cordon.digester.digest(Identifier(kind=IdentifierKind.EMAIL, value=KNOWN["email"]))
    known = indicators.Indicator(IdentifierKind.EMAIL, digest, "synthetic coalition", "CASE-1", 90, "confirmed")
    with cordon.store.write() as connection:
        indicators.add(connection, known, datetime.now(UTC))
    cordon.close()
    return tmp_path


@contextlib.contextmanager
def served(module: str, simulator: Any, directory: Path) -> Iterator[Ask]:
    """Run a backend as a process of its own until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [part.format(module=module, port=port) for part in COMMANDS[module.partition("_")[0]]]
    runner = [] if command[0].endswith(".py") else ["-m"]
    paths = os.pathsep.join((str(BACKENDS), os.environ.get("PYTHONPATH", "")))
    surroundings = {"STRIPE_KEY": simulator.api_key, "STRIPE_API": simulator.base_url, "PYTHONPATH": paths}
    with (directory / "output").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *runner, *command],
            cwd=directory,
            env={**os.environ, **surroundings},
            stdout=output,
            stderr=output,
        )
        try:
            yield lambda path, body: asked(f"http://127.0.0.1:{port}{path}", body, process, directory)
        finally:
            process.terminate()
            process.wait(PATIENCE)


def asked(url: str, body: dict[str, Any], process: Any, directory: Path) -> tuple[int, dict[str, Any]]:
    request = Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)
        except URLError:
            assert process.poll() is None, (directory / "output").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)  # it is not listening yet


Serve = Callable[[str], AbstractContextManager[Ask]]


@pytest.fixture
def serve(simulator: Any, deployment: Path) -> Serve:
    return lambda module: served(module, simulator, deployment)


def order(number: int) -> dict[str, Any]:
    return {"id": f"order-{number}", "amount": 80_00, "currency": "eur"}


def ready(simulator: Any, account: str) -> None:
    """Let a new seller have been through the gateway's own questions, and have earned something."""
    simulator.onboard(account)
    simulator.fund(account, 100_00, "eur")


@pytest.mark.parametrize("framework", COMMANDS)
def test_three_more_lines_guard_a_backend(framework: str) -> None:
    before, after = (BACKENDS / f"{framework}_{when}.py" for when in ("before", "after"))
    name = before.read_text().replace(before.stem, after.stem).splitlines()
    changed = [line for line in difflib.ndiff(name, after.read_text().splitlines()) if line[:2] in ("+ ", "- ")]
    assert [line for line in changed if line != "+ "] == [
        "+ from paycordon import Cordon",
        "+ from paycordon_stripe import guard",
        '+ client = guard(client, Cordon.from_config("paycordon.yaml"), "stripe_eu")',
    ]


@pytest.mark.parametrize("framework", COMMANDS)
def test_a_backend_as_it_was_signs_up_and_pays_anybody(framework: str, serve: Serve, simulator: Any) -> None:
    with serve(f"{framework}_before") as ask:
        status, made = ask("/sellers", KNOWN)
        assert status == 201
        ready(simulator, made["account"])
        assert ask(f"/sellers/{made['account']}/payouts", order(1))[0] == 201
    assert len(simulator.payouts(made["account"])) == 1


@pytest.mark.parametrize("framework", COMMANDS)
def test_a_guarded_backend_serves_the_honest_and_stops_the_known(framework: str, serve: Serve, simulator: Any) -> None:
    with serve(f"{framework}_after") as ask:
        status, honest = ask("/sellers", HONEST)
        assert status == 201
        ready(simulator, honest["account"])
        status, paid = ask(f"/sellers/{honest['account']}/payouts", order(1))
        assert (status, paid["status"]) == (201, "pending")

        assert ask("/sellers", KNOWN) == (503, {"error": "not possible at the moment"})
    sent = [each for each in simulator.requests if each.path == "/v1/accounts"]
    assert len(sent) == 1  # nothing of the known one has left
