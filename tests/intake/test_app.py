"""What the door answers, and what it stores before it does."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from paycordon.store import Store, schema
from paycordon.store.deliveries import DeliveryState, counts
from paycordon.testing import make_event

MiB = 1024 * 1024
CARD = "4111 1111 1111 1111"  # the schemes' published test number


def stored(store: Store) -> list[dict[str, Any]]:
    with store.read() as connection:
        query = select(schema.deliveries).order_by(schema.deliveries.c.id)
        return [dict(row) for row in connection.execute(query).mappings()]


def test_authentic_delivery_is_stored_before_it_is_answered(door: Any, store: Store) -> None:
    sent = door.message("msg_1")
    assert door.deliver(sent) == 200
    [row] = stored(store)
    assert (row["instance"], row["message_id"], row["state"]) == ("tiny_1", "msg_1", "waiting")
    assert json.loads(row["body"]) == sent
    assert door.counted("stored") == 1


def test_redelivery_is_answered_alike_and_stored_once(door: Any, store: Store) -> None:
    assert [door.deliver(door.message("msg_1")) for _ in range(3)] == [200, 200, 200]
    assert len(stored(store)) == 1
    assert (door.counted("stored"), door.counted("repeated")) == (1, 2)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-signature": ""},
        {"x-signature": "00" * 32},
        {"x-signature": "not hexadecimal"},
        {"x-signature": "é\x80\xff"},
        [("x-signature", "00"), ("x-signature", "00")],
    ],
)
def test_wrong_signature_is_401_and_nothing_is_stored(door: Any, store: Store, headers: Any) -> None:
    raw = headers if isinstance(headers, list) else [(k, v.encode("latin-1")) for k, v in headers.items()]
    response = door.request("POST", "/tiny_1", door.body_of(door.message()), raw)
    assert (response.status_code, response.content) == (401, b"")
    assert stored(store) == []
    assert door.counted("signature_invalid") == 1


def test_right_signature_sent_twice_is_ambiguous_and_refused(door: Any, store: Store) -> None:
    body = door.body_of(door.message())
    right = door.signed(body)["x-signature"]
    assert door.request("POST", "/tiny_1", body, [("x-signature", right), ("x-signature", "00")]).status_code == 401
    assert stored(store) == []


def test_header_names_are_found_in_any_case(door: Any) -> None:
    body = door.body_of(door.message())
    assert door.request("POST", "/tiny_1", body, {"X-SIGNATURE": door.signed(body)["x-signature"]}).status_code == 200


def test_authentic_message_that_means_nothing_here_is_200_and_not_stored(door: Any, store: Store) -> None:
    assert door.deliver({"id": "msg_1", "type": "unknown"}) == 200
    assert door.deliver() == 200
    assert stored(store) == []
    assert door.counted("ignored") == 2


def test_message_that_cannot_be_read_is_400_and_its_neighbours_are_kept(door: Any, store: Store) -> None:
    assert door.deliver({"id": "msg_1", "events": [{"id": "?"}]}, door.message("msg_2")) == 400
    assert [row["message_id"] for row in stored(store)] == ["msg_2"]
    assert door.counted("payload_invalid") == 1


@pytest.mark.parametrize("id_", ["", "x" * 256, "a\x00b", "a\nb", "\ud800"])
def test_id_that_no_database_could_keep_is_400(door: Any, store: Store, id_: str) -> None:
    event = make_event("payment.succeeded", instance="tiny_1")
    assert door.deliver(door.message(id_, event)) == 400
    assert stored(store) == []


@pytest.mark.parametrize("wrong", [{"instance": "other"}, {"mode": "test"}])
def test_event_of_another_instance_or_mode_is_400(door: Any, store: Store, wrong: dict[str, str]) -> None:
    event = make_event("payment.succeeded", **{"instance": "tiny_1", **wrong})
    assert door.deliver(door.message("msg_1", event)) == 400
    assert stored(store) == []


def test_card_number_beside_the_meaning_is_removed_before_storing(door: Any, store: Store) -> None:
    assert door.deliver(door.message("msg_1", note=f"paid with {CARD}", deep=[{"n": 4111111111111111}], kept=1)) == 200
    [row] = stored(store)
    assert "4111" not in row["body"]
    assert json.loads(row["body"])["kept"] == 1


def test_card_number_in_a_name_is_removed_before_storing(door: Any, store: Store) -> None:
    assert door.deliver(door.message("msg_1", **{CARD: 1})) == 200
    [row] = stored(store)
    assert CARD not in row["body"]


def test_merchant_cannot_escape_screening_by_writing_a_card_number(door: Any, store: Store) -> None:
    sent = door.message("msg_1")
    sent["events"][0]["merchant"] = {"id": "m_1", "name": f"Shop {CARD}"}
    assert door.deliver(sent) == 200
    [row] = stored(store)
    assert CARD not in row["body"]
    assert json.loads(row["body"])["events"][0]["merchant"]["id"] == "m_1"


def test_failing_adapter_is_500_without_detail_so_that_the_gateway_sends_again(
    door: Any, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    response = door.request("POST", "/tiny_1", b"crash verify", door.signed(b"crash verify"))
    assert (response.status_code, response.content) == (500, b"")
    assert door.deliver({"id": "msg_1", "type": "crash"}) == 500
    assert stored(store) == []
    assert door.counted("failed") == 2
    assert "ZeroDivisionError" in caplog.text
    assert "personal data" not in caplog.text


@pytest.mark.parametrize("path", ["/", "/other", "/tiny_1/more", "/TINY_1", "/%00", "/%ff"])
def test_unknown_instance_is_404(door: Any, path: str) -> None:
    body = door.body_of(door.message())
    assert door.request("POST", path, body, door.signed(body)).status_code == 404
    assert door.counted("unknown_instance", "unknown") == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
def test_other_methods_are_405(door: Any, method: str) -> None:
    response = door.request(method, "/tiny_1")
    assert (response.status_code, response.headers["allow"], response.content) == (405, "POST", b"")


def test_body_of_the_limit_is_taken_and_one_byte_more_is_413(door: Any, store: Store) -> None:
    body = door.body_of(door.message())
    for size, status in ((MiB, 200), (MiB + 1, 413)):
        padded = body + b" " * (size - len(body))
        assert door.request("POST", "/tiny_1", padded, door.signed(padded)).status_code == status
    assert door.counted("too_large") == 1


async def call(door: Any, parts: list[dict[str, Any]], headers: list[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
    """Speak ASGI by hand, for what no proper client sends."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/hooks/tiny_1", "root_path": "/hooks", "headers": headers}
    await door.intake(scope, receive, send)
    return sent


def test_body_in_pieces_is_put_together_and_the_mount_point_is_left_out(door: Any) -> None:
    body = door.body_of(door.message())
    parts = [{"type": "http.request", "body": body[i : i + 7], "more_body": True} for i in range(0, len(body), 7)]
    parts.append({"type": "http.request"})
    headers = [(k.encode(), v.encode()) for k, v in door.signed(body).items()]
    assert asyncio.run(call(door, parts, headers))[0]["status"] == 200


def test_endless_body_is_cut_off_without_reading_on(door: Any, store: Store) -> None:
    parts = [{"type": "http.request", "body": b"x" * 65_536, "more_body": True} for _ in range(1_000)]
    assert asyncio.run(call(door, parts, []))[0]["status"] == 413
    assert len(parts) > 900


def test_body_that_does_not_come_is_given_up(door: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paycordon.intake.asgi.PATIENCE_SECONDS", 0.05)

    async def wait() -> dict[str, Any]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return await asyncio.Event().wait() and {}

        async def send(event: dict[str, Any]) -> None:
            sent.append(event)

        scope = {"type": "http", "method": "POST", "path": "/hooks/tiny_1", "root_path": "/hooks", "headers": []}
        await asyncio.wait_for(door.intake(scope, receive, send), 20)
        return sent[0]

    assert asyncio.run(wait())["status"] == 408
    assert door.counted("too_slow") == 1


@pytest.mark.parametrize("length", [b"2000000", b"9" * 5_000])
def test_announced_length_beyond_the_limit_is_413_before_reading(door: Any, length: bytes) -> None:
    assert asyncio.run(call(door, [], [(b"content-length", length)]))[0]["status"] == 413


def test_client_that_goes_away_in_the_middle_leaves_nothing(door: Any, store: Store) -> None:
    body = door.body_of(door.message())
    parts = [{"type": "http.request", "body": body, "more_body": True}, {"type": "http.disconnect"}]
    headers = [(k.encode(), v.encode()) for k, v in door.signed(body).items()]
    assert asyncio.run(call(door, parts, headers)) == []
    assert stored(store) == []
    assert door.counted("disconnected") == 1


def test_websocket_is_turned_away(door: Any) -> None:
    sent: list[dict[str, Any]] = []

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    asyncio.run(door.intake({"type": "websocket", "path": "/tiny_1"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1000}]


def test_unavailable_store_is_503_and_the_redelivery_gets_in(
    sqlite_url: str, make_door: Callable[[Store], Any]
) -> None:
    store = Store.open(sqlite_url, patience=timedelta(milliseconds=50), migrate=False)
    door = make_door(store)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert door.deliver(door.message()) == 503
    other.execute("ROLLBACK")
    other.close()
    assert stored(store) == []
    assert door.deliver(door.message()) == 200
    assert (door.counted("unavailable"), door.counted("stored")) == (1, 1)
    store.close()


def test_unavailable_postgresql_is_503(postgres_store: Store, make_door: Callable[[Store], Any]) -> None:
    door = make_door(postgres_store)
    with postgres_store.write() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
    postgres_store.engine.dispose()
    assert door.deliver(door.message()) == 503
    assert stored(postgres_store) == []


def test_slow_store_does_not_keep_the_event_loop_from_other_work(
    sqlite_url: str, make_door: Callable[[Store], Any]
) -> None:
    store = Store.open(sqlite_url, patience=timedelta(seconds=60), migrate=False)
    door = make_door(store)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    body = door.body_of(door.message())
    headers = [(k.encode(), v.encode()) for k, v in door.signed(body).items()]

    async def both() -> list[dict[str, Any]]:
        waiting = asyncio.ensure_future(call(door, [{"type": "http.request", "body": body}], headers))
        turned_away = await call(door, [{"type": "http.request", "body": b""}], [])
        assert turned_away[0]["status"] == 401
        assert not waiting.done()
        other.execute("ROLLBACK")  # only now can the first one be stored
        return await waiting

    assert asyncio.run(both())[0]["status"] == 200
    other.close()
    store.close()


def test_the_same_delivery_in_many_threads_is_one_row(door: Any, store: Store) -> None:
    answers: list[int] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        answers.append(door.deliver(door.message()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4
    assert counts(store)[DeliveryState.WAITING] == 1
    assert (door.counted("stored"), door.counted("repeated")) == (1, 3)
