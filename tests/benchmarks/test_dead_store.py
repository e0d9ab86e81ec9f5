"""How soon a caller has its answer when the database is dead, beside how soon it has one when the database lives.

Run with `pytest tests/benchmarks/test_dead_store.py --benchmark-only -s`. The first answer after the database died
costs the watch (40 ms) and what it takes to look; those after it are there at once. The promise is 50 ms.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from paycordon.coalition.identifiers import Digester
from paycordon.decisions import Outcome
from paycordon.plugins import Plugins
from paycordon.policy import PolicySet
from paycordon.screening import Cordon, Limits
from paycordon.store import Store
from paycordon.testing import make_event

BUDGET = timedelta(milliseconds=200)
WATCH = timedelta(milliseconds=40)
ROUNDS = 30
RESULTS: dict[str, list[float]] = {}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@pytest.fixture
def cordon(tmp_path: Path) -> Iterator[Cordon]:
    store = Store.open(f"sqlite:///{tmp_path / 'bench.db'}", patience=BUDGET, watch=WATCH)
    limits = Limits(BUDGET, timedelta(seconds=5), Outcome.HOLD, WATCH)
    made = Cordon(store, PolicySet(), Plugins({}), Digester({"k1": b"0" * 32}, "k1"), limits=limits)
    yield made
    made.close()


@pytest.mark.benchmark(group="dead store")
def test_answers_before_and_after_a_database_is_locked(benchmark: Any, cordon: Cordon, tmp_path: Path) -> None:
    numbers = iter(range(10_000))

    def ask() -> float:
        event = make_event("payout.requested", id=f"evt_{next(numbers)}")
        started = time.perf_counter()
        cordon.screen(event)
        return time.perf_counter() - started

    def once() -> None:
        while cordon.store.trouble is not None:
            time.sleep(0.005)
        RESULTS.setdefault("alive", []).append(statistics.median(ask() for _ in range(5)))
        with locked(tmp_path / "bench.db"):
            RESULTS.setdefault("first", []).append(ask())
            RESULTS.setdefault("next", []).append(statistics.median(ask() for _ in range(20)))

    benchmark.pedantic(once, rounds=ROUNDS)
    middle = {name: statistics.median(times) * 1_000 for name, times in RESULTS.items()}
    print(
        f"\nalive {middle['alive']:.2f} ms; locked: first answer {middle['first']:.1f} ms (promised 50),"
        f" each after it {middle['next']:.2f} ms, {middle['next'] / middle['alive']:.2f} of one that is recorded"
    )
