"""Kill the server and the worker again and again, and count what was lost or doubled.

    python tests/crash/harness.py --store sqlite:////tmp/crash.db --cycles 50 --seed 1

One simulated Stripe stays up and injects failures; a server and a worker run beside it as processes of their own and
are killed with SIGKILL at random moments while deliveries come in, holds are applied and people release them. What
was not answered is delivered again, as a gateway does. At the end everything is let finish, and the counts are
printed as JSON: any number under `wrong` that is not 0 is a failure, and so is the exit code.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import uvicorn
from sqlalchemy import func, select

from paycordon.coalition.identifiers import Digester
from paycordon.config import load_config
from paycordon.enforcement import Reconciler, Timing
from paycordon.events import Identifier
from paycordon.intake import DeliveryWorker
from paycordon.plugins import open_gateways
from paycordon.record.verify import verify
from paycordon.screening import Cordon, utc_now
from paycordon.server import create_app
from paycordon.store import Store, holds, indicators, restrictions, schema
from paycordon.working import Duty, Pace, owner_name, run
from paycordon_stripe.simulator import StripeSimulator, signed_delivery
from paycordon_stripe.simulator import events as stripe

FORK = multiprocessing.get_context("fork")
SECRET = "whsec_crash"
KEY = "k" * 64
LEASE = timedelta(seconds=2)
TIMING = Timing(
    lease=LEASE,
    first_retry=timedelta(milliseconds=50),
    last_retry=timedelta(milliseconds=500),
    give_up_after=1_000,
    try_pause=timedelta(milliseconds=5),
)
POLICY = """\
policy: crash
version: 1
on_error: review
rules:
  - id: known
    on: [merchant.onboarding, merchant.changed]
    when: findings.exists(f, f.code == "indicator.match")
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""
FAULTS = ("answer", "error_before", "error_after", "lost_before", "lost_after", "garbled")


def configuration(directory: Path, store: str, simulator: str) -> Path:
    """Write a deployment's files and return its configuration."""
    (directory / "policy.yaml").write_text(POLICY)
    for name, secret in (("url", store), ("id.key", KEY), ("api.key", "sk_simulated"), ("webhook.key", SECRET)):
        (directory / name).write_text(secret)
    path = directory / "paycordon.yaml"
    path.write_text(
        f"""store: 'file:url'
identifier_keys: {{current: k1, keys: {{k1: 'file:id.key'}}}}
policies: [policy.yaml]
# A budget no machine exceeds: a decision that comes too late is another test's matter.
screening: {{budget_ms: 20000, check_deadline_ms: 10000}}
gateways:
  stripe_test:
    adapter: stripe
    mode: test
    api_key: 'file:api.key'
    webhook_secrets: ['file:webhook.key']
    base_url: {simulator}
    timeout_seconds: 1.5
"""
    )
    return path


def serve(path: Path, port: int) -> None:
    """The process that answers the gateway's webhooks."""
    logging.disable()
    config = load_config(path, os.environ)
    cordon = Cordon.from_loaded(config)
    app = create_app(cordon, open_gateways(config, cordon.plugins))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", lifespan="off")


def work(path: Path) -> None:
    """The process that screens and reconciles; leases are short, so that a killed one's work is soon free."""
    logging.disable()  # every injected failure would be a line
    config = load_config(path, os.environ)
    cordon = Cordon.from_loaded(config)
    gateways = open_gateways(config, cordon.plugins)
    owner = owner_name()
    deliveries = DeliveryWorker(cordon.store, gateways, cordon, utc_now, owner, lease=LEASE)
    duties = [Duty("deliveries", deliveries.run_once)]
    for gateway in gateways.values():
        reconciler = Reconciler(cordon.store, gateway, owner=owner, clock=utc_now, sleep=time.sleep, timing=TIMING)
        duties.append(Duty("reconciliation", reconciler.run_once))
    run(duties, Pace(idle=timedelta(milliseconds=5), first_trouble=timedelta(milliseconds=50)), threading.Event())


def simulate(port: int) -> None:
    """The gateway."""
    with StripeSimulator(port=port, livemode=False, webhook_secret=SECRET):
        threading.Event().wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def call(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Speak HTTP once; status 0 means that no answer came."""
    try:
        with urlopen(Request(url, data=body, headers=headers or {}), timeout=5) as response:
            return int(response.status), response.read()
    except HTTPError as error:
        return error.code, b""
    except OSError:
        return 0, b""
    except Exception:  # a server killed in the middle of its answer: http.client has many words for it
        return 0, b""


@dataclass
class Crash:
    """One run: the processes, what was sent, and what must have come of it."""

    directory: Path
    store_url: str
    random: random.Random
    path: Path = Path()
    port: int = field(default_factory=lambda: free_port())
    sim_port: int = field(default_factory=lambda: free_port())
    processes: dict[str, Any] = field(default_factory=dict)
    waiting: list[tuple[str, bytes]] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    held_accounts: list[str] = field(default_factory=list)
    honest_accounts: list[str] = field(default_factory=list)
    released: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))

    def start(self) -> None:
        self._spawn("simulator", simulate, self.sim_port)
        self.path = configuration(self.directory, self.store_url, f"http://127.0.0.1:{self.sim_port}")
        self._until(lambda: self.control("requests") is not None, "the simulator")
        self.spawn("server")
        self.spawn("worker")

    def spawn(self, name: str) -> None:
        if name == "server":
            self._spawn(name, serve, self.path, self.port)
        else:
            self._spawn(name, work, self.path)

    def _spawn(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        process = FORK.Process(target=target, args=arguments, name=name, daemon=True)
        process.start()
        self.processes[name] = process

    def kill(self, name: str) -> None:
        process = self.processes[name]
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        self.counts[f"{name} killed"] += 1

    def stop(self) -> None:
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.join()

    def control(self, what: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        status, answer = call(f"http://127.0.0.1:{self.sim_port}/_simulator/{what}", data)
        return json.loads(answer) if status == 200 else None

    def _until(self, happened: Callable[[], bool], what: str, patience: float = 90) -> None:
        deadline = time.monotonic() + patience
        while not happened():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not get there in {patience} s; {dict(self.counts)}")
            time.sleep(0.02)

    def new_account(self, *, known: bool) -> None:
        account = self.control("accounts", {})["id"]
        (self.held_accounts if known else self.honest_accounts).append(account)
        body = stripe.account(
            account,
            datetime.now(UTC),
            email=f"{account}@shop.example",
            external_accounts={"data": [stripe.bank_account("ba_1", account, f"fp{account}")]},
        )
        if known:
            self.know(f"fp{account}", account)
        self.queue("account.updated", body, account)

    def know(self, fingerprint: str, reference: str) -> None:
        identifier = Identifier(kind="bank_account", value=fingerprint)
        with self.opened() as store, store.write() as connection:
            indicator = indicators.Indicator(
                digest=Digester({"k1": KEY.encode()}, "k1").digest(identifier),
                kind="bank_account",
                source="synthetic",
                reference=reference,
                confidence=90,
                status="investigation",
            )
            indicators.add(connection, indicator, utc_now())

    @contextlib.contextmanager
    def opened(self) -> Iterator[Store]:
        """The store, opened anew each time: no connection may be open while a process is forked."""
        store = Store.open(self.store_url)
        try:
            yield store
        finally:
            store.close()

    def queue(self, type_: str, object_: dict[str, Any], account: str) -> None:
        event = stripe.event(type_, object_, datetime.now(UTC), account=account, livemode=False)
        self.sent.add(event["id"])
        self.waiting.append((event["id"], json.dumps(event).encode()))

    def deliver(self, until: float) -> None:
        """Deliver what waits, in any order, some of it twice, until the time is up."""
        self.random.shuffle(self.waiting)
        again = []
        while self.waiting and time.monotonic() < until:
            id_, body = self.waiting.pop()
            headers, body = signed_delivery(json.loads(body), SECRET, datetime.now(UTC))
            status, _ = call(f"http://127.0.0.1:{self.port}/webhooks/stripe_test", body, headers)
            self.counts[f"answer {status}"] += 1
            if status != 200:
                again.append((id_, body))
                time.sleep(0.02)  # a gateway does not hammer an endpoint that is down
            elif self.random.random() < 0.1:
                again.append((id_, body))
                self.counts["sent twice"] += 1
        self.waiting += again

    def cycle(self) -> None:
        for known in (True, False):
            self.new_account(known=known)
        for _ in range(3):
            account = self.random.choice(self.held_accounts + self.honest_accounts)
            now = datetime.now(UTC)
            self.queue("payout.created", stripe.payout(f"po_{next(self.numbers)}", now, livemode=False), account)
        for kind in self.random.sample(FAULTS, 2):
            fault = {"kind": kind, "method": "POST", "path": "/v1/accounts", "seconds": 0.0}
            self.control("faults", fault)
            self.counts[f"fault {kind}"] += 1
        if self.random.random() < 0.5:
            self.release_some()
        self.deliver(time.monotonic() + self.random.uniform(0, 0.4))
        time.sleep(self.random.uniform(0, 0.25))
        victims = self.random.choice((["server"], ["worker"], ["worker"], ["server", "worker"]))
        for victim in victims:
            self.kill(victim)
        for victim in victims:
            self.spawn(victim)

    def release_some(self, share: float = 0.3) -> None:
        with self.opened() as store:
            with store.read() as connection:
                active = holds.listed(connection)
            for hold in active:
                if self.random.random() < share:
                    with store.write() as connection:
                        holds.release(connection, hold.id, by="harness", reason="synthetic", now=utc_now())
                    self.released.add(hold.account)
                    self.counts["released"] += 1

    def settle(self) -> None:
        """Deliver everything, and let the worker finish what is left."""
        deadline = time.monotonic() + 90
        while self.waiting and time.monotonic() < deadline:
            self.deliver(deadline)
        self._until(self._finished, "the worker")

    def _finished(self) -> bool:
        table = schema.deliveries
        with self.opened() as store, store.read() as connection:
            open_ones = connection.execute(select(func.count()).where(table.c.body.is_not(None))).scalar_one()
            rows = restrictions.listed(connection)
        return not open_ones and all(row.state == "settled" for row in rows)

    def wrong(self) -> dict[str, int]:
        """Count everything that must not be; all zeros is a pass."""
        with self.opened() as store, store.read() as connection:
            decided = Counter(connection.execute(select(schema.decisions.c.event_id)).scalars())
            held = Counter(connection.execute(select(schema.holds.c.account)).scalars())
            report = verify(store)
        found: Counter[str] = Counter(
            {"log entries broken": len(report.problems), "unanswered": len(self.waiting)},
        )
        found["decisions lost"] = len(self.sent - set(decided))
        found["decisions doubled"] = sum(n - 1 for n in decided.values() if n > 1)
        found["decisions of nothing"] = len(set(decided) - self.sent)
        found["holds missing"] = sum(1 for a in self.held_accounts if held[a] == 0)
        found["holds doubled"] = sum(1 for a in self.held_accounts if held[a] > 1)
        found["holds on the honest"] = sum(held[a] for a in self.honest_accounts)
        for account in (*self.held_accounts, *self.honest_accounts):
            self._judge_effects(account, found)
        self.counts["decisions"], self.counts["holds"] = len(decided), held.total()
        self.counts["log entries"] = report.entries
        return dict(found)

    def _judge_effects(self, account: str, found: Counter[str]) -> None:
        """Compare an account's effective changes at the gateway with what its one hold and its release are to do."""
        changes = [c for c in self.control(f"changes/{account}") if c["what"].endswith("schedule.interval")]
        made = [c["new"] for c in changes]
        expected = [] if account in self.honest_accounts else ["manual"]
        interval = self.control(f"accounts/{account}")["settings"]["payouts"]["schedule"]["interval"]
        if account in self.released:
            # A hold released before the gateway was touched never touches it.
            found["effects wrong"] += made not in ([*expected, "daily"], [])
            found["baseline lost"] += interval != "daily"
        else:
            found["effects wrong"] += made != expected
            found["state wrong"] += interval != ("manual" if expected else "daily")
        self.counts["effects"] += len(made)


def crash(store_url: str, cycles: int, seed: int, progress: Callable[[int], None] = lambda _n: None) -> dict[str, Any]:
    """Run the harness and return its counts."""
    with tempfile.TemporaryDirectory(prefix="paycordon-crash-") as directory:
        run = Crash(Path(directory), store_url, random.Random(seed))
        Store.open(store_url).close()
        try:
            run.start()
            for number in range(cycles):
                run.cycle()
                progress(number + 1)
            run.settle()
            first = run.wrong()
            run.release_some(share=1.0)
            run.settle()
            wrong = Counter(run.wrong())
        finally:
            run.stop()
    for name, number in first.items():
        wrong[name] = max(wrong[name], number)
    return {"cycles": cycles, "seed": seed, "counts": dict(sorted(run.counts.items())), "wrong": dict(wrong)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True, help="an empty database: sqlite:///… or postgresql://…")
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()

    def show(number: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\rcycle {number} of {given.cycles}")

    result = crash(given.store, given.cycles, given.seed, show)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return 1 if any(result["wrong"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
