"""The clock of a restriction that its gateway ends by itself: begun once, and never lost on the way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from paycordon.decisions import Outcome, Scope
from paycordon.enforcement import Reconciler, Timing
from paycordon.enforcement.clocks import Clockwork
from paycordon.events import Event, Mode, Subject
from paycordon.gateways import (
    Applied,
    Change,
    Delivery,
    Gateway,
    GatewaySettings,
    GatewayState,
    Grade,
    Message,
    Restriction,
    Settings,
    Support,
)
from paycordon.sections import Clocks, Drift
from paycordon.store import Store, clocks, holds, restrictions, schema
from paycordon.store.holds import NewHold, Source
from paycordon.testing import NOON, FrozenClock

DAY = timedelta(days=1)
LASTS = 90 * DAY


class LapsingGateway(Gateway[GatewaySettings]):
    """A gateway that says after every change, and every look, that the restriction ends 90 days from then."""

    name = "lapsing"
    settings_type = GatewaySettings
    capabilities = {Restriction.PAYOUTS_HELD: Support(Grade.FULL, "schedule to manual")}

    def __init__(self, clock: FrozenClock) -> None:
        super().__init__("acme", GatewaySettings(adapter="lapsing", mode=Mode.TEST))
        self.schedule = "daily"
        self._clock = clock

    def verify(self, delivery: Delivery, now: datetime) -> Sequence[Message]:
        raise AssertionError("not a part of reconciling")

    def translate(self, message: Message) -> Sequence[Event]:
        raise AssertionError("not a part of reconciling")

    def resolve(self, event: Event) -> Event:
        raise AssertionError("not a part of reconciling")

    def read(self, subject: Subject) -> GatewayState:
        settings: Settings = {"schedule": self.schedule}
        return GatewayState(Restriction.PAYOUTS_HELD if self.schedule == "manual" else Restriction.NONE, settings)

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        self.schedule = str(change.baseline["schedule"]) if change.to is Restriction.NONE else "manual"
        return Applied(self.read(subject), self._clock() + LASTS)


class Bench:
    def __init__(self, store: Store, clock: FrozenClock, on_drift: Drift = Drift.REAPPLY) -> None:
        self.store, self.clock, self.gateway = store, clock, LapsingGateway(clock)
        self.clockwork = Clockwork(store, Clocks(), clock)
        timing = Timing(recheck=timedelta(days=1))
        self.reconciler = Reconciler(
            store, self.gateway, owner="w", clock=clock, sleep=lambda _: None, timing=timing, on_drift=on_drift
        )
        new = NewHold(
            *("m_1", "acme", "a_1", "payout", "po_1"),
            outcome=Outcome.HOLD,
            scope=Scope.PAYOUTS,
            rule="p/r",
            merchant_reason="",
            source=Source.PERSON,
        )
        with store.write() as connection:
            connection.execute(schema.accounts.insert().values(instance="acme", account="a_1", merchant="m_1"))
            self.hold = holds.place(connection, new, clock(), lambda n: bytes(n))
        self.work()

    def work(self) -> None:
        while self.reconciler.run_once() or self.clockwork.run_once():
            pass

    def clocks(self) -> list[tuple[datetime, str]]:
        with self.store.read() as connection:
            found = clocks.listed(connection, subject_id="acme/a_1")
        return [(clock.due_at, clock.state) for clock in found]

    def ends_at(self) -> datetime | None:
        with self.store.read() as connection:
            return restrictions.listed(connection)[0].expires_at


@pytest.fixture
def bench(sqlite_store: Store, clock: FrozenClock) -> Bench:
    return Bench(sqlite_store, clock)


def test_looking_at_an_account_does_not_begin_its_clock_again(bench: Bench) -> None:
    for _ in range(100):
        bench.clock.advance(DAY)
        bench.work()
    assert bench.clocks() == [(NOON + LASTS, "due")]
    assert bench.ends_at() == NOON + LASTS


def test_a_restriction_put_back_after_the_gateway_let_go_has_a_new_clock(bench: Bench) -> None:
    bench.clock.advance(LASTS)
    bench.gateway.schedule = "daily"
    bench.work()
    assert bench.gateway.schedule == "manual"
    assert bench.clocks() == [(bench.clock() + LASTS, "running")]


def test_a_change_by_hand_does_not_make_a_clock_longer(bench: Bench) -> None:
    bench.clock.advance(10 * DAY)
    bench.gateway.schedule = "weekly"
    bench.work()
    assert (bench.gateway.schedule, bench.clocks()) == ("manual", [(NOON + LASTS, "running")])


def test_an_account_left_as_somebody_set_it_keeps_its_clock(sqlite_store: Store, clock: FrozenClock) -> None:
    bench = Bench(sqlite_store, clock, on_drift=Drift.CASE)
    clock.advance(DAY)
    bench.gateway.schedule = "weekly"
    bench.work()
    assert (bench.gateway.schedule, bench.clocks()) == ("weekly", [(NOON + LASTS, "running")])


def test_a_release_stops_the_clock_once_the_gateway_agrees(bench: Bench) -> None:
    with bench.store.write() as connection:
        holds.release(connection, bench.hold, by="ann", reason="looked at", now=bench.clock())
    assert len(bench.clocks()) == 1  # the gateway still restricts the account
    bench.work()
    assert (bench.gateway.schedule, bench.clocks()) == ("daily", [])
