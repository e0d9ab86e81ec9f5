"""Which accounts a hold restricts, when accounts find their merchant later."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from paycordon.decisions import Decision, Outcome, RuleMatch
from paycordon.events import Event
from paycordon.gateways import Restriction
from paycordon.people import Person, Role
from paycordon.record.verify import verify
from paycordon.review.bulk import Selection, release_each, selected
from paycordon.review.proposals import Wish
from paycordon.screening import Cordon
from paycordon.store import Store, cases, holds, restrictions, schema
from paycordon.store.ledger import Entry, record
from paycordon.store.snapshot import origin, restriction_of
from paycordon.testing import NOON, FrozenClock, make_event


def event(id_: str, account: str, merchant: str | None = None) -> Event:
    return make_event("payout.requested", id=id_, account={"id": account}, merchant={"id": merchant})


def hold(store: Store, held: Event) -> Decision:
    with store.write() as connection:
        found = origin(connection, held)
        decision = Decision(
            id=f"dec-{held.id}",
            event_id=held.id,
            event_type=held.type,
            instance=held.instance,
            mode=held.mode,
            merchant=found.merchant,
            subject=held.subject,
            outcome=Outcome.HOLD,
            matches=(RuleMatch(policy="p", rule="r", outcome=Outcome.HOLD, merchant_reason="more_information"),),
            decided_at=NOON,
        )
        record(connection, Entry(held, found, decision, Outcome.ALLOW), NOON, secrets.token_bytes)
    return decision


def wanted(store: Store) -> dict[str, Restriction]:
    """What a worker would now make of each account."""
    with store.read() as connection:
        rows = restrictions.listed(connection)
        return {row.account: restriction_of(connection, row.merchant, row.instance, row.account) for row in rows}


@pytest.fixture
def cordon(store: Store, make_cordon: Any) -> Cordon:
    made: Cordon = make_cordon(store)
    return made


def test_a_hold_on_an_account_follows_it_to_the_merchant_it_is_linked_to(store: Store, cordon: Cordon) -> None:
    first = hold(store, event("e-1", "acct-1"))
    assert cordon.screen(event("e-2", "acct-1", "m-1")).outcome is Outcome.HOLD
    assert wanted(store) == {"acct-1": Restriction.PAYOUTS_HELD}
    with store.read() as connection:
        (placed,) = holds.listed(connection)
        assert placed.merchant == first.merchant != "m-1"
        (shown,) = restrictions.of_hold(connection, placed)
        assert (shown.account, shown.merchant) == ("acct-1", "m-1")
    with store.write() as connection:
        holds.release(connection, placed.id, by="ana", reason="checked", now=NOON)
    assert wanted(store) == {"acct-1": Restriction.NONE}
    assert cordon.in_force(first) is Outcome.ALLOW


def test_a_hold_on_a_merchant_reaches_an_account_linked_to_it_later(store: Store, cordon: Cordon) -> None:
    cordon.screen(event("e-1", "acct-2"))
    hold(store, event("e-2", "acct-1", "m-1"))
    assert wanted(store) == {"acct-1": Restriction.PAYOUTS_HELD}
    cordon.screen(event("e-3", "acct-2", "m-1"))
    assert wanted(store) == {"acct-1": Restriction.PAYOUTS_HELD, "acct-2": Restriction.PAYOUTS_HELD}
    with store.read() as connection:
        (placed,) = holds.listed(connection)
        assert [row.account for row in restrictions.of_hold(connection, placed)] == ["acct-1", "acct-2"]


def test_an_account_that_is_linked_to_another_merchant_stays_held_and_the_other_merchant_does_not_become_so(
    store: Store, cordon: Cordon
) -> None:
    cordon.screen(event("e-1", "acct-2", "m-1"))
    hold(store, event("e-2", "acct-1", "m-1"))
    assert cordon.screen(event("e-3", "acct-2", "m-2")).outcome is Outcome.HOLD  # the first event that says so
    assert cordon.screen(event("e-4", "acct-2", "m-2")).outcome is Outcome.HOLD
    assert cordon.screen(event("e-5", "acct-3", "m-2")).outcome is Outcome.ALLOW
    with store.read() as connection:
        first, carried = sorted(holds.listed(connection, merchant="m-1"), key=lambda each: each.account)
        told = cases.timeline(connection, str(cases.of(connection, "m-2")))
    same = ("decision_id", "outcome", "scope", "rule", "merchant_reason", "two_people")
    assert [getattr(carried, each) for each in same] == [getattr(first, each) for each in same]
    assert (carried.account, carried.subject_kind, carried.placed_by) == ("acct-2", "account", "paycordon")
    assert "linked" in [line.kind for line in told]
    with store.write() as connection:
        holds.release(connection, first.id, by="ana", reason="checked", now=NOON)
    assert wanted(store) == {"acct-1": Restriction.PAYOUTS_HELD, "acct-2": Restriction.PAYOUTS_HELD}
    with store.write() as connection:
        holds.release(connection, carried.id, by="ana", reason="checked", now=NOON)
    assert set(wanted(store).values()) == {Restriction.NONE}
    assert cordon.screen(event("e-6", "acct-2", "m-2")).outcome is Outcome.ALLOW
    assert verify(store).problems == ()


def test_the_release_of_a_case_releases_what_was_carried_over_with_what_it_came_from(
    store: Store, cordon: Cordon
) -> None:
    cordon.screen(event("e-1", "acct-2", "m-1"))
    hold(store, event("e-2", "acct-1", "m-1"))
    cordon.screen(event("e-3", "acct-2", "m-2"))
    assert wanted(store) == {"acct-1": Restriction.PAYOUTS_HELD, "acct-2": Restriction.PAYOUTS_HELD}
    with store.read() as connection:
        case = str(cases.of(connection, "m-1"))
        meant = selected(connection, Selection(case=case))
        assert {holds.get(connection, id_).account for id_ in meant} == {"acct-1", "acct-2"}
    ana = Person("ana", frozenset({Role.ANALYST}))
    done = release_each(store, meant, lambda: Wish(ana, "checked", NOON, secrets.token_bytes))
    assert (done.released, done.refused) == (list(meant), {})
    assert set(wanted(store).values()) == {Restriction.NONE}
    with store.read() as connection:
        assert cases.get(connection, case).state is cases.State.CLOSED
    assert verify(store).problems == ()


def test_what_is_carried_over_is_carried_once_and_what_falls_on_the_account_itself_is_not(
    store: Store, cordon: Cordon
) -> None:
    hold(store, event("e-1", "acct-1", "m-1"))
    cordon.screen(event("e-2", "acct-2", "m-1"))
    for number, merchant in enumerate(("m-2", "m-1", "m-2")):
        cordon.screen(event(f"e-1{number}", "acct-1", merchant))
        cordon.screen(event(f"e-2{number}", "acct-2", merchant))
    with store.read() as connection:
        found = sorted((each.merchant, each.account) for each in holds.listed(connection))
    assert found == [("m-1", "acct-1"), ("m-1", "acct-2")]


def test_whoever_links_an_account_to_somebody_else_in_the_database_is_found_out(store: Store, cordon: Cordon) -> None:
    hold(store, event("e-1", "acct-1", "m-1"))
    cordon.screen(event("e-2", "acct-1", "m-2"))
    cordon.screen(event("e-3", "acct-2", "m-1"))
    cordon.screen(event("e-4", "acct-3", "m-3"))
    assert verify(store).problems == ()
    table = schema.accounts
    with store.write() as connection:
        connection.execute(table.update().where(table.c.account == "acct-2").values(merchant="m-3"))
        connection.execute(table.delete().where(table.c.account == "acct-3"))
    assert [problem.text for problem in verify(store).problems] == [
        "account `acct-2` at `acme`: is linked to `m-3`, but belongs to `m-1`",
        "account `acct-3` at `acme`: is linked to nobody, but belongs to `m-3`",
    ]


def test_a_worker_asks_whom_an_account_belongs_to_now(store: Store, cordon: Cordon, clock: FrozenClock) -> None:
    hold(store, event("e-1", "acct-1", "m-1"))
    with store.write() as connection:
        connection.execute(insert(schema.accounts).values(instance="acme", account="acct-2", merchant="m-2"))
        # What somebody writes who held `m-1` while the account was still linked to it.
        stale = {"state": "pending", "applied": "none", "failures": 0, "due_at": 0, "lease_until": 0, "generation": 0}
        row = {"instance": "acme", "account": "acct-2", "merchant": "m-1", "desired": "none", "attempt": 0, **stale}
        connection.execute(insert(schema.restrictions).values(row))
    claimed = restrictions.claim(store, "acme", "w", clock(), timedelta(minutes=5), limit=5)
    assert {(row.account, row.merchant): row.desired for row in claimed} == {
        ("acct-1", "m-1"): Restriction.PAYOUTS_HELD,
        ("acct-2", "m-2"): Restriction.NONE,
    }


def test_an_error_of_the_database_does_not_repeat_what_was_to_be_stored(store: Store) -> None:
    statement = insert(schema.accounts).values(instance="i", account="private-name")
    with store.write() as connection, pytest.raises(IntegrityError) as caught:
        connection.execute(statement)
    assert "[SQL parameters hidden" in str(caught.value)
