"""Lists that people keep in the store: nothing is deleted, everything is logged, every change is noticed."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from paycordon.errors import NotFound
from paycordon.record.verify import verify
from paycordon.store import Store, schema
from paycordon.store.lists import StoredItem, StoredLists, add, items_of, listed, remove, version
from paycordon.testing import NOON

DAY = timedelta(days=1)


def put(store: Store, *values: str, name: str = "watched", until=None, now=NOON, reason: str = "known") -> int:
    with store.write() as connection:
        return add(connection, name, values, by="ann", reason=reason, until=until, now=now)


def take_off(store: Store, *values: str, name: str = "watched", now=NOON) -> int:
    with store.write() as connection:
        return remove(connection, name, values, by="bob", reason="cleared", now=now, guarded=["p/r"])


def all_items(store: Store, *, everything: bool = True, now=NOON) -> list[StoredItem]:
    with store.read() as connection:
        return listed(connection, None, everything=everything, now=now, limit=100)


def logged(store: Store) -> list[tuple[str, dict[str, object]]]:
    with store.read() as connection:
        rows = connection.execute(select(schema.log.c.kind, schema.log.c.payload).order_by(schema.log.c.seq)).all()
    return [(row.kind, json.loads(row.payload)) for row in rows]


def test_values_count_until_their_end(store: Store) -> None:
    put(store, "a")
    put(store, "b", until=NOON + DAY)
    with store.read() as connection:
        assert items_of(connection, "watched") == {"a": None, "b": NOON + DAY}
        assert items_of(connection, "other") == {}
    assert [item.value for item in all_items(store, everything=False, now=NOON + DAY)] == ["a"]
    assert [item.value for item in all_items(store, now=NOON + DAY)] == ["a", "b"]


def test_what_is_removed_stays_with_both_reasons(store: Store) -> None:
    put(store, "a", "b")
    take_off(store, "a", now=NOON + DAY)
    removed, kept = all_items(store)
    assert (removed.added_by, removed.removed_by, removed.reason) == ("ann", "bob", "known\nremoved: cleared")
    assert removed.removed_at == NOON + DAY
    assert (kept.value, kept.removed_at) == ("b", None)
    put(store, "a", now=NOON + 2 * DAY, reason="again")
    assert [(item.value, item.reason.split("\n")[0]) for item in all_items(store)] == [
        ("a", "known"),
        ("a", "again"),
        ("b", "known"),
    ]


def test_a_value_that_is_on_the_list_gets_its_new_end(store: Store) -> None:
    put(store, "a", until=NOON + DAY)
    put(store, "a", until=NOON + 2 * DAY)
    with store.read() as connection:
        assert items_of(connection, "watched") == {"a": NOON + 2 * DAY}
    assert len(all_items(store)) == 2


def test_several_are_removed_together_or_not_at_all(store: Store) -> None:
    put(store, "a")
    with pytest.raises(NotFound, match="value 2 is not on the list `watched`"):
        take_off(store, "a", "nosuch")
    with store.read() as connection:
        assert items_of(connection, "watched") == {"a": None}
    assert [kind for kind, _ in logged(store)] == ["list.added"]


def test_the_log_counts_and_names_no_value(store: Store) -> None:
    put(store, "secret-value", "secret-value", "other")
    take_off(store, "other")
    (added, says), (removed, also) = logged(store)
    assert (added, says["count"], says["by"], says["list"]) == ("list.added", 2, "ann", "watched")
    assert (removed, also["count"], also["by"], also["guarded"]) == ("list.removed", 1, "bob", ["p/r"])
    assert "secret" not in json.dumps([says, also])
    assert verify(store).ok


def test_every_change_gives_another_version_whatever_the_clocks_say(store: Store) -> None:
    def now() -> tuple[int, ...]:
        with store.read() as connection:
            return version(connection, ["watched"])

    seen = [now()]
    for change in (
        lambda: put(store, "a"),
        lambda: put(store, "a", until=NOON + DAY),
        lambda: put(store, "b", now=NOON - DAY),
        lambda: take_off(store, "a", now=NOON - DAY),
        lambda: put(store, "a", now=NOON - DAY),
    ):
        change()
        seen.append(now())
    assert len(set(seen)) == len(seen)
    put(store, "x", name="other")
    assert now() == seen[-1]
    with store.read() as connection:
        assert version(connection, []) == ()


def test_lists_are_read_by_name_when_asked_for(store: Store) -> None:
    put(store, "a")
    put(store, "b", name="other")
    with store.read() as connection:
        lists = StoredLists(connection)
        assert (list(lists), len(lists)) == (["other", "watched"], 2)
        assert lists["watched"] == {"a": None}
        assert lists.get("nosuch", {}) == {}
