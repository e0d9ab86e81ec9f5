"""Writes that land late, and answers a gateway repeats without doing anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from paycordon.decisions import Decision, Outcome, RuleMatch
from paycordon.enforcement import Reconciler, Timing
from paycordon.errors import OutcomeUnknown, Refused
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
from paycordon.record.verify import verify
from paycordon.store import Store, holds, restrictions, schema
from paycordon.store.ledger import Entry, record
from paycordon.store.snapshot import origin
from paycordon.testing import FrozenClock, make_event

START = datetime(2026, 4, 1, tzinfo=UTC)
ORDINARY: Settings = {"schedule": "daily"}
HELD: Settings = {"schedule": "manual"}


class ReplayingGateway(Gateway[GatewaySettings]):
    """One account at a gateway that does what a key asks for once and afterwards repeats its answer."""

    name = "replaying"
    settings_type = GatewaySettings
    capabilities: Mapping[Restriction, Support] = {Restriction.PAYOUTS_HELD: Support(Grade.FULL, "schedule to manual")}  # type: ignore[misc]

    def __init__(self) -> None:
        super().__init__("replaying_test", GatewaySettings(adapter="replaying", mode=Mode.TEST))
        self.settings_there: Settings = ORDINARY
        self.keys: set[str] = set()
        self.meanwhile: list[Callable[[], None]] = []

    def verify(self, delivery: Delivery, now: datetime) -> Sequence[Message]:
        raise AssertionError("not a part of reconciling")

    def translate(self, message: Message) -> Sequence[Event]:
        raise AssertionError("not a part of reconciling")

    def resolve(self, event: Event) -> Event:
        raise AssertionError("not a part of reconciling")

    def read(self, subject: Subject) -> GatewayState:
        held = self.settings_there == HELD
        return GatewayState(Restriction.PAYOUTS_HELD if held else Restriction.NONE, self.settings_there)

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        if self.meanwhile:
            self.meanwhile.pop()()
        if key not in self.keys:
            self.keys.add(key)
            self.settings_there = change.baseline if change.to is Restriction.NONE else HELD
        return Applied(self.read(subject))


class World:
    """One store, one account at one gateway, and as many workers as a test wants."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = FrozenClock(START)
        self.gateway = ReplayingGateway()
        self.numbers = 0

    def worker(self, name: str = "w-1") -> Reconciler:
        timing = Timing(lease=timedelta(seconds=30), give_up_after=3, try_pause=timedelta(milliseconds=1))
        return Reconciler(self.store, self.gateway, owner=name, clock=self.clock, sleep=lambda _s: None, timing=timing)

    def work(self, name: str = "w-1", rounds: int = 1) -> None:
        for _ in range(rounds):
            worker = self.worker(name)
            while worker.run_once():
                pass
            self.clock.advance(timedelta(hours=2))

    def place(self) -> str:
        self.numbers += 1
        event = make_event(
            "payout.requested", id=f"e-{self.numbers}", instance="replaying_test", account={"id": "acct-1"}
        )
        with self.store.write() as connection:
            found = origin(connection, event)
            decision = Decision(
                id=f"dec-{self.numbers}",
                event_id=event.id,
                event_type=event.type,
                instance=event.instance,
                mode=event.mode,
                merchant=found.merchant,
                subject=event.subject,
                outcome=Outcome.HOLD,
                matches=(RuleMatch(policy="p", rule="r", outcome=Outcome.HOLD, merchant_reason="more_information"),),
                decided_at=self.clock(),
            )
            entry = Entry(event, found, decision, Outcome.ALLOW)
            record(connection, entry, self.clock(), lambda n: self.numbers.to_bytes(n, "big"))
            query = select(schema.holds.c.id).where(schema.holds.c.decision_id == decision.id)
            return str(connection.execute(query).scalar_one())

    def release(self, hold: str) -> None:
        with self.store.write() as connection:
            holds.release(connection, hold, by="ana", reason="checked", now=self.clock())

    def row(self) -> restrictions.RestrictionRow:
        with self.store.read() as connection:
            (row,) = restrictions.listed(connection)
            return row

    def open_cases(self) -> int:
        with self.store.read() as connection:
            return len(connection.execute(select(schema.cases.c.id).where(schema.cases.c.closed_at.is_(None))).all())


@pytest.fixture
def world(store: Store) -> World:
    return World(store)


def test_a_hold_undone_by_hand_is_applied_again_where_answers_are_replayed(world: World) -> None:
    world.place()
    world.work()
    for _ in range(3):
        world.gateway.settings_there = ORDINARY
        world.work(rounds=2)
        assert world.gateway.settings_there == HELD
        assert world.row().state == "settled"


def test_a_release_undone_before_it_was_read_back_is_written_again(world: World) -> None:
    hold = world.place()
    world.work()
    world.release(hold)
    real = world.gateway.apply

    def interfered(subject: Subject, change: Change, key: str) -> Applied:
        real(subject, change, key)
        world.gateway.settings_there = HELD
        world.gateway.apply = real  # type: ignore[method-assign]
        return Applied(world.gateway.read(subject))

    world.gateway.apply = interfered  # type: ignore[method-assign]
    world.work(rounds=3)
    assert world.gateway.settings_there == ORDINARY
    assert world.row().baseline is None


def test_a_restriction_that_lands_after_another_worker_released_it_is_taken_back(world: World) -> None:
    hold = world.place()

    def overtaken() -> None:
        world.release(hold)
        world.clock.advance(timedelta(minutes=5))
        world.work("w-2")
        assert (world.row().applied, world.row().baseline) == (Restriction.NONE, None)

    world.gateway.meanwhile.append(overtaken)
    world.work("w-1")
    world.work("w-2", rounds=2)
    assert world.gateway.settings_there == ORDINARY
    assert (world.row().applied, world.row().baseline) == (Restriction.NONE, None)


def test_a_release_that_lands_after_another_worker_held_again_is_taken_back(world: World) -> None:
    hold = world.place()
    world.work()
    world.release(hold)

    def overtaken() -> None:
        world.place()
        world.clock.advance(timedelta(minutes=5))
        world.work("w-2")
        assert world.row().applied is Restriction.PAYOUTS_HELD

    world.gateway.meanwhile.append(overtaken)
    world.work("w-1")
    world.work("w-2", rounds=2)
    assert world.gateway.settings_there == HELD
    assert world.row().baseline == ORDINARY
    assert verify(world.store).ok


@pytest.mark.parametrize("error", [Refused("no"), OutcomeUnknown("silence")])
def test_a_release_that_the_gateway_does_not_take_is_put_before_a_person(world: World, error: Exception) -> None:
    hold = world.place()
    world.work()
    world.release(hold)
    assert world.open_cases() == 0

    def fail() -> None:
        raise error

    world.gateway.meanwhile += [fail] * 20
    world.work(rounds=6)
    assert world.row().state == "stuck"
    assert world.open_cases() == 1


def test_a_hold_placed_while_a_call_fails_is_neither_lost_nor_called_stuck(world: World) -> None:
    world.place()

    def another_hold_then_failure() -> None:
        world.place()
        raise Refused("no")

    world.gateway.meanwhile.append(another_hold_then_failure)
    world.worker().run_once()
    assert world.row().state == "pending"
    world.work()
    assert (world.row().state, world.gateway.settings_there) == ("settled", HELD)


@pytest.mark.parametrize(
    ("baseline", "says"), [('{"schedule":"weekly"}', "is not what the log recorded"), (None, "is missing, but")]
)
def test_a_baseline_changed_in_the_store_is_found_by_the_log(world: World, baseline: str | None, says: str) -> None:
    world.place()
    world.work()
    assert verify(world.store).ok
    with world.store.write() as connection:
        connection.execute(update(schema.restrictions).values(baseline=baseline))
    (problem,) = verify(world.store).problems
    assert "baseline `acct-1`" in str(problem)
    assert says in str(problem)


def test_the_log_agrees_after_release_and_another_hold(world: World) -> None:
    for settings in (ORDINARY, {"schedule": "weekly"}):
        world.gateway.settings_there = settings
        hold = world.place()
        world.work()
        assert verify(world.store).ok
        world.release(hold)
        world.work()
        assert world.gateway.settings_there == settings
    assert verify(world.store).ok
