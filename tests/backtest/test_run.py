"""A backtest may be killed, starved and repeated: its result is the same, or it says why there is none."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from paycordon.backtest.pool import WorkerLost, in_order
from paycordon.backtest.run import Settings
from paycordon.backtest.state import NoRoom, opened
from paycordon.errors import ConfigError


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "paycordon", "policy", "diff", *map(str, arguments), "--json"]


def long_history(history: Any, number: int) -> Path:
    chance = random.Random(3)
    lines = []
    for n in range(number):
        at = history.start + timedelta(minutes=n)
        if n % 3:
            lines.append(history.about("payment.succeeded", n, n % 50, at))
        else:
            lines.append(history.payout(n, merchant=n % 50, minor=chance.randrange(1, 1_000_00)))
    return Path(history.write(lines))


def test_an_event_that_comes_again_counts_once_and_the_first_counts(history: Any) -> None:
    first, again = history.payout(1, minor=2_000_00), history.payout(1, minor=1)
    path = history.write([history.payout(0), first, again, first, history.payout(2)])

    with history.run(path, new=history.policy()) as done:
        assert history.outcomes(done) == {1: "allow", 2: "hold", 5: "allow"}
        assert done.events == 5


def test_an_account_belongs_to_whom_it_was_linked_to_before(history: Any) -> None:
    nobody: dict[str, Any] = {"merchant": {}}
    path = history.write(
        [
            history.payout(1, merchant=3) | nobody,
            history.payout(2, merchant=3),
            history.payout(3, merchant=3) | nobody,
            history.payout(4, merchant=4) | {"account": {"id": "acct_3", "at_gateway": False}},
            history.payout(5, merchant=3) | nobody,
        ]
    )
    with history.run(path, new=history.policy()) as done:
        found = done.duck.execute("SELECT position, merchant FROM events ORDER BY 1").fetchall()

    assert found == [(1, "acme/acct_3"), (2, "m_3"), (3, "m_3"), (4, "m_4"), (5, "m_3")]


def test_what_a_merchant_did_before_counts_and_what_came_later_does_not(history: Any) -> None:
    late = history.payout(9, merchant=1, occurred_at=(history.start - timedelta(hours=1)).isoformat())
    path = history.write([*(history.payout(n, merchant=1) for n in range(4)), late, history.payout(10, merchant=1)])

    with history.run(path, new=history.policy()) as done:
        found = done.duck.execute("SELECT position, a0 FROM aggregates_used ORDER BY position").fetchall()

    assert found == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 6)]


def test_what_is_done_already_is_not_done_again(history: Any) -> None:
    path, state = history.write([history.payout(n) for n in range(50)]), history.directory / "kept"
    with history.run(path, state, new=history.policy()) as done:
        before = history.outcomes(done)
    files = {file: file.stat().st_mtime_ns for file in state.rglob("*.parquet")}

    with history.run(path, state, new=history.policy()) as done:
        after = history.outcomes(done)

    assert after == before
    assert {file: file.stat().st_mtime_ns for file in state.rglob("*.parquet")} == files


def test_another_history_or_policy_in_the_same_directory_is_another_run(history: Any) -> None:
    state = history.directory / "kept"
    with history.run(history.write([history.payout(1)]), state, new=history.policy()) as done:
        first = history.outcomes(done)
    with history.run(history.write([history.payout(1, minor=950_00)]), state, new=history.policy()) as done:
        second = history.outcomes(done)
    with history.run(history.write([history.payout(1)]), state, new=history.policy(large=1)) as done:
        third = history.outcomes(done)

    assert (first, second, third) == ({1: "allow"}, {1: "hold"}, {1: "hold"})


@pytest.mark.timeout(300)
def test_a_run_that_is_killed_again_and_again_ends_with_the_result_of_one_that_was_not(history: Any) -> None:
    path = long_history(history, 5_000)
    old, new = history.policy("old.yaml"), history.policy("new.yaml", large=700_00, version=2)
    arguments = (old, new, "--history", path, "--config", history.directory / "none.yaml")
    whole = subprocess.run(command(*arguments, "--jobs", "1"), capture_output=True, check=True, timeout=200)
    kept = history.directory / "kept"
    resumed = command(*arguments, "--state", kept, "--jobs", "2")
    kills = 0
    for reached in ("lock", "taken-*/*.parquet", "history-*.duckdb", "judged-*"):
        kills += killed_once(kept, reached, resumed)

    assert kills >= 3
    out = subprocess.run(resumed, capture_output=True, check=True, timeout=200).stdout
    assert json.loads(out) == json.loads(whole.stdout)


def killed_once(kept: Path, reached: str, resumed: list[str]) -> bool:
    """Kill a run as soon as it has come so far; false if it had ended before."""
    process = subprocess.Popen(resumed, stdout=subprocess.DEVNULL)
    until(lambda: any(kept.glob(reached)) or process.poll() is not None, f"{reached} was never there")
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_workers_end_when_the_process_that_started_them_is_killed(history: Any) -> None:
    path = long_history(history, 10_000)
    process = subprocess.Popen(
        command(history.policy(), history.policy("b.yaml", large=1), "--history", path, "--jobs", "2"),
        stdout=subprocess.DEVNULL,
    )
    children = until(lambda: children_of(process.pid), "no worker was started")
    process.send_signal(signal.SIGKILL)
    process.wait()

    until(lambda: not any(is_running(child) for child in children), "workers outlived their parent")


def children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    workers = [int(each) for each in found if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]
    return workers if len(workers) >= 2 else []


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def until(found: Callable[[], Any], complaint: str) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.05)
    raise AssertionError(complaint)


def test_a_worker_that_dies_is_an_error_and_not_a_hang() -> None:
    with pytest.raises(WorkerLost, match="ended unexpectedly"):
        list(in_order(partial(partial, os._exit), [1, 2, 3], processes=2))


def test_results_come_in_the_order_of_their_tasks() -> None:
    assert list(in_order(partial(partial, abs), range(-40, 0), processes=2)) == list(range(40, 0, -1))


def test_an_error_in_a_worker_is_the_error_of_the_run() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(in_order(partial(partial, int), ["1", "x"], processes=2))


def test_two_runs_do_not_share_a_directory(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "kept"),
        pytest.raises(ConfigError, match="another backtest uses"),
        opened(tmp_path / "kept"),
    ):
        pass


def test_too_little_memory_is_said_and_nothing_is_concluded(history: Any) -> None:
    settings = Settings(processes=1, memory="1MB")

    with (
        pytest.raises(NoRoom, match="1MB of memory is not enough"),
        history.run(long_history(history, 3_000), settings=settings, new=history.policy()),
    ):
        pass


_CAPPED = """
import resource, runpy, sys
limit = int(sys.argv.pop(1)) * 1_048_576
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
runpy.run_module("paycordon", run_name="__main__", alter_sys=True)
"""


@pytest.mark.timeout(300)
def test_a_history_larger_than_the_memory_it_gets_is_judged_to_its_end(history: Any) -> None:
    number = 70_000
    template = json.dumps(history.payout(0))
    path = history.directory / "large.jsonl"
    with path.open("w") as file:
        for n in range(number):
            changed = template.replace("evt_0", f"evt_{n}").replace("m_0", f"m_{n % 5_000}").replace("po_0", f"po_{n}")
            file.write(changed + "\n")
    memory, cap = 21, 400
    policy = history.policy()
    arguments = ["policy", "backtest", policy, "--history", path, "--memory", f"{memory}MB", "--jobs", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", _CAPPED, str(cap), *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=280,
        cwd=history.directory,
        env={**os.environ, "OMP_NUM_THREADS": "64"},  # as on a machine with many processors: stacks of threads count
    )

    assert done.returncode == 0, done.stderr.decode()[-500:]
    assert path.stat().st_size > memory * 1_048_576
    assert json.loads(done.stdout)["report"]["history"]["judged"] == number
