"""What the doctor says of feeds and of identifier keys."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from paycordon.store.schema import micros

FEEDS = """
feeds:
  ngo: {format: csv, source: ngo.csv, columns: {value: iban}, always: {kind: iban}}
  lantern: {format: threatexchange, source: "https://graph.example/v19.0/1", token: "env:TOKEN"}
"""


@pytest.fixture
def database(cli, deployment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOKEN", "synthetic")
    config = deployment / "paycordon.yaml"
    config.write_text(config.read_text() + FEEDS)
    cli("doctor")
    return deployment / "paycordon.db"


def change(database: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement, values)


def said(cli, part: str) -> list[tuple[str, str, str]]:
    found = cli("doctor", "--json").json["found"]
    return [(each["health"], each["message"], each["fix"]) for each in found if each["part"] == part]


def looked(database: Path, name: str, ago: timedelta, state: str | None = None, failures: int = 0) -> None:
    at = micros(datetime.now(UTC) - ago)
    change(
        database,
        "INSERT OR REPLACE INTO feeds (name, due_at, looked_at, good_at, failures, state, why) VALUES (?,?,?,?,?,?,?)",
        *(name, at, at, at, failures, state, None if state is None else "is cut off"),
    )


def test_a_feed_that_was_never_read_is_a_warning(cli, database: Path) -> None:
    words = said(cli, "feeds")
    assert [(health, message) for health, message, _ in words] == [
        ("warn", "`ngo` has never been read"),
        ("warn", "`lantern` has never been read"),
    ]
    assert "paycordon feed pull ngo" in words[0][2]


def test_feeds_that_are_read_are_fine_and_those_that_nobody_reads_are_not(cli, database: Path) -> None:
    looked(database, "ngo", timedelta(minutes=4))
    looked(database, "lantern", timedelta(minutes=4))
    assert said(cli, "feeds") == [("ok", "2 are read and taken in", "")]
    looked(database, "ngo", timedelta(minutes=30))
    ((health, message, fix),) = said(cli, "feeds")
    assert (health, message) == ("fail", "`ngo` was last read 30 minutes ago")
    assert "paycordon work" in fix


@pytest.mark.parametrize(
    ("state", "failures", "health", "word"),
    [
        ("refused", 1, "fail", "is refused: is cut off"),
        ("failed", 1, "warn", "cannot be read, 1 times so far: is cut off"),
        ("failed", 3, "fail", "cannot be read, 3 times so far: is cut off"),
        ("waiting", 1, "warn", "waits for a person"),
    ],
)
def test_a_feed_in_trouble_is_named(cli, database: Path, state: str, failures: int, health: str, word: str) -> None:
    looked(database, "lantern", timedelta(0))
    looked(database, "ngo", timedelta(minutes=4), state, failures)
    ((found, message, fix),) = said(cli, "feeds")
    assert (found, message) == (health, f"`ngo` {word}")
    assert fix


@pytest.mark.parametrize(
    ("days", "word", "fix"),
    [
        (21, "then what it takes back is lost", "paycordon feed pull lantern"),
        (31, "what it took back meanwhile still counts", "paycordon feed pull lantern --anew"),
    ],
)
def test_a_source_that_forgets_its_deletions_has_to_be_read_in_time(
    cli, database: Path, days: int, word: str, fix: str
) -> None:
    looked(database, "ngo", timedelta(0))
    looked(database, "lantern", timedelta(days=days))
    ((health, message, done),) = said(cli, "feeds")
    assert (health, done) == ("fail", fix)
    assert message == f"`lantern` was last read {days} days ago; its source tells of deletions for 30: {word}"


def test_a_source_that_forgets_has_to_be_looked_at_more_often_than_that(cli, database: Path) -> None:
    config = database.parent / "paycordon.yaml"
    config.write_text(config.read_text().replace('token: "env:TOKEN"', 'token: "env:TOKEN", every: 31d'))
    looked(database, "ngo", timedelta(0))
    looked(database, "lantern", timedelta(0))
    ((health, message, _),) = said(cli, "feeds")
    assert (health, message) == (
        "fail",
        "`lantern` is looked at every 31 days, and its source tells of deletions for 30",
    )


def rotate(database: Path, *, keep: bool) -> None:
    """Let a second key be the current one."""
    config = database.parent / "paycordon.yaml"
    (database.parent / ".paycordon" / "next.key").write_text("n" * 64)
    (database.parent / ".paycordon" / "next.key").chmod(0o600)
    lines = config.read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("identifier_keys:"))
    keys = "keys: {k2: file:.paycordon/next.key" + (", k1: file:.paycordon/identifier.key}" if keep else "}")
    end = next(n for n in range(first + 1, len(lines)) if lines[n][:1] not in ("", " ", "#"))
    config.write_text("\n".join([*lines[:first], f"identifier_keys: {{current: k2, {keys}}}", *lines[end:]]))


def test_keys_are_counted_and_those_that_may_go_are_named(cli, known: str, database: Path, make_event: Any) -> None:
    key = known.partition(":")[0]
    assert key == "k1"
    assert cli("screen", stdin=json.dumps(make_event())).code == 1
    rotate(database, keep=True)
    assert [health for health, _, _ in said(cli, "identifiers")] == ["ok"]

    done = cli("indicator", "keys", "--json")
    old, new = done.json
    assert done.code == 0
    assert (old["key"], old["indicators"], old["sightings"] > 0, old["advice"]) == ("k1", 1, True, "needed")
    assert (new["key"], new["indicators"], new["advice"]) == ("k2", 0, "current")
    assert "`k1` must stay: 1 indicators that count" in cli("indicator", "keys").out

    named = ("--source", "IWF", "--reference", "case-7", "--by", "ada", "--reason", "taken back")
    assert cli("indicator", "withdraw", *named, "--digest", known).code == 0
    assert "`k1` should stay until" in cli("indicator", "keys").out
    change(database, "UPDATE sightings SET last_seen = 1")
    change(database, "DELETE FROM facts")
    assert "`k1` may be taken off" in cli("indicator", "keys").out


def test_a_key_that_is_used_and_not_configured_is_a_warning(cli, known: str, database: Path) -> None:
    rotate(database, keep=False)
    ((health, message, fix),) = said(cli, "identifiers")
    assert (health, message) == (
        "warn",
        "1 indicators are under the key `k1`, which is not configured: they match nothing",
    )
    assert fix == "add `k1` to `identifier_keys.keys` again"
    done = cli("indicator", "keys")
    assert done.code == 1
    assert "`k1` is not configured: what is stored under it matches nothing" in done.out
