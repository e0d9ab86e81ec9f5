"""Names against a million listed names: how long a search takes, what it misses, and what it finds that is not there.

Beside nomenklatura's `logic-v1` where an environment with it is named: `PAYCORDON_NOMENKLATURA=/path/to/its/python`
(it pulls in a hundred megabytes and needs a compiler, so it is not installed with the tests). `PAYCORDON_NAME_PAIRS`
names a CSV of published pairs (columns schema, name1, name2, is_match), such as `contrib/name_comparison/cases.csv` of
opensanctions/rigour; it holds names of living people and so is not kept here. `PAYCORDON_BENCH_NAMES` names the sizes,
ten thousand to a million by default; ten million take a quarter of an hour. Processor time is told beside the time that
passes, since the latter is that of all who share the machine.
"""

from __future__ import annotations

import csv
import json
import os
import random
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from paycordon.names.index import Listed, NameIndex, build
from paycordon.names.scoring import score
from paycordon.names.words import NameKind, read

SIZES = [int(size) for size in os.environ.get("PAYCORDON_BENCH_NAMES", "10000 100000 1000000").split()]
THRESHOLD, PEER_THRESHOLD = 80, 0.7  # the latter is logic-v1's own
_ONSETS = (*"bcdfghjklmnprstvwyz", "br", "ch", "dr", "gr", "kh", "sh", "st", "tr")
_VOWELS = (*"aeiou", "ai", "ei", "ou", "ia")
_CODAS = ["", "n", "r", "s", "l", "m", "k", "t", "v", ""]
_PEER = """
import json, sys
from followthemoney import model
from nomenklatura.matching import get_algorithm
peer = get_algorithm("logic-v1")
def entity(id_, schema, name):
    return model.get_proxy({"id": id_, "schema": schema, "properties": {"name": [name]}})
pairs = json.load(sys.stdin)
made = [(entity("a", s, a), entity("b", s, b), peer.default_config()) for s, a, b in pairs]
json.dump([peer.compare(*each).score for each in made], sys.stdout)
"""


class Names:
    """Invented names whose parts are as common and as rare as in life: few parts are in many names."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._first = [self.word(self.random.choice((1, 2, 2, 3))) for _ in range(8_000)]
        self._last = [self.word(self.random.choice((2, 2, 3, 3))) for _ in range(120_000)]

    def word(self, syllables: int) -> str:
        pick = self.random.choice
        return "".join(pick(_ONSETS) + pick(_VOWELS) + pick(_CODAS) for _ in range(syllables)).capitalize()

    def person(self) -> str:
        parts = [self._often(self._first)]
        parts += [self._often(self._first)] if self.random.random() < 0.3 else []
        parts += [self._often(self._last)]
        return " ".join(parts)

    def miswritten(self, name: str) -> str:
        """One or two typing errors; a quarter with the words in another order."""
        letters = list(name)
        for _ in range(self.random.choice((1, 2))):
            at, what = self.random.randrange(len(letters)), self.random.randrange(4)
            if what == 0:
                letters[at] = self.random.choice("aeiounrst")
            elif what == 1:
                letters.insert(at, self.random.choice("aeiounrst"))
            elif what == 2:
                del letters[at]
            elif at + 1 < len(letters):
                letters[at], letters[at + 1] = letters[at + 1], letters[at]
        words = "".join(letters).split()
        if self.random.random() < 0.25:
            self.random.shuffle(words)
        return " ".join(words)

    def _often(self, parts: Sequence[str]) -> str:
        return parts[int(len(parts) * self.random.random() ** 2.2)]


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("size", SIZES)
def test_search(benchmark, tmp_path: Path, size: int) -> None:
    names = Names(7)
    listed = [names.person() for _ in range(size)]
    begun, worked = time.perf_counter(), time.process_time()
    build(tmp_path, (Listed(str(i), name, NameKind.PERSON) for i, name in enumerate(listed)), "synthetic")
    took, worked = time.perf_counter() - begun, time.process_time() - worked
    disk = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    print(f"\n{size:,} names indexed in {took:.0f} s ({worked:.0f} s of processor time), {disk / 1e6:.0f} MB")
    index = NameIndex(tmp_path / (tmp_path / "current").read_text())
    asked = [(true, names.miswritten(true)) for true in names.random.sample(listed, 1_000)]
    absent = [f"{names.person()}{names.word(2).lower()}" for _ in range(500)]
    times, hits = [], 0
    for true, written in asked:
        begun, worked = time.perf_counter(), time.process_time()
        found = index.search(written, NameKind.PERSON, THRESHOLD)
        times.append(((time.perf_counter() - begun) * 1_000, (time.process_time() - worked) * 1_000))
        hits += true in {each.by for each in found}
    alarms = [len(index.search(name, NameKind.PERSON, THRESHOLD)) > 0 for name in absent]
    passed, own = (statistics.quantiles(each, n=100) for each in zip(*times, strict=True))
    print(
        f"search among {len(index):,}: p50 {passed[49]:.1f} ms, p99 {passed[98]:.1f} ms (processor time {own[49]:.1f} "
        f"and {own[98]:.1f}), found {hits / len(asked):.3f}"
    )
    print(f"names that are not on the list: {sum(alarms) / len(absent):.3f} have one alike at {THRESHOLD}")
    assert hits / len(asked) > 0.97
    turn = iter(range(10**9))
    benchmark(lambda: index.search(asked[next(turn) % len(asked)][1], NameKind.PERSON, THRESHOLD))


def pairs() -> Iterator[tuple[str, list[tuple[str, str, str]], list[bool]]]:
    names = Names(7)
    listed = [names.person() for _ in range(100_000)]
    true = [("Person", names.miswritten(name), name) for name in names.random.sample(listed, 400)]
    false = [("Person", *names.random.sample(listed, 2)) for _ in range(400)]
    yield "synthetic", [*true, *false], [True] * len(true) + [False] * len(false)
    path = os.environ.get("PAYCORDON_NAME_PAIRS")
    if path:
        rows = list(csv.DictReader(Path(path).read_text().splitlines()))
        asked = [(row["schema"], row["name1"], row["name2"]) for row in rows]
        yield "published", asked, [row["is_match"] == "true" for row in rows]


def test_recall_beside_logic_v1(benchmark) -> None:
    some = next(pairs())[1]
    benchmark(lambda: [_ours(*pair) for pair in some])
    for name, asked, truth in pairs():
        ours = [_ours(*pair) >= THRESHOLD for pair in asked]
        print(f"{name}: {_said(ours, truth)}")
        if peer := os.environ.get("PAYCORDON_NOMENKLATURA"):
            done = subprocess.run(
                [peer, "-c", _PEER], input=json.dumps(asked), capture_output=True, text=True, check=True
            )
            theirs = [each >= PEER_THRESHOLD for each in json.loads(done.stdout)]
            print(f"{name}, logic-v1: {_said(theirs, truth)}")
            assert _recall(ours, truth) >= _recall(theirs, truth)
        else:
            print(f"{name}, logic-v1: not measured; PAYCORDON_NOMENKLATURA names no Python with nomenklatura in it")


def _ours(schema: str, one: str, other: str) -> int:
    kind = NameKind.PERSON if schema == "Person" else NameKind.ORGANISATION
    return score(read(one, kind), read(other, kind)).value


def _recall(said: Sequence[bool], truth: Sequence[bool]) -> float:
    return sum(a and b for a, b in zip(said, truth, strict=True)) / sum(truth)


def _said(said: Sequence[bool], truth: Sequence[bool]) -> str:
    wrong = sum(a and not b for a, b in zip(said, truth, strict=True))
    return f"recall {_recall(said, truth):.3f}, {wrong} of {len(truth) - sum(truth)} wrongly alike"
