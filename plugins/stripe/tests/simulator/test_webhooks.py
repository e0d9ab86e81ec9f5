"""What the simulator delivers, over real HTTP: signed, in order or not, again and again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from paycordon.simulation.courier import MAX_WAITING
from paycordon_stripe.simulator import StripeSimulator
from paycordon_stripe.simulator.courier import RETRIES_IN_TEST_MODE

SECRET = "whsec_own"
AN_HOUR = timedelta(hours=1)


class Receiver:
    """An endpoint that answers as it is told, and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.paths: list[str] = []
        self.answer: Callable[[], int] = lambda: 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                receiver.paths.append(self.path)
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.answer())
                self.send_header("location", f"{receiver.url}/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - the base class's name

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    def amounts(self) -> list[int]:
        return [each["data"]["object"]["amount"] for each in self.told if each["type"] == "charge.succeeded"]


@pytest.fixture
def receiver():
    running = Receiver()
    yield running
    running.stop()


def pay(simulator, account, amounts):
    for amount in amounts:
        simulator.charge(account, amount)
    assert simulator.settle()


def test_each_change_is_delivered_once_in_order_and_signed(simulator, account, receiver, clock):
    simulator.add_webhook(receiver.url, SECRET)
    pay(simulator, account, range(1, 21))

    assert receiver.amounts() == list(range(1, 21))
    for headers, body in receiver.got:
        stamp = headers["stripe-signature"].split(",")[0]
        assert stamp == f"t={int(clock().timestamp())}"
        stripe.WebhookSignature.verify_header(body.decode(), headers["stripe-signature"], SECRET, 10**9)
    assert all(event["livemode"] is False and event["account"] == account for event in receiver.told)


def test_signatures_carry_the_worlds_time_however_far_the_clock_was_advanced(simulator, account, receiver, clock):
    simulator.add_webhook(receiver.url, SECRET)
    simulator.advance(90 * 24 * AN_HOUR)
    pay(simulator, account, [1])

    headers, _ = receiver.got[-1]
    assert headers["stripe-signature"].startswith(f"t={int(clock().timestamp())},")


def test_an_endpoint_gets_events_of_connected_accounts_or_of_the_platform(client, simulator, account, receiver):
    simulator.add_webhook(receiver.url, connect=False)
    simulator.charge(account, 1)
    client.v1.transfers.create({"amount": 5, "currency": "usd", "destination": account})
    assert simulator.settle()

    assert [(event["type"], "account" in event) for event in receiver.told] == [("transfer.created", False)]


def test_an_endpoint_gets_the_types_it_asked_for(simulator, account, receiver):
    simulator.add_webhook(receiver.url, events=["charge.dispute.*"])
    simulator.open_dispute(account, simulator.charge(account, 1))
    assert simulator.settle()

    assert [event["type"] for event in receiver.told] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]


def test_a_thin_endpoint_gets_notifications_that_the_sdk_can_follow(client, simulator, account, receiver):
    simulator.add_webhook(receiver.url, SECRET, thin=True, events=["v1.charge.*"])
    pay(simulator, account, [77])

    ((headers, body),) = receiver.got
    told = client.parse_event_notification(body.decode(), headers["stripe-signature"], SECRET, tolerance=10**9)
    assert type(told).__name__ == "V1ChargeSucceededEventNotification"
    assert "data" not in json.loads(body)
    assert told.fetch_related_object().amount == 77
    assert told.fetch_event().type == "v1.charge.succeeded"


def test_every_delivery_can_come_twice(simulator, account, receiver):
    simulator.add_webhook(receiver.url, duplicated=1.0)
    pay(simulator, account, [1, 2])

    ids = [event["id"] for event in receiver.told]
    assert (sorted(receiver.amounts()), len(set(ids))) == ([1, 1, 2, 2], 2)


def test_deliveries_can_overtake_each_other(simulator, account, receiver):
    simulator.add_webhook(receiver.url, reordered=0.5)
    pay(simulator, account, range(20))
    simulator.advance(AN_HOUR)
    assert simulator.settle()

    assert receiver.amounts() != list(range(20))
    assert sorted(receiver.amounts()) == list(range(20))


def test_one_that_nothing_overtakes_comes_all_the_same(simulator, account, receiver):
    simulator.add_webhook(receiver.url, reordered=1.0)
    pay(simulator, account, [1])
    early = receiver.amounts()
    simulator.advance(timedelta(minutes=1))
    assert simulator.settle()

    assert (early, receiver.amounts()) == ([], [1])


def test_deliveries_can_come_late(simulator, account, receiver):
    simulator.add_webhook(receiver.url, delayed=1.0, delay_seconds=600)
    pay(simulator, account, [1])
    simulator.advance(timedelta(seconds=599))
    assert simulator.settle()
    early = receiver.amounts()
    simulator.advance(timedelta(seconds=1))
    assert simulator.settle()

    assert (early, receiver.amounts()) == ([], [1])


def test_disorder_repeats_with_its_seed(clock, receiver):
    def delivered(seed):
        receiver.got.clear()
        with StripeSimulator(clock=clock, seed=seed) as simulator:
            account = simulator.create_account()
            simulator.add_webhook(receiver.url, duplicated=0.3, reordered=0.3, dropped=0.3)
            for amount in range(20):
                simulator.charge(account, amount)
                assert simulator.settle()
        return receiver.amounts()

    assert delivered(7) == delivered(7) != delivered(8)


@pytest.mark.parametrize("status", [500, 404, 302])
def test_a_delivery_that_fails_is_tried_again_after_growing_pauses(simulator, account, receiver, status):
    receiver.answer = lambda: status if len(receiver.got) < 3 else 200
    simulator.add_webhook(receiver.url)
    pay(simulator, account, [1])
    seen = [len(receiver.got)]
    for pause in RETRIES_IN_TEST_MODE:
        simulator.advance(pause - timedelta(seconds=1))
        assert simulator.settle()
        seen.append(len(receiver.got))
        simulator.advance(timedelta(seconds=1))
        assert simulator.settle()
        seen.append(len(receiver.got))

    assert seen == [1, 1, 2, 2, 3]
    assert [attempt.status for attempt in simulator.deliveries()] == [status, status, 200]
    assert simulator.events(account)[-1]["pending_webhooks"] == 0


def test_it_gives_up_in_the_end_and_the_event_stays_undelivered(client, simulator, account, of, receiver):
    receiver.answer = lambda: 500
    simulator.add_webhook(receiver.url)
    pay(simulator, account, [1])
    for _ in range(40):
        simulator.advance(10 * AN_HOUR)
        assert simulator.settle()

    charge_attempts = [each for each in simulator.deliveries() if each.type == "charge.succeeded"]
    assert len(charge_attempts) == 1 + len(RETRIES_IN_TEST_MODE)
    missed = client.v1.events.list({"types": ["charge.succeeded"], "delivery_success": False}, of).data
    assert [each.pending_webhooks for each in missed] == [1]


def test_an_endpoint_where_nobody_listens_counts_as_failed(simulator, account, receiver):
    receiver.stop()
    receiver.stop = lambda: None
    simulator.add_webhook(receiver.url)
    pay(simulator, account, [1])

    assert [attempt.status for attempt in simulator.deliveries()] == [None]


def test_a_receiver_may_call_back_while_it_is_called(client, simulator, account, receiver, of):
    def call_back() -> int:
        return 200 if client.v1.balance.retrieve({}, of).object == "balance" else 500

    receiver.answer = call_back
    simulator.add_webhook(receiver.url)
    pay(simulator, account, [1, 2])

    assert [attempt.status for attempt in simulator.deliveries()] == [200, 200]


def test_stopping_does_not_deliver_on_and_on(clock, receiver):
    gate = threading.Event()
    receiver.answer = lambda: 200 if gate.wait(5) else 500
    simulator = StripeSimulator(clock=clock).start()
    account = simulator.create_account()
    simulator.add_webhook(receiver.url)
    for amount in range(50):
        simulator.charge(account, amount)
    while not receiver.got:
        time.sleep(0.005)
    threading.Timer(0.1, gate.set).start()
    simulator.stop()

    assert len(receiver.got) < 50
    assert threading.active_count() < 20


def test_what_waits_is_bounded(simulator, account, receiver):
    simulator.add_webhook(receiver.url, delayed=1.0)
    happened = next(iter(simulator.ledger.log.of(account, simulator.clock())))
    for _ in range(MAX_WAITING + 5):
        simulator.courier.take(happened)

    assert len(simulator.courier._waiting) == MAX_WAITING


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/hook",
        "http://192.0.2.1/",
        "http://127.0.0.1.shop.example/",
        "http://localhost.shop.example/",
        "http://user@shop.example/127.0.0.1",
        "http://10.0.0.1/",
        "file:///etc/hosts",
        "//127.0.0.1/",
        "",
    ],
)
def test_nobody_else_is_ever_called(simulator, url):
    with pytest.raises(ValueError, match="this machine only"):
        simulator.add_webhook(url)
    assert simulator.webhooks() == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a", "http://localhost:1/", "http://[::1]:1/", "http://127.8.8.8/"])
def test_this_machine_has_several_names(simulator, url):
    assert simulator.add_webhook(url).startswith("we_")
    assert [each.url for each in simulator.webhooks()] == [url]
    assert simulator.webhooks()[0].secret == ""


def test_stopping_waits_for_no_receiver_that_hangs_and_starting_again_delivers_again(clock, receiver):
    gate = threading.Event()
    receiver.answer = lambda: 200 if gate.wait(20) else 500
    simulator = StripeSimulator(clock=clock).start()
    account = simulator.create_account()
    simulator.add_webhook(receiver.url)
    simulator.charge(account, 1)
    while not receiver.got:
        time.sleep(0.005)
    began = time.monotonic()
    simulator.stop()
    took = time.monotonic() - began
    gate.set()

    assert took < 5
    with simulator:
        simulator.charge(account, 2)
        assert simulator.settle()
    assert 2 in receiver.amounts()


def test_many_at_once_are_each_delivered_once(client, simulator, account, receiver, of):
    simulator.add_webhook(receiver.url, events=["charge.succeeded"])
    several = [threading.Thread(target=simulator.charge, args=(account, amount)) for amount in range(1, 21)]
    for each in several:
        each.start()
    for each in several:
        each.join()
    assert simulator.settle()

    assert sorted(receiver.amounts()) == list(range(1, 21))


@pytest.mark.parametrize("status", [302, 307, 308])
def test_no_redirect_leads_it_anywhere_else(simulator, account, receiver, status):
    receiver.answer = lambda: status
    simulator.add_webhook(receiver.url)
    pay(simulator, account, [1])

    assert receiver.paths == ["/hook"]
