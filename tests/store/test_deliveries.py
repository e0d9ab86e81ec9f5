"""Stored messages: once each, never lost, and worked on by one worker at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from paycordon.errors import Conflict, NotFound, PayloadInvalid
from paycordon.gateways import Message
from paycordon.screening import Cordon
from paycordon.store import Store, schema
from paycordon.store.deliveries import (
    MAX_FAILURES,
    DeliveryState,
    StoredDelivery,
    claim,
    counts,
    done,
    failed,
    give_back,
    pause_after,
    requeue,
    store_messages,
)
from paycordon.testing import NOON, make_event

LEASE = timedelta(minutes=5)
LATER = NOON + LEASE


def message(number: int = 1) -> Message:
    return Message(f"msg_{number}", "payout.created", {"number": number, "text": "ünïcode \ud800 \x00"})


def fill(store: Store, number: int) -> None:
    assert store_messages(store, "acme", [message(n) for n in range(number)], NOON) == number


def row(store: Store, delivery_id: int) -> dict[str, object]:
    with store.read() as connection:
        query = select(schema.deliveries).where(schema.deliveries.c.id == delivery_id)
        return dict(connection.execute(query).mappings().one())


def ids(deliveries: list[StoredDelivery]) -> list[str]:
    return [delivery.message_id for delivery in deliveries]


def test_message_is_stored_once_within_its_instance(store: Store) -> None:
    assert store_messages(store, "acme", [message(1), message(2), message(1)], NOON) == 2
    assert store_messages(store, "acme", [message(2), message(3)], NOON) == 1
    assert store_messages(store, "other", [message(1)], NOON) == 1
    assert counts(store) == {DeliveryState.WAITING: 4, DeliveryState.DONE: 0, DeliveryState.STUCK: 0}


def test_nothing_to_store_stores_nothing(store: Store) -> None:
    assert store_messages(store, "acme", [], NOON) == 0


def test_message_comes_back_as_it_was_stored(store: Store) -> None:
    fill(store, 1)
    [claimed] = claim(store, "w", NOON, LEASE)
    assert claimed.message == message(0)
    assert (claimed.instance, claimed.received_at, claimed.failures) == ("acme", NOON, 0)


def test_claimed_message_is_nobody_elses_until_the_lease_ends(store: Store) -> None:
    fill(store, 1)
    assert len(claim(store, "first", NOON, LEASE)) == 1
    assert claim(store, "second", LATER - timedelta(microseconds=1), LEASE) == []
    assert len(claim(store, "second", LATER, LEASE)) == 1


def test_done_message_loses_its_body_and_stays_known(store: Store) -> None:
    fill(store, 1)
    [claimed] = claim(store, "w", NOON, LEASE)
    assert done(store, claimed, [])
    assert row(store, claimed.id)["body"] is None
    assert claim(store, "w", LATER, LEASE) == []
    assert store_messages(store, "acme", [message(0)], LATER) == 0
    assert not done(store, claimed, [])


def test_message_is_not_done_before_its_events_are_recorded(
    store: Store, make_cordon: Callable[[Store], Cordon]
) -> None:
    fill(store, 1)
    [claimed] = claim(store, "w", NOON, LEASE)
    event = make_event("payment.succeeded")
    assert not done(store, claimed, [event])
    assert row(store, claimed.id)["state"] == "waiting"
    make_cordon(store).screen(event)
    assert done(store, claimed, [event])


@pytest.mark.parametrize("same_owner", [True, False])
def test_worker_whose_lease_ran_out_changes_nothing(store: Store, same_owner: bool) -> None:
    fill(store, 1)
    [late] = claim(store, "first", NOON, LEASE)
    [current] = claim(store, "first" if same_owner else "second", LATER, LEASE)
    before = row(store, late.id)
    assert not done(store, late, [])
    assert failed(store, late, "late", LATER, final=True) is None
    give_back(store, [late])
    assert row(store, late.id) == before
    assert done(store, current, [])


def test_lease_that_ran_out_still_counts_while_nobody_took_over(store: Store) -> None:
    fill(store, 1)
    [claimed] = claim(store, "w", NOON, LEASE)
    assert done(store, claimed, [])


def test_failed_message_waits_for_its_time(store: Store) -> None:
    fill(store, 1)
    [claimed] = claim(store, "w", NOON, LEASE)
    again = NOON + timedelta(seconds=30)
    assert failed(store, claimed, "no answer " * 200, again) is DeliveryState.WAITING
    assert claim(store, "w", again - timedelta(microseconds=1), LEASE) == []
    [claimed] = claim(store, "w", again, LEASE)
    assert claimed.failures == 1
    assert len(str(row(store, claimed.id)["last_error"])) == 500


def test_message_that_always_fails_gets_stuck_with_its_body_and_a_person_can_send_it_on(store: Store) -> None:
    fill(store, 1)
    now, states = NOON, []
    while due := claim(store, "w", now, LEASE):
        now += LEASE
        states.append(failed(store, due[0], "no", now))
    assert states == [DeliveryState.WAITING] * (MAX_FAILURES - 1) + [DeliveryState.STUCK]
    [stuck] = [row(store, 1)]
    assert stuck["body"] is not None
    assert stuck["last_error"] == "no"
    requeue(store, 1, now)
    assert [d.failures for d in claim(store, "w", now, LEASE)] == [0]


def test_final_failure_is_stuck_at_once(store: Store) -> None:
    fill(store, 1)
    [claimed] = claim(store, "w", NOON, LEASE)
    assert failed(store, claimed, "no", NOON, final=True) is DeliveryState.STUCK
    assert counts(store)[DeliveryState.STUCK] == 1


def test_only_what_is_stuck_can_be_sent_on(store: Store) -> None:
    fill(store, 1)
    with pytest.raises(NotFound):
        requeue(store, 99, NOON)
    with pytest.raises(Conflict, match="waiting"):
        requeue(store, 1, NOON)


def test_given_back_messages_are_free_at_once_and_have_not_failed(store: Store) -> None:
    fill(store, 3)
    give_back(store, claim(store, "w", NOON, LEASE)[1:])
    claimed = claim(store, "v", NOON, LEASE)
    assert ids(claimed) == ["msg_1", "msg_2"]
    assert {d.failures for d in claimed} == {0}


def test_messages_of_a_dead_worker_are_claimed_one_at_a_time(store: Store) -> None:
    fill(store, 3)
    claim(store, "dies", NOON, LEASE)
    store_messages(store, "acme", [message(9)], LATER)
    seen = []
    while due := claim(store, "w", LATER, LEASE):
        seen.append([(d.message_id, d.failures) for d in due])
        assert done(store, due[0], [])
    assert seen == [[("msg_0", 1)], [("msg_1", 1)], [("msg_2", 1)], [("msg_9", 0)]]


def test_message_that_takes_its_workers_down_gets_stuck_and_its_neighbours_get_done(store: Store) -> None:
    fill(store, 3)
    now, deaths = NOON, 0
    while counts(store)[DeliveryState.WAITING]:
        for delivery in claim(store, f"worker-{deaths}", now, LEASE):
            if delivery.message_id == "msg_1":
                deaths += 1  # the process is gone: nothing after this line happens
                break
            assert done(store, delivery, [])
        else:
            now += LEASE
    assert deaths == MAX_FAILURES
    assert counts(store) == {DeliveryState.WAITING: 0, DeliveryState.DONE: 2, DeliveryState.STUCK: 1}


def test_spoilt_body_does_not_keep_the_others_from_being_claimed(store: Store) -> None:
    fill(store, 2)
    with store.write() as connection:
        connection.execute(update(schema.deliveries).where(schema.deliveries.c.id == 1).values(body="{"))
    spoilt, fine = claim(store, "w", NOON, LEASE)
    with pytest.raises(PayloadInvalid):
        _ = spoilt.message
    assert fine.message == message(1)


def test_many_threads_store_a_message_once(store: Store) -> None:
    new: list[int] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        new.append(store_messages(store, "acme", [message(1), message(2)], NOON))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(new) == 4
    assert sum(new) == 2


def test_many_workers_never_claim_the_same_message(store: Store) -> None:
    fill(store, 40)
    taken: list[str] = []
    start = threading.Barrier(4)

    def work(owner: str) -> None:
        start.wait()
        empty = 0
        while empty < 3:  # what another worker has locked is passed over, so once is not enough
            due = claim(store, owner, NOON, LEASE, 3)
            taken.extend(ids(due))
            empty = 0 if due else empty + 1

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken.extend(ids(claim(store, "last", NOON, LEASE, 100)))
    assert sorted(taken) == sorted(f"msg_{n}" for n in range(40))


def test_pauses_grow_to_two_hours() -> None:
    pauses = [pause_after(n) for n in range(1, MAX_FAILURES)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (timedelta(seconds=10), timedelta(hours=2))
    assert timedelta(hours=12) < sum(pauses, timedelta()) < timedelta(days=1)
    assert pause_after(10**9) == timedelta(hours=2)
