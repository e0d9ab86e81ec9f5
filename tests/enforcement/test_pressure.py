"""A gateway that fails is left alone and probed; one that is limited is not asked for more; no other is delayed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from paycordon.enforcement import Reconciler, Timing
from paycordon.enforcement.pressure import Circuit, Limits, standings
from paycordon.errors import OutcomeUnknown, RetryLater
from paycordon.testing import FrozenClock

TIMING = Timing(first_retry=timedelta(seconds=1), last_retry=timedelta(seconds=1), tries=1, give_up_after=1_000)


def worker(held: Any, clock: FrozenClock, limits: Limits | None = None, name: str = "w") -> Reconciler:
    return Reconciler(
        held.store,
        held.gateway,
        owner=name,
        clock=clock,
        sleep=lambda seconds: clock.advance(timedelta(seconds=seconds)) and None,
        timing=TIMING,
        limits=limits,
        monotonic=lambda: clock().timestamp(),
        jitter=lambda: 0.0,
    )


def rounds(reconciler: Reconciler) -> int:
    count = 0
    while reconciler.run_once():
        count += 1
    return count


def circuit(held: Any, clock: FrozenClock) -> Circuit:
    with held.store.read() as connection:
        [standing] = standings(connection, clock())
    return standing.circuit


@pytest.fixture
def many(held: Any) -> Any:
    """Twenty held accounts that no worker has looked at yet."""
    for number in range(20):
        held.add(f"a_{number}", f"m_{number}")
        held.place(f"a_{number}", f"m_{number}")
    return held


def test_a_gateway_that_fails_for_several_accounts_is_left_alone_and_no_lease_is_burnt(
    many: Any, clock: FrozenClock
) -> None:
    many.gateway.trouble = OutcomeUnknown("no answer")
    assert rounds(worker(many, clock)) == 5
    assert circuit(many, clock) is Circuit.OPEN
    clock.advance(timedelta(seconds=9))
    assert rounds(worker(many, clock, name="another")) == 0


def test_one_probe_at_a_time_and_longer_and_longer_pauses(many: Any, clock: FrozenClock) -> None:
    many.gateway.trouble = OutcomeUnknown("no answer")
    rounds(worker(many, clock))
    for pause in (10, 20, 40, 80, 160, 300, 300):
        clock.advance(timedelta(seconds=pause - 1))
        assert rounds(worker(many, clock)) == 0
        clock.advance(timedelta(seconds=1))
        assert rounds(worker(many, clock)) == 1


def test_a_gateway_that_answers_again_is_worked_with_as_usual(many: Any, clock: FrozenClock) -> None:
    many.gateway.trouble = OutcomeUnknown("no answer")
    rounds(worker(many, clock))
    many.gateway.trouble = None
    clock.advance(timedelta(seconds=10))
    assert rounds(worker(many, clock)) == 20
    assert circuit(many, clock) is Circuit.CLOSED
    assert all(settings["schedule"] == "manual" for settings in many.gateway.settings_of.values())


def test_a_gateway_that_asks_for_a_pause_gets_it_at_once(many: Any, clock: FrozenClock) -> None:
    many.gateway.trouble = RetryLater("too many requests", after=timedelta(seconds=30))
    assert rounds(worker(many, clock)) == 1
    many.gateway.trouble = None
    clock.advance(timedelta(seconds=29))
    assert rounds(worker(many, clock)) == 0
    clock.advance(timedelta(seconds=1))
    assert rounds(worker(many, clock)) == 20


def test_one_account_that_always_fails_says_nothing_about_its_gateway(held: Any, clock: FrozenClock) -> None:
    held.add("a_1", "m_1")
    held.place("a_1", "m_1")
    held.gateway.trouble = OutcomeUnknown("no answer")
    for _ in range(20):
        assert rounds(worker(held, clock)) == 1
        clock.advance(timedelta(seconds=1))
    assert circuit(held, clock) is Circuit.CLOSED


def test_a_rate_is_kept_by_all_workers_together(many: Any, clock: FrozenClock) -> None:
    limits = Limits(accounts_per_s=4)
    began = clock()
    one, two = worker(many, clock, limits, "one"), worker(many, clock, limits, "two")
    while one.run_once() | two.run_once():
        pass
    assert set(many.gateway.writes.values()) == {1}
    assert len(many.gateway.writes) == 20
    assert clock() - began >= timedelta(seconds=4)
