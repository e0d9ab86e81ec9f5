"""Kill the server, the workers and the database again and again, and count what was lost or doubled.

    python tests/crash/harness.py --store postgresql --cycles 200 --seed 1

One simulated Stripe stays up and injects failures. `paycordon serve` and two `paycordon work` run beside it and are
killed with SIGKILL at random moments, and so is PostgreSQL (with SQLite those processes are the database), while
deliveries and screenings come in, holds are placed and released by people, others are told and hand us tips (see
`others`), and workers are stalled for longer than their leases. What was not answered is sent again, as a gateway
does. At the end everything is let finish, and the counts are printed as a table: any number under `wrong` that is not
0 is a failure, and so is the exit code.
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
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).parent))
import processes
from others import Others

from paycordon.coalition.identifiers import Digester
from paycordon.config import load_config
from paycordon.decisions import Outcome, Scope
from paycordon.errors import StoreUnavailable
from paycordon.events import Identifier, Subject, SubjectKind
from paycordon.gateways import Restriction
from paycordon.plugins import load as load_plugins
from paycordon.plugins import open_gateways
from paycordon.policy import load_policies
from paycordon.record.verify import verify
from paycordon.screening import utc_now
from paycordon.store import Store, holds, indicators, restrictions, schema
from paycordon.store.snapshot import restriction_of
from paycordon.testing import make_event
from paycordon_stripe.simulator import events as stripe
from paycordon_stripe.simulator import signed_delivery

FORK = multiprocessing.get_context("fork")
KEY, TOKEN = "k" * 64, "t" * 32
INSTANCE = "stripe_test"
PATIENCE = 90
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
TARGETS = {"server": processes.run_serve, "worker 1": processes.run_work, "worker 2": processes.run_work}


def configuration(directory: Path, store: str, simulator: str, more: str) -> Path:
    """Write a deployment's files and return its configuration."""
    (directory / "policy.yaml").write_text(POLICY)
    secrets = {"url": store, "id.key": KEY, "api.key": "sk_simulated", "webhook.key": processes.SECRET, "token": TOKEN}
    for name, secret in secrets.items():
        (directory / name).write_text(secret)
    path = directory / "paycordon.yaml"
    path.write_text(
        f"""store: 'file:url'
identifier_keys: {{current: k1, keys: {{k1: 'file:id.key'}}}}
api_token: 'file:token'
policies: [policy.yaml]
# A check deadline no machine exceeds: a decision that comes too late is another test's matter.
screening: {{budget_ms: 20000, check_deadline_ms: 10000, store_patience_ms: 5000}}
gateways:
  {INSTANCE}:
    adapter: stripe
    mode: test
    api_key: 'file:api.key'
    webhook_secrets: ['file:webhook.key']
    base_url: {simulator}
    timeout_seconds: 0.7
{more}"""
    )
    return path


def call(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Speak HTTP once; status 0 means that no answer came."""
    try:
        with urlopen(Request(url, data=body, headers=headers or {}), timeout=5) as response:
            return int(response.status), response.read()
    except HTTPError as error:
        return error.code, b""
    except Exception:  # a server killed in the middle of its answer: http.client has many words for it
        return 0, b""


@dataclass(frozen=True)
class Sent:
    """Something a gateway or a backend asks, again until it is answered."""

    id: str
    body: bytes
    webhook: bool


@dataclass
class Crash:
    """One run: the processes, what was sent, and what must have come of it."""

    directory: Path
    store_url: str
    database: processes.Postgres | None
    random: random.Random
    sabotage: str | None = None
    path: Path = Path()
    port: int = field(default_factory=processes.free_port)
    sim_port: int = field(default_factory=processes.free_port)
    running: dict[str, Any] = field(default_factory=dict)
    waiting: list[Sent] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    known_events: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    merchants: dict[str, list[str]] = field(default_factory=dict)
    placed: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))
    others: Others = field(init=False)
    key: str = KEY
    store: Store | None = None
    kept: Store | None = None

    def __post_init__(self) -> None:
        self.others = Others(self)

    def start(self) -> None:
        self._spawn("simulator", processes.simulate, self.sim_port)
        self._spawn("receiver", self.others.receiver.run)
        more = self.others.configure()
        self.path = configuration(self.directory, self.store_url, f"http://127.0.0.1:{self.sim_port}", more)
        self.others.open()
        self.until(lambda: self.control("requests") is not None, "the simulator")
        self._warm_up()
        for name in TARGETS:
            self.spawn(name)

    def _warm_up(self) -> None:
        """Have everything imported that a process will need, so that none of them does it for itself."""
        config = load_config(self.path, os.environ)
        load_policies([self.directory / "policy.yaml"])
        account = self.new_account()
        gateway = open_gateways(config, load_plugins(config))[INSTANCE]
        gateway.read(Subject(instance=INSTANCE, kind=SubjectKind.ACCOUNT, id=account, account=account))

    def spawn(self, name: str) -> None:
        self._spawn(name, TARGETS[name], self.path, self.port, self.sabotage)

    def _spawn(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        process = FORK.Process(target=target, args=arguments, name=name, daemon=True)
        process.start()
        self.running[name] = process

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        self.counts[f"{name.split()[0]} killed"] += 1

    def supervise(self) -> None:
        """Start again what has ended by itself, as whatever runs a deployment's processes does.

        A process that finds the database gone when it starts says so and ends.
        """
        for name in TARGETS:
            process = self.running.get(name)
            if process is not None and not process.is_alive():
                process.join()
                self.counts["ended by itself"] += 1
                self.spawn(name)

    def stop(self) -> None:
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.join()

    def control(self, what: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        status, answer = call(f"http://127.0.0.1:{self.sim_port}/_simulator/{what}", data)
        return json.loads(answer) if status == 200 else None

    def until(self, happened: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while not happened():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not get there in {patience} s; {dict(self.counts)}")
            time.sleep(0.02)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Store]:
        """The store, with connections that are closed each time: none may be open while a process is forked."""
        if self.store is None:
            self.store = Store.open(self.store_url, migrate=False)
        try:
            yield self.store
        finally:
            self.store.close()  # it opens others when it is used again

    @contextlib.contextmanager
    def keeping_open(self) -> Iterator[None]:
        """Use one store within the block, in which no process may be started."""
        with self.opened() as self.kept:
            try:
                yield
            finally:
                self.kept = None

    # --- what comes in

    def new_account(self) -> str:
        return str(self.control("accounts", {})["id"])

    def onboard_pair(self, *, known: bool) -> None:
        """A merchant with two accounts, screened by the facilitator's backend."""
        merchant = f"m_{next(self.numbers)}"
        self.merchants[merchant] = [self.new_account(), self.new_account()]
        if known:
            self.know(f"fp{merchant}", merchant)
        for account in self.merchants[merchant]:
            event = make_event(
                "merchant.onboarding",
                id=f"ask_{next(self.numbers)}",
                occurred_at=utc_now(),
                gateway="stripe",
                instance=INSTANCE,
                mode="test",
                account={"id": account},
                merchant={"id": merchant},
                identifiers=(Identifier(kind="bank_account", value=f"fp{merchant}"),),
            )
            self._queue(Sent(event.id, event.model_dump_json().encode(), webhook=False), known=known)

    def onboard_alone(self, *, known: bool) -> None:
        """An account of which only the gateway's own notification tells."""
        account = self.new_account()
        self.merchants[f"{INSTANCE}/{account}"] = [account]
        if known:
            self.know(f"fp{account}", account)
        external = {"data": [stripe.bank_account("ba_1", account, f"fp{account}")]}
        body = stripe.account(account, datetime.now(UTC), email=f"{account}@shop.example", external_accounts=external)
        self.notify("account.updated", body, account, known=known)

    def know(self, fingerprint: str, reference: str) -> None:
        """Have an account known, by hand or by a tip that is released."""
        if self.random.random() < 0.3:
            self.others.know(fingerprint)
            return
        identifier = Identifier(kind="bank_account", value=fingerprint)
        indicator = indicators.Indicator(
            digest=Digester({"k1": KEY.encode()}, "k1").digest(identifier),
            kind="bank_account",
            source="synthetic",
            reference=reference,
            confidence=90,
            status="investigation",
        )
        self.write(lambda connection: indicators.add(connection, indicator, utc_now()))

    def notify(self, type_: str, object_: dict[str, Any], account: str, *, known: bool = False) -> None:
        event = stripe.event(type_, object_, datetime.now(UTC), account=account, livemode=False)
        self._queue(Sent(event["id"], json.dumps(event).encode(), webhook=True), known=known)

    def _queue(self, one: Sent, *, known: bool) -> None:
        self.sent.add(one.id)
        if known:
            self.known_events.add(one.id)
        self.waiting.append(one)

    def write(self, what: Callable[[Any], Any]) -> Any:
        """Write to the store as a person at the command line would: again, if the database was just away."""

        def written(store: Store) -> Any:
            with store.write() as connection:
                return what(connection)

        return self.insist(written)

    def insist(self, what: Callable[[Store], Any]) -> Any:
        """Do something with the store, again if the database was just away."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if self.kept is not None:
                    return what(self.kept)
                with self.opened() as store:
                    return what(store)
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def deliver(self, until: float) -> None:
        """Send what waits, in any order, some of it twice, until the time is up."""
        self.random.shuffle(self.waiting)
        again = []
        while self.waiting and time.monotonic() < until:
            one = self.waiting.pop()
            status = self._ask(one)
            self.counts[f"answer {status}"] += 1
            if status != 200:
                again.append(one)
                time.sleep(0.02)  # a gateway does not hammer an endpoint that is down
                self.supervise()
                continue
            self.acknowledged.add(one.id)
            if self.random.random() < 0.1:
                again.append(one)
                self.counts["sent twice"] += 1
        self.waiting += again

    def _ask(self, one: Sent) -> int:
        address = f"http://127.0.0.1:{self.port}"
        if one.webhook:
            headers, body = signed_delivery(json.loads(one.body), processes.SECRET, datetime.now(UTC))
            return call(f"{address}/webhooks/{INSTANCE}", body, headers)[0]
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        status, answer = call(f"{address}/v1/screen", one.body, headers)
        if status == 200 and b'"unrecorded_' in answer:
            return 503  # the configured outcome; nothing was promised
        return status

    # --- what people do

    def place(self, merchant: str) -> None:
        account = self.random.choice(self.merchants[merchant])
        new = holds.NewHold(
            merchant=merchant,
            instance=INSTANCE,
            account=account,
            subject_kind="account",
            subject_id=account,
            outcome=Outcome.HOLD,
            scope=Scope.PAYOUTS,
            rule="by hand",
            merchant_reason="additional_information_required",
            source=holds.Source.PERSON,
            placed_by="harness",
            internal_reason="synthetic",
        )
        self.placed.add(self.write(lambda connection: holds.place_by_hand(connection, new, utc_now(), os.urandom).id))
        self.counts["placed by hand"] += 1

    def release(self, hold_id: str) -> None:
        def change(connection: Any) -> None:
            if holds.get(connection, hold_id).active:
                holds.release(connection, hold_id, by="harness", agreed_by="another", reason="synthetic", now=utc_now())

        self.write(change)
        self.counts["released"] += 1

    def release_some(self, share: float = 0.3) -> None:
        found: list[holds.Hold] = self.write(lambda connection: list(holds.listed(connection, limit=100_000)))
        for hold in found:
            if self.random.random() < share:
                self.release(hold.id)

    # --- what goes wrong

    def cycle(self, number: int) -> None:
        self.supervise()
        self.onboard_pair(known=self.random.random() < 0.5)
        self.onboard_alone(known=self.random.random() < 0.5)
        accounts = [account for pair in self.merchants.values() for account in pair]
        for _ in range(2):
            payout = stripe.payout(f"po_{next(self.numbers)}", datetime.now(UTC), livemode=False)
            self.notify("payout.created", payout, self.random.choice(accounts))
        for kind in self.random.sample(FAULTS, 2):
            fault = {"kind": kind, "method": "POST", "path": "/v1/accounts", "seconds": self.random.choice((0.0, 0.9))}
            self.control("faults", {**fault, "status": self.random.choice((429, 500, 503))})
            self.counts[f"fault {kind}"] += 1
        if self.random.random() < 0.7:
            self.place(self.random.choice(list(self.merchants)))
        if self.random.random() < 0.4:
            self.release_some()
        self.deliver(time.monotonic() + self.random.uniform(0.05, 0.3))
        self.others.cycle()
        time.sleep(self.random.uniform(0, 0.15))
        if number % 10 == 5:
            self.stall()
        self.strike()

    def strike(self) -> None:
        victims = self.random.choice((["server"], ["worker 1"], ["worker 2"], ["worker 1", "worker 2"], list(TARGETS)))
        if self.database is not None and self.random.random() < 0.3:
            if self.random.random() < 0.5:
                self.database.kill_one(self.random.choice)
                self.counts["database backend killed"] += 1
            else:
                self.database.kill()
                time.sleep(self.random.uniform(0, 0.2))
                self.database.start()
                self.counts["database killed"] += 1
        for victim in victims:
            self.kill(victim)
        for victim in victims:
            self.spawn(victim)

    def stall(self) -> None:
        """Stop a worker that is about to send a change again, for longer than its lease, and turn that change round."""
        merchant = self.random.choice([m for m, accounts in self.merchants.items() if len(accounts) == 1])
        (account,) = self.merchants[merchant]
        for hold in self.write(lambda connection: list(holds.listed(connection, merchant=merchant))):
            self.release(hold.id)
        self._forget_faults()
        with contextlib.suppress(TimeoutError):
            self.until(lambda: self._settled(account), "the account", 8)
        self.kill("worker 2")
        refusal = {"kind": "answer", "method": "POST", "path": f"/v1/accounts/{account}", "status": 409}
        announced = self.directory / "pausing"
        announced.unlink(missing_ok=True)
        self.control("faults", {**refusal, "times": 1})
        self.place(merchant)
        with contextlib.suppress(TimeoutError):
            self.until(announced.exists, "a refusal", 15)
            with processes.stopped(self.running["worker 1"].pid, self.store_url):
                for hold in self.write(lambda connection: list(holds.listed(connection, merchant=merchant))):
                    self.release(hold.id)
                self.spawn("worker 2")
                self.until(lambda: self._settled(account), "the second worker", 15)
            time.sleep(2 * processes.PAUSE)
            self.counts["workers stalled"] += 1
        if "worker 2" not in self.running:
            self.spawn("worker 2")

    def _forget_faults(self) -> None:
        with contextlib.suppress(OSError):
            urlopen(Request(f"http://127.0.0.1:{self.sim_port}/_simulator/faults", method="DELETE"), timeout=5).close()

    def _settled(self, account: str) -> bool:
        rows: list[Any] = self.write(restrictions.listed)
        return all(row.state == "settled" for row in rows if row.account == account)

    # --- the end

    def settle(self, *, deliver: bool = True) -> None:
        """Deliver everything, and let the workers finish what is left."""
        deadline = time.monotonic() + PATIENCE
        while deliver and self.waiting and time.monotonic() < deadline:
            waiting = len(self.waiting)
            self.deliver(deadline)
            if len(self.waiting) < waiting:  # a machine that is slow is not one that is stuck
                deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(TimeoutError):
            self.until(self._finished_or_restarted, "the workers", PATIENCE if self.sabotage is None else 8)
            return
        self.counts["not settled"] += 1

    def _finished_or_restarted(self) -> bool:
        self.supervise()
        return self._finished()

    def _finished(self) -> bool:
        def look(connection: Any) -> bool:
            table = schema.deliveries
            left = connection.execute(select(func.count()).where(table.c.body.is_not(None))).scalar_one()
            return not left and all(row.state == "settled" for row in restrictions.listed(connection))

        with self.keeping_open():
            return bool(self.write(look)) and self.others.finished()

    def wrong(self) -> dict[str, int]:
        """Count everything that must not be; all zeros is a pass."""
        with self.opened() as store, store.read() as connection:
            rows = connection.execute(select(schema.decisions.c.event_id, schema.decisions.c.id))
            decided = {row.event_id: row.id for row in rows}
            total = connection.execute(select(func.count()).select_from(schema.decisions)).scalar_one()
            kept = list(holds.listed(connection, active_only=False, limit=1_000_000))
            report = verify(store)
            found: Counter[str] = Counter({"log entries broken": len(report.problems)})
            found["never answered"] = len(self.waiting)
            found["never finished"] = self.counts["not settled"]
            found["decisions lost"] = len((self.sent if not self.waiting else self.acknowledged) - set(decided))
            found["decisions doubled"] = total - len(decided)
            found["decisions of nothing"] = len(set(decided) - self.sent)
            of_decision = Counter(hold.decision_id for hold in kept)
            expected = {decided[event] for event in self.known_events & set(decided)}
            found["holds lost"] = len(self.placed - {hold.id for hold in kept}) + len(expected - set(of_decision))
            found["holds doubled"] = sum(of_decision[decision] > 1 for decision in expected)
            found["holds on the honest"] = sum(
                hold.decision_id is not None and hold.decision_id not in expected for hold in kept
            )
            for merchant, accounts in self.merchants.items():
                own = [hold for hold in kept if hold.merchant == merchant]
                for account in accounts:
                    held = restriction_of(connection, merchant, INSTANCE, account) is not Restriction.NONE
                    self._judge_effects(account, own, found, held=held)
            self.others.wrong(connection, found)
        self.counts["decisions"], self.counts["holds"] = total, len(kept)
        self.counts["log entries"] = report.entries
        return dict(found)

    def _judge_effects(self, account: str, own: list[holds.Hold], found: Counter[str], *, held: bool) -> None:
        """Compare the gateway's own record of an account's changes with what its holds ask for."""
        changes = [c for c in self.control(f"changes/{account}") if c["what"].endswith("schedule.interval")]
        made = [change["new"] for change in changes]
        state = self.control(f"accounts/{account}")["settings"]["payouts"]["schedule"]
        found["free with a hold"] += held and state["interval"] != "manual"
        # A gateway that was set to `manual` before is restored to that: then the baseline itself was lost.
        found["restricted without a hold"] += not held and state["interval"] == "manual"
        found["baseline lost"] += not held and (state["interval"], state.get("delay_days")) != ("daily", 2)
        found["effects doubled"] += max(0, made.count("manual") - _times_held(own))
        found["effects too late"] += sum(_is_too_late(change, own) for change in changes)
        self.counts["effects"] += len(made)


def _is_too_late(change: dict[str, Any], own: list[holds.Hold]) -> bool:
    """Tell whether a payout schedule was held when no hold had been in force for longer than a lease lasts."""
    at, late = datetime.fromisoformat(change["at"]), processes.LEASE + timedelta(seconds=1)
    asked = (hold.created_at <= at and (hold.released_at is None or at <= hold.released_at + late) for hold in own)
    return change["new"] == "manual" and not any(asked)


def _times_held(own: list[holds.Hold]) -> int:
    """How often a subject went from free to held; what overlaps barely may have come in either order."""
    times, end = 0, datetime.min.replace(tzinfo=UTC)
    for hold in sorted(own, key=lambda hold: hold.created_at):
        times += hold.created_at + timedelta(seconds=2) > end
        end = max(end, hold.released_at or datetime.max.replace(tzinfo=UTC))
    return times


def crash(
    kind: str, cycles: int, seed: int, sabotage: str | None = None, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Run the harness and return its counts."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="paycordon-crash-") as name:
        directory = Path(name)
        (directory / "pg").mkdir()
        (directory / "deployment").mkdir()
        directory.chmod(0o755)
        database = processes.Postgres(directory / "pg") if kind == "postgresql" else None
        url = database.url if database else f"sqlite:///{directory / 'crash.db'}"
        run = Crash(directory / "deployment", url, database, random.Random(seed), sabotage)
        try:
            Store.open(url).close()
            run.start()
            for number in range(cycles):
                run.cycle(number)
                progress(number + 1)
            run.deliver(time.monotonic() + PATIENCE / 10)
            run.others.cycle()  # whoever is to be held is held by now
            run.strike()
            run.settle()
            first = run.wrong()
            run.release_some(share=1.0)
            run.settle()
            wrong = Counter(run.wrong())
        finally:
            run.stop()
            if database is not None:
                database.kill()
    for each, number in first.items():
        wrong[each] = max(wrong[each], number)
    counts = {**dict(sorted(run.counts.items())), "seconds": round(time.monotonic() - started, 1)}
    return {"store": kind, "cycles": cycles, "seed": seed, "sabotage": sabotage, "counts": counts, "wrong": dict(wrong)}


def table(result: dict[str, Any]) -> str:
    """Return the counts as two columns."""
    lines = [f"{result['store']}, {result['cycles']} cycles, seed {result['seed']}"]
    for part in ("counts", "wrong"):
        lines += ["", part, *(f"  {name:<28}{number:>9}" for name, number in result[part].items())]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), required=True)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sabotage", choices=sorted(processes.SABOTAGES), help="break something, to see it noticed")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    logging.disable()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of what ends the processes that were started

    def show(number: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\rcycle {number} of {given.cycles}")

    result = crash(given.store, given.cycles, given.seed, given.sabotage, show)
    sys.stdout.write((json.dumps(result) if given.json else table(result)) + "\n")
    return 1 if any(result["wrong"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
