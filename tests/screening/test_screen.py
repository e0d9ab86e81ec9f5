"""`Cordon.screen`: one outcome, recorded once, whatever else goes on."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from paycordon import checks as builtin_checks
from paycordon.checks.base import Check
from paycordon.coalition.identifiers import Digester
from paycordon.decisions import Decision, ErrorKind, Finding, Outcome
from paycordon.events import Event, Identifier
from paycordon.hookspecs import hookimpl
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.record.verify import verify
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, holds, indicators, schema
from paycordon.testing import FrozenClock, make_event

NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)
POLICY = """\
policy: payouts
version: 1
on_error: review
aggregates:
  payouts_1d: {count: payout.requested, window: 24h}
rules:
  - id: known-identifier
    on: [payout.requested, merchant.onboarding]
    when: findings.exists(f, f.code == "indicator.match" && f.confidence >= 0.8)
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
  - id: many
    on: [payout.requested]
    when: aggregates.payouts_1d > 3
    then: review
    references: [synthetic]
"""
DIGESTER = Digester({"k1": b"0123456789abcdef0123456789abcdef"}, "k1")
KNOWN = Identifier(kind="bank_account", value="NL-SYNTHETIC-1")  # type: ignore[arg-type]

Build = Callable[..., Cordon]


class Module:
    """A plugin that brings the given checks."""

    def __init__(self, *kinds: type[Check[Any]]) -> None:
        self.kinds = kinds

    @hookimpl
    def register_checks(self) -> Iterable[type[Check[Any]]]:
        return self.kinds


@pytest.fixture
def build(store: Store, tmp_path: Path) -> Iterator[Build]:
    opened: list[Cordon] = []
    clock = FrozenClock(NOW)

    def make(policy: str = POLICY, extra: Iterable[type[Check[Any]]] = (), limits: Limits | None = None) -> Cordon:
        path = tmp_path / "policy.yaml"
        path.write_text(policy)
        plugins = Plugins({"checks": builtin_checks, "extra": Module(*extra)})
        generous = Limits(budget=timedelta(seconds=10), check_deadline=timedelta(seconds=5))
        cordon = Cordon(store, load_policies([path]), plugins, DIGESTER, limits=limits or generous, clock=clock)
        opened.append(cordon)
        return cordon

    yield make
    for cordon in opened:
        cordon.close()


def payout(id_: str = "e-1", **more: Any) -> Event:
    return make_event("payout.requested", id=id_, **{"occurred_at": NOW, **more})


def know(store: Store, identifier: Identifier, confidence: int = 90, **more: Any) -> None:
    known = indicators.Indicator(
        digest=DIGESTER.digest(identifier),
        kind=str(identifier.kind),
        source="synthetic",
        reference="R-1",
        confidence=confidence,
        status="investigation",
        **more,
    )
    with store.write() as connection:
        indicators.add(connection, known, NOW)


def rows(store: Store, table: Any) -> int:
    with store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def test_an_honest_payout_is_allowed_and_recorded(build: Build, store: Store) -> None:
    decision = build().screen(payout())
    assert decision.outcome is Outcome.ALLOW
    assert (rows(store, schema.decisions), rows(store, schema.events), rows(store, schema.holds)) == (1, 1, 0)
    assert verify(store).ok


def test_a_hit_is_held_explained_and_a_case_is_opened(build: Build, store: Store) -> None:
    know(store, KNOWN)
    decision = build().screen(payout(identifiers=[KNOWN]))
    assert decision.outcome is Outcome.HOLD
    assert decision.rule == "payouts/known-identifier"
    assert decision.merchant_reason == "additional_information_required"
    (finding,) = decision.findings
    assert finding.evidence["source"] == "synthetic"
    assert decision.policies[0].name == "payouts"
    with store.read() as connection:
        (hold,) = holds.listed(connection)
    assert (hold.decision_id, hold.subject_kind, hold.subject_id) == (decision.id, "payout", "po_1")
    assert rows(store, schema.cases) == 1
    assert rows(store, schema.restrictions) == 1
    assert verify(store).ok


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        ({"valid_until": NOW}, Outcome.ALLOW),
        ({"valid_until": NOW + timedelta(seconds=1)}, Outcome.HOLD),
        ({"valid_from": NOW + timedelta(seconds=1)}, Outcome.ALLOW),
        ({"valid_from": NOW}, Outcome.HOLD),
        ({"confidence": 79}, Outcome.ALLOW),
    ],
)
def test_indicators_count_while_they_are_valid(build: Build, store: Store, more: Any, outcome: Outcome) -> None:
    know(store, KNOWN, **more)
    assert build().screen(payout(identifiers=[KNOWN])).outcome is outcome


def test_the_same_event_again_gets_the_same_decision_and_leaves_nothing_new(build: Build, store: Store) -> None:
    cordon = build()
    know(store, KNOWN)
    first = cordon.screen(payout(identifiers=[KNOWN]))
    assert cordon.screen(payout(identifiers=[KNOWN])) == first
    assert (rows(store, schema.decisions), rows(store, schema.holds)) == (1, 1)


def test_the_same_event_from_many_threads_is_decided_once(build: Build, store: Store) -> None:
    cordon = build()
    know(store, KNOWN)
    got: list[Decision] = []
    threads = [
        threading.Thread(target=lambda: got.append(cordon.screen(payout(identifiers=[KNOWN])))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({decision.id for decision in got}) == 1
    assert (rows(store, schema.decisions), rows(store, schema.holds)) == (1, 1)
    assert verify(store).ok


def test_many_events_of_one_merchant_at_once_are_numbered_without_a_gap(build: Build, store: Store) -> None:
    cordon = build()
    threads = [
        threading.Thread(target=lambda n=n: [cordon.screen(payout(f"e-{n}-{i}")) for i in range(10)])  # type: ignore[misc]
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        seqs = connection.execute(select(schema.events.c.seq).order_by(schema.events.c.seq)).scalars().all()
        bodies = connection.execute(select(schema.decisions.c.body)).scalars().all()
    assert list(seqs) == list(range(1, 61))
    counted = sorted(Decision.model_validate_json(body).aggregates["payouts.payouts_1d"] for body in bodies)  # type: ignore[type-var]
    assert counted == list(range(1, 61)), "each decision saw exactly the payouts before it"
    assert verify(store).ok


def test_while_a_merchant_is_held_further_activity_is_held_without_a_second_hold(build: Build, store: Store) -> None:
    cordon = build()
    know(store, KNOWN)
    first = cordon.screen(payout("e-1", identifiers=[KNOWN]))
    second = cordon.screen(payout("e-2"))
    assert second.outcome is Outcome.HOLD
    assert second.rule == "paycordon/standing_hold"
    assert rows(store, schema.holds) == 1
    assert cordon.in_force(second) is Outcome.HOLD
    with store.write() as connection:
        holds.release(
            connection, holds.listed(connection)[0].id, by="ana", agreed_by="ben", reason="documents seen", now=NOW
        )
        (known,) = indicators.listed(connection)
        said = indicators.Correction("ana", "wrong")
        indicators.withdraw(connection, known.digest, known.source, known.reference, NOW, correction=said)
    assert cordon.in_force(first) is Outcome.ALLOW
    assert cordon.in_force(second) is Outcome.ALLOW
    assert cordon.screen(payout("e-3")).outcome is Outcome.ALLOW


def test_what_a_merchant_is_known_by_is_put_before_people_once(build: Build, store: Store) -> None:
    reviewed = POLICY.replace("then: hold\n    merchant_reason: additional_information_required", "then: review")
    cordon = build(reviewed.replace("> 3", "> 30"))
    cordon.screen(payout("e-1", identifiers=[KNOWN]))
    know(store, KNOWN)
    assert cordon.screen(payout("e-2")).outcome is Outcome.REVIEW
    with store.write() as connection:
        connection.execute(update(schema.cases).values(closed_at=1))
    for number in (3, 4):
        assert cordon.screen(payout(f"e-{number}")).outcome is Outcome.REVIEW
    assert rows(store, schema.cases) == 1, "people were done with it"
    cordon.screen(payout("e-5", identifiers=[KNOWN]))
    assert rows(store, schema.cases) == 2, "the merchant was seen with it again"


def test_an_account_that_appears_while_its_merchant_is_held_is_restricted_too(build: Build, store: Store) -> None:
    cordon = build()
    know(store, KNOWN)
    cordon.screen(payout("e-1", identifiers=[KNOWN]))
    cordon.screen(payout("e-2", instance="other", account={"id": "acct_2"}))
    with store.read() as connection:
        table = schema.restrictions
        found = connection.execute(select(table.c.instance, table.c.account).order_by(table.c.instance)).all()
    assert [tuple(row) for row in found] == [("acme", "acct_1"), ("other", "acct_2")]


def test_an_account_that_is_not_at_its_gateway_yet_is_held_without_work_for_the_gateway(
    build: Build, store: Store
) -> None:
    know(store, KNOWN)
    wanted = make_event(
        "merchant.onboarding",
        occurred_at=NOW,
        account={"id": "pending-1", "at_gateway": False},
        merchant={"mcc": "5942"},
        identifiers=[KNOWN],
    )
    assert build().screen(wanted).outcome is Outcome.HOLD
    assert (rows(store, schema.holds), rows(store, schema.restrictions), rows(store, schema.accounts)) == (1, 0, 0)


def test_payments_are_context_and_get_no_decision_of_their_own(build: Build, store: Store) -> None:
    decision = build().screen(make_event("payment.succeeded", occurred_at=NOW))
    assert decision.outcome is Outcome.ALLOW
    assert (rows(store, schema.events), rows(store, schema.decisions)) == (1, 0)
    assert verify(store).ok


def test_identifiers_are_stored_as_digests_only(build: Build, store: Store) -> None:
    build().screen(payout(identifiers=[Identifier(kind="email", value="jane@example.com")]))  # type: ignore[arg-type]
    with store.read() as connection:
        dump = str(connection.execute(select(schema.events)).all()) + str(
            connection.execute(select(schema.decisions)).all()
        )
        seen = connection.execute(select(schema.sightings.c.digest)).scalars().all()
    assert "jane" not in dump
    named = {"email": "JANE@example.com ", "domain": "Example.com"}
    assert set(seen) == {DIGESTER.digest(Identifier(kind=kind, value=named[kind])) for kind in named}  # type: ignore[arg-type]


def probe(id_: str, behaviour: Callable[[], Any]) -> type[Check[Any]]:
    class Probe(Check[Any]):
        """Behaves as the test says."""

        id = id_
        emits = {f"{id_}.found": "found"}

        @hookimpl
        def screen_payout(self) -> Iterable[Finding]:
            return behaviour()  # type: ignore[no-any-return]

    return Probe


def boom() -> None:
    raise RuntimeError("boom")


@pytest.mark.parametrize("on_error", list(Outcome))
@pytest.mark.parametrize(
    ("behaviour", "kind"), [(boom, ErrorKind.RAISED), (lambda: 7, ErrorKind.INVALID), (time.sleep, ErrorKind.RAISED)]
)
def test_a_broken_check_means_what_the_policy_says(
    build: Build, behaviour: Callable[[], Any], kind: ErrorKind, on_error: Outcome
) -> None:
    cordon = build(POLICY.replace("on_error: review", f"on_error: {on_error.value}"), [probe("broken", behaviour)])
    decision = cordon.screen(payout())
    assert [(e.check, e.kind) for e in decision.errors] == [("broken", kind)]
    assert decision.outcome is on_error
    assert decision.rule == "payouts/on_error"


def test_a_check_that_sleeps_for_ever_does_not_keep_the_caller(build: Build, store: Store) -> None:
    wake = threading.Event()
    limits = Limits(budget=timedelta(seconds=10), check_deadline=timedelta(milliseconds=500))
    know(store, KNOWN)
    cordon = build(extra=[probe("asleep", wake.wait)], limits=limits)
    started = time.monotonic()
    decision = cordon.screen(payout(identifiers=[KNOWN]))
    assert time.monotonic() - started < 5
    assert decision.outcome is Outcome.HOLD, "the other checks and their rules are untouched"
    assert [(e.check, e.kind) for e in decision.errors] == [("asleep", ErrorKind.LATE)]
    wake.set()


def test_the_async_twin_leaves_the_loop_free(build: Build) -> None:
    gate = threading.Event()
    cordon = build(extra=[probe("slow", lambda: gate.wait(5) and None)])

    async def both() -> Decision:
        screening = asyncio.create_task(cordon.screen_async(payout()))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not screening.done()
        gate.set()
        return await screening

    decision = asyncio.run(both())
    assert decision.outcome is Outcome.ALLOW
    assert decision.errors == ()


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_store_that_cannot_be_used_gives_the_configured_outcome(tmp_path: Path, outcome: Outcome) -> None:
    database = tmp_path / "locked.db"
    patience = timedelta(milliseconds=50)
    store = Store.open(f"sqlite:///{database}", patience=patience)
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    plugins = Plugins({"checks": builtin_checks})
    cordon = Cordon(store, load_policies([policy]), plugins, DIGESTER, limits=Limits(when_unavailable=outcome))
    locker = sqlite3.connect(database, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    decision = cordon.screen(payout())
    assert decision.outcome is outcome
    assert decision.id.startswith("unrecorded_")
    assert decision.rule == "paycordon/store_unavailable"
    assert cordon.in_force(decision) is outcome
    locker.execute("ROLLBACK")
    locker.close()
    assert rows(store, schema.events) == 0
    assert cordon.screen(payout()).outcome is Outcome.ALLOW, "asked again, it is screened"
    cordon.close()


def test_screening_never_raises_even_when_the_engine_itself_is_broken(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("jane@example.com")

    monkeypatch.setattr("paycordon.judging.evaluate", broken)
    decision = build().screen(payout())
    assert decision.outcome is Outcome.HOLD
    assert decision.rule == "paycordon/internal_error"
    assert "jane" not in decision.model_dump_json()
