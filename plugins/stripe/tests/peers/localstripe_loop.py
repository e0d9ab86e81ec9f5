"""One whole loop with localstripe, which is not ours: python localstripe_loop.py <its executable> <a new directory>.

A backend pays out, localstripe's signed webhook comes in at the door, a worker has it judged, the decision holds, two
people's act cancels the payout, and localstripe's `payout.canceled` comes back. Each step is printed as it was seen.

localstripe (PyPI, GPL-3.0-or-later) knows payouts, but no connected accounts, and listens on all interfaces. So this
refuses to run where there is any but the loopback; `test_localstripe.py` gives it a network namespace of its own.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import stripe
import uvicorn

from paycordon import checks
from paycordon.coalition.identifiers import Digester
from paycordon.events import Mode, Subject, SubjectKind
from paycordon.gateways import Delivery
from paycordon.intake import DeliveryWorker
from paycordon.intake.app import Answer, Intake
from paycordon.metrics import Metrics
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.screening import Cordon
from paycordon.store import Store
from paycordon_stripe import StripeGateway
from paycordon_stripe import peoples_acts as acts
from paycordon_stripe.gateway import StripeSettings

POLICY = """\
policy: loop
version: 1
on_error: hold
rules:
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor > 50000
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""
ACCOUNT = "acct_1Localstripe"
INSTANCE = "stripe_loop"
KEY, SECRET = "sk_test_localstripe", "whsec_ofThisLoop"
PATIENCE_SECONDS = 20.0


class OfOneAccount(StripeGateway):
    """Says of every delivery, once its signature was found to be right, whose it is: localstripe has no Connect."""

    def verify(self, delivery: Delivery, now: datetime) -> Any:
        return [replace(each, body={**each.body, "account": ACCOUNT}) for each in super().verify(delivery, now)]

    def resolve(self, event: Any) -> Any:
        # There is no account to read; the payout there is, and it is asked for its present state.
        found = stripe.StripeClient(KEY, base_addresses={"api": self.settings.base_url or ""}).v1.payouts
        status = found.retrieve(event.payout.id).status
        return event.model_copy(update={"payout": event.payout.model_copy(update={"status": status})})


class Door(Intake):
    """The door, which also keeps what it answered."""

    answers: list[str]

    def take(self, gateway: Any, delivery: Delivery) -> Answer:
        answer = super().take(gateway, delivery)
        self.answers.append(answer.value)
        return answer


def utc_now() -> datetime:
    return datetime.now(UTC)


def step(name: str, **seen: object) -> None:
    print(json.dumps({"step": name, **seen}), flush=True)


def until(reached: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := reached()):
        if time.monotonic() > deadline:
            sys.exit(f"waited in vain: {what}")
        time.sleep(0.05)
    return found


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def localstripe(executable: str, directory: Path) -> Iterator[str]:
    port = free_port()
    with (directory / "localstripe.log").open("w") as log:
        command = [executable, "--port", str(port), "--from-scratch"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until(lambda: listens(port) or process.poll() is not None, "localstripe to listen")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def door(intake: Intake) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(intake, port=port, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "the door to open")
        yield f"http://127.0.0.1:{port}/{INSTANCE}"
    finally:
        server.should_exit = True
        thread.join(10)


def send_to(peer: str, name: str, url: str, secret: str) -> None:
    """Have localstripe deliver to an address."""
    body = json.dumps({"url": url, "secret": secret}).encode()
    with urlopen(Request(f"{peer}/_config/webhooks/{name}", body, {"content-type": "application/json"}), timeout=10):
        pass


def make_cordon(directory: Path) -> Cordon:
    (directory / "policy.yaml").write_text(POLICY)
    policies = load_policies([directory / "policy.yaml"])
    store = Store.open(f"sqlite:///{directory / 'loop.db'}")
    return Cordon(store, policies, Plugins({"checks": checks}), Digester({"k1": b"k" * 32}, "k1"), clock=utc_now)


def gateway_to(peer: str) -> OfOneAccount:
    settings: Any = {
        "adapter": "stripe", "mode": Mode.TEST, "api_key": KEY, "webhook_secrets": [SECRET], "base_url": peer,
    }  # fmt: skip
    return OfOneAccount(INSTANCE, StripeSettings(**settings))


def recorded(cordon: Cordon, sql: str) -> list[Any]:
    with cordon.store.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def loop(peer: str, directory: Path) -> None:
    cordon, gateway = make_cordon(directory), gateway_to(peer)
    taking = Door({INSTANCE: gateway}, cordon.store, utc_now, Metrics())
    taking.answers = []
    worker = DeliveryWorker(cordon.store, {INSTANCE: gateway}, cordon, utc_now, "loop")
    backend = stripe.StripeClient(KEY, base_addresses={"api": peer})
    with door(taking) as url:
        send_to(peer, "ours", url, SECRET)
        send_to(peer, "forged", url, "whsec_ofSomebodyElse")

        payout = backend.v1.payouts.create({"amount": 80_000, "currency": "eur"}, {"stripe_account": ACCOUNT})
        step("the backend pays out", status=payout.status, automatic=payout.automatic)

        until(lambda: len(taking.answers) == 2, "two deliveries")
        step("localstripe delivers, with our secret and with another", answers=sorted(taking.answers))

        until(worker.run_once, "a delivery to screen")
        ((type_, outcome, decision),) = recorded(cordon, "SELECT event_type, outcome, body FROM decisions")
        told = json.loads(decision)["merchant_reason"]
        step("a worker has it judged", type=type_, outcome=outcome, merchant_reason=told)

        subject = Subject(instance=INSTANCE, kind=SubjectKind.PAYOUT, id=payout.id, account=ACCOUNT)
        done = gateway.perform(subject, "cancel_payout", acts.OnePayout(payout=payout.id), "act-1")
        again = gateway.perform(subject, "cancel_payout", acts.OnePayout(payout=payout.id), "act-1")
        step("people have it cancelled", state=done.state, already=done.already, again_already=again.already)
        step("localstripe says", status=backend.v1.payouts.retrieve(payout.id).status)

        until(lambda: len(taking.answers) == 4, "`payout.canceled` to come back")
        until(worker.run_once, "`payout.canceled` to be taken up")
        events = recorded(cordon, "SELECT type, body FROM events ORDER BY seq")
        step("it comes back", types=[row[0] for row in events], status=json.loads(events[-1][1])["payout"]["status"])
    cordon.close()


if __name__ == "__main__":
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        sys.exit("localstripe listens on all interfaces: run this in a network namespace with a loopback only")
    stripe.enable_telemetry = False
    with localstripe(sys.argv[1], Path(sys.argv[2])) as running:
        loop(running, Path(sys.argv[2]))
