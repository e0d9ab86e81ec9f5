"""Whether a digest is known at all: the lookup beside a Python set, SQLite and LMDB, in one run, growing.

Run with `pytest tests/benchmarks/test_lookup.py --benchmark-only -s`; sizes up to a million, or those that
`PAYCORDON_LOOKUP_SIZES` names, such as `10000000` (which takes minutes and some gigabytes for the set). Each peer is
measured in a process of its own; half of the questions are about what is known.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from paycordon.coalition.lookup import LookupFile, Mark, key_of, sorted_keys, write

SIZES = [int(size) for size in os.environ.get("PAYCORDON_LOOKUP_SIZES", "10000 100000 1000000").split()]
QUESTIONS = 20_000
PEERS = ("lookup", "set", "sqlite", "lmdb")


def digests(size: int, seed: int | None = None) -> Iterator[str]:
    rng = random.Random(size if seed is None else seed)
    return (f"k1:{rng.getrandbits(256):064x}" for _ in range(size))


def resident() -> float:
    """Megabytes of this process that are in memory."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def lookup(directory: Path, size: int) -> tuple[Callable[[], None], Callable[[], Callable[[str], bool]]]:
    path = directory / "lookup"

    def build() -> None:
        keys = sorted_keys(map(key_of, digests(size)))
        write(path, [keys.tobytes()], Mark(1, bytes(32)))

    def opened() -> Callable[[str], bool]:
        file = LookupFile.open(path)
        return lambda digest: key_of(digest) in file

    return build, opened


def in_set(directory: Path, size: int) -> tuple[Callable[[], None], Callable[[], Callable[[str], bool]]]:
    def opened() -> Callable[[str], bool]:
        known = {bytes.fromhex(digest[-32:]) for digest in digests(size)}
        return lambda digest: bytes.fromhex(digest[-32:]) in known

    return lambda: None, opened


def sqlite(directory: Path, size: int) -> tuple[Callable[[], None], Callable[[], Callable[[str], bool]]]:
    path = directory / "sqlite"

    def build() -> None:
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE known (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        rows = sorted(bytes.fromhex(digest[-32:]) for digest in digests(size))
        database.executemany("INSERT INTO known VALUES (?)", ((row,) for row in rows))
        database.commit()
        database.close()

    def opened() -> Callable[[str], bool]:
        execute = sqlite3.connect(path).execute
        sql = "SELECT 1 FROM known WHERE digest = ?"
        return lambda digest: execute(sql, (bytes.fromhex(digest[-32:]),)).fetchone() is not None

    return build, opened


def lmdb(directory: Path, size: int) -> tuple[Callable[[], None], Callable[[], Callable[[str], bool]]]:
    import lmdb as library

    path = directory / "lmdb"

    def build() -> None:
        with library.open(str(path), map_size=4 << 30) as environment, environment.begin(write=True) as transaction:
            for row in sorted(bytes.fromhex(digest[-32:]) for digest in digests(size)):
                transaction.put(row, b"", append=True)

    def opened() -> Callable[[str], bool]:
        transaction = library.open(str(path), readonly=True, map_size=4 << 30).begin()
        return lambda digest: transaction.get(bytes.fromhex(digest[-32:])) is not None

    return build, opened


MAKE = {"lookup": lookup, "set": in_set, "sqlite": sqlite, "lmdb": lmdb}


def measure(peer: str, directory: Path, size: int, *, building: bool) -> dict[str, float]:
    """Build, or open and ask, in this process."""
    build, opened = MAKE[peer](directory, size)
    if building:
        started = time.perf_counter()
        build()
        return {"build_s": time.perf_counter() - started}
    every = max(1, size // (QUESTIONS // 2))
    known = list(itertools.islice(digests(size), 0, None, every))[: QUESTIONS // 2]
    asked = [*known, *digests(QUESTIONS // 2, seed=-1)]
    random.Random(1).shuffle(asked)
    before = resident()
    knows = opened()
    found = sum(map(knows, asked))
    assert found == len(known), (found, len(known))
    clock = time.perf_counter_ns
    times = []
    for digest in asked:
        started = clock()
        knows(digest)
        times.append(clock() - started)
    empty = statistics.median(-clock() + clock() for _ in range(1_000))
    times.sort()
    return {
        "p50_us": (statistics.median(times) - empty) / 1000,
        "p99_us": (times[int(len(times) * 0.99)] - empty) / 1000,
        "rss_mb": resident() - before,
    }


def apart(peer: str, directory: Path, size: int, mode: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, peer, str(directory), str(size), mode], capture_output=True, check=True, timeout=900
    )
    return dict(json.loads(done.stdout))


@pytest.mark.timeout(3_600)
def test_growth(benchmark: Any, tmp_path: Path) -> None:
    def run() -> None:
        for size in SIZES:
            for peer in PEERS:
                directory = tmp_path / f"{size}"
                directory.mkdir(exist_ok=True)
                got = apart(peer, directory, size, "build") | apart(peer, directory, size, "ask")
                print(
                    f"\n{size:>11,} {peer:>7}: p50 {got['p50_us']:.2f} us  p99 {got['p99_us']:.2f} us  "
                    f"{got['rss_mb']:.1f} MB RSS  built in {got['build_s']:.1f} s",
                    end="",
                )
        print()

    benchmark.pedantic(run, rounds=1)


if __name__ == "__main__":
    peer, directory, size, mode = sys.argv[1:]
    print(json.dumps(measure(peer, Path(directory), int(size), building=mode == "build")))
