"""A hub over real HTTP: what members are told, what the hub keeps, and what it does with those who mean harm."""

from __future__ import annotations

import json
import logging
import secrets
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paycordon.events import Identifier
from paycordon.hub import group, ledger, voprf
from paycordon.hub.client import HubRefused, HubUnavailable
from paycordon.hub.door import Door
from paycordon.hub.home import Home
from paycordon.hub.wire import bucket_of, private_input, record_of

from .conftest import LISTED, Running, email, over_http

EVALUATE = "/v1/epochs/1/evaluate"


def buckets_path(hub: Running) -> str:
    return f"/v1/epochs/1/lists/{hub.home.epochs(hub.now)[0]['list']}/buckets"


def element() -> bytes:
    return voprf.blind(secrets.token_bytes(8), group.random_scalar())


def audit(hub: Running) -> list[dict[str, Any]]:
    return [{"kind": row["kind"], **json.loads(row["payload"])} for row in hub.home.ledger.rows("SELECT * FROM audit")]


def test_a_member_learns_what_is_known_however_it_is_written(member) -> None:
    asked = [
        email("seller7"),
        email("nobody"),
        Identifier(kind="email", value=" Seller8@SHOP.example"),
        email("nobody"),
    ]

    assert member().known(asked) == [True, False, True, False]


def test_the_kind_is_part_of_what_is_asked(member) -> None:
    assert member().known([Identifier(kind="handle", value="seller7@shop.example")]) == [False]


def test_more_than_a_batch_is_asked_in_several(hub: Running, member) -> None:
    names = [f"seller{n}" for n in range(100)] + [f"nobody{n}" for n in range(50)]

    assert member().known([email(name) for name in names]) == [True] * 100 + [False] * 50
    assert [each["number"] for each in audit(hub) if each["kind"] == "evaluate"] == [64, 64, 22]


def test_a_hit_and_a_miss_look_the_same_on_the_wire(hub: Running, send) -> None:
    key, path = hub.home.key_of(hub.home.epochs(hub.now)[0]), buckets_path(hub)
    bits, seen = hub.home.epochs(hub.now)[0]["bits"], set()
    for name in [f"seller{n}" for n in range(30)] + [f"nobody{n}" for n in range(30)]:
        text = private_input(email(name))
        blinded = voprf.blind(text, group.random_scalar())
        number = bucket_of(record_of(voprf.evaluate(key, text)), bits)
        for answer in (send("POST", EVALUATE, blinded), send("POST", path, number.to_bytes(4, "big"))):
            headers = {name: value for name, value in answer.headers.items() if name != "date"}
            seen.add((answer.status, len(answer.data), tuple(sorted(headers.items()))))

    assert {(status, size) for status, size, _ in seen} == {
        (200, group.ELEMENT_BYTES + voprf.PROOF_BYTES),
        (200, hub.home.epochs(hub.now)[0]["capacity"] * 8),
    }
    assert len(seen) == 2


def test_all_buckets_hide_among_at_least_k(hub: Running, send) -> None:
    epoch = hub.home.epochs(hub.now)[0]
    outputs = [voprf.evaluate(hub.home.key_of(epoch), private_input(email(f"seller{n}"))) for n in range(LISTED)]
    found = 0
    for number in range(2 ** epoch["bits"]):
        answered = send("POST", buckets_path(hub), number.to_bytes(4, "big")).data
        entries = {answered[at : at + 8] for at in range(0, len(answered), 8)}
        true = [each for each in outputs if record_of(each)[4:] in entries]
        assert len(true) >= epoch["smallest"] >= 20
        found += len(true)

    assert epoch["bits"] > 0
    assert found == LISTED


def test_nothing_that_is_kept_or_logged_holds_what_was_asked(hub: Running, send, member, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    sent = element()
    send("POST", EVALUATE, sent)
    send("POST", EVALUATE, b"\xff" * 32)
    asked = [email("seller7"), email("somebody-else")]
    member().known(asked)
    epoch = hub.home.epochs(hub.now)[0]
    outputs = [voprf.evaluate(hub.home.key_of(epoch), private_input(each)) for each in asked]

    kept = b"".join(path.read_bytes() for path in hub.directory.glob("ledger.db*"))
    kept += caplog.text.encode()
    for secret in (b"seller7", b"somebody-else", sent, *(output[:8] for output in outputs)):
        assert secret not in kept
        assert secret.hex().encode() not in kept
    asked_for = [each for each in audit(hub) if each["kind"] in ("evaluate", "buckets")]
    assert [set(each) for each in asked_for] == [{"kind", "member", "number", "epoch"}] * 3
    assert [(each["kind"], each["member"], each["number"]) for each in asked_for] == [
        *[("evaluate", "raw", 1), ("evaluate", "acme", 2)],
        ("buckets", "acme", len({bucket_of(record_of(output), epoch["bits"]) for output in outputs})),
    ]


def test_a_changed_audit_is_noticed(hub: Running, member) -> None:
    member().known([email("a")])
    assert hub.home.ledger.verify() is None
    with hub.home.ledger.write():
        hub.home.ledger.run("UPDATE audit SET payload = replace(payload, 'acme', 'other') WHERE seq = 4")

    assert hub.home.ledger.verify() == 4


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer pch_wrong", "Basic x", "bearer {}", "{}", "Bearer {}x"])
def test_who_is_no_member_is_turned_away(hub: Running, send, given: str) -> None:
    token = hub.token()
    for method, path in (("GET", "/v1/epochs"), ("POST", EVALUATE), ("GET", "/v1/none")):
        answer = send(method, path, element(), authorization=given.format(token))
        assert (answer.status, answer.data) == (401, b"")


def test_a_removed_member_is_turned_away_at_once(hub: Running, member) -> None:
    asking = member()
    asking.known([email("a")])
    hub.home.remove_member("acme", hub.now)

    with pytest.raises(HubRefused, match="token"):
        asking.known([email("a")])


def test_a_new_token_replaces_the_old_one_and_is_no_new_allowance(hub: Running, member) -> None:
    old, asked = member(token=hub.token(per_day=64, burst=64)), [email(f"n{n}") for n in range(64)]
    old.known(asked)
    new = member(token=hub.token(per_day=64, burst=64))

    with pytest.raises(HubRefused, match="token"):
        old.known(asked)
    with pytest.raises(HubUnavailable, match="allowance"):
        new.known(asked)


def test_a_limit_is_kept_across_processes_and_comes_back_evenly(hub: Running, member) -> None:
    asking = member(token=hub.token(per_day=240, burst=64))
    asking.known([email(f"n{n}") for n in range(60)])

    with pytest.raises(HubUnavailable, match="allowance") as stopped:
        asking.known([email(f"m{n}") for n in range(10)])
    assert stopped.value.after is not None
    assert 6 * 360 - 5 < stopped.value.after.total_seconds() <= 6 * 360  # six too many; one comes back in 360 s
    other = Home(hub.directory)
    try:
        with over_http(Door(other, hub.clock)) as url, pytest.raises(HubUnavailable, match="allowance"):
            member(url=url, token=asking._token).known([email(f"m{n}") for n in range(10)])
    finally:
        other.close()
    (stood,) = [each for each in hub.home.members() if each["name"] == "acme"]
    assert stood["refused"] == 20
    hub.pass_(seconds=6 * 360)
    assert asking.known([email(f"m{n}") for n in range(10)]) == [False] * 10


IDENTITY = bytes(32)
NOT_CANONICAL = b"\xff" * 32


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (IDENTITY, 400),
        (NOT_CANONICAL, 400),
        (b"\x01" + bytes(31), 400),
        (bytes(31), 400),
        (bytes(33), 400),
        (b"{}", 400),
        (bytes(65 * 32), 413),
        (bytes(3_000_000), 413),
    ],
)
def test_hostile_elements_are_refused_and_cost_nothing(hub: Running, send, body: bytes, status: int) -> None:
    for sent in (body, element() + body) if len(body) == 32 else (body,):
        answer = send("POST", EVALUATE, sent)
        assert (answer.status, answer.data) == (status, b"")
    assert [each for each in audit(hub) if each["kind"] == "evaluate"] == []


def test_half_a_body_is_not_waited_for(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paycordon.intake.asgi.PATIENCE_SECONDS", 0.1)
    port = int(hub.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        head = f"POST {EVALUATE} HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {hub.token()}\r\n"
        connection.sendall(f"{head}content-type: application/octet-stream\r\ncontent-length: 32\r\n\r\nhalf".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408 "), "and the connection is closed"


@pytest.mark.parametrize("content", ["application/json", "application/octet-stream; charset=x", "text/plain", ""])
def test_another_content_type_is_refused(send, content: str) -> None:
    assert send("POST", EVALUATE, element(), content_type=content).status == 415
    assert send("POST", EVALUATE, element(), content_encoding="gzip").status == 415


def test_wrong_methods_paths_epochs_lists_and_buckets_are_refused(hub: Running, send) -> None:
    path, one = buckets_path(hub), bytes(4)
    assert send("GET", EVALUATE).status == 405
    assert send("PUT", path, one).status == 405
    assert send("POST", "/v1/epochs").status == 405
    assert send("POST", "/v1/epochs/2/evaluate", element()).status == 404
    assert send("POST", "/v1/epochs/0/evaluate", element()).status == 410
    assert send("POST", "/v1/epochs/9999999999/evaluate", element()).status == 404
    assert send("POST", "/v1/epochs/1/lists/" + "0" * 32 + "/buckets", one).status == 409
    assert send("POST", "/v1/epochs/1/lists/../buckets", one).status == 404
    bits = hub.home.epochs(hub.now)[0]["bits"]
    assert send("POST", path, (2**bits - 1).to_bytes(4, "big")).status == 200
    for body, status in ((2**bits).to_bytes(4, "big"), 400), (b"\xff" * 4, 400), (b"\0" * 5, 400), (one * 65, 413):
        assert send("POST", path, body).status == status


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]),
    path=st.sampled_from(
        [EVALUATE, "/v1/epochs", "/v1/epochs/1/lists/{}/buckets", "/healthz", "/", "/v1/epochs/٣/evaluate"]
    ),
    body=st.binary(max_size=160) | st.integers(0, 70).map(lambda n: bytes(32 * n)),
    content=st.sampled_from(["application/octet-stream", "application/json", "é"]),
)
def test_no_request_makes_the_hub_fail(hub: Running, send, method, path, body, content) -> None:
    from urllib.parse import quote

    target = quote(path.format(hub.home.epochs(hub.now)[0]["list"]))
    answer = send(method, target, body, content_type=content.encode("latin-1").decode("latin-1"))

    assert answer.status < 500


def test_without_its_audit_the_hub_answers_nothing(hub: Running, send, member, monkeypatch) -> None:
    asking = member()
    asking.known([email("a")])
    hub.home.ledger._db.execute("PRAGMA busy_timeout = 50")
    locking = sqlite3.connect(hub.directory / "ledger.db", isolation_level=None)
    try:
        locking.execute("BEGIN IMMEDIATE")
        answer = send("POST", EVALUATE, element())
        assert (answer.status, answer.data) == (503, b"")
        with pytest.raises(HubUnavailable, match="503"):
            asking.known([email("b")])
        locking.execute("ROLLBACK")
    finally:
        locking.close()

    assert asking.known([email("seller1")]) == [True]


def test_a_hub_without_a_list_says_so(home: Home, tmp_path: Path) -> None:
    from paycordon.hub.client import Hub

    running = Running(home, tmp_path / "hub")
    with over_http(Door(home, running.clock)) as url:
        asking = Hub(url, running.token(), running.keys())
        with pytest.raises(HubUnavailable, match="no list"):
            asking.known([email("a")])
        running.build(["a"])
        assert asking.known([email("a"), email("b")]) == [True, False]
        asking.close()


def test_health_needs_no_token_and_says_nothing(send) -> None:
    answer = send("GET", "/healthz", authorization="")

    assert (answer.status, answer.data) == (200, b'{"status":"ok"}')


def test_tokens_are_kept_as_digests(hub: Running) -> None:
    token = hub.token()

    kept = b"".join(path.read_bytes() for path in hub.directory.glob("ledger.db*"))
    assert token.encode() not in kept
    assert ledger.Ledger is type(hub.home.ledger)
