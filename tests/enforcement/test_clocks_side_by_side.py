"""Clocks beside screenings and other workers, on PostgreSQL: nobody waits in a circle, and nothing is said twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import select, text

from paycordon.enforcement.clocks import Clockwork
from paycordon.record.log import append
from paycordon.sections import Clocks
from paycordon.store import Store, cases, clocks, schema
from paycordon.testing import NOON, FrozenClock

DAY = timedelta(days=1)


def with_clocks(store: Store, number: int) -> None:
    """Cases of so many merchants, each with a deadline after a day."""
    with store.write() as connection:
        for each in range(number):
            merchant = f"m_{each:02}"
            connection.execute(schema.merchants.insert().values(merchant=merchant, seq=1))
            case = cases.open_for(connection, merchant, NOON, lambda n, each=each: each.to_bytes(n, "big"))
            clocks.start(connection, clocks.NewClock("case", case, merchant, "own", "a test", NOON + DAY), NOON)
        connection.execute(schema.cases.update().values(clocked=1, priority=0))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def somebody_waits(store: Store) -> bool:
    query = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with store.read() as connection:
        return bool(connection.execute(text(query)).scalar())


def test_a_screening_never_waits_in_a_circle_with_a_clock(postgres_store: Store) -> None:
    with_clocks(postgres_store, 3)
    duty = Clockwork(postgres_store, Clocks(), FrozenClock(NOON + 2 * DAY))
    with ThreadPoolExecutor(1) as threads:
        # As a screening does it: it has the case of a merchant whose clock comes later, and then wants the log.
        with postgres_store.write() as connection:
            merchant = schema.merchants.c.merchant == "m_01"
            connection.execute(schema.merchants.update().where(merchant).values(seq=2))
            connection.execute(schema.cases.update().where(schema.cases.c.merchant == "m_01").values(state="open"))
            working = threads.submit(duty.run_once)
            until(lambda: somebody_waits(postgres_store))
            append(connection, NOON, "event", {"merchant": "m_01"})
        assert working.result(20) is True
    assert said(postgres_store) == {f"m_{each:02}": 1 for each in range(3)}


def test_two_workers_say_nothing_twice(postgres_store: Store) -> None:
    with_clocks(postgres_store, 30)
    clock = FrozenClock(NOON + 2 * DAY)

    def work(_: int) -> None:
        duty = Clockwork(postgres_store, Clocks(), clock)
        until(lambda: not duty.run_once() and not waiting(postgres_store))

    def waiting(store: Store) -> bool:
        with store.read() as connection:
            return bool(clocks.waiting(connection, clock(), 1))

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, range(3)))
    assert said(postgres_store) == {f"m_{each:02}": 1 for each in range(30)}


def said(store: Store) -> Counter[str]:
    """How often something was said about each merchant."""
    log, table = schema.log, schema.cases
    with store.read() as connection:
        merchants = dict(connection.execute(select(table.c.id, table.c.merchant)).all())
        payloads = connection.execute(select(log.c.payload).where(log.c.kind == "clock.due")).scalars().all()
    return Counter(merchants[json.loads(payload)["case"]] for payload in payloads)
