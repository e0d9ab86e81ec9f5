"""A hub at 10 k to 10 M entries: what building takes, how well buckets hide, and a query's time on the hub's processor.

Run with `pytest tests/benchmarks/test_hub.py --benchmark-only -s`. A million and ten million entries take minutes:
set PAYCORDON_HUB_ENTRIES, such as `1000000,10000000`.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paycordon.events import Identifier
from paycordon.hub import group, voprf
from paycordon.hub.client import Hub

SIZES = [int(each) for each in os.environ.get("PAYCORDON_HUB_ENTRIES", "10000,100000").split(",")]
QUERIES = 500
LIMIT_MS = 1.0


def run(*args: str | Path) -> str:
    command = [sys.executable, "-m", "paycordon", *map(str, args), "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def write(path: Path, entries: int) -> None:
    with path.open("w") as file:
        file.writelines(f'{{"kind":"device","value":"device-{number:08x}"}}\n' for number in range(entries))


@contextmanager
def served(directory: Path) -> Iterator[tuple[int, str]]:
    """A hub in a process of its own: its process id and address."""
    command = [sys.executable, "-m", "paycordon", "hub", "serve", "-d", str(directory), "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.pid, f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def cpu_ms(pid: int) -> float:
    """Milliseconds that a process with one busy thread has had on a processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def asked(directory: Path, entries: int, public_key: str) -> tuple[list[float], list[float], float, float]:
    """Milliseconds of the hub's processor for single lookups that hit and that miss, and in a batch; its memory."""
    token = json.loads(run("hub", "add-member", "acme", "-d", directory, "--burst", 10_000))["token"]
    hits, misses = list[float](), list[float]()
    with served(directory) as (pid, url):
        hub = Hub(url, token, [public_key])
        hub.known([Identifier(kind="device", value="device-00000000")])
        for number in range(QUERIES):
            known = number % 2 == 0
            value = f"device-{secrets.randbelow(entries):08x}" if known else f"nobody-{number}"
            before = cpu_ms(pid)
            assert hub.known([Identifier(kind="device", value=value)]) == [known]
            (hits if known else misses).append(cpu_ms(pid) - before)
        before = cpu_ms(pid)
        hub.known([Identifier(kind="device", value=f"batch-{number}") for number in range(640)])
        batched = (cpu_ms(pid) - before) / 640
        hub.close()
        return hits, misses, batched, rss_mb(pid)


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="reads a process's time from Linux")
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("entries", SIZES)
def test_a_hub_grows(benchmark, tmp_path: Path, entries: int) -> None:
    directory, source = tmp_path / "hub", tmp_path / "list.jsonl"
    write(source, entries)
    public_key = json.loads(run("hub", "init", "-d", directory))["public_key"]

    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    (built,) = json.loads(run("hub", "build", source, "-d", directory))
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    (path,) = (directory / "lists").glob("*.buckets")

    hits, misses, batched, memory = benchmark.pedantic(asked, (directory, entries, public_key), rounds=1)

    p50, p99 = statistics.median(hits + misses), statistics.quantiles(hits + misses, n=100)[98]
    print(
        f"\n{entries:>10,} entries: built in {took:.0f} s ({cpu:.0f} s of processor, {after.ru_maxrss / 1024:.0f} MB);"
        f" file {path.stat().st_size / 1e6:.1f} MB; {2 ** built['bits']} buckets of {built['capacity']},"
        f" k {built['smallest']}; hub {memory:.0f} MB;"
        f" a query p50 {p50:.2f} p99 {p99:.2f} ms of processor"
        f" (hit {statistics.median(hits):.3f}, miss {statistics.median(misses):.3f}),"
        f" in batches of 64 {batched:.2f} ms"
    )
    assert built["entries"] == entries
    assert built["smallest"] >= 1_000
    assert p50 <= LIMIT_MS


def test_an_evaluation_beside_another_implementation(benchmark) -> None:
    """`voprf` wraps the Rust crate; it has no fixed blinds and no batch of two lists, so it is not what we build on."""
    peer = pytest.importorskip("voprf").ristretto
    seed = secrets.token_bytes(32)
    key, public = voprf.derive_key_pair(seed, b"")
    theirs = peer.Evaluator.from_seed(seed, b"")
    blinded = voprf.blind(b"one", group.random_scalar())
    given = peer.BlindedInput.deserialize(blinded)

    def median_us(step, rounds: int = 500) -> float:
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            step()
            times.append(time.perf_counter() - began)
        return statistics.median(times) * 1e6

    ours = median_us(lambda: voprf.blind_evaluate(key, public, [blinded], group.random_scalar()))
    other = median_us(lambda: theirs.evaluate(given))
    entry, their_entry = (
        median_us(lambda: voprf.evaluate(key, b"one")),
        median_us(lambda: theirs.evaluate_known_input(b"one")),
    )
    benchmark.pedantic(voprf.blind_evaluate, (key, public, [blinded], group.random_scalar()), rounds=200)
    print(
        f"\nevaluation with proof: {ours:.0f} us, voprf {other:.0f} us ({ours / other:.1f} times);"
        f" an entry of the list: {entry:.0f} us, voprf {their_entry:.0f} us ({entry / their_entry:.1f} times)"
    )
    assert ours < 1_000
