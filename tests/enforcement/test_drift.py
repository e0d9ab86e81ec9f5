"""What somebody set by hand at a gateway: put back, or left until a person has decided; never the baseline."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from paycordon.decisions import Outcome
from paycordon.enforcement import Reconciler, Timing, ondemand
from paycordon.errors import Conflict, NotFound
from paycordon.gateways import Restriction
from paycordon.people import Forbidden, Person, Role
from paycordon.record.verify import verify
from paycordon.sections import Drift
from paycordon.store import Store, restrictions, schema
from paycordon.store.restrictions import RestrictionRow
from paycordon.testing import FrozenClock

ANN, VIC = Person("ann", frozenset({Role.ANALYST})), Person("vic", frozenset({Role.VIEWER}))
BEN = Person("ben", frozenset({Role.ANALYST, Role.APPROVER}))
HERE = {"acme"}


def run(held: Any, clock: FrozenClock, on_drift: Drift) -> None:
    clock.advance(Timing().recheck)
    worker = Reconciler(held.store, held.gateway, owner="w", clock=clock, sleep=lambda _: None, on_drift=on_drift)
    while worker.run_once():
        pass


def row(store: Store) -> RestrictionRow:
    with store.read() as connection:
        [found] = restrictions.listed(connection)
        return found


@pytest.fixture
def drifted(held: Any, clock: FrozenClock) -> Any:
    """An account that was held, and whose payouts somebody then set to weekly."""
    held.add("a_1", "m_1")
    held.hold = held.place("a_1", "m_1")
    run(held, clock, Drift.CASE)
    held.gateway.settings_of["a_1"]["schedule"] = "weekly"
    return held


def test_it_is_put_back_where_the_policy_says_so(drifted: Any, clock: FrozenClock) -> None:
    run(drifted, clock, Drift.REAPPLY)
    assert drifted.gateway.settings_of["a_1"]["schedule"] == "manual"


def test_it_is_left_and_put_before_a_person_urgently_where_the_policy_says_so(drifted: Any, clock: FrozenClock) -> None:
    for _ in range(3):
        run(drifted, clock, Drift.CASE)
    assert drifted.gateway.settings_of["a_1"]["schedule"] == "weekly"
    assert (row(drifted.store).state, row(drifted.store).drift) == ("drifted", {"schedule": "weekly", "charges": True})
    with drifted.store.read() as connection:
        [case] = connection.execute(select(schema.cases)).all()
        events = schema.case_events
        notes = connection.execute(select(events.c.note).where(events.c.kind == "drift")).scalars().all()
    assert case.priority == 0
    assert len(notes) == 1
    assert "restricted less than its holds ask for" in notes[0]


def test_reapply_puts_the_restriction_back(drifted: Any, clock: FrozenClock) -> None:
    run(drifted, clock, Drift.CASE)
    with drifted.store.write() as connection:
        ondemand.reapply(connection, row(drifted.store), by=ANN, reason="not agreed", now=clock())
    run(drifted, clock, Drift.CASE)
    assert drifted.gateway.settings_of["a_1"]["schedule"] == "manual"
    assert row(drifted.store).state == "settled"


def test_accept_takes_an_approver_and_lasts_until_the_release_which_restores_the_baseline(
    drifted: Any, clock: FrozenClock
) -> None:
    run(drifted, clock, Drift.CASE)
    with drifted.store.write() as connection, pytest.raises(Forbidden):
        ondemand.accept(connection, row(drifted.store), by=ANN, reason="agreed", now=clock())
    with drifted.store.write() as connection:
        ondemand.accept(connection, row(drifted.store), by=BEN, reason="agreed", now=clock())
    run(drifted, clock, Drift.CASE)
    assert drifted.gateway.settings_of["a_1"]["schedule"] == "weekly"
    drifted.release(drifted.hold)
    run(drifted, clock, Drift.CASE)
    assert drifted.gateway.settings_of["a_1"] == {"schedule": "daily", "charges": True}
    assert verify(drifted.store).problems == ()


def test_a_decision_is_about_what_the_person_saw(drifted: Any, clock: FrozenClock) -> None:
    run(drifted, clock, Drift.CASE)
    seen = row(drifted.store)
    drifted.gateway.settings_of["a_1"]["schedule"] = "monthly"
    run(drifted, clock, Drift.CASE)
    with drifted.store.write() as connection, pytest.raises(Conflict):
        ondemand.accept(connection, seen, by=BEN, reason="agreed", now=clock())
    with drifted.store.write() as connection, pytest.raises(Forbidden):
        ondemand.reapply(connection, seen, by=VIC, reason="agreed", now=clock())


def test_what_is_changed_back_needs_nobody(drifted: Any, clock: FrozenClock) -> None:
    run(drifted, clock, Drift.CASE)
    drifted.gateway.settings_of["a_1"]["schedule"] = "manual"
    run(drifted, clock, Drift.CASE)
    assert row(drifted.store).state == "settled"


def test_a_new_hold_takes_up_what_waited(drifted: Any, clock: FrozenClock) -> None:
    run(drifted, clock, Drift.CASE)
    drifted.place("a_1", "m_1")
    run(drifted, clock, Drift.CASE)
    assert drifted.gateway.settings_of["a_1"]["schedule"] == "manual"


def test_accounts_are_looked_at_on_demand(held: Any, clock: FrozenClock) -> None:
    for number in (1, 2):
        held.add(f"a_{number}", f"m_{number}")
    held.place("a_1", "m_1")
    run(held, clock, Drift.REAPPLY)
    held.gateway.settings_of["a_1"]["schedule"] = "weekly"
    with held.store.write() as connection:
        assert ondemand.look_now(connection, clock(), merchant="m_2") == 0
        assert ondemand.look_now(connection, clock(), merchant="m_1") == 1
    worker = Reconciler(held.store, held.gateway, owner="w", clock=clock, sleep=lambda _: None)
    assert worker.run_once()
    assert held.gateway.settings_of["a_1"]["schedule"] == "manual"


def test_an_instance_that_nobody_enforces_is_named(held: Any, clock: FrozenClock) -> None:
    held.add("a_1", "m_1")
    held.place("a_1", "m_1")
    with held.store.read() as connection:
        [found] = ondemand.overview(connection, {"another"})
        assert (found.state, found.wanted) == (ondemand.UNCONFIGURED, "payouts_held")
        assert ondemand.account(connection, "a_1", HERE).state == "pending"
        with pytest.raises(NotFound):
            ondemand.account(connection, "a_2", HERE)


def told(store: Store) -> tuple[list[str], int]:
    """What cases say of drift, and how many entries of the log do."""
    events, log = schema.case_events, schema.log
    with store.read() as connection:
        notes = connection.execute(select(events.c.note).where(events.c.kind == "drift")).scalars().all()
        entries = connection.execute(select(log.c.seq).where(log.c.kind == "restriction.drift")).all()
    return list(notes), len(entries)


def test_a_gateway_that_stays_blocked_when_a_block_became_a_hold_is_put_before_a_person_once(
    held: Any, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.add("a_1", "m_1")
    held.place("a_1", "m_1")
    block = held.place("a_1", "m_1", Outcome.BLOCK)
    run(held, clock, Drift.REAPPLY)
    assert held.gateway.settings_of["a_1"] == {"schedule": "manual", "charges": False}
    with monkeypatch.context() as patched:
        patched.setitem(held.gateway.schedules, Restriction.PAYOUTS_HELD, ("manual", False))
        held.release(block)
        for _ in range(3):
            run(held, clock, Drift.REAPPLY)
        assert (row(held.store).state, row(held.store).applied) == ("settled", Restriction.PAYOUTS_HELD)
        notes, entries = told(held.store)
        assert (len(notes), entries) == (1, 1)
        assert "stays blocked although only payouts_held is wanted" in notes[0]
    run(held, clock, Drift.REAPPLY)  # each regular look asks for it again
    assert held.gateway.settings_of["a_1"] == {"schedule": "manual", "charges": True}
    assert told(held.store) == (notes, 1)
    assert verify(held.store).problems == ()


def test_an_account_that_was_blocked_before_the_first_hold_stays_so_and_nobody_is_asked(
    held: Any, clock: FrozenClock
) -> None:
    held.add("a_1", "m_1", schedule="manual")
    held.gateway.settings_of["a_1"]["charges"] = False
    held.place("a_1", "m_1")
    for _ in range(2):
        run(held, clock, Drift.REAPPLY)
    assert held.gateway.settings_of["a_1"] == {"schedule": "manual", "charges": False}
    assert (row(held.store).state, told(held.store)) == ("settled", ([], 0))
