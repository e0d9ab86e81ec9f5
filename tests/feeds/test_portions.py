"""Documents that are read whole: only what has changed of them is checked, keyed, compared and taken back."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes, Part
from paycordon.errors import FeedRefused
from paycordon.feeds import portions
from paycordon.feeds.contract import Budget, Feed, Surroundings
from paycordon.feeds.csvfile import CsvFeed
from paycordon.feeds.ftm import FtmFeed
from paycordon.feeds.misp import MispFeed
from paycordon.pulling import Pulled, Pulling
from paycordon.record.verify import verify
from paycordon.store import Store
from paycordon.store.counting import names_counting
from paycordon.store.feeding import checkpoint_of

KEYS = {"k1": b"k" * 32, "k2": b"m" * 32}
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
COLUMNS = {"value": "v", "reference": "r", "last_seen": "seen"}
Said = Mapping[int, int]
"""By number of an item, on which day of January it was seen last."""


def as_csv(said: Said) -> bytes:
    rows = "".join(f"x{n}@shop.example,{reference(n)},2026-01-{day:02d}\n" for n, day in said.items())
    return f"v,r,seen\n{rows}".encode()


def as_ftm(said: Said) -> bytes:
    lines = [
        {"id": reference(n), "schema": "LegalEntity", "properties": {"email": [f"x{n}@shop.example"]}}
        | {"last_change": f"2026-01-{day:02d}T00:00:00"}
        for n, day in said.items()
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def as_misp(said: Said) -> bytes:
    attributes = [
        {"type": "email", "to_ids": True, "timestamp": str(1767225600 + 86_400 * day), "uuid": reference(n)}
        | {"value": f"x{n}@shop.example"}
        for n, day in said.items()
    ]
    event = {"uuid": reference(9_999), "timestamp": "1767225600", "Attribute": attributes}
    return json.dumps([{"Event": event}]).encode()


def reference(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


FORMATS: Mapping[str, tuple[type[Feed[Any]], Callable[[Said], bytes], Mapping[str, Any]]] = {
    "csv": (CsvFeed, as_csv, {"columns": COLUMNS, "always": {"kind": "email"}}),
    "ftm": (FtmFeed, as_ftm, {}),
    "misp": (MispFeed, as_misp, {}),
}


class Scene:
    """A document, and a reader of it with a store."""

    def __init__(self, kind: str, store: Store, place: Path) -> None:
        self.kind, self.store, self.place = kind, store, place
        self.current, self.settings = "k1", dict(FORMATS[kind][2])

    def lay(self, said: Said) -> None:
        self.write(FORMATS[self.kind][1](said))

    def write(self, data: bytes) -> None:
        (self.place / "document").write_bytes(data)

    def feed(self) -> Feed[Any]:
        kind = FORMATS[self.kind][0]
        settings = kind.settings_type.model_validate({"format": kind.format, "source": "document", **self.settings})
        return kind(settings, Surroundings("ngo", Digester(KEYS, self.current), self.place, lambda: NOW))

    def fetch(self) -> list[Changes]:
        feed = self.feed()
        with self.store.read() as connection:
            return list(feed.fetch(checkpoint_of(connection, "ngo"), Budget(feed.settings)))

    def look(self) -> Pulled:
        done = Pulling(self.store, self.feed(), owner="w").look(early=True, accept_withdrawals=True)
        assert done is not None
        assert done.state is None, done.why
        return done

    def counting(self) -> set[tuple[str, str]]:
        with self.store.read() as connection:
            return set(names_counting(connection, "ngo"))


@pytest.fixture(params=FORMATS)
def scene(
    request: pytest.FixtureRequest, sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Scene:
    monkeypatch.setattr(portions, "PER_PART", 10)
    return Scene(request.param, sqlite_store, tmp_path)


def numbered(numbers: Iterable[int], day: int = 1) -> dict[int, int]:
    return dict.fromkeys(numbers, day)


def references(found: Iterable[tuple[str, str]]) -> set[int]:
    return {int(name.rpartition("-")[2]) for _, name in found}


def test_what_has_changed_is_handed_over_alone(scene: Scene) -> None:
    scene.lay(numbered(range(100)))
    (first,) = scene.fetch()
    assert (len(first.said), first.complete, first.parts) == (100, True, ())
    scene.look()

    scene.lay(numbered(range(34)) | numbered(range(35, 100)) | {100: 2})
    (second,) = scene.fetch()
    assert second.parts == (Part(reference(30), reference(40)), Part(reference(90)))
    assert len(second.said) == 20
    done = scene.look()
    assert (done.added, done.withdrawn, done.unchanged) == (1, 1, 19)
    assert references(scene.counting()) == {*range(34), *range(35, 101)}
    assert scene.fetch() == []


def test_the_order_of_a_document_is_all_one(scene: Scene) -> None:
    said = numbered(range(100))
    scene.lay(said)
    scene.look()
    scene.lay(dict(sorted(said.items(), reverse=True)))
    (batch,) = scene.fetch()
    assert (batch.said, batch.complete) == ((), False)
    assert (scene.look().withdrawn, scene.look().batches) == (0, 0)


def test_under_a_new_key_or_otherwise_read_all_of_it_is_handed_over(scene: Scene) -> None:
    scene.lay(numbered(range(50)))
    scene.look()
    scene.current = "k2"
    scene.lay(numbered(range(51)))
    done = scene.look()
    assert (done.added, done.withdrawn, done.unchanged) == (51, 0, 50)
    assert {digest.partition(":")[0] for digest, _ in scene.counting()} == {"k1", "k2"}
    more: dict[str, Any] = (
        {"confidence": 10} if scene.kind != "csv" else {"always": {"kind": "email", "confidence": 10}}
    )
    scene.settings |= more
    assert scene.look().corrected == 101


def test_a_checkpoint_from_before_there_were_portions_goes_on(scene: Scene) -> None:
    scene.lay(numbered(range(50)))
    scene.look()
    with scene.store.write() as connection:
        kept = json.loads(checkpoint_of(connection, "ngo") or "")
        old = json.dumps({name: kept[name] for name in ("contents", "newest")})
        connection.exec_driver_sql("UPDATE indicator_sources SET checkpoint = ? WHERE source = 'ngo'", (old,))
    assert scene.fetch() == []
    scene.lay(numbered(range(1, 51)))
    done = scene.look()
    assert (done.added, done.withdrawn, done.unchanged) == (1, 1, 49)


def test_whatever_a_document_says_is_what_counts(scene: Scene) -> None:
    randomness = random.Random(11)  # the same each time
    said = numbered(range(0, 200, 2))
    for step in range(12):
        first = randomness.randrange(200)
        for number in range(first, first + randomness.choice((1, 10, 60))):
            if randomness.random() < 0.4:
                said.pop(number, None)
            elif randomness.random() < 0.5:
                said[number] = 1 + step
        scene.lay(said)
        scene.look()
        assert references(scene.counting()) == set(said), f"step {step}"
    assert verify(scene.store).ok


def test_one_wrong_entry_among_what_has_changed_refuses_all(scene: Scene) -> None:
    scene.lay(numbered(range(100)))
    scene.look()
    before = scene.counting()
    data = FORMATS[scene.kind][1](numbered(range(100)) | {34: 5, 77: 5})
    scene.write(data.replace(b"x77@shop", b"x77@\x01shop"))
    with pytest.raises(FeedRefused):
        scene.fetch()
    assert scene.counting() == before


def test_the_newest_date_counts_wherever_it_stands(sqlite_store: Store, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(portions, "PER_PART", 10)
    for kind in ("csv", "ftm"):
        place = tmp_path / kind
        place.mkdir()
        scene = Scene(kind, sqlite_store, place)
        scene.lay(numbered(range(100)) | {5: 20})
        scene.look()
        scene.lay(numbered(range(100)) | {5: 20, 90: 3})  # nothing of the newest portion changed
        scene.look()
        scene.lay(numbered(range(100)) | {90: 3})
        with pytest.raises(FeedRefused, match="older"):
            scene.fetch()
        with sqlite_store.write() as connection:
            connection.exec_driver_sql("DELETE FROM indicator_sources")


def test_columns_that_change_places_are_read_anew(sqlite_store: Store, tmp_path: Path) -> None:
    scene = Scene("csv", sqlite_store, tmp_path)
    scene.settings |= {"columns": {"value": "v", "reference": "r", "category": "c"}}
    scene.write(b"v,r,c,d\nx@shop.example,case-1,one,two\n")
    scene.look()
    scene.write(b"v,r,d,c\nx@shop.example,case-1,one,two\n")
    assert [each.category for each in scene.fetch()[0].said] == ["two"]


def test_what_has_no_reference_of_its_own_is_one_portion(sqlite_store: Store, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(portions, "PER_PART", 10)
    scene = Scene("csv", sqlite_store, tmp_path)
    scene.settings["columns"] = {"value": "v"}
    scene.lay(numbered(range(50)))
    scene.look()
    scene.lay(numbered(range(1, 50)))
    done = scene.look()
    assert (done.withdrawn, done.unchanged) == (1, 49)


def test_an_id_that_is_said_twice_is_refused(sqlite_store: Store, tmp_path: Path) -> None:
    scene = Scene("ftm", sqlite_store, tmp_path)
    scene.write(as_ftm({1: 1}).replace(b'"schema"', b'"id": "another", "schema"'))
    with pytest.raises(FeedRefused, match="line 1"):
        scene.fetch()
    scene.write(as_ftm({1: 1}).replace(b'{"id": "0', b'{ "id" : "\\u0030'))
    assert [each.reference for each in scene.fetch()[0].said] == [reference(1)]
