"""Several worker processes at once: each account ends as its holds say, and is changed once for each wish.

`tests/benchmarks/test_enforcement.py` is the same with ten thousand holds, and shows the growth.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paycordon.decisions import Scope
from paycordon.record.verify import verify
from paycordon.store import Store

sys.path.insert(0, str(Path(__file__).parent))
from many_workers import Scene  # also used by the benchmark, which is not in this directory
from shared_gateway import SharedGateway


@pytest.mark.timeout(120)
def test_three_workers_do_each_thing_once(store: Store, store_url: str) -> None:
    with SharedGateway(latency_s=0.005) as gateway:
        scene = Scene(store, store_url, gateway, merchants=20)
        scene.place(Scope.PAYOUTS, 60)
        scene.place(Scope.CHARGES, 20)
        scene.changes = 1  # two wishes before anybody worked are one change
        scene.settle(3, 80)
        scene.check()
        scene.release(Scope.CHARGES)
        scene.settle(3, 0)
        scene.check()
    report = verify(store)
    assert report.ok, report.problems
