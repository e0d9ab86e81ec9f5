"""Runs single tests of the conformance kit in-process, so that many faulty adapters can be tried in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paycordon.testing import GatewayConformance, GatewayHarness

# The tutorial adapter is the one that faults are seeded into.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "new_gateway"))

from acme_simulator import AcmeSimulator


class Kit(GatewayConformance):
    """The kit, with a harness handed over by hand."""


def outcome(harness: GatewayHarness, test: str) -> str | None:
    """Run one test of the kit; return why it failed, or nothing when it passed."""
    method: Callable[[GatewayHarness], None] = getattr(Kit(), test)
    try:
        method(harness)
    except (Exception, pytest.fail.Exception) as error:
        return str(error).splitlines()[0] or type(error).__name__
    finally:
        harness.faults.clear()
    return None


@pytest.fixture(scope="session")
def kit_outcome() -> Callable[[GatewayHarness, str], str | None]:
    return outcome


@pytest.fixture(scope="session")
def kit_tests() -> list[str]:
    return sorted(name for name in dir(Kit) if name.startswith("test_"))


@pytest.fixture(scope="module")
def simulator() -> Iterator[AcmeSimulator]:
    with AcmeSimulator() as running:
        yield running


@pytest.fixture(scope="module")
def caught() -> Iterator[list[tuple[str, str, str]]]:
    """Collects what was caught, and prints the table at the end (seen with `pytest -s`)."""
    rows: list[tuple[str, str, str]] = []
    yield rows
    for fault, test, why in rows:
        print(f"\n{fault:<58} {test}\n{'':<58}   {why}", end="")
    print()
