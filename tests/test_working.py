"""A worker goes on whatever happens around it, and stops when it is told to."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from paycordon.config import load_config
from paycordon.decisions import Outcome
from paycordon.deployment import create
from paycordon.errors import ConfigError, RetryLater, StoreUnavailable
from paycordon.events import Event, Mode, Subject
from paycordon.gateways import (
    Applied,
    Change,
    Delivery,
    Gateway,
    GatewaySettings,
    GatewayState,
    Message,
    Restriction,
)
from paycordon.record.verify import verify
from paycordon.screening import Cordon
from paycordon.store import decisions, deliveries, indicators, restrictions
from paycordon.testing import make_event
from paycordon.working import Duty, Pace, Worker, drain, owner_name, run

PATIENCE = 20.0
QUICK = Pace(*(timedelta(milliseconds=5),) * 3, checkpoint=timedelta(milliseconds=5))


class PlainGateway(Gateway[GatewaySettings]):
    """A gateway in memory that holds and releases at once, unless a test gets in the way."""

    name = "plain"
    settings_type = GatewaySettings
    capabilities = {}

    def __init__(
        self,
        instance: str,
        before_read: Callable[[], None] = lambda: None,
        before_resolve: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(instance, GatewaySettings(adapter="plain", mode=Mode.LIVE))
        self.state = Restriction.NONE
        self.before_read = before_read
        self.before_resolve = before_resolve

    def verify(self, delivery: Delivery, now: datetime) -> list[Message]:
        raise NotImplementedError

    def translate(self, message: Message) -> Iterator[Event]:
        yield Event.model_validate(message.body["event"])

    def resolve(self, event: Event) -> Event:
        self.before_resolve()
        return event

    def read(self, subject: Subject) -> GatewayState:
        self.before_read()
        return GatewayState(self.state, {"state": self.state.value})

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        self.state = change.to
        return Applied(GatewayState(self.state, {"state": self.state.value}))


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    create(tmp_path)
    return tmp_path / "paycordon.yaml"


@pytest.fixture
def cordon(deployment: Path) -> Iterator[Cordon]:
    made = Cordon.from_loaded(load_config(deployment, {}), patience=timedelta(seconds=PATIENCE))  # as a worker does
    yield made
    made.close()


@pytest.fixture
def signing_key(deployment: Path) -> str:
    return load_config(deployment, {}).log_signing_key or ""


def known_event(cordon: Cordon, instance: str, number: int = 1) -> Event:
    """An event of a merchant that the coalition knows, so that it is held."""
    event = make_event(id=f"evt_{instance}_{number}", instance=instance, account={"id": f"acct_{number}"})
    digest = cordon.digester.digest(event.identifiers[0])
    with cordon.store.write() as connection:
        known = indicators.Indicator(str(event.identifiers[0].kind), digest, "IWF", "case-7", 90, "confirmed")
        indicators.add(connection, known, event.occurred_at)
    return event


def hold(cordon: Cordon, instance: str) -> None:
    assert cordon.screen(known_event(cordon, instance)).outcome is Outcome.HOLD


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


@contextmanager
def working(target: Callable[[threading.Event], None]) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=target, args=(stop,))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def settled(cordon: Cordon, instance: str) -> bool:
    with cordon.store.read() as connection:
        rows = [row for row in restrictions.listed(connection) if row.instance == instance]
    return bool(rows) and all(row.state == "settled" for row in rows)


def test_a_delivery_becomes_a_hold_and_the_hold_a_restriction_in_one_go(cordon: Cordon) -> None:
    gateway = PlainGateway("acme")
    event = known_event(cordon, "acme")
    message = Message("msg_1", "onboarding", {"event": event.model_dump(mode="json")})
    assert deliveries.store_messages(cordon.store, "acme", [message], event.occurred_at) == 1
    worker = Worker(cordon, {"acme": gateway})

    assert worker.drain() == 3, "the delivery, its restriction, and the clocks of both hold and case"
    assert gateway.state is Restriction.PAYOUTS_HELD
    assert worker.drain() == 0


def test_a_gateway_that_never_answers_delays_no_other(cordon: Cordon) -> None:
    answer = threading.Event()
    dead = PlainGateway("dead", before_read=lambda: answer.wait(PATIENCE) and None)
    alive = PlainGateway("alive")
    hold(cordon, "dead")
    hold(cordon, "alive")

    with working(Worker(cordon, {"dead": dead, "alive": alive}, pace=QUICK).run):
        until(lambda: settled(cordon, "alive"))
        assert alive.state is Restriction.PAYOUTS_HELD
        assert not settled(cordon, "dead")
        answer.set()
        until(lambda: settled(cordon, "dead"))


def deliver(cordon: Cordon, instance: str) -> Event:
    event = make_event(id=f"evt_{instance}", instance=instance)
    message = Message(f"msg_{instance}", "onboarding", {"event": event.model_dump(mode="json")})
    assert deliveries.store_messages(cordon.store, instance, [message], event.occurred_at) == 1
    return event


def screened(cordon: Cordon, event: Event) -> bool:
    with cordon.store.read() as connection:
        return decisions.of_event(connection, event.instance, event.id) is not None


def test_a_gateway_that_never_answers_does_not_keep_the_deliveries_of_others_from_being_screened(
    cordon: Cordon,
) -> None:
    answer = threading.Event()
    dead = PlainGateway("dead", before_resolve=lambda: answer.wait(PATIENCE) and None)
    of_dead, of_alive = deliver(cordon, "dead"), deliver(cordon, "alive")

    with working(Worker(cordon, {"dead": dead, "alive": PlainGateway("alive")}, pace=QUICK).run):
        until(lambda: screened(cordon, of_alive))
        assert not screened(cordon, of_dead)
        answer.set()
        until(lambda: screened(cordon, of_dead))


def test_a_delivery_of_an_instance_that_is_not_configured_waits_until_it_is(cordon: Cordon) -> None:
    event = deliver(cordon, "later")
    assert Worker(cordon, {"acme": PlainGateway("acme")}).drain() == 0
    assert not screened(cordon, event)
    assert Worker(cordon, {"later": PlainGateway("later")}).drain() == 1
    assert screened(cordon, event)


def test_a_gateway_that_fails_is_left_for_later_and_does_not_keep_a_drain_from_ending(cordon: Cordon) -> None:
    def fail() -> None:
        raise RetryLater("busy")

    failing, alive = PlainGateway("failing", before_read=fail), PlainGateway("alive")
    hold(cordon, "failing")
    hold(cordon, "alive")

    Worker(cordon, {"failing": failing, "alive": alive}, sleep=lambda _: None).drain()

    assert alive.state is Restriction.PAYOUTS_HELD
    assert not settled(cordon, "failing")


def test_the_piece_at_hand_is_finished_before_a_worker_stops(cordon: Cordon) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        reading.set()
        go_on.wait(PATIENCE)

    gateway = PlainGateway("acme", before_read=slow)
    hold(cordon, "acme")

    with working(Worker(cordon, {"acme": gateway}, pace=QUICK).run) as stop:
        assert reading.wait(PATIENCE)
        stop.set()
        go_on.set()
    assert settled(cordon, "acme")


def test_checkpoints_are_signed_while_the_log_grows(cordon: Cordon, signing_key: str) -> None:
    hold(cordon, "acme")
    with working(Worker(cordon, {}, checkpoint_key=signing_key, pace=QUICK).run):
        until(lambda: verify(cordon.store).checkpoints == 1)
        hold(cordon, "other")
        until(lambda: verify(cordon.store).checkpoints >= 2)
    assert verify(cordon.store).ok


def test_a_key_that_cannot_be_read_stops_the_start(cordon: Cordon) -> None:
    with pytest.raises(ConfigError, match="key"):
        Worker(cordon, {}, checkpoint_key="nonsense")


def test_an_unavailable_store_is_waited_for_loudly_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[float] = []

    def step() -> bool:
        tries.append(time.monotonic())
        if len(tries) <= 4:
            raise StoreUnavailable("the disk is full")
        return False

    pace = Pace(timedelta(milliseconds=1), timedelta(milliseconds=20), timedelta(milliseconds=40))
    with caplog.at_level(logging.WARNING, "paycordon"), working(lambda stop: run([Duty("work", step)], pace, stop)):
        until(lambda: len(tries) > 5)

    pauses = [after - before for before, after in pairwise(tries)]
    assert [pauses[0] >= 0.02, *(pause >= 0.04 for pause in pauses[1:4])] == [True] * 4
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 4
    assert errors[0].startswith("work: the disk is full; next try in")
    assert caplog.records[-1].getMessage() == "work: works again after 4 failures"


def test_a_fault_in_one_duty_ends_neither_it_nor_the_others(caplog: pytest.LogCaptureFixture) -> None:
    seen = {"bad": 0, "good": 0}

    def bad() -> bool:
        seen["bad"] += 1
        raise KeyError("seller@shop.example")

    def good() -> bool:
        seen["good"] += 1
        return False

    with working(lambda stop: run([Duty("bad", bad), Duty("good", good)], QUICK, stop)):
        until(lambda: min(seen.values()) > 3)

    assert "bad: failed with KeyError at test_working.py:" in caplog.text
    assert "shop.example" not in caplog.text


def test_an_idle_worker_stops_at_once() -> None:
    pace = Pace(idle=timedelta(hours=1))
    seen = threading.Event()

    def step() -> bool:
        seen.set()
        return False

    started = time.monotonic()
    with working(lambda stop: run([Duty("work", step)], pace, stop)):
        assert seen.wait(PATIENCE)
    assert time.monotonic() - started < PATIENCE / 2


def test_a_drain_goes_on_while_one_duty_makes_work_for_another() -> None:
    first, second = ["a", "b"], list[str]()

    def hand_on() -> bool:
        if first:
            second.append(first.pop())
            return True
        return False

    def take() -> bool:
        return bool(second and second.pop())

    assert drain([Duty("take", take), Duty("hand on", hand_on)]) == 4
    assert (first, second) == ([], [])


def test_a_drain_without_a_store_says_so() -> None:
    def step() -> bool:
        raise StoreUnavailable("the disk is full")

    with pytest.raises(StoreUnavailable, match="disk"):
        drain([Duty("work", step)])


def test_no_two_workers_have_the_same_name() -> None:
    assert len({owner_name() for _ in range(100)}) == 100
