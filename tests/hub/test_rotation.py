"""Keys and lists change while members ask; and a hub that is not honest is noticed."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from pytest_httpserver import HTTPServer

from paycordon.errors import ConfigError, Conflict
from paycordon.hub import client, group
from paycordon.hub.client import Hub, HubMistrusted, HubRefused, HubUnavailable
from paycordon.hub.door import Door

from .conftest import LISTED, Running, email

LIST = [f"seller{n}" for n in range(LISTED)]


def test_members_ask_on_while_lists_and_keys_change(hub: Running, member) -> None:
    hub.home.rotate(hub.now)
    asking, failed, answered = member(token=hub.token(per_day=10_000_000, burst=1_000_000)), list[Exception](), [0]
    stop = threading.Event()

    def ask() -> None:
        try:
            while not stop.is_set():
                assert asking.known([email("seller7"), email("nobody")]) == [True, False]
                answered[0] += 1
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        other = Running(type(hub.home)(hub.directory), hub.directory, hub.now)
        for _ in range(4):  # as `paycordon hub build` in another process does
            other.build(LIST)
        other.home.close()
        hub.pass_(days=15)
    finally:
        stop.set()
        thread.join(timeout=30)
    assert failed == []
    assert answered[0] > 3
    assert asking.known([email("seller7")]) == [True]
    assert hub.keys() == [hub.keys()[-1]]


def test_a_list_that_changes_between_the_two_requests_is_asked_again(hub: Running, member, monkeypatch) -> None:
    asking, evaluations = member(), []
    real = Hub._evaluated

    def evaluated(self, offer, inputs):
        evaluations.append(offer.number)
        result = real(self, offer, inputs)
        if len(evaluations) == 1:
            hub.build([*LIST, "late"])
        return result

    monkeypatch.setattr(Hub, "_evaluated", evaluated)

    assert asking.known([email("late"), email("nobody")]) == [True, False]
    assert evaluations == [1]  # what was evaluated still counts under the same key


def test_an_epoch_that_ends_between_the_two_requests_leads_to_the_next(hub: Running, member, monkeypatch) -> None:
    first = hub.keys()
    asking = member(keys=[*first, hub.home.rotate(hub.now)["public_key"]])
    asking.known([email("a")])
    hub.build(LIST)
    real, numbers = Hub._evaluated, []

    def evaluated(self, offer, inputs):
        numbers.append(offer.number)
        result = real(self, offer, inputs)
        hub.pass_(days=15)
        return result

    monkeypatch.setattr(Hub, "_evaluated", evaluated)

    assert asking.known([email("seller1")]) == [True]
    assert numbers == [1, 2]


def test_who_has_not_pinned_the_next_key_is_told_in_the_end(hub: Running, member) -> None:
    asking = member()
    hub.home.rotate(hub.now)
    hub.build(LIST)
    assert asking.known([email("seller1")]) == [True]
    hub.pass_(days=13)
    assert asking.known([email("seller1")]) == [True]
    hub.pass_(days=2)

    with pytest.raises(HubRefused, match="pinned keys"):
        asking.known([email("seller1")])
    assert [path.name for path in (hub.directory / "keys").iterdir()] == ["epoch-2.key"]  # the hub saw to it itself


def test_the_key_of_an_ended_epoch_is_erased(hub: Running) -> None:
    hub.home.rotate(hub.now)
    with pytest.raises(Conflict, match="epoch 2 waits"):
        hub.home.rotate(hub.now)
    hub.build(LIST)
    assert len(list((hub.directory / "lists").glob("*.buckets"))) == 2
    hub.pass_(days=15)

    assert hub.home.retire(hub.now) == [1]
    assert [path.name for path in (hub.directory / "keys").iterdir()] == ["epoch-2.key"]
    assert len(list((hub.directory / "lists").glob("*.buckets"))) == 1
    assert hub.home.retire(hub.now) == []


def test_a_key_that_tells_members_apart_is_noticed(hub: Running, member) -> None:
    second, asking = member(token=hub.token("second")), member()
    asking.known([email("a")])
    served = hub.door._epochs[1]
    hub.door._epochs[1] = replace(served, key=group.random_scalar())
    with pytest.raises(HubMistrusted, match="did not prove"):
        asking.known([email("seller1")])

    other = group.random_scalar()
    told = replace(served.shown, public_key=group.multiply_generator(other).hex())
    hub.door._epochs[1] = replace(served, key=other, public_key=bytes.fromhex(told.public_key), shown=told)
    with pytest.raises(HubRefused, match="pinned keys"):
        second.known([email("seller1")])


def test_a_hub_that_asks_for_too_many_bits_learns_nothing(hub: Running, member) -> None:
    with pytest.raises(HubMistrusted, match="bits"):
        member(max_bits=0).known([email("seller1")])

    assert not [row for row in hub.home.ledger.rows("SELECT kind FROM audit") if row["kind"] == "evaluate"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"", HubMistrusted),
        (200, b"[" * 50_000, HubMistrusted),
        (200, b'{"suite": "P256", "epochs": []}', HubUnavailable),
        (200, b"x" * 70_000, HubMistrusted),
        (302, b"", HubMistrusted),
        (404, b"", HubMistrusted),
        (500, b"secret", HubUnavailable),
        (503, b"", HubUnavailable),
        (401, b"", HubRefused),
    ],
)
def test_what_a_strange_hub_answers_does_no_harm(httpserver: HTTPServer, hub: Running, status, body, error) -> None:
    httpserver.expect_request("/v1/epochs").respond_with_data(body, status=status, headers={"location": "/elsewhere"})
    asking = Hub(httpserver.url_for(""), "token-of-acme", hub.keys())
    try:
        with pytest.raises(error) as raised:
            asking.known([email("seller1")])
    finally:
        asking.close()
    assert "seller1" not in str(raised.value)
    assert "token-of-acme" not in str(raised.value)


def test_nobody_there_is_unavailable(hub: Running) -> None:
    asking = Hub("http://127.0.0.1:9", "token", hub.keys())

    with pytest.raises(HubUnavailable, match="not reached"):
        asking.known([email("seller1")])


@pytest.mark.parametrize("url", ["http://hub.example", "ftp://hub.example", "http://127.0.0.1.example", "hub"])
def test_an_address_that_is_not_safe_is_refused(hub: Running, url: str) -> None:
    with pytest.raises(ConfigError, match="https"):
        Hub(url, "token", hub.keys())


@pytest.mark.parametrize("key", ["", "zz", "00" * 32, "ff" * 32, "aa" * 31])
def test_a_pin_that_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="64 hexadecimal"):
        Hub("https://hub.example", "token", [key])


def test_a_digest_cannot_be_looked_up(member) -> None:
    from paycordon.events import Identifier

    with pytest.raises(ValueError, match="plain"):
        member().known([Identifier(kind="email", digest="k1:00")])


def test_blinds_are_never_used_twice(member) -> None:
    used = []
    asking = member(random_scalar=lambda: used.append(group.random_scalar()) or used[-1])
    for _ in range(3):
        asking.known([email("a"), email("b"), email("a")])

    assert len(used) == len(set(used)) == 6
    assert client.BATCH == 64


def test_a_door_does_not_open_on_a_damaged_list_or_a_swapped_key(hub: Running) -> None:
    (epoch,) = hub.home.epochs(hub.now)
    key = hub.directory / "keys" / "epoch-1.key"
    kept = key.read_text()
    key.write_text(group.random_scalar().hex())
    with pytest.raises(ConfigError, match="not the one that was published"):
        Door(hub.home, hub.clock)
    key.write_text(kept)
    path = hub.home.lists / f"{epoch['list']}.buckets"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ConfigError, match="damaged"):
        Door(hub.home, hub.clock)
    assert not hub.home.intact(epoch)
    path.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        Door(hub.home, hub.clock)
