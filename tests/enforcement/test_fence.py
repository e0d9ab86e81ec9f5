"""A worker whose lease has passed, or will have passed by then, changes nothing at a gateway."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from paycordon.enforcement import Reconciler, Timing
from paycordon.testing import FrozenClock


def worker(held: Any, clock: FrozenClock, name: str) -> Reconciler:
    return Reconciler(held.store, held.gateway, owner=name, clock=clock, sleep=lambda _: None, timing=Timing(tries=1))


def test_a_worker_that_stood_still_before_its_write_does_not_write(held: Any, clock: FrozenClock) -> None:
    held.add("a_1", "m_1")
    hold = held.place("a_1", "m_1")

    def stands_still() -> None:
        held.gateway.before_write = lambda: None
        clock.advance(Timing().lease)
        held.release(hold)
        while worker(held, clock, "another").run_once():
            pass

    held.gateway.before_write = stands_still
    worker(held, clock, "late").run_once()
    assert held.gateway.settings_of["a_1"] == {"schedule": "daily", "charges": True}
    assert held.gateway.writes["a_1"] == 0


def test_a_clock_set_back_does_not_lengthen_a_lease(held: Any, clock: FrozenClock) -> None:
    held.add("a_1", "m_1")
    held.place("a_1", "m_1")
    time = [0.0]

    def stands_still() -> None:
        time[0] += Timing().lease.total_seconds()  # and the wall clock says that no time has passed

    held.gateway.before_write = stands_still
    late = Reconciler(
        held.store,
        held.gateway,
        owner="late",
        clock=clock,
        sleep=lambda _: None,
        timing=Timing(tries=1),
        monotonic=lambda: time[0],
    )
    late.run_once()
    assert held.gateway.writes["a_1"] == 0
    held.gateway.before_write = lambda: None
    clock.advance(timedelta(minutes=10))
    while worker(held, clock, "another").run_once():
        pass
    assert held.gateway.settings_of["a_1"]["schedule"] == "manual"
