"""An index is built whole or not at all, and swapped under readers without a gap."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paycordon.errors import ConfigError
from paycordon.names.index import RECHECK_SECONDS, CurrentIndex, Listed, NameIndex, build
from paycordon.names.lists import entries_of
from paycordon.names.words import NameKind

PERSON, ORGANISATION = NameKind.PERSON, NameKind.ORGANISATION
ENTRIES = [
    Listed("q1", "Tomasin Verlaek", PERSON, ("Thomasino V. Verlaek", "Том Верлаек"), "https://list.example/q1"),
    Listed("q2", "Brundelo Trading Limited", ORGANISATION),
    Listed("q3", "Orvelle Quistorn", PERSON),
]


def found(index: NameIndex, name: str, kind: NameKind = PERSON) -> list[tuple[str, str]]:
    return [(each.entry.id, each.by) for each in index.search(name, kind, 80)]


def test_an_entry_is_found_once_by_the_name_that_is_most_alike(tmp_path: Path) -> None:
    assert build(tmp_path, ENTRIES, "s1") == 3
    index = CurrentIndex(tmp_path).get()
    assert len(index) == 3
    assert found(index, "Verlaek, Tomasim") == [("q1", "Tomasin Verlaek")]
    assert found(index, "Том Верлаек") == [("q1", "Том Верлаек")]
    assert found(index, "Brundello Trading Ltd", ORGANISATION) == [("q2", "Brundelo Trading Limited")]
    assert found(index, "Someone Else") == []
    assert found(index, "") == []
    (hit,) = index.search("Tomasin Verlaek", PERSON, 80)
    assert (hit.entry.name, hit.entry.kind, hit.entry.reference) == (
        "Tomasin Verlaek",
        PERSON,
        "https://list.example/q1",
    )


def test_readers_change_over_to_a_new_index(tmp_path: Path) -> None:
    build(tmp_path, ENTRIES[:1], "s1")
    now = [0.0]
    current = CurrentIndex(tmp_path, clock=lambda: now[0])
    build(tmp_path, ENTRIES[1:], "s2")
    assert found(current.get(), "Tomasin Verlaek"), "the old one stays open until it is time to look"
    now[0] += RECHECK_SECONDS + 0.1
    assert found(current.get(), "Tomasin Verlaek") == []
    assert found(current.get(), "Orvelle Quistorn")
    assert len(list(tmp_path.glob("v*"))) == 1, "what nothing points to is removed"


def test_a_build_that_fails_leaves_the_former_index(tmp_path: Path) -> None:
    build(tmp_path, ENTRIES, "s1")

    def dies():
        yield ENTRIES[0]
        raise ConfigError("the list ends in the middle")

    with pytest.raises(ConfigError, match="in the middle"):
        build(tmp_path, dies(), "s2")
    assert len(CurrentIndex(tmp_path).get()) == 3
    assert len(list(tmp_path.glob("v*"))) == 1


def test_a_damaged_index_leaves_the_one_in_use_and_stops_a_start(tmp_path: Path, caplog) -> None:
    build(tmp_path, ENTRIES, "s1")
    now = [0.0]
    current = CurrentIndex(tmp_path, clock=lambda: now[0])
    (tmp_path / "current").write_text("v1-gone")
    now[0] += RECHECK_SECONDS + 0.1
    assert found(current.get(), "Tomasin Verlaek")
    assert "the index of names in use stays" in caplog.text
    with pytest.raises(ConfigError, match="not whole"):
        CurrentIndex(tmp_path)
    with pytest.raises(ConfigError, match="there is no index"):
        CurrentIndex(tmp_path / "elsewhere")


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    build(tmp_path, ENTRIES, "s1")
    (made,) = tmp_path.glob("v*")
    (made / "manifest.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ConfigError, match="another version"):
        CurrentIndex(tmp_path)


def test_both_formats_are_read_and_a_bad_line_is_named(tmp_path: Path) -> None:
    own, ftm = tmp_path / "own.jsonl", tmp_path / "ftm.json"
    own.write_text('{"id": "a", "name": "Tomasin Verlaek", "kind": "person", "aliases": ["T V"]}\n\n')
    entity = {
        "id": "b",
        "schema": "Company",
        "caption": "Brundelo",
        "properties": {"name": ["Brundelo"], "alias": ["BD"]},
    }
    ship = {"id": "c", "schema": "Vessel", "properties": {"name": ["Meridia"]}}
    ftm.write_text(f"{json.dumps(entity)}\n{json.dumps(ship)}\n")
    assert [(e.id, e.aliases) for e in entries_of(own, "jsonl")] == [("a", ("T V",))]
    assert [(e.id, e.name, e.aliases) for e in entries_of(ftm, "ftm")] == [("b", "Brundelo", ("Brundelo", "BD"))]
    own.write_text('{"id": "a", "name": "x", "kind": "person"}\n{"id": "b", "name": "secret name"}\n')
    with pytest.raises(ConfigError, match="not an entry of a list of names: `kind`") as failed:
        list(entries_of(own, "jsonl"))
    assert failed.value.position is not None
    assert failed.value.position.line == 2
    assert "secret name" not in str(failed.value)
    for line in ("[1]", "{", '{"id": 1, "schema": "Person", "properties": []}', "null", "\xff"):
        ftm.write_bytes(line.encode("latin-1"))
        with pytest.raises(ConfigError, match="FollowTheMoney"):
            list(entries_of(ftm, "ftm"))
    with pytest.raises(ConfigError, match="cannot be read"):
        list(entries_of(tmp_path / "absent", "jsonl"))
