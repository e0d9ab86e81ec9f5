"""Nothing is lost and nothing is done twice, however often the processes are killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("harness.py")
CYCLES = 50


@pytest.mark.timeout(400)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_killing_server_and_worker_loses_and_doubles_nothing(
    database: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    url = request.getfixturevalue("empty_sqlite_url" if database == "sqlite" else "empty_postgres_url")
    # A process of its own: the harness forks, and must not do so from one with threads.
    done = subprocess.run(
        [sys.executable, str(HARNESS), "--store", url, "--cycles", str(CYCLES), "--seed", "7"],
        capture_output=True,
        text=True,
        check=False,
        timeout=380,
    )
    assert done.returncode in (0, 1), done.stderr
    result = json.loads(done.stdout)
    with capsys.disabled():
        sys.stdout.write(f"\n{database}: {json.dumps(result['counts'])}\n")
    assert {name: number for name, number in result["wrong"].items() if number} == {}
    assert result["counts"]["server killed"] + result["counts"]["worker killed"] >= CYCLES
    assert result["counts"]["effects"] > 0
