"""Whatever happens between us and a gateway, it ends up as the holds ask, and as it was when they are released."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from paycordon.decisions import Decision, Outcome, RuleMatch
from paycordon.enforcement import Reconciler, Timing
from paycordon.errors import OutcomeUnknown, Refused, RetryLater
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
ORDINARY: Settings = {"schedule": "daily", "weekday": None, "capabilities": {"card": True, "transfer": True}}
Fault = Callable[[], None]


def fail(error: Exception) -> Fault:
    def raise_it() -> None:
        raise error

    return raise_it


@dataclass
class Account:
    """One account as it stands at the gateway, and every change that took effect."""

    settings: Settings = field(default_factory=lambda: dict(ORDINARY))
    changes: list[Settings] = field(default_factory=list)

    def set(self, settings: Settings) -> None:
        if settings != self.settings:
            self.settings = settings
            self.changes.append(settings)


class LedgerGateway(Gateway[GatewaySettings]):
    """A gateway whose other side is a dictionary; `before` and `after` are what goes wrong around its next writes."""

    name = "ledger"
    settings_type = GatewaySettings
    capabilities = {
        Restriction.PAYOUTS_HELD: Support(Grade.FULL, "schedule to manual"),
        Restriction.BLOCKED: Support(Grade.FULL, "schedule to manual, capabilities off"),
    }

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        super().__init__("ledger_test", GatewaySettings(adapter="ledger", mode=Mode.TEST))
        self.accounts = accounts
        self.reads: list[Fault] = []
        self.before: list[Fault] = []
        self.after: list[Fault] = []
        self.keys: list[str] = []

    def verify(self, delivery: Delivery, now: datetime) -> Sequence[Message]:
        raise AssertionError("not a part of reconciling")

    def translate(self, message: Message) -> Sequence[Event]:
        raise AssertionError("not a part of reconciling")

    def resolve(self, event: Event) -> Event:
        raise AssertionError("not a part of reconciling")

    def read(self, subject: Subject) -> GatewayState:
        if self.reads:
            self.reads.pop(0)()
        settings = self.accounts[subject.account].settings
        if settings["schedule"] != "manual":
            return GatewayState(Restriction.NONE, settings)
        off = not any(dict(settings["capabilities"]).values())  # type: ignore[arg-type, call-overload]
        return GatewayState(Restriction.BLOCKED if off else Restriction.PAYOUTS_HELD, settings)

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        self.keys.append(key)
        if self.before:
            self.before.pop(0)()
        wanted = dict(change.baseline)
        if change.to is not Restriction.NONE:
            wanted["schedule"] = "manual"
        if change.to is Restriction.BLOCKED:
            wanted["capabilities"] = dict.fromkeys(dict(change.baseline["capabilities"]), False)  # type: ignore[arg-type, call-overload]
        self.accounts[subject.account].set(wanted)
        if self.after:
            self.after.pop(0)()
        return Applied(self.read(subject), expires_at=START + timedelta(days=90))


@dataclass
class World:
    store: Store
    clock: FrozenClock
    accounts: dict[str, Account]
    gateway: LedgerGateway
    reconciler: Reconciler
    numbers: int = 0

    def place(self, outcome: Outcome, account: str = "acct-1", merchant: str = "m-1") -> str:
        """Record a decision of this outcome and return its hold."""
        self.numbers += 1
        event = make_event(
            "payout.requested",
            id=f"e-{self.numbers}",
            instance="ledger_test",
            account={"id": account},
            merchant={"id": merchant},
            occurred_at=self.clock(),
        )
        decision = Decision(
            id=f"dec-{self.numbers}",
            event_id=event.id,
            event_type=event.type,
            instance=event.instance,
            mode=event.mode,
            merchant=merchant,
            subject=event.subject,
            outcome=outcome,
            matches=(RuleMatch(policy="p", rule="r", outcome=outcome, merchant_reason="more_information"),),
            decided_at=self.clock(),
        )
        with self.store.write() as connection:
            entry = Entry(event, origin(connection, event), decision, Outcome.ALLOW)
            record(connection, entry, self.clock(), lambda n: self.numbers.to_bytes(n, "big"))
        with self.store.read() as connection:
            query = select(schema.holds.c.id).where(schema.holds.c.decision_id == decision.id)
            return str(connection.execute(query).scalar_one())

    def release(self, hold: str) -> None:
        with self.store.write() as connection:
            holds.release(connection, hold, by="ana", reason="checked by phone", now=self.clock())

    def settle(self, rounds: int = 30) -> None:
        """Let time pass and the worker work until nothing is due any more for a minute, or it gives up."""
        for _ in range(rounds):
            while self.reconciler.run_once():
                pass
            self.clock.advance(timedelta(seconds=70))
            if self.row().state in ("settled", "stuck"):
                return

    def row(self, account: str = "acct-1") -> restrictions.RestrictionRow:
        with self.store.read() as connection:
            return next(r for r in restrictions.listed(connection) if r.account == account)

    def kinds(self) -> list[str]:
        with self.store.read() as connection:
            return list(connection.execute(select(schema.log.c.kind).order_by(schema.log.c.seq)).scalars())


@pytest.fixture
def world(store: Store) -> World:
    clock = FrozenClock(START)
    accounts = {"acct-1": Account(), "acct-2": Account()}
    gateway = LedgerGateway(accounts)
    timing = Timing(lease=timedelta(seconds=30), give_up_after=6, try_pause=timedelta(milliseconds=1))
    reconciler = Reconciler(store, gateway, owner="w-1", clock=clock, sleep=lambda _s: None, timing=timing)
    return World(store, clock, accounts, gateway, reconciler)


HELD = {**ORDINARY, "schedule": "manual"}
BLOCKED = {**HELD, "capabilities": {"card": False, "transfer": False}}


def test_a_hold_is_applied_once_and_its_release_restores_the_baseline(world: World) -> None:
    hold = world.place(Outcome.HOLD)
    world.settle()
    assert world.accounts["acct-1"].settings == HELD
    row = world.row()
    assert (row.state, row.applied, row.baseline) == ("settled", Restriction.PAYOUTS_HELD, ORDINARY)
    assert row.expires_at == START + timedelta(days=90)
    world.release(hold)
    world.settle()
    assert world.accounts["acct-1"].changes == [HELD, ORDINARY]
    assert (world.row().applied, world.row().baseline) == (Restriction.NONE, None)
    assert world.kinds() == [
        "decision",
        "restriction.baseline",
        "restriction.applied",
        "hold.released",
        "restriction.applied",
    ]
    assert verify(world.store).ok


def test_holds_stack_and_the_restriction_is_their_maximum(world: World) -> None:
    first, second, third = world.place(Outcome.HOLD), world.place(Outcome.BLOCK), world.place(Outcome.HOLD)
    world.settle()
    assert world.accounts["acct-1"].settings == BLOCKED
    world.release(first)
    world.settle()
    assert world.accounts["acct-1"].settings == BLOCKED
    world.release(second)
    world.settle()
    assert world.accounts["acct-1"].settings == HELD
    world.release(third)
    world.settle()
    assert world.accounts["acct-1"].settings == ORDINARY


def test_a_hold_reaches_all_accounts_of_the_merchant(world: World) -> None:
    world.release(world.place(Outcome.HOLD, account="acct-2"))
    hold = world.place(Outcome.HOLD, account="acct-1")
    while world.reconciler.run_once():
        pass
    assert [a.settings for a in world.accounts.values()] == [HELD, HELD]
    world.release(hold)
    while world.reconciler.run_once():
        pass
    assert [a.settings for a in world.accounts.values()] == [ORDINARY, ORDINARY]


def test_an_unusual_baseline_comes_back_exactly(world: World) -> None:
    unusual = {"schedule": "manual", "weekday": "tuesday", "capabilities": {"card": False, "transfer": True}}
    world.accounts["acct-1"].settings = unusual
    hold = world.place(Outcome.BLOCK)
    world.settle()
    assert world.accounts["acct-1"].settings["capabilities"] == {"card": False, "transfer": False}
    world.release(hold)
    world.settle()
    assert world.accounts["acct-1"].settings == unusual


UNHEARD = OutcomeUnknown("no answer")
ANSWERED = OutcomeUnknown("500", answered=True)


@pytest.mark.parametrize("where", ["before", "after", "reads"])
@pytest.mark.parametrize("error", [UNHEARD, ANSWERED, RetryLater("429"), ValueError("bug in an adapter")])
@pytest.mark.parametrize("phase", ["hold", "release"])
@pytest.mark.parametrize("times", [1, 4])
def test_no_fault_doubles_or_loses_a_change(world: World, where: str, error: Exception, phase: str, times: int) -> None:
    if phase == "release":
        hold = world.place(Outcome.HOLD)
        world.settle()
        getattr(world.gateway, where).extend([fail(error)] * times)
        world.release(hold)
        world.settle()
        assert world.accounts["acct-1"].changes == [HELD, ORDINARY]
        assert world.row().baseline is None
    else:
        getattr(world.gateway, where).extend([fail(error)] * times)
        world.place(Outcome.HOLD)
        world.settle()
        assert world.accounts["acct-1"].changes == [HELD]
        assert world.row().baseline == ORDINARY
    assert world.row().state == "settled"
    assert verify(world.store).ok


def test_after_silence_the_same_key_is_used_and_after_an_error_answer_another(world: World) -> None:
    world.gateway.before.extend([fail(UNHEARD), fail(UNHEARD), fail(ANSWERED), fail(RetryLater("429"))])
    world.place(Outcome.HOLD)
    world.settle()
    first, second, third, fourth, fifth = world.gateway.keys
    assert first == second == third
    assert fourth == fifth != third


def test_nothing_is_recorded_as_held_that_is_not(world: World) -> None:
    world.gateway.before.extend([fail(UNHEARD)] * 3)
    world.place(Outcome.HOLD)
    assert world.reconciler.run_once()
    row = world.row()
    assert (row.state, row.applied) == ("unknown", Restriction.NONE)
    assert "restriction.applied" not in world.kinds()


def test_nothing_is_recorded_as_released_that_is_not(world: World) -> None:
    hold = world.place(Outcome.HOLD)
    world.settle()
    world.gateway.before.extend([fail(UNHEARD)] * 3)
    world.release(hold)
    assert world.reconciler.run_once()
    row = world.row()
    assert (row.state, row.applied, row.baseline) == ("unknown", Restriction.PAYOUTS_HELD, ORDINARY)


def test_what_the_gateway_refuses_waits_for_a_person_and_is_tried_again_later(world: World) -> None:
    world.gateway.before.append(fail(Refused("capability is permanent")))
    world.place(Outcome.HOLD)
    world.settle()
    assert world.row().state == "stuck"
    assert "restriction.stuck" in world.kinds()
    world.clock.advance(timedelta(hours=2))
    world.settle()
    assert world.row().state == "settled"
    assert world.accounts["acct-1"].settings == HELD


def test_a_gateway_that_stays_dead_ends_with_a_person(world: World) -> None:
    world.gateway.reads.extend([fail(RetryLater("down"))] * 100)
    world.place(Outcome.HOLD)
    world.settle()
    assert world.row().state == "stuck"
    assert world.kinds().count("restriction.stuck") == 1


def test_a_gateway_that_agrees_but_does_not_do_it_is_noticed(world: World) -> None:
    world.place(Outcome.HOLD)
    world.gateway.after.append(lambda: world.accounts["acct-1"].set(ORDINARY))
    world.reconciler.run_once()
    assert world.row().state == "stuck"
    assert world.row().applied is Restriction.NONE


def test_a_change_made_by_hand_behind_our_back_is_noted_and_undone(world: World) -> None:
    world.place(Outcome.HOLD)
    world.settle()
    world.accounts["acct-1"].set(ORDINARY)
    world.clock.advance(timedelta(minutes=20))
    world.settle()
    assert world.accounts["acct-1"].settings == HELD
    assert "restriction.drift" in world.kinds()
    assert world.row().baseline == ORDINARY


def test_a_release_while_the_worker_is_at_the_gateway_is_not_lost(world: World) -> None:
    hold = world.place(Outcome.HOLD)
    world.gateway.after.append(lambda: world.release(hold))
    while world.reconciler.run_once():
        pass
    assert world.accounts["acct-1"].settings == ORDINARY
    assert world.row().applied is Restriction.NONE


def test_a_hold_released_before_the_gateway_was_touched_touches_nothing(world: World) -> None:
    world.release(world.place(Outcome.HOLD))
    while world.reconciler.run_once():
        pass
    assert world.accounts["acct-1"].changes == []


def test_a_worker_whose_lease_has_passed_changes_nothing_in_the_store(world: World) -> None:
    world.place(Outcome.HOLD)
    late = LedgerGateway(world.accounts)
    slow = Reconciler(world.store, late, owner="slow", clock=world.clock, sleep=lambda _s: None)
    other = world.reconciler

    def overtaken() -> None:
        world.clock.advance(timedelta(minutes=10))
        assert other.run_once()

    late.reads.append(overtaken)
    assert slow.run_once()
    assert late.keys == []
    assert world.row().applied is Restriction.PAYOUTS_HELD
    assert world.accounts["acct-1"].changes == [HELD]


def test_a_worker_that_died_after_the_change_leaves_work_that_another_finishes_without_a_second_effect(
    world: World,
) -> None:
    class Died(BaseException):
        """The process is gone: nothing after this line runs."""

    world.place(Outcome.HOLD)
    world.gateway.after.append(fail(Died()))  # type: ignore[arg-type]
    with pytest.raises(Died):
        world.reconciler.run_once()
    assert not world.reconciler.run_once(), "the dead worker's lease still protects the account"
    world.clock.advance(timedelta(minutes=1))
    assert world.reconciler.run_once()
    assert world.accounts["acct-1"].changes == [HELD]
    assert world.row().state == "settled"


def test_two_workers_never_take_the_same_account(world: World) -> None:
    world.place(Outcome.HOLD)
    now = world.clock()
    first = restrictions.claim(world.store, "ledger_test", "a", now, timedelta(seconds=30))
    second = restrictions.claim(world.store, "ledger_test", "b", now, timedelta(seconds=30))
    assert (len(first), len(second)) == (1, 0)


def test_releasing_twice_is_a_conflict(world: World) -> None:
    from paycordon.errors import Conflict, NotFound

    hold = world.place(Outcome.HOLD)
    world.release(hold)
    with pytest.raises(Conflict):
        world.release(hold)
    with pytest.raises(NotFound):
        world.release("hold_none")


def test_the_case_closes_with_the_last_release(world: World) -> None:
    first, second = world.place(Outcome.HOLD), world.place(Outcome.HOLD)
    query = select(schema.cases.c.closed_at)
    world.release(first)
    with world.store.read() as connection:
        assert connection.execute(query).scalars().all() == [None]
    world.release(second)
    with world.store.read() as connection:
        assert connection.execute(query).scalar_one() is not None


def test_a_changed_hold_row_is_found_by_the_log(world: World) -> None:
    world.place(Outcome.HOLD)
    with world.store.write() as connection:
        connection.execute(update(schema.holds).values(released_at=1, released_by="nobody"))
    assert not verify(world.store).ok
