"""What was stored gets screened: once, whatever fails on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from paycordon.decisions import Decision
from paycordon.errors import OutcomeUnknown, PayloadInvalid, Refused, RetryLater, StoreUnavailable
from paycordon.events import Event
from paycordon.gateways import Gateway, Message
from paycordon.intake import DeliveryWorker
from paycordon.intake.worker import RESOLVE_FAILURES
from paycordon.screening import Cordon
from paycordon.store import Store, schema
from paycordon.store.deliveries import MAX_FAILURES, DeliveryState, counts
from paycordon.testing import FrozenClock, make_event

WAITING, DONE, STUCK = DeliveryState.WAITING, DeliveryState.DONE, DeliveryState.STUCK
Hire = Callable[..., DeliveryWorker]


class Counting:
    """A real engine that counts what it is asked, and may be made to fail."""

    def __init__(self, cordon: Cordon) -> None:
        self.cordon = cordon
        self.screened: list[Event] = []
        self.before: Callable[[Event], None] = lambda event: None

    def screen(self, event: Event) -> Decision:
        self.before(event)
        self.screened.append(event)
        return self.cordon.screen(event)


@pytest.fixture
def engine(store: Store, make_cordon: Callable[[Store], Cordon]) -> Counting:
    return Counting(make_cordon(store))


@pytest.fixture
def hire(store: Store, door: Any, engine: Counting, clock: FrozenClock) -> Hire:
    def make(owner: str = "w", gateways: Any = None) -> DeliveryWorker:
        known = {"tiny_1": door.gateway} if gateways is None else gateways
        return DeliveryWorker(store, known, engine, clock, owner, metrics=door.metrics)

    return make


def payout(number: int = 1, **more: Any) -> Event:
    return make_event("payout.requested", id=f"evt_{number}", instance="tiny_1", **more)


def bodies(store: Store) -> list[Event]:
    with store.read() as connection:
        found = connection.execute(select(schema.events.c.body).order_by(schema.events.c.id)).scalars()
        return [Event.model_validate_json(body) for body in found]


def rows(store: Store, table: Any) -> int:
    with store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def last_error(store: Store) -> str:
    with store.read() as connection:
        return str(connection.execute(select(schema.deliveries.c.last_error)).scalar_one())


def failing(*errors: Exception) -> Callable[[Event], Event]:
    """Fail with each of the errors in turn, then succeed."""
    left = list(errors)

    def resolve(event: Event) -> Event:
        if left:
            raise left.pop(0)
        return event

    return resolve


def test_stored_message_is_screened_and_closed(door: Any, store: Store, hire: Hire) -> None:
    door.deliver(door.message("msg_1", payout(1), payout(2)))
    assert hire().run_once() == 1
    assert hire().run_once() == 0
    assert counts(store) == {WAITING: 0, DONE: 1, STUCK: 0}
    assert [event.id for event in bodies(store)] == ["evt_1", "evt_2"]
    assert rows(store, schema.decisions) == 2


def test_event_is_screened_as_the_gateway_completes_it(door: Any, store: Store, hire: Hire) -> None:
    door.gateway.on_resolve = lambda event: event.model_copy(update={"extra": {"status": "fresh"}})
    door.deliver(door.message("msg_1", payout()))
    hire().run_once()
    assert bodies(store)[0].extra == {"status": "fresh"}


@pytest.mark.parametrize("error", [RetryLater("busy"), OutcomeUnknown("no answer"), ZeroDivisionError("personal data")])
def test_gateway_that_cannot_be_read_now_is_asked_again_later(
    door: Any, store: Store, hire: Hire, clock: FrozenClock, error: Exception
) -> None:
    door.gateway.on_resolve = failing(error)
    door.deliver(door.message("msg_1", payout()))
    assert hire().run_once() == 1
    assert (rows(store, schema.events), counts(store)[WAITING]) == (0, 1)
    assert "personal data" not in last_error(store)
    assert hire().run_once() == 0
    clock.advance(timedelta(seconds=10))
    assert hire().run_once() == 1
    assert counts(store)[DONE] == 1
    assert bodies(store)[0].extra == {}


def test_gateways_own_waiting_time_is_kept_but_not_for_ever(
    door: Any, store: Store, hire: Hire, clock: FrozenClock
) -> None:
    door.gateway.on_resolve = failing(
        RetryLater("busy", after=timedelta(hours=3)), RetryLater("busy", after=timedelta(days=4_000))
    )
    door.deliver(door.message("msg_1", payout()))
    for wait in (timedelta(hours=3), timedelta(days=1)):
        hire().run_once()
        clock.advance(wait - timedelta(seconds=1))
        assert hire().run_once() == 0
        clock.advance(timedelta(seconds=1))
    hire().run_once()
    assert counts(store)[DONE] == 1


def test_event_the_gateway_will_not_complete_is_screened_as_delivered(door: Any, store: Store, hire: Hire) -> None:
    door.gateway.on_resolve = failing(Refused("no such payout"))
    door.deliver(door.message("msg_1", payout()))
    hire().run_once()
    assert counts(store)[DONE] == 1
    assert bodies(store)[0].extra == {"paycordon_unresolved": "refused"}


def test_long_outage_of_the_gateway_does_not_keep_an_event_from_being_screened(
    door: Any, store: Store, hire: Hire, clock: FrozenClock
) -> None:
    door.gateway.on_resolve = failing(*[RetryLater("down")] * 99)
    door.deliver(door.message("msg_1", payout()))
    begun = clock()
    for _ in range(RESOLVE_FAILURES + 1):
        hire().run_once()
        clock.advance(timedelta(minutes=15))
    assert bodies(store)[0].extra == {"paycordon_unresolved": "unreachable"}
    assert counts(store)[DONE] == 1
    assert clock() - begun < timedelta(hours=2)


def test_event_that_is_resolved_into_another_is_for_a_person(door: Any, store: Store, hire: Hire) -> None:
    door.gateway.on_resolve = lambda event: event.model_copy(update={"id": "another"})
    door.deliver(door.message("msg_1", payout()))
    hire().run_once()
    assert (counts(store)[STUCK], rows(store, schema.events)) == (1, 0)


def test_one_bad_message_does_not_stop_the_others(door: Any, store: Store, hire: Hire, engine: Counting) -> None:
    for n in range(5):
        door.deliver(door.message(f"msg_{n}", payout(n)))

    def fail(event: Event) -> None:
        if event.id == "evt_2":
            raise ZeroDivisionError

    engine.before = fail
    assert hire().run_once() == 5
    assert counts(store) == {WAITING: 1, DONE: 4, STUCK: 0}


def test_message_that_always_fails_ends_with_a_person(
    door: Any, store: Store, hire: Hire, engine: Counting, clock: FrozenClock
) -> None:
    def fail(event: Event) -> None:
        raise ZeroDivisionError

    engine.before = fail
    door.deliver(door.message("msg_1", payout()))
    for _ in range(MAX_FAILURES):
        assert hire().run_once() == 1
        clock.advance(timedelta(hours=3))
    assert hire().run_once() == 0
    assert counts(store)[STUCK] == 1
    assert last_error(store).startswith("ZeroDivisionError at ")


def test_instance_that_is_no_longer_configured_is_for_a_person(door: Any, store: Store, hire: Hire) -> None:
    door.deliver(door.message("msg_1", payout()))
    hire(gateways={}).run_once()
    assert counts(store)[STUCK] == 1
    assert last_error(store) == "NotFound: the instance `tiny_1` is not configured"


def test_spoilt_body_is_for_a_person(door: Any, store: Store, hire: Hire) -> None:
    door.deliver(door.message("msg_1", payout()))
    with store.write() as connection:
        connection.execute(update(schema.deliveries).values(body="{"))
    hire().run_once()
    assert counts(store)[STUCK] == 1


def test_event_judged_while_the_store_was_unavailable_is_not_taken_for_done(
    door: Any, store: Store, hire: Hire, engine: Counting, clock: FrozenClock
) -> None:
    closed = Store.open("sqlite:////proc/nowhere.db", migrate=False)
    working, engine.cordon.store = engine.cordon.store, closed
    door.deliver(door.message("msg_1", payout()))
    hire().run_once()
    assert counts(store) == {WAITING: 1, DONE: 0, STUCK: 0}
    engine.cordon.store = working
    clock.advance(timedelta(minutes=1))
    hire().run_once()
    assert (counts(store)[DONE], rows(store, schema.decisions)) == (1, 1)
    closed.close()


def test_unavailable_store_ends_the_round_and_gives_the_rest_back(
    door: Any, store: Store, hire: Hire, engine: Counting
) -> None:
    for n in range(3):
        door.deliver(door.message(f"msg_{n}", payout(n)))

    def fail(event: Event) -> None:
        engine.before = lambda event: None
        raise StoreUnavailable("full")

    engine.before = fail
    with pytest.raises(StoreUnavailable):
        hire().run_once()
    assert engine.screened == []
    assert hire("another").run_once() == 3
    assert counts(store)[DONE] == 3


@pytest.mark.parametrize("when", ["before", "after"])
def test_worker_that_dies_is_replaced_when_its_lease_ends(
    door: Any, store: Store, hire: Hire, engine: Counting, clock: FrozenClock, when: str
) -> None:
    door.deliver(door.message("msg_1", payout()))

    def die(event: Event) -> None:
        if when == "after":
            engine.cordon.screen(event)
        # `kill -9` also takes away the chance to give anything back: another database stands for it.
        raise KeyboardInterrupt

    engine.before = die
    dying = hire("dies")
    dying._store, real = _Deaf(store), dying._store  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        dying.run_once()
    engine.before = lambda event: None
    assert hire("next").run_once() == 0
    clock.advance(timedelta(minutes=5))
    assert hire("next").run_once() == 1
    assert counts(store)[DONE] == 1
    assert rows(store, schema.decisions) == rows(store, schema.log) == 1
    assert real is store


class _Deaf:
    """A store whose first transaction works, and which cannot be reached afterwards."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._used = False
        self.dialect = store.dialect

    def write(self) -> Any:
        if self._used:
            raise StoreUnavailable("out of reach")
        self._used = True
        return self._store.write()


def test_round_ends_before_its_leases_do(
    door: Any, store: Store, hire: Hire, engine: Counting, clock: FrozenClock
) -> None:
    for n in range(4):
        door.deliver(door.message(f"msg_{n}", payout(n)))
    engine.before = lambda event: clock.advance(timedelta(minutes=2)) and None
    assert hire().run_once() == 2
    assert hire("another").run_once() == 2
    assert counts(store) == {WAITING: 0, DONE: 4, STUCK: 0}


def test_workers_side_by_side_screen_each_message_once(door: Any, store: Store, hire: Hire, engine: Counting) -> None:
    for n in range(24):
        door.deliver(door.message(f"msg_{n}", payout(n, merchant={"id": f"m_{n}"}, account={"id": f"a_{n}"})))
    errors: list[BaseException] = []
    start = threading.Barrier(4)

    def work(owner: str) -> None:
        try:
            start.wait()
            hire(owner).run_once()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while hire("last").run_once():
        pass
    assert errors == []
    assert sorted(event.id for event in engine.screened) == sorted(f"evt_{n}" for n in range(24))
    assert counts(store)[DONE] == 24
    worked = {"instance": "tiny_1", "result": "done"}
    assert door.metrics.registry.get_sample_value("paycordon_deliveries_worked_total", worked) == 24


def named(door: Any, fetched: Callable[[], Message]) -> None:
    """Deliver a message that only names what it is about."""
    door.gateway.on_fetch = lambda _: fetched()
    assert door.deliver({"id": "msg_1", "type": "named"}) == 200


def content() -> Message:
    return Message("msg_2", "known", {"events": [payout().model_dump(mode="json", exclude_none=True)]})


def test_message_that_only_names_its_content_is_stored_and_fetched_by_a_worker(
    door: Any, store: Store, hire: Hire
) -> None:
    named(door, content)
    assert counts(store)[WAITING] == 1
    assert hire().run_once() == 1
    assert [event.id for event in bodies(store)] == ["evt_1"]
    assert counts(store) == {WAITING: 0, DONE: 1, STUCK: 0}


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (RetryLater("busy"), WAITING),
        (ZeroDivisionError("personal data"), WAITING),
        (Refused("gone"), STUCK),
        (PayloadInvalid("of another type"), STUCK),
    ],
)
def test_content_that_cannot_be_fetched_is_asked_for_again_or_put_before_a_person(
    door: Any, store: Store, hire: Hire, error: Exception, state: DeliveryState
) -> None:
    def fails() -> Message:
        raise error

    named(door, fails)
    assert hire().run_once() == 1
    assert counts(store)[state] == 1
    assert "personal data" not in last_error(store)


def test_content_that_names_something_else_again_is_not_followed_for_ever(door: Any, store: Store, hire: Hire) -> None:
    named(door, lambda: Message("msg_2", "named", {}))
    assert hire().run_once() == 1
    assert counts(store)[STUCK] == 1


def test_adapter_without_anything_to_fetch_says_so(door: Any) -> None:
    with pytest.raises(Refused, match="nothing to fetch"):
        Gateway.fetch(door.gateway, Message("m", "named", {}))
