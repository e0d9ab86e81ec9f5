"""Bundles in parts: a change costs the parts that hold it, and nothing is withdrawn because of how it is divided."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes, Part
from paycordon.errors import ConfigError, FeedRefused
from paycordon.feeds import signing
from paycordon.feeds.bundle import BundleFeed
from paycordon.feeds.contract import Budget, Surroundings
from paycordon.feeds.items import Item
from paycordon.feeds.parts import divided, joined, pieces_of
from paycordon.feeds.publishing import Published, publish, publish_changes, renew
from paycordon.pulling import Pulled, Pulling
from paycordon.record.verify import verify
from paycordon.store import Store
from paycordon.store.counting import names_counting
from paycordon.store.feeding import checkpoint_of

STEPS = int(os.environ.get("PAYCORDON_FEED_MUTATIONS", "60")) // 2
KEYS = {"k1": b"k" * 32, "k2": b"m" * 32}


def item(number: int, **fields: Any) -> Item:
    said = {"kind": "email", "digest": f"k1:{number:064x}", "reference": f"case-{number:04d}", "confidence": 90}
    return Item(**{**said, **fields})


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class Scene:
    """A publisher with parts of ten items, and a reader with a store."""

    def __init__(self, store: Store, place: Path) -> None:
        self.store, self.place, self.current = store, place, "k1"

    def publish(self, *numbers: int, per_part: int = 10, **fields: Any) -> Published:
        said = [item(number, **fields) for number in numbers]
        done = publish(said, self.place / "bundle", self.place / "keys", now(), per_part=per_part)
        if not (self.place / "root.json").exists():
            shutil.copy(self.place / "bundle/metadata/1.root.json", self.place / "root.json")
        return done

    def change(self, *items: Item, withdrawn: set[str] = frozenset(), per_part: int = 10) -> Published:  # type: ignore[assignment]
        place = self.place
        return publish_changes(items, withdrawn, place / "bundle", place / "keys", now(), per_part=per_part)

    def feed(self, source: str = "bundle") -> BundleFeed:
        settings = BundleFeed.settings_type.model_validate({"format": "bundle", "source": source, "root": "root.json"})
        return BundleFeed(settings, Surroundings("ngo", Digester(KEYS, self.current), self.place, now))  # type: ignore[arg-type]

    def fetch(self, source: str = "bundle") -> list[Changes]:
        feed = self.feed(source)
        with self.store.read() as connection:
            return list(feed.fetch(checkpoint_of(connection, "ngo"), Budget(feed.settings)))

    def look(self, source: str = "bundle") -> Pulled:
        done = Pulling(self.store, self.feed(source), owner="w").look(early=True, accept_withdrawals=True)
        assert done is not None
        return done

    def state(self) -> tuple[set[tuple[str, str]], str | None]:
        with self.store.read() as connection:
            return set(names_counting(connection, "ngo")), checkpoint_of(connection, "ngo")

    def counting(self) -> list[str]:
        return sorted(reference for _, reference in self.state()[0])

    def parts(self) -> dict[str, Any]:
        signed = signing.read(self.place / "bundle", "targets").signed
        return {name: target.to_dict() for name, target in signed.targets.items()}

    def file(self, number: int) -> Path:
        piece = pieces_of(self.parts())[number]
        return self.place / "bundle/targets" / f"{piece.digest}.{piece.target}"


@pytest.fixture
def scene(sqlite_store: Store, tmp_path: Path) -> Scene:
    return Scene(sqlite_store, tmp_path)


def references(*numbers: int) -> list[str]:
    return sorted(f"case-{number:04d}" for number in numbers)


def test_a_change_is_read_in_its_part_only(scene: Scene) -> None:
    assert scene.publish(*range(100)).parts == 10
    (first,) = scene.fetch()
    assert (len(first.said), first.complete, first.parts) == (100, True, ())
    assert scene.look().added == 100

    done = scene.publish(*range(34), *range(35, 100), 999)
    assert (done.parts, done.written) == (10, 2)
    (second,) = scene.fetch()
    assert second.parts == (Part("case-0030", "case-0040"), Part("case-0090"))
    assert len(second.said) == 20
    looked = scene.look()
    assert (looked.added, looked.withdrawn, looked.unchanged) == (1, 1, 19)
    assert scene.counting() == references(*range(34), *range(35, 100), 999)
    assert scene.fetch() == []
    renew(scene.place / "bundle", scene.place / "keys", now())
    assert (scene.look().batches, scene.look().batches) == (1, 0)
    assert verify(scene.store).ok


def test_a_change_is_published_in_its_part_only(scene: Scene) -> None:
    scene.publish(*range(100))
    scene.look()
    before = set((scene.place / "bundle/targets").iterdir())
    done = scene.change(item(34, confidence=10), item(1_000), withdrawn={"case-0050", "never said"})
    assert (done.items, done.parts, done.written) == (2, 10, 3)
    assert len(set((scene.place / "bundle/targets").iterdir()) - before) == 3
    again = scene.change(item(1_000), withdrawn={"case-0050"})
    assert (again.written, again.bundle, again.timestamp) == (0, done.bundle, done.timestamp)
    looked = scene.look()
    assert (looked.added, looked.corrected, looked.withdrawn) == (1, 1, 1)
    assert scene.counting() == references(*range(50), *range(51, 100), 1_000)


def test_what_was_made_before_there_were_parts_goes_on(scene: Scene) -> None:
    scene.publish(*range(5))
    assert list(scene.parts()) == ["indicators.jsonl"]
    scene.look()
    (first,) = pieces_of(scene.parts())
    with scene.store.write() as connection:  # as a checkpoint was written before
        kept = {"bundle": first.digest, "trusted": json.loads(checkpoint_of(connection, "ngo") or "")["trusted"]}
        statement = "UPDATE indicator_sources SET checkpoint = ? WHERE source = 'ngo'"
        connection.exec_driver_sql(statement, (json.dumps(kept),))
    assert scene.fetch() == []
    scene.publish(*range(60))
    looked = scene.look()
    assert (looked.added, looked.withdrawn, looked.unchanged) == (55, 0, 5)
    scene.publish(*range(6))
    assert list(scene.parts()) == ["indicators.jsonl"]
    assert (scene.look().withdrawn, scene.counting()) == (54, references(*range(6)))


def test_dividing_otherwise_withdraws_nothing(scene: Scene) -> None:
    scene.publish(*range(100))
    scene.look()
    for per_part in (1, 40, 7, 1_000, 3):
        scene.publish(*range(100), per_part=per_part)
        looked = scene.look()
        assert (looked.state, looked.added, looked.withdrawn) == (None, 0, 0)
    assert scene.counting() == references(*range(100))


def test_whatever_is_published_is_what_counts(scene: Scene) -> None:
    randomness = random.Random(7)  # the same each time
    said = set(range(0, 300, 3))
    scene.publish(*said)
    for step in range(STEPS):
        first = randomness.randrange(300)
        area = range(first, first + randomness.choice((1, 5, 60)))
        more = {number for number in area if randomness.random() < 0.3}
        less = {number for number in area if randomness.random() < 0.4} - more
        said = said - less | more
        per_part = randomness.choice((10, 10, 10, 1, 3, 50))
        if randomness.random() < 0.5:
            scene.publish(*said, per_part=per_part)
        else:
            scene.change(*map(item, more), withdrawn=set(references(*less)), per_part=per_part)
        if randomness.random() < 0.7:
            assert scene.look().state is None
            assert scene.counting() == references(*said), f"step {step}"
    scene.look()
    assert scene.counting() == references(*said)
    assert verify(scene.store).ok


@pytest.mark.parametrize("spoil", ["missing", "cut", "altered", "swapped", "of before"])
def test_one_part_that_is_not_what_was_signed_refuses_all(scene: Scene, spoil: str) -> None:
    scene.publish(*range(100))
    scene.look()
    before, old = scene.state(), scene.file(5).read_bytes()
    scene.publish(*range(15), *range(16, 55), *range(56, 100))
    good, path = scene.file(5).read_bytes(), scene.file(5)
    if spoil == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {
                "cut": good[:-3],
                "altered": good.replace(b"90", b"91", 1),
                "swapped": scene.file(1).read_bytes(),
                "of before": old,
            }[spoil]
        )
    assert scene.look().state == "refused"
    assert scene.state() == before, "nothing of the other part was taken in either"
    path.write_bytes(good)
    assert (scene.look().withdrawn, len(scene.counting())) == (2, 98)


def custom(targets: dict[str, Any], name: str, said: dict[str, Any] | None) -> None:
    targets[name].unrecognized_fields["custom"] = said


@pytest.mark.parametrize("wrong", ["no first", "two first", "no format", "no text", "another's reference"])
def test_what_is_signed_and_not_divided_as_a_bundle_is_refused_whole(scene: Scene, wrong: str) -> None:
    scene.publish(*range(40))
    scene.look()
    before = scene.state()
    targets = signing.read(scene.place / "bundle", "targets").signed.targets
    first, second = [piece.target for piece in pieces_of(scene.parts())][:2]
    part: dict[str, Any] = {"format": "paycordon-indicators-2"}
    if wrong == "no first":
        del targets[first]
    elif wrong == "two first":
        custom(targets, second, part | {"from": ""})
    elif wrong == "no format":
        custom(targets, second, {"from": "case-0010"})
    elif wrong == "no text":
        custom(targets, second, part | {"from": 1})
    else:
        custom(targets, second, part | {"from": "case-0011"})
    signers = signing.signers(scene.place / "keys", new=False)
    from tuf.api.metadata import Targets

    signed = Targets(2, expires=now() + timedelta(days=9), targets=targets)
    signing.sign(scene.place / "bundle", signed, signers["targets"], "2.targets.json")
    signing.renew(scene.place / "bundle", signers, now(), 2)
    assert scene.look().state == "refused"
    assert scene.state() == before


def test_plain_values_are_keyed_anew_in_all_parts_under_a_new_key(scene: Scene) -> None:
    values = {number: {"digest": None, "value": f"x{number}@shop.example"} for number in range(50)}
    said = [item(number, **fields) for number, fields in values.items()]
    scene.publish(*range(50))  # only for the keys and the root
    publish(said, scene.place / "bundle", scene.place / "keys", now(), per_part=10)
    assert scene.look().added == 50
    scene.current = "k2"
    looked = scene.look()
    assert (looked.added, looked.withdrawn) == (50, 0), "what decisions used is still said of it (`store.formerly`)"
    assert {digest.partition(":")[0] for digest, _ in scene.state()[0]} == {"k1", "k2"}
    assert scene.look().batches == 0


def test_over_http_only_what_changed_is_fetched(scene: Scene, httpserver: HTTPServer) -> None:
    asked: list[str] = []

    def served(request: Request) -> Response:
        path = scene.place / request.path.lstrip("/")
        asked.append(path.parent.name)
        return Response(path.read_bytes()) if path.is_file() else Response("", 404)

    httpserver.expect_request(re.compile("/bundle/.*")).respond_with_handler(served)
    scene.publish(*range(100))
    scene.look(httpserver.url_for("/bundle"))
    assert asked.count("targets") == 10
    asked.clear()
    scene.publish(*range(99))
    assert scene.look(httpserver.url_for("/bundle")).withdrawn == 1
    assert asked.count("targets") == 1
    asked.clear()
    scene.look(httpserver.url_for("/bundle"))
    assert asked.count("targets") == 0


def test_files_stay_for_a_day_after_they_went_out_of_use(scene: Scene) -> None:
    def files() -> Iterator[str]:
        return (path.name for path in (scene.place / "bundle").rglob("*.*"))

    scene.publish(*range(100))
    scene.publish(*range(99))
    kept = set(files())
    assert len([name for name in kept if name.endswith(".jsonl")]) == 11
    to, keys = scene.place / "bundle", scene.place / "keys"
    publish([item(n) for n in range(98)], to, keys, now() + timedelta(hours=23), per_part=10)
    assert kept <= set(files())
    publish([item(n) for n in range(98)], to, keys, now() + timedelta(hours=30), per_part=10)
    names = set(files())
    assert len([name for name in names if name.endswith(".jsonl")]) == 11, "of the last two versions"
    assert {"1.root.json", "timestamp.json", "2.targets.json", "3.targets.json", "4.targets.json"} <= names
    assert not {"1.targets.json", "1.snapshot.json"} & names


def test_changes_need_a_bundle_that_is_whole(scene: Scene) -> None:
    with pytest.raises(ConfigError, match="keys"):
        scene.change(item(1))
    (scene.place / "keys").mkdir()
    with pytest.raises(ConfigError, match="no bundle"):
        scene.change(item(1))
    scene.publish(*range(50))
    scene.file(0).write_bytes(b"")
    with pytest.raises(ConfigError, match="not whole"):
        scene.change(item(1))


def test_division_keeps_what_fits_and_one_reference_together() -> None:
    lines = [(f"{number // 3:03d}", str(number)) for number in range(90)]
    parts = divided(lines, [""], 10)
    assert [line for _, held in parts for line in held] == lines
    assert [start for start, _ in parts] == ["", *(held[0][0] for _, held in parts[1:])]
    assert all(10 <= len(held) <= 21 for _, held in parts)
    starts = [start for start, _ in parts]
    for first, second in pairwise(parts):
        assert not {reference for reference, _ in first[1]} & {reference for reference, _ in second[1]}
    assert [start for start, _ in divided(lines[:70], starts, 10)] == starts[: len(divided(lines[:70], starts, 10))]
    assert [start for start, _ in divided([], starts, 10)] == [""]
    assert divided([("a", "x")] * 50, [""], 10) == [("", [("a", "x")] * 50)]


def test_neighbours_are_one_part() -> None:
    assert joined([Part("", "b"), Part("b", "d"), Part("f")]) == (Part("", "d"), Part("f"))
    assert joined([Part("", "b"), Part("b")]) == ()
    with pytest.raises(FeedRefused):
        pieces_of({})
