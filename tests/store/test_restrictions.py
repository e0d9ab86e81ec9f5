"""Which accounts a hold restricts, when accounts find their merchant later."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from paycordon.decisions import Decision, Outcome, RuleMatch
from paycordon.events import Event
from paycordon.gateways import Restriction
from paycordon.screening import Cordon
from paycordon.store import Store, holds, restrictions, schema
from paycordon.store.ledger import Entry, record
from paycordon.store.snapshot import origin, restriction_of
from paycordon.testing import NOON, make_event


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


def test_an_error_of_the_database_does_not_repeat_what_was_to_be_stored(store: Store) -> None:
    statement = insert(schema.accounts).values(instance="i", account="private-name")
    with store.write() as connection, pytest.raises(IntegrityError) as caught:
        connection.execute(statement)
    assert "[SQL parameters hidden" in str(caught.value)
