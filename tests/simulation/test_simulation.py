"""What simulators have in common: deliveries stay on this machine, what is due happens in order, faults are met."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import timedelta
from random import Random
from threading import Thread

import pytest
from pytest_httpserver import HTTPServer

from paycordon.simulation import (
    PREFIX,
    Answer,
    Control,
    Courier,
    Disorder,
    Endpoint,
    Fault,
    FaultKind,
    KeyInUse,
    KeyReused,
    Keys,
    Ledger,
    RateLimit,
    Request,
    SimulatedServer,
    disorder_from,
    post,
)
from paycordon.simulation.courier import MAX_WAITING
from paycordon.testing.clock import NOON, FrozenClock

A_MINUTE = timedelta(minutes=1)


class Letters(Courier[Endpoint, str]):
    def __init__(self, clock, **options):
        super().__init__(clock, retries=(A_MINUTE,), random=Random(0), **options)
        self.sent: list[list[str]] = []
        self.status = 200

    def wants(self, endpoint: Endpoint, message: str) -> bool:
        return endpoint.subscribes(message)

    def named(self, endpoint: Endpoint, message: str) -> tuple[str, str]:
        return message, message

    def batch(self, endpoint: Endpoint, message: str) -> int:
        return 2

    def send(self, endpoint: Endpoint, messages: Sequence[str]) -> int:
        if self.status == 0:
            raise ConnectionError("nobody")
        self.sent.append(list(messages))
        return self.status


class Tiny(SimulatedServer):
    def __init__(self, clock) -> None:
        super().__init__(port=0, clock=clock, rate_limit=None)
        self.ledger = Ledger(self.clock)
        self.courier = Letters(self.clock)
        self.done = 0
        self._control = Control(self, {"done": lambda _: {"done": self.done}}, {"more": lambda body: str(body["id"])})

    def answer_api(self, request: Request, fault: Fault | None) -> Answer:
        return self.performed(self._count, Answer(500, {}), fault)

    def answer_control(self, request: Request) -> Answer:
        return self._control.answer(request)

    def refusal(self, status: int) -> Answer:
        return Answer(status, {})

    def _count(self) -> Answer:
        self.done += 1
        return Answer(200, {"done": self.done})


@pytest.fixture
def tiny(clock: FrozenClock) -> Iterator[Tiny]:
    with Tiny(clock) as running:
        yield running


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


def ask(tiny, path="/", body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    sent = urllib.request.Request(f"{tiny.base_url}{path}", data, method=method)
    try:
        with urllib.request.urlopen(sent, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize("url", ["http://hooks.example/", "ftp://127.0.0.1/", "http://192.0.2.7/", "127.0.0.1", ""])
def test_nothing_is_sent_to_another_machine(url):
    with pytest.raises(ValueError, match="this machine only"):
        post(url, b"", {}, timeout=1)


def test_a_delivery_is_posted_as_it_is_and_a_redirect_is_an_answer(httpserver: HTTPServer):
    httpserver.expect_oneshot_request(
        "/hook", method="POST", query_string="a=1", data=b"body", headers={"x-signed": "yes"}
    ).respond_with_data("", status=307, headers={"Location": "http://hooks.example/"})
    assert post(httpserver.url_for("/hook?a=1"), b"body", {"x-signed": "yes"}, timeout=5) == 307


def test_a_receiver_that_speaks_no_http_is_an_oserror():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1_000)
                connection.sendall(b"nonsense\r\n\r\n")

        thread = Thread(target=answer)
        thread.start()
        with pytest.raises(OSError, match="HTTP"):
            post(f"http://127.0.0.1:{listening.getsockname()[1]}", b"{}", {}, timeout=5)
        thread.join()


def test_what_is_due_happens_in_order_each_at_its_own_time_and_by_nobody(clock):
    ledger, seen = Ledger(clock), []

    def deed(name):
        return lambda: seen.append((name, (ledger.clock() - NOON) // A_MINUTE, ledger.request))

    ledger.timeline.at(NOON + 3 * A_MINUTE, deed("third"))
    ledger.timeline.at(NOON + A_MINUTE, deed("first"))
    ledger.timeline.at(NOON + A_MINUTE, deed("second"))
    ledger.timeline.at(NOON + 2 * A_MINUTE, lambda: ledger.timeline.at(ledger.clock(), deed("made on the way")))
    ledger.request = 7
    clock.advance(timedelta(hours=1))
    ledger.catch_up()
    assert seen == [("first", 1, 0), ("second", 1, 0), ("made on the way", 2, 0), ("third", 3, 0)]
    assert ledger.clock() == NOON + timedelta(hours=1)


def test_only_leaves_that_differ_are_noted(clock):
    ledger = Ledger(clock)
    ledger.note("a", {"x": {"y": 1, "z": [1]}, "gone": 0}, {"x": {"y": 2, "z": [1]}, "new": None}, "of.")
    assert [(each.what, each.old, each.new) for each in ledger.changes] == [("of.gone", 0, None), ("of.x.y", 1, 2)]


def test_events_go_together_up_to_the_batch_and_are_retried_each(clock):
    letters = Letters(clock)
    letters.add(Endpoint("e", "http://127.0.0.1:9/", "s", events=("a.*",)))
    for name in ("a.1", "b.1", "a.2", "a.3"):
        letters.take(name)
    letters.status = 0
    letters.deliver()
    assert [(each.event, each.number, each.status) for each in letters.attempts()] == [
        ("a.1", 1, None), ("a.2", 1, None), ("a.3", 1, None),
    ]  # fmt: skip
    letters.status = 500
    clock.advance(A_MINUTE)
    letters.deliver()
    clock.advance(A_MINUTE)
    letters.deliver()
    assert letters.sent == [["a.1", "a.2"], ["a.3"]]  # the second try was the last
    assert letters.idle()


def test_the_queue_is_bounded_and_a_removed_endpoint_gets_nothing(clock):
    letters = Letters(clock)
    letters.add(Endpoint("e", "http://127.0.0.1:9/", "s"))
    for number in range(MAX_WAITING + 5):
        letters.take(str(number))
    assert len(letters._waiting) == MAX_WAITING
    letters.remove("e")
    letters.deliver()
    assert letters.sent == []


def test_shares_of_disorder_are_read_beside_the_rest():
    disorder, rest = disorder_from({"dropped": 0.5, "delay_seconds": 60, "events": ["a"], "url": "u"})
    assert disorder == Disorder(dropped=0.5, delay=A_MINUTE)
    assert rest == {"events": ("a",), "url": "u"}


def test_keys_keep_the_first_answer_for_a_while(clock):
    keys: Keys[str] = Keys(A_MINUTE)
    assert keys.begin("s", "k", "request", clock()) is None
    with pytest.raises(KeyInUse):
        keys.begin("s", "k", "request", clock())
    keys.end("s", "k", "answer")
    assert keys.begin("s", "k", "request", clock()) == "answer"
    assert keys.begin("another scope", "k", "request", clock()) is None
    with pytest.raises(KeyReused):
        keys.begin("s", "k", "another request", clock())
    assert keys.begin("s", "k", "another request", clock.advance(A_MINUTE)) is None
    keys.end("s", "k", None)
    assert keys.begin("s", "k", "request", clock()) is None


def test_a_refused_request_does_not_count_against_the_limit(clock):
    limit = RateLimit(clock, 2)
    assert [limit.take() for _ in range(3)] == [True, True, False]
    clock.advance(timedelta(seconds=1))
    assert limit.take()


@pytest.mark.parametrize(
    ("kind", "answered", "done"),
    [
        (FaultKind.ANSWER, 403, 0),
        (FaultKind.ERROR_BEFORE, 500, 0),
        (FaultKind.ERROR_AFTER, 500, 1),
        (FaultKind.LOST_BEFORE, None, 0),
        (FaultKind.LOST_AFTER, None, 1),
        (FaultKind.GARBLED, None, 1),
        (FaultKind.SLOW, 200, 1),
    ],
)
def test_a_fault_decides_whether_it_happens_and_what_is_answered(tiny, kind, answered, done):
    tiny.inject(Fault(kind, status=403))
    try:
        assert ask(tiny)[0] == answered
    except (OSError, ValueError):
        assert answered is None
    assert tiny.done == done
    assert ask(tiny) == (200, {"done": done + 1})


def test_it_is_watched_and_steered_at_one_place(tiny):
    assert ask(tiny, f"{PREFIX}done") == (200, {"done": 0})
    assert ask(tiny, f"{PREFIX}more", {"id": 5}) == (200, {"id": "5"})
    assert ask(tiny, f"{PREFIX}clock", {"advance_seconds": 60})[1]["now"] == (NOON + A_MINUTE).isoformat()
    ask(tiny, f"{PREFIX}faults", {"kind": "answer", "status": 503})
    ask(tiny, f"{PREFIX}faults", method="DELETE")
    assert ask(tiny)[0] == 200
    errors = [ask(tiny, f"{PREFIX}{path}", body)[0] for path, body in (("no", None), ("more", {}), ("clock", {"x": 1}))]
    assert errors == [404, 400, 400]


def test_time_does_not_go_back_and_the_address_is_known_while_it_runs(clock):
    tiny = Tiny(clock)
    with pytest.raises(ValueError, match="does not go back"):
        tiny.advance(-A_MINUTE)
    with pytest.raises(RuntimeError, match="not running"):
        _ = tiny.base_url
