"""How long a command line and an importing program wait before anything happens.

Run with `pytest tests/benchmarks/test_startup.py --benchmark-only -s`. Aims: `paycordon --help` within 0.5 s,
`import paycordon` within 0.25 s, both including the interpreter's own start.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import Any

import pytest

COMMANDS = {
    "python alone": ("-c", "pass"),
    "import paycordon": ("-c", "import paycordon"),
    "from paycordon import Cordon": ("-c", "from paycordon import Cordon"),
    "paycordon --help": ("-m", "paycordon", "--help"),
}
ROUNDS = 11


@pytest.mark.benchmark(group="startup")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_start(benchmark: Any, name: str) -> None:
    def start() -> None:
        subprocess.run([sys.executable, *COMMANDS[name]], check=True, stdout=subprocess.DEVNULL, timeout=60)

    benchmark.pedantic(start, rounds=ROUNDS, warmup_rounds=1)
    data = benchmark.stats.stats.data
    print(f"\n{name:>28}: median {statistics.median(data):.3f} s of {len(data)} runs", end="")
