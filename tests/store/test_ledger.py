"""Recording an event: all or nothing, in one order, whoever else writes."""

from __future__ import annotations

import secrets
import threading
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, func, select, text

from paycordon.coalition.identifiers import Digester
from paycordon.decisions import Outcome
from paycordon.events import Event
from paycordon.record.verify import verify
from paycordon.store import Store, schema
from paycordon.store.ledger import Entry, Superseded, record
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros
from paycordon.store.snapshot import context, origin
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
        leads = digester.leads(make_event("merchant.changed", id="next"))
        seen = context(connection, leads, replace(origin(connection, leads.event), merchant="m_1"), NOON)
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
