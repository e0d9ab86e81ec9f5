"""How long a backtest takes and how much memory, and how both grow with the history.

Run with `pytest tests/benchmarks/test_backtest.py --benchmark-only -s`. Fifty rules and four windowed aggregates over
100,000, 300,000 and 1,000,000 events of which about a quarter is judged and the rest is context, as at a facilitator;
then over 300,000 events that all are judged. Memory is the proportional set size of all processes together.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

RULES = 50
MERCHANTS = 5_000
AGGREGATES = """
  payouts_1d: {count: payout.requested, window: 24h}
  paid_7d: {sum: payout.requested, window: 7d, include_current: false}
  payers_30d: {distinct: payment.succeeded, value: payer, window: 30d}
  disputes_90d: {count: dispute.opened, window: 90d}
"""
CONDITIONS = (
    'event.payout.amount.minor > {high} && findings.exists(f, f.code == "indicator.match" && f.confidence >= {least})',
    'aggregates.payouts_1d > {few} && event.payout.amount.minor > {high} && event.merchant.country == "NL"',
    'aggregates.paid_7d > {much} && !(event.merchant.mcc in ["5732", "5999"])',
    "aggregates.payers_30d < {few} && aggregates.disputes_90d >= {few} && event.payout.amount.minor > {high}",
    'event.payout.method == "instant" && event.account.country != "NL" && aggregates.payouts_1d > {few}',
)


@dataclass(frozen=True)
class Measured:
    seconds: float
    peak_mb: float


def policy() -> str:
    def when(n: int) -> str:
        values = {"high": 480_000 + n * 300, "few": 3 + n % 4, "much": 40_000_000 + n, "least": (n % 9 + 1) / 10}
        return json.dumps(CONDITIONS[n % 5].format(**values))

    rules = "".join(
        f"""  - id: rule-{n}
    on: [payout.requested, payout.updated]
    when: {when(n)}
    then: {("review", "hold", "block")[n % 3]}
    merchant_reason: additional_information_required
"""
        for n in range(RULES)
    )
    return f"policy: benchmark\nversion: 1\non_error: review\naggregates:{AGGREGATES}rules:\n{rules}"


def write_history(path: Path, number: int, *, all_judged: bool = False) -> None:
    chance = random.Random(7)
    start = time.strptime("2026-01-01", "%Y-%m-%d")
    at = time.mktime(start)
    with path.open("w") as file:
        for n in range(number):
            at += chance.expovariate(number / (120 * 86_400))  # four months, however many events
            late = chance.random() < 0.01
            file.write(line(n, at - (3_600 if late else 0), chance, all_judged))


def line(n: int, at: float, chance: random.Random, all_judged: bool) -> str:
    merchant = min(int(chance.paretovariate(0.9)) * 7, 10**6) % MERCHANTS if chance.random() < 0.3 else n % MERCHANTS
    kind = 0.99 if all_judged else chance.random()
    amount = f'{{"minor":{chance.randrange(100, 500_000)},"currency":"{"EUR" if merchant % 5 else "SEK"}"}}'
    if kind < 0.70:
        type_, part = (
            "payment.succeeded",
            f'"payment":{{"id":"py_{n}","amount":{amount},"payer":"tok_{n * 13 % 90_001}"}}',
        )
    elif kind < 0.74:
        type_, part = "payment.refunded", f'"payment":{{"id":"py_{n}","amount":{amount}}}'
    elif kind < 0.76:
        type_, part = "dispute.opened", f'"dispute":{{"id":"dp_{n}","amount":{amount}}}'
    else:
        type_ = "payout.requested"
        part = f'"payout":{{"id":"po_{n}","amount":{amount},"method":"standard","destination":"ba_{merchant}"}}'
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    country = ("NL", "DE", "FR", "SE")[merchant % 4]
    event = (
        f'{{"id":"evt_{n}","type":"{type_}","occurred_at":"{moment}Z","gateway":"stripe","instance":"stripe_eu",'
        f'"account":{{"id":"acct_{merchant}","country":"{country}"}},'
        f'"merchant":{{"id":"m_{merchant}","country":"{country}","mcc":"{5000 + merchant % 40}"}},{part}}}'
    )
    if type_ == "payout.requested" and n % 50 == 0:
        finding = (
            '{"check":"indicator-match","code":"indicator.match","confidence":0.7,"evidence":{"source":"synthetic"}}'
        )
        return f'{{"event":{event},"findings":[{finding}]}}\n'
    return event + "\n"


def memory_of(pid: int) -> int:
    """The proportional set size of a process and all below it, in kilobytes."""
    total = 0
    for each in [pid, *below(pid)]:
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(row.split()[1]) for row in rollup.splitlines() if row.startswith("Pss:"))
    return total


def below(pid: int) -> list[int]:
    try:
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [found for child in children for found in (child, *below(child))]


def measured(*arguments: str) -> tuple[Measured, Any]:
    started = time.perf_counter()
    command = [sys.executable, "-m", "paycordon", "policy", "backtest", *arguments, "--json", "--jobs", "2"]
    peak = 0
    done = threading.Event()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.25):
                peak = max(peak, memory_of(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        out, _ = process.communicate(timeout=1_200)
        done.set()
        watcher.join()
    assert process.returncode == 0
    return Measured(time.perf_counter() - started, peak / 1024), json.loads(out)


@pytest.mark.timeout(3_600)
@pytest.mark.benchmark(group="backtest")
def test_a_backtest_grows_with_its_history(benchmark: Any, tmp_path: Path) -> None:
    file = tmp_path / "benchmark.yaml"
    file.write_text(policy())
    runs = [(100_000, False), (300_000, False), (1_000_000, False), (300_000, True)]
    found: list[tuple[int, bool, Measured, Any]] = []

    def every() -> None:
        for number, all_judged in runs:
            history = tmp_path / f"{number}.jsonl"
            write_history(history, number, all_judged=all_judged)
            one, out = measured(str(file), "--history", str(history), "--config", str(tmp_path / "none.yaml"))
            found.append((number, all_judged, one, out["report"]))
            history.unlink()

    benchmark.pedantic(every, rounds=1, iterations=1)
    for number, all_judged, one, report in found:
        history = report["history"]
        outcomes = {name: tally["events"] for name, tally in report["sides"][0]["outcomes"].items()}
        print(  # the figures are the result
            f"\n{number:>9,} events, {history['judged']:>7,} judged{' (all)' if all_judged else ''}: "
            f"{one.seconds:6.1f} s, {number / one.seconds:>8,.0f} events/s, {one.peak_mb:,.0f} MB; {outcomes}",
            end="",
        )
        assert history["read"] == number
        assert history["bad"] == 0
    (small, *_), (large, *_) = found[0][2:3], found[2][2:3]
    assert large.seconds / small.seconds < 15, "ten times the events took more than fifteen times as long"
