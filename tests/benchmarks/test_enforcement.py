"""How fast worker processes make a gateway agree with ten thousand holds on a thousand merchants, and how that grows.

    pytest tests/benchmarks/test_enforcement.py --benchmark-only -s

Each call to the gateway takes 20 ms, as over a network; the workers share a database and nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paycordon.decisions import Scope
from paycordon.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "enforcement"))
from many_workers import Round, Scene
from shared_gateway import SharedGateway

MERCHANTS, HOLDS = 1_000, 10_000


@pytest.mark.timeout(1_800)
def test_growth_with_workers(store: Store, store_url: str, benchmark) -> None:
    rounds: list[Round] = []

    def all_rounds() -> None:
        with SharedGateway(latency_s=0.02) as gateway:
            scene = Scene(store, store_url, gateway, MERCHANTS)
            quarter = HOLDS // 4
            for workers, scope in ((1, Scope.PAYOUTS), (2, Scope.CHARGES), (4, None), (8, Scope.CHARGES)):
                if scope is None:
                    scene.release(Scope.CHARGES)
                    scene.changes -= 1  # the holds that follow ask for nothing more
                scene.place(scope or Scope.PAYOUTS, quarter)
                rounds.append(scene.settle(workers, quarter))
                scene.check()

    benchmark.pedantic(all_rounds, rounds=1)
    name = store.engine.dialect.name
    print(f"\n{name}: workers, accounts/s, times one worker")
    for each in rounds:
        print(f"  {each.workers}  {each.accounts_per_s:6.1f}  {each.accounts_per_s / rounds[0].accounts_per_s:.2f}")
