"""Nothing is lost and nothing is done twice, however often processes and databases are killed; and the proof can fail.

The long runs are marked `soak`: `pytest tests/crash -m soak -s`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HARNESS = Path(__file__).with_name("harness.py")
STORES = ["sqlite", "postgresql"]
SHORT, LONG = 5, 200


def run(*arguments: str, patience: float) -> tuple[dict[str, Any], dict[str, int]]:
    """Run the harness in a process of its own: it forks, and must not do so from one with threads."""
    done = subprocess.run(
        [sys.executable, str(HARNESS), "--json", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience,
    )
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    wrong = {name: number for name, number in result["wrong"].items() if number}
    assert done.returncode == (1 if wrong else 0)
    return result["counts"], wrong


def show(capsys: pytest.CaptureFixture[str], name: str, counts: dict[str, Any]) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: {json.dumps(counts)}\n")


@pytest.mark.timeout(200)
@pytest.mark.parametrize("store", STORES)
def test_killing_server_workers_and_database_loses_and_doubles_nothing(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    counts, wrong = run("--store", store, "--cycles", str(SHORT), "--seed", "3", patience=180)
    show(capsys, store, counts)
    assert wrong == {}
    assert sum(number for name, number in counts.items() if name.endswith("killed")) >= SHORT
    assert counts["effects"] > 0


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("store", STORES)
def test_two_hundred_cycles_lose_and_double_nothing(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    counts, wrong = run("--store", store, "--cycles", str(LONG), "--seed", "1", patience=3_500)
    show(capsys, store, counts)
    assert wrong == {}
    assert counts["effects"] > 0


@pytest.mark.soak
@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("sabotage", "seen"),
    [
        ("fence", {"restricted without a hold", "baseline lost", "effects too late", "never finished"}),
        ("outbox", {"free with a hold"}),
        ("baseline-late", {"baseline lost"}),
        ("baseline-again", {"baseline lost"}),
        ("keys", {"told twice"}),
        ("settled-early", {"stands here only", "not published"}),
        ("told-later", {"deadlines not told"}),
    ],
)
def test_what_is_deliberately_broken_is_noticed(
    sabotage: str, seen: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--store", "sqlite", "--cycles", "15", "--seed", "3", "--sabotage", sabotage)
    counts, wrong = run(*arguments, patience=180)
    show(capsys, sabotage, {"wrong": wrong, **counts})
    assert seen & set(wrong), wrong
