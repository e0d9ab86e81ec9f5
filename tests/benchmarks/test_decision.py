"""What a durable decision costs, beside the two things it cannot be faster than.

Run with `pytest tests/benchmarks --benchmark-only -s`. One run measures, on the same machine and disk:

- a durable decision: 50 rules, 100,000 indicators, two aggregates, SQLite with full sync;
- (a) a bare SQLite append of the same bytes, with full sync;
- (b) the 50 rules alone, by the CEL library itself.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.engine.default import DefaultDialect

from paycordon import checks as builtin_checks
from paycordon import judging, screening
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes
from paycordon.decisions import Outcome
from paycordon.events import Event, Identifier
from paycordon.isolation import CheckRunner
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.policy.schema import bind
from paycordon.screening import Cordon
from paycordon.store import Store, indicators, schema
from paycordon.store.feeding import apply_changes
from paycordon.testing import make_event

NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)
RULES = 50
INDICATORS = 100_000
ROUNDS = 2_000
MERCHANTS = 200
SECRET = b"0123456789abcdef0123456789abcdef"


def policy_text() -> str:
    rules = "\n".join(
        f"""  - id: rule-{n}
    on: [payout.requested]
    when: >-
      event.payout.amount.minor > {10_000_000 + n}
      && findings.exists(f, f.code == "indicator.match" && f.confidence >= 0.{n % 9 + 1})
      || aggregates.payouts_1d > {1_000 + n} || aggregates.paid_7d > {10**12 + n}
    then: hold
    merchant_reason: additional_information_required"""
        for n in range(RULES)
    )
    return f"""policy: benchmark
version: 1
on_error: review
aggregates:
  payouts_1d: {{count: payout.requested, window: 24h}}
  paid_7d: {{sum: payout.requested, window: 7d}}
rules:
{rules}
"""


class Events:
    """Payouts of many merchants, each later than the one before."""

    def __init__(self, prefix: str = "evt") -> None:
        self._prefix = prefix
        self._numbers = count()

    def __call__(self) -> Event:
        n = next(self._numbers)
        merchant = n % MERCHANTS
        return make_event(
            "payout.requested",
            id=f"{self._prefix}_{n}",
            occurred_at=NOW + timedelta(seconds=n),
            account={"id": f"acct_{merchant}"},
            merchant={"id": f"m_{merchant}", "country": "NL"},
            identifiers=(
                Identifier(kind="bank_account", value=f"fingerprint-{merchant}"),  # type: ignore[arg-type]
                Identifier(kind="email", value=f"owner-{merchant}@shop.example"),  # type: ignore[arg-type]
            ),
        )


@pytest.fixture(scope="module")
def cordon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cordon]:
    directory = tmp_path_factory.mktemp("decision")
    (directory / "policy.yaml").write_text(policy_text())
    store = Store.open(f"sqlite:///{directory / 'bench.db'}")
    digester = Digester({"k1": SECRET}, "k1")
    known = [
        indicators.Indicator(
            digest=digester.digest(Identifier(kind="email", value=f"known-{n}@other.example")),  # type: ignore[arg-type]
            kind="email",
            source="synthetic",
            reference=f"R-{n}",
            confidence=80,
            status="allegation",
        )
        for n in range(INDICATORS)
    ]
    apply_changes(store, Changes("synthetic", said=known), NOW)
    engine = Cordon(store, load_policies([directory / "policy.yaml"]), Plugins({"checks": builtin_checks}), digester)
    yield engine
    engine.close()


def measure(benchmark: Any, function: Callable[..., Any], setup: Callable[[], Any] | None = None) -> list[float]:
    benchmark.pedantic(function, setup=setup, rounds=ROUNDS, warmup_rounds=100)
    return sorted(benchmark.stats.stats.data)


RESULTS: dict[str, list[float]] = {}


@pytest.mark.benchmark(group="decision")
def test_a_durable_decision(benchmark: Any, cordon: Cordon) -> None:
    events = Events()
    RESULTS["decision"] = measure(benchmark, cordon.screen, lambda: ((events(),), {}))
    last = cordon.screen(events())
    assert last.outcome is Outcome.ALLOW
    assert last.errors == ()
    assert last.rule_errors == ()
    assert last.aggregates["benchmark.payouts_1d"] is not None


@pytest.mark.benchmark(group="decision")
def test_a_bare_append_of_the_same_bytes(benchmark: Any, cordon: Cordon, tmp_path: Path) -> None:
    with cordon.store.read() as connection:
        event = connection.execute(select(schema.events.c.body).limit(1)).scalar_one()
        decision = connection.execute(select(schema.decisions.c.body).limit(1)).scalar_one()
    database = sqlite3.connect(tmp_path / "bare.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE bare (id INTEGER PRIMARY KEY, body TEXT)")
    body = event + decision

    def append() -> None:
        database.execute("INSERT INTO bare (body) VALUES (?)", (body,))

    RESULTS["append"] = measure(benchmark, append)
    database.close()


@pytest.mark.benchmark(group="decision")
def test_the_fifty_rules_alone(benchmark: Any, cordon: Cordon) -> None:
    (bound,) = cordon.policies.programs_for("payout.requested")
    conditions = bound.program.conditions
    event = cordon.digester.conceal(Events()())
    numbers = {"aggregates.payouts_1d": 3, "aggregates.paid_7d": 37_500}

    def evaluate() -> Any:
        return conditions.evaluate({**bind(event, (), conditions.uses), **numbers}, frozenset())

    assert evaluate() == [False] * RULES
    RESULTS["rules"] = measure(benchmark, evaluate)


PARTS = {
    "identifiers to digests": (Digester, "leads"),
    "read: origin": (screening, "origin_and_lookup"),
    "read: context": (screening, "context"),
    "read: aggregates": (screening, "aggregate"),
    "checks": (CheckRunner, "run"),
    "policies": (judging, "evaluate"),
    "write: rows and log": (screening, "record"),
    "both commits": (DefaultDialect, "do_commit"),
}


def test_where_the_time_goes(benchmark: Any, cordon: Cordon, monkeypatch: pytest.MonkeyPatch) -> None:
    spent: dict[str, float] = dict.fromkeys(PARTS, 0.0)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name] += time.perf_counter() - started

        return call

    for name, (owner, attribute) in PARTS.items():
        monkeypatch.setattr(owner, attribute, timed(name, getattr(owner, attribute)))
    events = Events(prefix="part")
    started = time.perf_counter()
    benchmark.pedantic(lambda: [cordon.screen(events()) for _ in range(ROUNDS)], rounds=1)
    spent["the rest"] = time.perf_counter() - started - sum(spent.values())
    for name, seconds in spent.items():
        print(f"\n{name:>24}: {seconds / ROUNDS * 1e3:.3f} ms a decision", end="")


class Known:
    """Payouts of merchants that each stand for one way to be known; all are asked for in turn."""

    WAYS = ("nothing", "carries 2", "known by 12", "known by 10,000", "shares 8, two hops", "carries an indicator")

    def __init__(self, cordon: Cordon) -> None:
        self._numbers = count()
        cordon.screen(self.event("known by 12", [handle(f"own-{n}") for n in range(12)]))
        for page in range(50):
            cordon.screen(self.event("known by 10,000", [handle(f"many-{page}-{n}") for n in range(200)]))
        # Each identifier leads to nine others, each of whom has more that lead nowhere.
        for other in range(9):
            named = [*(phone(n) for n in range(8)), *(phone(100 + other * 8 + n) for n in range(7))]
            cordon.screen(self.event(f"other {other}", named))

    def event(self, way: str, named: Sequence[Identifier]) -> Event:
        number = next(self._numbers)
        return make_event(
            "payout.requested",
            id=f"known_{number}",
            occurred_at=NOW + timedelta(seconds=number),
            account={"id": f"acct {way}"},
            merchant={"id": f"m {way}", "country": "NL"},
            identifiers=tuple(named),
        )

    def __call__(self, way: str) -> Event:
        carried = {
            "carries 2": [handle("a"), Identifier(kind="email", value="jane@shop.example")],
            "shares 8, two hops": [phone(n) for n in range(8)],
            "carries an indicator": [Identifier(kind="email", value="known-7@other.example")],
        }
        return self.event(way, carried.get(way, []))


def handle(name: str) -> Identifier:
    return Identifier(kind="handle", value=name)


def phone(number: int) -> Identifier:
    return Identifier(kind="phone", value=f"+3120{1_000_000 + number}")


def test_what_being_known_costs(benchmark: Any, cordon: Cordon) -> None:
    events = Known(cordon)
    spent: dict[str, list[float]] = {way: [] for way in Known.WAYS}

    def in_turn() -> None:
        for _ in range(ROUNDS // 5):
            for way, times in spent.items():
                event = events(way)
                started = time.perf_counter()
                decision = cordon.screen(event)
                times.append(time.perf_counter() - started)
                assert not decision.id.startswith("unrecorded")

    benchmark.pedantic(in_turn, rounds=1)
    bare = statistics.median(spent["nothing"])
    for way, times in spent.items():
        half = statistics.median(times)
        print(f"\n{way:>24}: p50 {half * 1e3:.3f} ms a decision, {(half - bare) * 1e3:+.3f} ms", end="")


def test_print_the_ratios(benchmark: Any) -> None:
    benchmark.pedantic(lambda: None, rounds=1)
    if set(RESULTS) != {"decision", "append", "rules"}:
        pytest.skip("runs after the other three, in one run with them")
    p50 = {name: statistics.median(data) for name, data in RESULTS.items()}
    p99 = {name: data[int(len(data) * 0.99)] for name, data in RESULTS.items()}
    for name in RESULTS:
        rate = 1 / statistics.fmean(RESULTS[name])
        print(f"\n{name:>9}: p50 {p50[name] * 1e3:.3f} ms  p99 {p99[name] * 1e3:.3f} ms  {rate:,.0f}/s", end="")
    print(f"\n    ratio: decision / append = {p50['decision'] / p50['append']:.2f}", end="")
    print(f", rules / decision = {p50['rules'] / p50['decision']:.2f}")
