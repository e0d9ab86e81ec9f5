"""What others are told: signed, at least once, nothing internal, and a dead receiver delays nobody."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from standardwebhooks.webhooks import Webhook
from werkzeug import Request, Response

from paycordon import Cordon
from paycordon.outward.notifying import GIVE_UP_AFTER, Channel, Following, Telling, channel_of, channel_of_plugin
from paycordon.policy import PolicySet
from paycordon.policy.load import load_policy
from paycordon.sections import NotificationSection
from paycordon.sending import NotTaken, post
from paycordon.store import Store, holds
from paycordon.store.outbox import Notification, listed
from paycordon.testing import NOON, FrozenClock, make_event

SECRET, OLD_SECRET = "whsec_" + "c2VjcmV0" * 4, "whsec_" + "b2xkLW9s" * 4
SEEDED = ("seeded-rule", "seeded reason", "seeded-policy")

POLICY = """\
policy: seeded-policy
version: 1
on_error: review
rules:
  - id: seeded-rule
    on: [payout.requested]
    when: event.payout.amount.minor > 10000
    then: hold
    internal_reason: seeded reason
    merchant_reason: additional_information_required
"""


@pytest.fixture
def judging(make_cordon: Callable[[Store], Cordon], tmp_path: Path) -> Callable[[Store], Cordon]:
    """Makes an engine that judges by `POLICY`."""
    file = tmp_path / "p.yaml"
    file.write_text(POLICY)

    def make(store: Store) -> Cordon:
        cordon = make_cordon(store)
        cordon.adopt(PolicySet([load_policy(file)]))
        return cordon

    return make


@pytest.fixture
def cordon(sqlite_store: Store, judging: Callable[[Store], Cordon]) -> Cordon:
    return judging(sqlite_store)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime.now(UTC))


def section(server: HTTPServer, **more: Any) -> NotificationSection:
    return NotificationSection(url=server.url_for("/hook"), secrets=(SECRET,), **more)


def payout(number: int, minor: int) -> Any:
    amount = {"minor": minor, "currency": "EUR"}
    return make_event(
        "payout.requested",
        id=f"evt_{number}",
        payout={"id": f"po_{number}", "amount": amount},
        account={"id": f"a_{number}"},
        merchant={},
    )


def tell(store: Store, channels: Sequence[Channel], clock: FrozenClock, owner: str = "w") -> None:
    following = Following(store, channels)
    while following.run_once():
        pass
    for channel in channels:
        while Telling(store, channel, owner=owner, clock=clock, jitter=lambda: 0.5).run_once():
            pass


def begin(store: Store, channels: Sequence[Channel]) -> None:
    """Begin to listen; the first look only notes where the log ends."""
    assert Following(store, channels).run_once() is False


def received(server: HTTPServer) -> list[tuple[Request, Any]]:
    return [(request, json.loads(request.get_data())) for request, _ in server.log]


def test_a_hold_and_its_release_are_told_signed_and_once(
    cordon: Cordon, sqlite_store: Store, clock: FrozenClock, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data("", status=204)
    channels = [channel_of("ops", section(httpserver), clock)]
    begin(sqlite_store, channels)
    cordon.screen(payout(1, 500))
    cordon.screen(payout(2, 50_000))
    with sqlite_store.write() as connection:
        [hold] = holds.listed(connection)
        holds.release(connection, hold.id, by="ann", reason="looked at", now=NOON)
    tell(sqlite_store, channels, clock)
    tell(sqlite_store, channels, clock)

    told = received(httpserver)
    assert [body["type"] for _, body in told] == ["decision.made", "hold.placed", "hold.released"]
    for request, _ in told:
        Webhook(SECRET).verify(request.get_data(), dict(request.headers))
    assert told[0][1]["data"]["merchant_reason"] == "additional_information_required"
    assert told[1][1]["data"]["hold"] == hold.id
    assert not [word for word in (*SEEDED, "ann", "looked") if word in json.dumps([body for _, body in told])]


def test_internal_matters_go_to_an_endpoint_that_may_hear_them(
    cordon: Cordon, sqlite_store: Store, clock: FrozenClock, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/hook").respond_with_data("")
    channels = [channel_of("risk", section(httpserver, detail="internal", types=("decision.*",)), clock)]
    begin(sqlite_store, channels)
    cordon.screen(payout(2, 50_000))
    tell(sqlite_store, channels, clock)
    [(_, body)] = received(httpserver)
    assert body["data"]["internal"]["rule"] == "seeded-policy/seeded-rule"


def test_who_begins_to_listen_does_not_hear_of_the_past(
    cordon: Cordon, sqlite_store: Store, clock: FrozenClock, httpserver: HTTPServer
) -> None:
    cordon.screen(payout(2, 50_000))
    channels = [channel_of("ops", section(httpserver), clock)]
    begin(sqlite_store, channels)
    tell(sqlite_store, channels, clock)
    assert received(httpserver) == []


def test_both_secrets_verify_while_one_replaces_the_other(
    cordon: Cordon, sqlite_store: Store, clock: FrozenClock, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/hook").respond_with_data("")
    settings = NotificationSection(url=httpserver.url_for("/hook"), secrets=(SECRET, OLD_SECRET), types=("hold.*",))
    channels = [channel_of("ops", settings, clock)]
    begin(sqlite_store, channels)
    cordon.screen(payout(2, 50_000))
    tell(sqlite_store, channels, clock)
    [(request, _)] = received(httpserver)
    for secret in (SECRET, OLD_SECRET):
        Webhook(secret).verify(request.get_data(), dict(request.headers))


@pytest.mark.parametrize("answer", [Response(status=500), Response(status=302, headers={"location": "/hook"})])
def test_what_was_not_taken_comes_again_under_the_same_id_later_and_later(
    cordon: Cordon, sqlite_store: Store, clock: FrozenClock, httpserver: HTTPServer, answer: Response
) -> None:
    httpserver.expect_ordered_request("/hook").respond_with_response(answer)
    httpserver.expect_ordered_request("/hook").respond_with_response(answer)
    httpserver.expect_ordered_request("/hook").respond_with_data("")
    channels = [channel_of("ops", section(httpserver, types=("hold.*",)), clock)]
    begin(sqlite_store, channels)
    cordon.screen(payout(2, 50_000))
    tell(sqlite_store, channels, clock)
    assert len(httpserver.log) == 1
    clock.advance(timedelta(seconds=5))
    tell(sqlite_store, channels, clock)
    clock.advance(timedelta(seconds=9))
    tell(sqlite_store, channels, clock)
    assert len(httpserver.log) == 2
    clock.advance(timedelta(seconds=1))
    tell(sqlite_store, channels, clock)
    assert len({request.headers["webhook-id"] for request, _ in received(httpserver)}) == 1
    assert len(httpserver.log) == 3
    with sqlite_store.read() as connection:
        assert [each.state for each in listed(connection, states=["delivered", "waiting", "stuck"])] == ["delivered"]


def test_a_receiver_that_never_answers_gets_stuck_and_delays_no_other(
    cordon: Cordon, sqlite_store: Store, clock: FrozenClock, httpserver: HTTPServer
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    httpserver.expect_request("/hook").respond_with_data("")
    dead = NotificationSection(url=f"http://127.0.0.1:{port}/", secrets=(SECRET,), types=("hold.*",))
    channels = [channel_of("dead", dead, clock), channel_of("ops", section(httpserver, types=("hold.*",)), clock)]
    begin(sqlite_store, channels)
    cordon.screen(payout(2, 50_000))
    for _ in range(GIVE_UP_AFTER):
        tell(sqlite_store, channels, clock)
        clock.advance(timedelta(hours=8))
    assert len(httpserver.log) == 1
    with sqlite_store.read() as connection:
        [stuck] = listed(connection, states=["stuck"])
    assert (stuck.endpoint, stuck.failures) == ("dead", GIVE_UP_AFTER)
    assert "not reached" in (stuck.last_error or "")


def test_a_plugin_is_told_and_its_failures_are_its_own(cordon: Cordon, sqlite_store: Store, clock: FrozenClock) -> None:
    heard: list[Any] = []

    def notify(message: Any) -> None:
        heard.append(message)
        if len(heard) == 1:
            raise RuntimeError("a seeded reason in an exception")

    channels = [channel_of_plugin("chat", notify)]
    begin(sqlite_store, channels)
    cordon.screen(payout(2, 50_000))
    tell(sqlite_store, channels, clock)
    clock.advance(timedelta(seconds=10))
    tell(sqlite_store, channels, clock)
    ids = [message["id"] for message in heard]
    assert (len(ids), len(set(ids))) == (3, 2)
    assert not [word for word in SEEDED if word in json.dumps(heard)]


def test_two_workers_tell_each_message_once(
    store: Store, judging: Callable[[Store], Cordon], clock: FrozenClock
) -> None:
    heard: list[str] = []
    channels = [Channel("x", ("*",), False, lambda message, _: heard.append(message.message_id))]
    begin(store, channels)
    cordon = judging(store)
    for number in range(20):
        cordon.screen(payout(number, 50_000))
    one, two = Following(store, channels), Following(store, channels)
    while one.run_once() or two.run_once():
        pass
    tellers = [Telling(store, channels[0], owner=name, clock=clock) for name in ("a", "b")]
    while any([teller.run_once() for teller in tellers]):  # noqa: C419 - both have to run
        pass
    assert len(heard) == len(set(heard)) >= 21


def test_a_worker_killed_between_sending_and_noting_sends_the_same_id_again(
    cordon: Cordon, sqlite_store: Store, clock: FrozenClock
) -> None:
    heard: list[str] = []

    def dies(message: Notification, _: Any) -> None:
        heard.append(message.message_id)
        raise KeyboardInterrupt

    channels = [Channel("x", ("hold.*",), False, dies)]
    begin(sqlite_store, channels)
    cordon.screen(payout(2, 50_000))
    with pytest.raises(KeyboardInterrupt):
        tell(sqlite_store, channels, clock)
    again = [Channel("x", ("hold.*",), False, lambda message, _: heard.append(message.message_id))]
    tell(sqlite_store, again, clock, owner="another")
    assert len(heard) == 1
    clock.advance(timedelta(minutes=6))
    tell(sqlite_store, again, clock, owner="another")
    assert len(heard) == 2
    assert len(set(heard)) == 1


@pytest.mark.parametrize("address", ["10.0.0.7", "169.254.169.254", "192.168.1.1", "fd00::1"])
def test_private_networks_are_not_reached(address: str) -> None:
    with pytest.raises(NotTaken, match="not permitted"):
        post("https://hook.example/", {}, "{}", private=False, resolve=lambda *_: [address])


def test_plain_http_reaches_this_machine_only() -> None:
    with pytest.raises(NotTaken, match="not permitted"):
        post("http://hook.example/", {}, "{}", private=True, resolve=lambda *_: ["203.0.113.7"])


def test_a_huge_answer_is_not_read(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data(b"x" * 50_000_000)
    post(httpserver.url_for("/hook"), {}, "{}", private=False)


@pytest.mark.parametrize("url", ["http://hook.example/", "ftp://127.0.0.1/", "http://127.0.0.1.example/"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        NotificationSection(url=url, secrets=(SECRET,))
