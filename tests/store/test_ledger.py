"""Recording an event: all or nothing, in one order, whoever else writes."""

from __future__ import annotations

import secrets
import threading
from collections import defaultdict
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, text

from paycordon.aggregates import Aggregate, Function
from paycordon.aggregates.definition import By
from paycordon.coalition.identifiers import Digester
from paycordon.decisions import Outcome
from paycordon.events import Event
from paycordon.record.verify import verify
from paycordon.store import Store, schema
from paycordon.store.ledger import Entry, Superseded, record
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros
from paycordon.store.snapshot import aggregate, context, origin
from paycordon.testing import NOON, make_event


def put(store: Store, event: Event) -> None:
    """Record an event without a decision, as often as it takes."""
    while True:
        with store.read() as connection:
            found = origin(connection, event)
        try:
            with store.write() as connection:
                record(connection, Entry(event, found, None, Outcome.ALLOW), NOON, secrets.token_bytes)
        except Superseded:
            continue
        return


def payment(number: int, at: datetime = NOON, **more: object) -> Event:
    return make_event("payment.succeeded", id=f"evt_{number}", occurred_at=at, **more)


def count(connection: Connection, table: str) -> int:
    return int(connection.execute(select(func.count()).select_from(schema.metadata.tables[table])).scalar_one())


def test_prepared_statement_takes_named_parameters_in_any_order_and_more_than_once(store: Store) -> None:
    statement = Prepared(text("SELECT :b || :a || :b"))
    with store.read() as connection:
        for _ in range(2):
            assert statement(connection, {"a": "x", "b": "y", "unused": "z"}).scalar() == "yxy"


def test_prepared_statement_runs_for_each_set_and_for_none(store: Store) -> None:
    insert = Prepared(text("INSERT INTO merchants (merchant, seq) VALUES (:m, :s)"))
    with store.write() as connection:
        insert.many(connection, [])
        insert.many(connection, [{"s": i, "m": f"m{i}"} for i in range(3)])
        assert count(connection, "merchants") == 3


def test_event_recorded_since_the_snapshot_supersedes_it(store: Store) -> None:
    with store.read() as connection:
        stale = origin(connection, payment(1))
    put(store, payment(1))
    with pytest.raises(Superseded), store.write() as connection:
        record(connection, Entry(payment(1), stale, None, Outcome.ALLOW), NOON, secrets.token_bytes)
    with store.read() as connection:
        assert count(connection, "events") == count(connection, "log") == 1


def test_history_grown_since_the_snapshot_supersedes_it(store: Store) -> None:
    with store.read() as connection:
        stale = origin(connection, payment(2))
    put(store, payment(1))
    with pytest.raises(Superseded), store.write() as connection:
        record(connection, Entry(payment(2), stale, None, Outcome.ALLOW), NOON, secrets.token_bytes)
    with store.read() as connection:
        assert connection.execute(select(schema.merchants.c.seq)).scalar_one() == 1
        assert count(connection, "events") == 1


def test_same_event_under_another_merchant_is_not_recorded_twice(store: Store) -> None:
    put(store, payment(1))
    other = payment(1, merchant={"id": "m_2"})
    with store.read() as connection:
        found = origin(connection, other)
    assert found.recorded
    with pytest.raises(Superseded), store.write() as connection:
        record(connection, Entry(other, found, None, Outcome.ALLOW), NOON, secrets.token_bytes)
    with store.read() as connection:
        assert count(connection, "merchants") == 1


def test_transaction_that_raises_leaves_nothing(store: Store) -> None:
    with store.read() as connection:
        found = origin(connection, payment(1))
    with pytest.raises(ZeroDivisionError), store.write() as connection:  # noqa: PT012  # fails half-way
        record(connection, Entry(payment(1), found, None, Outcome.ALLOW), NOON, secrets.token_bytes)
        raise ZeroDivisionError
    with store.read() as connection:
        assert [count(connection, name) for name in ("events", "log", "merchants", "accounts")] == [0, 0, 0, 0]


def test_eight_threads_number_each_merchants_events_without_gaps_and_keep_the_log_whole(store: Store) -> None:
    events = [payment(n, merchant={"id": f"m_{n % 3}"}, account={"id": f"a_{n % 3}"}) for n in range(48)]
    errors: list[Exception] = []

    def work(part: list[Event]) -> None:
        try:
            for event in part:
                put(store, event)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(events[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with store.read() as connection:
        numbers = defaultdict(list)
        for merchant, seq in connection.execute(select(schema.events.c.merchant, schema.events.c.seq)):
            numbers[merchant].append(seq)
    assert {merchant: sorted(found) for merchant, found in numbers.items()} == {
        f"m_{n}": list(range(1, 17)) for n in range(3)
    }
    report = verify(store)
    assert report.ok, report.problems
    assert report.entries == 48


def test_sighting_spans_from_the_earliest_to_the_latest_event_also_when_they_come_late(
    store: Store, digester: Digester
) -> None:
    days = [3, 1, 5, 2]
    for number, day in enumerate(days):
        event = make_event("merchant.changed", id=f"evt_{number}", occurred_at=NOON + timedelta(days=day))
        put(store, digester.conceal(event))
    with store.read() as connection:
        seen = context(connection, digester.conceal(make_event("merchant.changed", id="next")), "m_1", NOON)
    assert len(seen.known) == 2
    assert {(k.first_seen, k.last_seen) for k in seen.known} == {(NOON + timedelta(days=1), NOON + timedelta(days=5))}


def test_account_stays_with_the_merchant_it_was_linked_to(store: Store) -> None:
    anonymous = payment(1, merchant={})
    with store.read() as connection:
        assert origin(connection, anonymous).merchant == "acme/acct_1"
    put(store, payment(2))
    with store.read() as connection:
        assert origin(connection, anonymous).merchant == "m_1"


def test_times_survive_storage_to_the_microsecond() -> None:
    for moment in (NOON.replace(microsecond=999_999), NOON.replace(year=1969), NOON.replace(year=9000)):
        assert from_micros(micros(moment)) == moment


# Few different values, so that ties, late events and repeated payers are the rule.
_event = st.tuples(
    st.integers(0, 30),  # minutes
    st.sampled_from(["m_1", "m_2"]),
    st.sampled_from(["a_1", "a_2"]),
    st.integers(-5, 500),
    st.sampled_from(["EUR", "SEK"]),
    st.sampled_from([None, "p_1", "p_2"]),
)
_WANTED = {
    f"{function}_{by}_{include}": Aggregate(
        function=function, of="payment.succeeded", by=by, window=timedelta(minutes=10), include_current=include
    )
    for function in Function
    for by in By
    for include in (True, False)
}
_Row = tuple[int, str, str, int, str, str | None]


def _as_event(number: int, row: _Row) -> Event:
    minute, merchant, account, minor, currency, payer = row
    money = {"minor": minor, "currency": currency}
    return payment(
        number,
        NOON + timedelta(minutes=minute),
        merchant={"id": merchant},
        account={"id": f"{merchant}_{account}"},
        payment={"id": f"pay_{number}", "amount": money, "payer": payer},
    )


def _by_hand(before: list[_Row], current: _Row, wanted: Aggregate) -> int:
    minute, merchant, account, _, currency, _ = current
    window = [
        row
        for row in before
        if row[1] == merchant
        and (wanted.by is By.MERCHANT or row[2] == account)
        and minute - 10 < row[0] <= minute  # the order is (time, sequence), and the current event is the newest
    ]
    if wanted.include_current:
        window.append(current)
    if wanted.function is Function.COUNT:
        return len(window)
    if wanted.function is Function.SUM:
        return sum(row[3] for row in window if row[4] == currency)
    return len({row[5] for row in window} - {None})


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(_event, min_size=1, max_size=10))
def test_aggregates_agree_with_a_count_by_hand(store: Store, rows: list[_Row]) -> None:
    with store.write() as connection:
        for table in ("events", "log", "merchants", "accounts"):
            connection.execute(schema.metadata.tables[table].delete())
    for number, row in enumerate(rows):
        event = _as_event(number, row)
        with store.read() as connection:
            computed = aggregate(connection, event, row[1], _WANTED)
        assert computed == {name: _by_hand(rows[:number], row, wanted) for name, wanted in _WANTED.items()}
        put(store, event)
