"""What is kept of deadlines."""

from __future__ import annotations

from datetime import timedelta

from paycordon.store import Store, clocks
from paycordon.store.clocks import ClockState, NewClock
from paycordon.testing import NOON

DAY = timedelta(days=1)


def new(subject: str = "hold_1", kind: str = "review", days: float = 1, merchant: str = "m_1") -> NewClock:
    due_at = NOON + days * DAY
    return NewClock("hold", subject, merchant, kind, "a test", due_at, due_at - DAY / 4)


def test_one_of_a_kind_runs_for_a_subject(store: Store) -> None:
    with store.write() as connection:
        clocks.start(connection, new(days=1), NOON)
        clocks.start(connection, new(days=5), NOON + DAY)
        clocks.start(connection, new(kind="maximum", days=90), NOON)
        running = clocks.listed(connection, subject_id="hold_1")
        every = clocks.listed(connection, subject_id="hold_1", stopped=True)
    assert [(each.kind, each.due_at) for each in running] == [("review", NOON + 5 * DAY), ("maximum", NOON + 90 * DAY)]
    assert [(each.state, each.ended_at, each.next_at) for each in every[:1]] == [(ClockState.STOPPED, NOON + DAY, None)]


def test_those_of_some_kinds_can_be_stopped(store: Store) -> None:
    with store.write() as connection:
        for kind in ("review", "maximum", "own"):
            clocks.start(connection, new(kind=kind), NOON)
        assert clocks.stop(connection, "hold_1", NOON, kinds=("review", "own")) == 2
        assert [each.kind for each in clocks.listed(connection)] == ["maximum"]
        assert clocks.stop(connection, "hold_1", NOON) == 1
        assert clocks.stop(connection, "hold_1", NOON) == 0


def test_a_clock_is_taken_only_while_something_is_to_be_done(store: Store) -> None:
    with store.write() as connection:
        clocks.start(connection, new(), NOON)
    warned_at = NOON + 3 * DAY / 4
    with store.write() as connection:
        assert clocks.waiting(connection, warned_at - DAY / 100, 10) == []
        [clock] = clocks.waiting(connection, warned_at, 10)
        assert clocks.take(connection, clock.id, warned_at) == clock
        clocks.advance(connection, clock, ClockState.WARNED, clock.due_at)
        assert clocks.take(connection, clock.id, warned_at) is None


def test_what_comes_due_is_counted_by_day_and_kind(store: Store) -> None:
    with store.write() as connection:
        for number in range(4):
            clocks.start(connection, new(f"hold_{number}", days=2, merchant=f"m_{number % 2}"), NOON)
        clocks.start(connection, new("hold_1", kind="maximum", days=2.2), NOON)
        clocks.start(connection, new("hold_9", days=40), NOON)
        clocks.stop(connection, "hold_3", NOON)
        found = clocks.coming(connection, NOON + 30 * DAY)
    day = (NOON + 2 * DAY).date()
    assert [(each.day, each.kind, each.deadlines, each.merchants, each.first) for each in found] == [
        (day, "maximum", 1, 1, NOON + 2.2 * DAY),
        (day, "review", 3, 2, NOON + 2 * DAY),
    ]


def test_a_secret_deadline_is_never_shown_counted_or_told(store: Store) -> None:
    secret = NewClock("directive", "dir_1", "m_1", "ends", "an order", NOON + DAY, restricted=True)
    with store.write() as connection:
        clocks.start(connection, secret, NOON)
        assert clocks.listed(connection, merchant="m_1", stopped=True) == []
        assert clocks.coming(connection, NOON + 30 * DAY) == []
        assert clocks.waiting(connection, NOON + 30 * DAY, 10) == []
