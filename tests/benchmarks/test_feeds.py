"""Feeds as they grow: reading and taking in, reading again, taking back, and when a decision sees what has changed.

Run with `pytest tests/benchmarks/test_feeds.py --benchmark-only -s`; sizes up to a hundred thousand, or those that
`PAYCORDON_FEED_SIZES` names, such as `10000 100000 1000000 10000000` (the last takes an hour and some gigabytes). Each
step is measured in a process of its own, in seconds of its processor, and so is the peer: the standard library's json
or csv, and sqlite3's `executemany` into the same table with the same durability, which checks, keys, logs and withdraws
nothing.
"""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from paycordon import checks
from paycordon.coalition.identifiers import Digester
from paycordon.events import Identifier
from paycordon.feeds.bundle import BundleFeed
from paycordon.feeds.contract import Feed, Surroundings
from paycordon.feeds.csvfile import CsvFeed
from paycordon.feeds.items import Item
from paycordon.feeds.publishing import publish, publish_changes
from paycordon.plugins import Plugins
from paycordon.policy import PolicySet
from paycordon.pulling import Pulled, Pulling
from paycordon.screening import Cordon, Limits, utc_now
from paycordon.store import Store
from paycordon.testing import make_event
from paycordon.working import Duty, Pace, run

SIZES = [int(size) for size in os.environ.get("PAYCORDON_FEED_SIZES", "10000 100000").split()]
FORMATS = ("bundle", "csv")
DIGESTER = Digester({"k1": bytes(range(32))}, "k1")
LIMITS: dict[str, Any] = {"most_bytes": 2**40, "most_items": 10**9, "within": "6h"}
NEW = "new@shop.example"
MOST_OF_CSV = 1_000_000


def values(count: int) -> Iterator[str]:
    return (f"seller{number}@shop{number % 997}.example" for number in range(count))


def lay(kind: str, place: Path, count: int) -> None:
    """Let a source say so many items."""
    if kind == "csv":
        with (place / "new.csv").open("w", newline="") as file:
            written = csv.writer(file)
            written.writerow(("v", "r", "c"))
            written.writerows((value, f"case-{n}", 90) for n, value in enumerate(values(count)))
        (place / "new.csv").replace(place / "list.csv")
        return
    items = (
        Item.model_construct(kind="email", digest=f"k1:{number:064x}", reference=f"case-{number}", confidence=90)
        for number in range(count)
    )
    publish(items, place / "bundle", place / "keys", datetime.now(UTC))
    if not (place / "root.json").exists():
        (place / "root.json").write_bytes((place / "bundle" / "metadata" / "1.root.json").read_bytes())


def feed_of(kind: str, place: Path, source: str | None = None, **more: Any) -> Feed[Any]:
    given: dict[str, Any] = {"format": kind, **LIMITS, **more}
    surroundings = Surroundings("ngo", DIGESTER, place, utc_now)
    if kind == "bundle":
        given |= {"source": source or str(place / "bundle"), "root": str(place / "root.json")}
        return BundleFeed(BundleFeed.settings_type.model_validate(given), surroundings)  # type: ignore[arg-type]
    given |= {"source": source or str(place / "list.csv"), "always": {"kind": "email"}}
    given |= {"columns": {"value": "v", "reference": "r", "confidence": "c"}}
    return CsvFeed(CsvFeed.settings_type.model_validate(given), surroundings)  # type: ignore[arg-type]


def timed(step: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    found = step()
    return time.process_time() - started, found


def looked(store: Store, kind: str, place: Path) -> tuple[float, Pulled]:
    took, done = timed(lambda: Pulling(store, feed_of(kind, place), owner="w").look(early=True))
    assert done is not None
    assert done.state is None, done.why
    return took, done


def measure(kind: str, place: Path, step: str) -> dict[str, float]:
    """Do one step in this process."""
    from paycordon.record.verify import verify

    count = int((place / "count").read_text())
    if step == "peer":
        took, _ = timed(lambda: by_hand(kind, place))
    else:
        store = Store.open(f"sqlite:///{place / 'store.db'}", patience=timedelta(minutes=1))
        if step == "verify":
            took, report = timed(lambda: verify(store))
            assert report.ok, report.problems
        else:
            took, done = looked(store, kind, place)
            expected = {"take_in": (count, 0), "unchanged": (0, 0), "withdraw": (0, count // 100)}[step]
            assert (done.added, done.withdrawn) == expected
        store.close()
    return {step: took, "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def by_hand(kind: str, place: Path) -> None:
    """Read the same rows and write them, without anything else."""
    path = place / "peer.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    columns = "digest, source, reference, kind, confidence, status, category, tlp, licence, reshare, changed_at"
    database.execute(f"CREATE TABLE known ({columns}, PRIMARY KEY (digest, source, reference)) WITHOUT ROWID")
    if kind == "csv":
        with (place / "list.csv").open(newline="") as file:
            rows = [(row["v"], row["r"], int(row["c"])) for row in csv.DictReader(file)]
    else:
        parts = sorted((place / "bundle" / "targets").glob("*.jsonl"))
        lines = (json.loads(line) for part in parts for line in part.read_text().splitlines())
        rows = [(each["digest"], each["reference"], each["confidence"]) for each in lines]
    rest = ("allegation", "", "amber+strict", "", 0, 1)
    database.executemany(
        f"INSERT INTO known VALUES ({', '.join('?' * 11)})", ((d, "ngo", r, "email", c, *rest) for d, r, c in rows)
    )
    database.commit()
    database.close()


def apart(kind: str, place: Path, step: str) -> dict[str, float]:
    command = [sys.executable, __file__, kind, str(place), step]
    return dict(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=7_000).stdout))


def laid_apart(kind: str, place: Path, count: int) -> None:
    subprocess.run([sys.executable, __file__, kind, str(place), "lay", str(count)], check=True, timeout=7_000)


@pytest.mark.timeout(20_000)
def test_growth(benchmark: Any, tmp_path: Path) -> None:
    def grow() -> None:
        for kind in FORMATS:
            for count in SIZES:
                place = tmp_path / f"{kind}-{count}"
                place.mkdir()
                (place / "count").write_text(str(count))
                laid_apart(kind, place, count)
                peer, got = apart(kind, place, "peer"), apart(kind, place, "take_in")
                got |= apart(kind, place, "unchanged") | {"rss_mb": got["rss_mb"]}
                laid_apart(kind, place, count - count // 100)
                rss = got["rss_mb"]
                got |= apart(kind, place, "withdraw") | apart(kind, place, "verify")
                ratio = got["take_in"] / peer["peer"]
                print(
                    f"\n{kind:>7} {count:>11,}: taken in {count / got['take_in']:>8,.0f}/s, {rss:,.0f} MB RSS "
                    f"(peer {count / peer['peer']:,.0f}/s, {peer['rss_mb']:,.0f} MB: {ratio:.1f} times its time); "
                    f"unchanged {got['unchanged']:.2f} s; 1 % taken back {got['withdraw']:.2f} s; "
                    f"log verify {got['verify']:.2f} s",
                    end="",
                )
        print()

    benchmark.pedantic(grow, rounds=1)


@pytest.mark.timeout(20_000)
def test_how_soon_a_decision_sees_what_has_changed(benchmark: Any, tmp_path: Path) -> None:
    """From files, which are read when they have changed, and from a server that is asked as often as by default."""

    def wait() -> None:
        for kind in FORMATS:
            first: dict[str, tuple[float, float]] = {}
            for count in SIZES:
                if kind == "csv" and count > MOST_OF_CSV:
                    print(f"\n{kind:>7} {count:>11,}: not measured", end="")
                    continue
                place = tmp_path / f"{kind}-{count}"
                place.mkdir()
                (place / "count").write_text(str(count))
                laid_apart(kind, place, count)
                apart(kind, place, "take_in")
                for source in ("file", "http"):
                    added, withdrawn, published = seen(kind, place, source)
                    base = first.setdefault(source, (added, withdrawn))
                    print(
                        f"\n{kind:>7} {count:>11,} by {source}: added {added:.1f} s ({added / base[0]:.1f} times the "
                        f"smallest), withdrawn {withdrawn:.1f} s ({withdrawn / base[1]:.1f} times); "
                        f"written by the source in {published:.2f} s",
                        end="",
                        flush=True,
                    )
        print()

    benchmark.pedantic(wait, rounds=1)


def seen(kind: str, place: Path, source: str) -> tuple[float, float, float]:
    """Add one item and take it back; return how long each took until a decision rested on it, and to write it."""
    store = Store.open(f"sqlite:///{place / 'store.db'}", patience=timedelta(minutes=1))
    stop = threading.Event()
    limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
    cordon = Cordon(store, PolicySet(), Plugins({"checks": checks}), DIGESTER, limits=limits)
    with HTTPServer("127.0.0.1") as server:
        server.expect_request(re.compile("/.*")).respond_with_handler(lambda request: _file(place, request.path))
        address = server.url_for("/bundle" if kind == "bundle" else "/list.csv") if source == "http" else None
        pulling = Pulling(store, feed_of(kind, place, address), owner="w")
        assert pulling.look(early=True) is not None
        worker = threading.Thread(target=run, args=([Duty("feed", pulling.run_once)], Pace(), stop))
        worker.start()
        try:
            time.sleep(3)
            published = said_otherwise(kind, place, True)
            added = _until(cordon, matches=True)
            said_otherwise(kind, place, False)
            return added, _until(cordon, matches=False), published
        finally:
            stop.set()
            worker.join()
            cordon.close()
            store.close()


def said_otherwise(kind: str, place: Path, is_said: bool) -> float:
    """Let a source say one item more, or no more; returns how long that took it."""
    started = time.perf_counter()
    if kind == "bundle":
        digest = DIGESTER.digest(Identifier(kind="email", value=NEW))
        items = [Item(kind="email", digest=digest, reference="case-1000-new", confidence=90)] if is_said else []
        gone = set() if is_said else {"case-1000-new"}
        publish_changes(items, gone, place / "bundle", place / "keys", datetime.now(UTC))
    else:
        path, row = place / "list.csv", f"{NEW},case-1000-new,90\r\n".encode()
        data = path.read_bytes()
        path.with_suffix(".new").write_bytes(data + row if is_said else data.removesuffix(row))
        path.with_suffix(".new").replace(path)
    return time.perf_counter() - started


def _until(cordon: Cordon, *, matches: bool) -> float:
    """Return how long it takes until a decision rests on the new item, or on it no more."""
    started = time.perf_counter()
    wanted = ({"kind": "email", "value": NEW},)
    while time.perf_counter() - started < 600:
        event = make_event("payout.requested", id=f"evt_{time.perf_counter_ns()}", identifiers=wanted)
        decision = cordon.screen(event)
        if any(each.code == "indicator.match" for each in decision.findings) is matches:
            return time.perf_counter() - started
        time.sleep(0.05)
    raise AssertionError("no decision has seen it within ten minutes")


def _file(place: Path, name: str) -> Any:
    from werkzeug import Response

    path = place / name.lstrip("/")
    return Response(path.read_bytes()) if path.is_file() else Response("", 404)


if __name__ == "__main__":
    kind, place, step = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if step == "lay":
        lay(kind, place, int(sys.argv[4]))
    else:
        print(json.dumps(measure(kind, place, step)))
