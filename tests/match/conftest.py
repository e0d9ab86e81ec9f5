"""The simulated list of terminated merchants; what tests share stands in `match_world` and `match_schemas` beside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests are no package; these two names are nobody else's


@pytest.fixture
def match() -> Iterator[Any]:
    from match_world import simulated

    with simulated() as simulator:
        yield simulator
