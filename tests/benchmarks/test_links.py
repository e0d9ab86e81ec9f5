"""Links between merchants at growing sizes: a search, what a screening looks up, and all components at once.

Run with `pytest tests/benchmarks/test_links.py --benchmark-only -s`; sizes up to a hundred thousand merchants, or those
that `PAYCORDON_LINKS_SIZES` names, such as `1000000` (which takes some minutes and about a gigabyte of disk).

A merchant has three identifiers; one in five merchants shares one with another, some hang together in chains of twenty,
a hundredth is blocked, and one identifier belongs to every tenth merchant: a hub. Beside a search stands what is usual
in SQL, a recursive query, which has no bound for hubs; it is measured at the smallest size only, as it grows with the
square of the hub.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paycordon.context import SharedIdentifier
from paycordon.links import Reach
from paycordon.links.components import components
from paycordon.store import Store, links

SIZES = [int(size) for size in os.environ.get("PAYCORDON_LINKS_SIZES", "10000 100000").split()]
SEARCHES = 200
_RECURSIVE = """
WITH RECURSIVE near(merchant, hops) AS (
  SELECT ?, 0 UNION
  SELECT other.merchant, near.hops + 1 FROM near JOIN sightings own ON own.merchant = near.merchant
  JOIN sightings other ON other.digest = own.digest WHERE near.hops < 2
) SELECT COUNT(DISTINCT merchant) FROM near
"""


def sightings(size: int) -> Iterator[tuple[str, str, str, int, int]]:
    rng = random.Random(size)
    chained = size // 100  # merchants in chains of twenty
    for n in range(size):
        merchant = f"m_{n:07}"
        for kind in ("iban", "phone", "email"):
            yield f"k1:{rng.getrandbits(256):064x}", merchant, kind, n, n + 1_000
        if n < chained and n % 20:
            chain = f"k1:{0xABC0000 + n:064x}"
            yield chain, merchant, "device", n, n + 1_000
            yield chain, f"m_{n - 1:07}", "device", n, n + 1_000
        elif rng.random() < 0.2:
            yield f"k1:{0xDEF0000 + rng.randrange(size // 10):064x}", merchant, "device", n, n + 1_000
        if n % 10 == 0:
            yield f"k1:{7:064x}", merchant, "tax_id", n, n + 1_000


def filled(path: Path, size: int) -> Store:
    store = Store.open(f"sqlite:///{path}")
    with store.write() as connection:
        raw: Any = connection.connection.driver_connection
        raw.executemany("INSERT INTO merchants (merchant, seq) VALUES (?, 1)", ((f"m_{n:07}",) for n in range(size)))
        raw.executemany(
            "INSERT OR IGNORE INTO sightings (digest, merchant, kind, first_seen, last_seen) VALUES (?, ?, ?, ?, ?)",
            sightings(size),
        )
        raw.executemany(
            "INSERT INTO holds (id, merchant, instance, account, subject_kind, subject_id, outcome, rule, "
            "merchant_reason, created_at, source, scope, two_people) VALUES (?, ?, '', '', 'merchant', ?, 'block', "
            "'p/r', 'r', 1, 'person', 'payouts', 0)",
            ((f"h{n}", f"m_{n:07}", f"m_{n:07}") for n in range(0, size, 100)),
        )
    return store


def took(function: Any, arguments: list[Any]) -> list[float]:
    times = []
    for argument in arguments:
        started = time.perf_counter()
        function(argument)
        times.append(time.perf_counter() - started)
    return sorted(times)


@pytest.mark.benchmark(group="links")
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("size", SIZES)
def test_links_of_many_merchants(benchmark: Any, tmp_path: Path, size: int) -> None:
    store = filled(tmp_path / "links.db", size)
    rng = random.Random(1)
    in_chains = [f"m_{n:07}" for n in range(1, min(SEARCHES, size // 100))]
    anybody = [f"m_{rng.randrange(size):07}" for _ in range(SEARCHES)]
    in_hub = [f"m_{rng.randrange(size // 10) * 10:07}" for _ in range(SEARCHES)]
    reach = Reach(hops=3)
    with store.read() as connection:
        for name, merchants in (("anybody", anybody), ("in a chain", in_chains), ("in the hub", in_hub)):
            times = took(lambda m: links.network(connection, m, reach), merchants)
            shown(f"{size:>9,} merchants, search of 3 hops, {name}", times)
        shared = [
            SharedIdentifier("device", f"k1:{0xABC0000 + n:064x}", 1, 0) for n in range(21, min(SEARCHES, 80)) if n % 20
        ]
        shown(
            f"{size:>9,} merchants, screening, shared", took(lambda s: links.near_blocks(connection, [s], "x"), shared)
        )
        shown(
            f"{size:>9,} merchants, screening, nothing shared",
            took(lambda _: links.near_blocks(connection, (), "x"), anybody),
        )
        raw: Any = connection.connection.driver_connection
        if size <= 10_000:  # with a hub it is quadratic
            peer = took(lambda m: raw.execute(_RECURSIVE, (m,)).fetchall(), in_hub[:1])
            shown(f"{size:>9,} merchants, recursive query of 2 hops, in the hub", peer)
        bad = links.stopped(connection)

    def all_of_them() -> Any:
        return components(links.sightings(store), bad, most_shared=50)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = benchmark.pedantic(all_of_them, rounds=1)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    seconds = benchmark.stats.stats.data[0]
    print(
        f"{size:>9,} merchants, components: {found.count:,} of {found.merchants:,} merchants in {seconds:.1f} s, "
        f"{grown:.0f} MB more at most"
    )
    assert found.hubs >= 1
    store.close()


def shown(what: str, times: list[float]) -> None:
    p99 = times[int(len(times) * 0.99)]
    print(f"{what}: median {statistics.median(times) * 1e3:.3f} ms, p99 {p99 * 1e3:.3f} ms")
