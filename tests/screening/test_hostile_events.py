"""Events that are odd, reused or forged by whoever may hand events in: an outcome comes, and never somebody else's."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Connection, func, select

from paycordon.aggregates import Aggregate, Function
from paycordon.decisions import Decision, Outcome, RuleMatch
from paycordon.events import Event, EventType, Money
from paycordon.record.verify import verify
from paycordon.screening import Cordon
from paycordon.store import Store, restrictions, schema
from paycordon.store.ledger import Entry, Superseded, record
from paycordon.store.snapshot import origin
from paycordon.store.windows import aggregate
from paycordon.testing import FrozenClock, make_event

Make = Callable[[Store], Cordon]
PAYMENT = {"id": "py_1", "amount": {"minor": 100, "currency": "EUR"}}


def hold(store: Store, event: Event, now: datetime) -> Decision:
    """Record a decision that holds the event's merchant."""
    with store.write() as connection:
        found = origin(connection, event)
        decision = Decision(
            id=f"dec-{event.id}",
            event_id=event.id,
            event_type=event.type,
            instance=event.instance,
            mode=event.mode,
            merchant=found.merchant,
            subject=event.subject,
            outcome=Outcome.HOLD,
            matches=(RuleMatch(policy="p", rule="r", outcome=Outcome.HOLD, merchant_reason="more_information"),),
            decided_at=now,
        )
        record(connection, Entry(event, found, decision, Outcome.ALLOW), now, secrets.token_bytes)
    return decision


def payout(id_: str, account: str = "acct-1", merchant: str | None = None, **more: Any) -> Event:
    return make_event("payout.requested", id=id_, account={"id": account}, merchant={"id": merchant}, **more)


def restricted(store: Store) -> set[str]:
    with store.read() as connection:
        return {row.account for row in restrictions.listed(connection)}


def test_an_account_first_named_by_a_payment_is_restricted_like_its_merchant(
    store: Store, make_cordon: Make, clock: FrozenClock
) -> None:
    hold(store, payout("e-1", "acct-1", "m-1"), clock())
    payment = make_event(
        "payment.succeeded", id="e-2", account={"id": "acct-2"}, merchant={"id": "m-1"}, payment=PAYMENT
    )
    make_cordon(store).screen(payment)
    assert restricted(store) == {"acct-1", "acct-2"}


@pytest.mark.parametrize(("before", "stale"), [(None, None), ("m-0", "m-2")])
def test_a_stale_event_does_not_take_an_account_away_from_its_merchant(
    store: Store, clock: FrozenClock, before: str | None, stale: str | None
) -> None:
    if before:
        with store.write() as connection:
            first = payout("e-0", merchant=before)
            record(
                connection, Entry(first, origin(connection, first), None, Outcome.ALLOW), clock(), secrets.token_bytes
            )
    slow, quick = payout("e-1", merchant=stale), payout("e-2", merchant="m-1")
    with store.read() as connection:
        seen_by_slow, seen_by_quick = origin(connection, slow), origin(connection, quick)
    with store.write() as connection:
        record(connection, Entry(quick, seen_by_quick, None, Outcome.ALLOW), clock(), secrets.token_bytes)
    with pytest.raises(Superseded), store.write() as connection:
        record(connection, Entry(slow, seen_by_slow, None, Outcome.ALLOW), clock(), secrets.token_bytes)
    with store.read() as connection:
        assert connection.execute(select(schema.accounts.c.merchant)).scalars().all() == ["m-1"]


def test_an_account_with_the_longest_id_is_screened(store: Store, make_cordon: Make) -> None:
    decision = make_cordon(store).screen(payout("e-1", account="a" * 255))
    assert decision.outcome is Outcome.ALLOW
    assert not decision.id.startswith("unrecorded_")


def test_accounts_with_long_ids_are_not_one_merchant(store: Store, make_cordon: Make) -> None:
    cordon = make_cordon(store)
    one, other = (cordon.screen(payout(f"e-{end}", account="a" * 254 + end)) for end in "bc")
    assert one.merchant != other.merchant


@pytest.mark.parametrize(
    "other",
    [
        {"account": "acct-2"},
        {"merchant": "m-2"},
        {"payout": {"id": "po_9", "amount": {"minor": 5_000, "currency": "EUR"}}},
        {"payout": {"id": "po_1", "amount": {"minor": 9_999_999, "currency": "EUR"}}},
        {"payout": {"id": "po_1", "amount": {"minor": 5_000, "currency": "EUR"}, "destination": "ba_other"}},
    ],
)
def test_an_event_id_used_again_for_something_else_does_not_inherit_the_decision(
    store: Store, make_cordon: Make, other: dict[str, Any]
) -> None:
    cordon = make_cordon(store)
    first: dict[str, Any] = {"payout": {"id": "po_1", "amount": {"minor": 5_000, "currency": "EUR"}}, "merchant": "m-1"}
    allowed = cordon.screen(payout("e-1", **first))
    assert allowed.outcome is Outcome.ALLOW
    again = cordon.screen(payout("e-1", **{**first, **other}))
    assert again.id != allowed.id
    assert (again.outcome, again.rule) == (Outcome.HOLD, "paycordon/event_id_reused")
    assert cordon.in_force(again) is Outcome.HOLD
    assert cordon.screen(payout("e-1", **first)).id == allowed.id


def test_a_redelivery_that_knows_more_gets_the_decision_it_got_then(store: Store, make_cordon: Make) -> None:
    cordon = make_cordon(store)
    amount = {"minor": 5_000, "currency": "EUR"}
    first = cordon.screen(payout("e-1", payout={"id": "po_1", "amount": amount, "status": "pending"}))
    again = payout("e-1", payout={"id": "po_1", "amount": amount, "status": "paid"}, extra={"new": True})
    assert cordon.screen(again).id == first.id


def test_a_payout_under_the_id_of_a_recorded_payment_is_not_waved_through(store: Store, make_cordon: Make) -> None:
    cordon = make_cordon(store)
    cordon.screen(make_event("payment.succeeded", id="e-1", payment=PAYMENT))
    decision = cordon.screen(payout("e-1"))
    assert decision.id.startswith("unrecorded_")
    assert decision.outcome is Outcome.HOLD


def test_amounts_that_no_database_holds_are_refused_at_the_door() -> None:
    for minor in (2**63, -(2**63) - 1, 10**40):
        with pytest.raises(ValidationError):
            Money(minor=minor, currency="EUR")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_that_are_none_in_utc_are_refused_like_other_bad_fields(text: str) -> None:
    with pytest.raises(ValidationError):
        make_event("payout.requested", occurred_at=text)


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_events_at_the_ends_of_time_are_recorded(store: Store, make_cordon: Make, at: datetime) -> None:
    decision = make_cordon(store).screen(payout("e-1", occurred_at=at))
    assert not decision.id.startswith("unrecorded_")


@pytest.mark.parametrize("name", ["\ud800", "a\x00b"])
def test_text_that_one_database_refuses_never_reaches_it(name: str) -> None:
    for field in ({"merchant": {"name": name}}, {"id": name}, {"account": {"id": name}}):
        with pytest.raises(ValidationError):
            make_event("payout.requested", **field)


def test_odd_text_in_extra_is_kept_on_both_databases(store: Store, make_cordon: Make) -> None:
    decision = make_cordon(store).screen(payout("e-1", extra={"a\x00b": "c\x00d\x1b[2J\u202e"}))
    assert not decision.id.startswith("unrecorded_")
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(schema.events)).scalar() == 1


def test_a_card_number_written_as_a_float_is_refused() -> None:
    with pytest.raises(ValidationError):
        make_event("payout.requested", extra={"n": 4242424242424242.0})


def test_a_retry_after_a_year_is_the_same_event(store: Store, make_cordon: Make, clock: FrozenClock) -> None:
    cordon = make_cordon(store)
    first = cordon.screen(payout("e-1", occurred_at=clock()))
    later = clock.advance(timedelta(days=365))
    assert cordon.screen(payout("e-1", occurred_at=later)).id == first.id


def test_a_sum_that_no_integer_of_the_database_holds_is_capped(store: Store, clock: FrozenClock) -> None:
    whole = Aggregate(function=Function.SUM, of=EventType.PAYOUT_REQUESTED, window=timedelta(days=1))
    huge = {"id": "po_1", "amount": {"minor": 2**63 - 1, "currency": "EUR"}}
    for id_ in ("e-1", "e-2"):
        hold(store, payout(id_, payout=huge), clock())
    with store.read() as connection:
        event = payout("e-3", payout=huge)
        found = origin(connection, event)
        assert aggregate(connection, event, found.merchant, {"whole": whole}) == {"whole": 2**63 - 1}


def test_sums_are_exact_across_signs_and_currencies(store: Store, clock: FrozenClock) -> None:
    whole = Aggregate(
        function=Function.SUM, of=EventType.PAYOUT_REQUESTED, window=timedelta(days=1), include_current=False
    )
    for number, (minor, currency) in enumerate([(2**40, "EUR"), (-7, "EUR"), (5, "USD"), (3, "EUR")]):
        hold(store, payout(f"e-{number}", payout={"amount": {"minor": minor, "currency": currency}}), clock())
    with store.read() as connection:
        event = payout("e-9")
        found = origin(connection, event)
        assert aggregate(connection, event, found.merchant, {"whole": whole}) == {"whole": 2**40 - 4}


def test_events_of_one_merchant_do_not_drive_each_other_out(
    store: Store, make_cordon: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    superseded: list[str] = []

    def noted(connection: Connection, entry: Entry, *more: Any) -> None:
        try:
            record(connection, entry, *more)
        except Superseded:
            superseded.append(entry.event.id)
            raise

    monkeypatch.setattr("paycordon.screening.record", noted)
    cordon = make_cordon(store)
    with ThreadPoolExecutor(4) as threads:
        decisions = list(threads.map(lambda n: cordon.screen(payout(f"e-{n}", merchant="m-1")), range(40)))
    assert not [d for d in decisions if d.id.startswith("unrecorded_")]
    assert superseded == []
    assert verify(store).ok


def test_context_is_allowed_even_while_its_merchant_is_held(
    store: Store, make_cordon: Make, clock: FrozenClock
) -> None:
    hold(store, payout("e-1", merchant="m-1"), clock())
    payment = make_event("payment.succeeded", id="e-2", merchant={"id": "m-1"}, payment=PAYMENT)
    assert make_cordon(store).screen(payment).outcome is Outcome.ALLOW
    assert make_cordon(store).screen(payout("e-3", merchant="m-1")).outcome is Outcome.HOLD
