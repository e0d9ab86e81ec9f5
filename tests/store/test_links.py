"""Who is linked to whom, as the sightings say: hops, ways, hubs, and bounds that hold whatever is stored."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from paycordon.context import NearBlock, SharedIdentifier
from paycordon.decisions import Outcome
from paycordon.errors import NotFound
from paycordon.links import Network, Reach
from paycordon.links.components import components
from paycordon.store import Store
from paycordon.store import links as graph
from paycordon.store.schema import micros

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
Seen = tuple[str, str, int, int]  # merchant, digest, first and last day


def see(store: Store, seen: Iterable[Seen], kind: str = "iban") -> None:
    rows = [
        {"m": m, "d": d, "k": kind, "first": micros(START + first * DAY), "last": micros(START + last * DAY)}
        for m, d, first, last in seen
    ]
    with store.write() as connection:
        connection.execute(
            text("INSERT INTO merchants (merchant, seq) VALUES (:m, 1) ON CONFLICT (merchant) DO NOTHING"), rows
        )
        connection.execute(
            text(
                "INSERT INTO sightings (digest, merchant, kind, first_seen, last_seen) "
                "VALUES (:d, :m, :k, :first, :last)"
            ),
            rows,
        )


def hold(store: Store, merchant: str, outcome: str, *, released: bool = False) -> None:
    with store.write() as connection:
        connection.execute(
            text(
                "INSERT INTO holds (id, merchant, instance, account, subject_kind, subject_id, outcome, rule, "
                "merchant_reason, created_at, released_at, source, scope, two_people) VALUES (:id, :merchant, '', '', "
                "'merchant', :merchant, :outcome, 'p/r', 'r', 1, :released, 'person', 'payouts', 0)"
            ),
            {
                "id": f"h_{merchant}_{outcome}",
                "merchant": merchant,
                "outcome": outcome,
                "released": 2 if released else None,
            },
        )


def search(store: Store, merchant: str = "a", **reach: object) -> Network:
    with store.read() as connection:
        return graph.network(connection, merchant, Reach(**reach))  # type: ignore[arg-type]


def chain(store: Store) -> None:
    see(store, [("a", "k1:1", 0, 5), ("b", "k1:1", 3, 9), ("b", "k1:2", 0, 1), ("c", "k1:2", 4, 9)])
    see(store, [("c", "k1:3", 0, 1), ("d", "k1:3", 0, 1), ("a", "k1:own", 0, 1)])


def test_hops_and_the_way_to_the_nearest_that_is_blocked(store: Store) -> None:
    chain(store)
    hold(store, "b", "block", released=True)
    hold(store, "c", "hold")
    hold(store, "c", "block")

    found = search(store)

    assert [(m.merchant, m.hops) for m in found.members] == [("a", 0), ("b", 1), ("c", 2), ("d", 3)]
    near = found.nearest(Outcome.BLOCK)
    assert near is not None
    assert (near.merchant, near.standing) == ("c", Outcome.BLOCK)
    first, second = found.way("c")
    assert (first.merchant, first.to, first.digest) == ("a", "b", "k1:1")
    assert (first.since, first.together) == (START + 3 * DAY, True)
    assert (second.to, second.since, second.together) == ("c", START + 4 * DAY, False), "one after the other"
    assert {tie.digest for tie in found.ties} == {"k1:1", "k1:2", "k1:3"}, "what only one has links nobody"
    assert not found.cut


def test_no_further_than_asked_and_a_cycle_ends(store: Store) -> None:
    chain(store)
    see(store, [("d", "k1:4", 0, 1), ("a", "k1:4", 0, 1)])
    assert [m.merchant for m in search(store, hops=1).members] == ["a", "b", "d"]
    assert [(m.merchant, m.hops) for m in search(store, hops=10).members][-1] == ("c", 2)


def test_nothing_shared_and_an_unknown_merchant(store: Store) -> None:
    see(store, [("a", "k1:own", 0, 1)])
    found = search(store)
    assert (len(found.members), found.ties, found.nearest(Outcome.HOLD)) == (1, (), None)
    with pytest.raises(NotFound, match="no event of merchant `x`"):
        search(store, "x")


def test_kinds_that_say_nothing_and_common_identifiers_link_nobody(store: Store) -> None:
    see(store, [("a", "k1:ip", 0, 1), ("b", "k1:ip", 0, 1)], kind="ip")
    see(store, [("a", "k1:bank", 0, 1), ("c", "k1:bank", 0, 1)])
    found = search(store, common=frozenset({"k1:bank"}))
    assert [m.merchant for m in found.members] == ["a"]
    assert [(hub.digest, hub.why) for hub in found.hubs] == [("k1:bank", "on a warning list")]


def test_a_search_takes_in_what_was_written_since(store: Store) -> None:
    see(store, [("a", "k1:1", 0, 1)])
    assert len(search(store).members) == 1
    see(store, [("b", "k1:1", 2, 3)])
    assert [m.merchant for m in search(store).members] == ["a", "b"]


def test_hubs_and_bounds_hold_at_hostile_sizes(store: Store) -> None:
    see(store, [(f"h{n:06}", "k1:hub", 0, 1) for n in range(20_000)])
    see(store, [("a", "k1:hub", 0, 1), ("a", "k1:1", 0, 1), ("b", "k1:1", 0, 1)])
    see(store, [("b", f"k1:many{n:05}", 0, 1) for n in range(5_000)])
    started = time.perf_counter()
    found = search(store, most_identifiers=50)
    elapsed = time.perf_counter() - started
    assert [m.merchant for m in found.members] == ["a", "b"]
    assert [hub.why for hub in found.hubs] == ["more than 50 merchants have it"]
    assert found.cut, "not all of b's identifiers were followed"
    assert elapsed < 2.0, "milliseconds, on a machine that is not as busy as this one may be"
    assert len(search(store, "h000001", most_shared=30_000, most_members=100).members) == 100


def test_components_of_all_merchants_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chain(store)
    see(store, [("y", "k1:8", 0, 1), ("z", "k1:8", 0, 1), ("alone", "k1:9", 0, 1), ("z", "k2:8", 0, 1)])
    hold(store, "z", "hold")
    monkeypatch.setattr(graph, "PAGE", 2)
    done: list[int] = []
    with store.read() as connection:
        bad, total = graph.stopped(connection), graph.amount(connection)
    found = components(graph.sightings(store, done.append), bad, most_shared=50)
    assert (found.sizes, found.shared, found.hubs) == ({2: 1, 4: 1}, 4, 0)
    assert [(each.merchants, each.stopped, each.some) for each in found.largest] == [
        (2, 1, ("z", "y")),
        (4, 0, ("a", "b", "c", "d")),
    ]
    assert done[-1] == total == 11


def shared(digest: str, others: int = 1, blocked: int = 0) -> SharedIdentifier:
    return SharedIdentifier("iban", digest, others, blocked)


def near(store: Store, *found: SharedIdentifier, merchant: str = "a") -> tuple[NearBlock, ...]:
    with store.read() as connection:
        return graph.near_blocks(connection, found, merchant)


def test_a_screening_sees_blocked_merchants_two_hops_away_and_no_others(store: Store) -> None:
    chain(store)
    assert near(store, shared("k1:1")) == ()
    hold(store, "d", "block")
    assert near(store, shared("k1:1")) == (), "three hops"
    hold(store, "c", "block")
    assert near(store, shared("k1:1")) == (NearBlock("iban", "k1:1", "iban", "k1:2"),)
    assert near(store, shared("k1:1", blocked=1)) == (), "one hop away is nearer"
    assert near(store, shared("k1:1", others=11)) == ()
    assert near(store) == ()
    assert near(store, shared("k1:1"), merchant="c") == (), "its own block"


def test_a_screening_reads_little_of_a_hub_two_hops_away(store: Store) -> None:
    see(store, [("a", "k1:1", 0, 1), ("b", "k1:1", 0, 1), ("b", "k1:hub", 0, 1)])
    see(store, [(f"h{n:05}", "k1:hub", 0, 1) for n in range(5_000)])
    hold(store, "h00000", "block")
    assert near(store, shared("k1:1")) == ()
