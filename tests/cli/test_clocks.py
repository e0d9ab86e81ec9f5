"""`paycordon clock list`, and what the doctor says when nobody keeps the clocks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from paycordon.store.schema import micros
from paycordon.testing import NOON

ROW = (
    "INSERT INTO clocks (subject_kind, subject_id, merchant, kind, source, started_at, due_at, next_at, state, "
    "restricted) VALUES ('hold', ?, 'm_1', 'review', 'policy: p/r', 0, ?, ?, 'running', ?)"
)


def add(deployment: Path, subject: str, due_at: int, restricted: int = 0) -> None:
    with closing(sqlite3.connect(deployment / "paycordon.db")) as connection, connection:
        connection.execute(ROW, (subject, due_at, due_at, restricted))


def test_without_clocks_it_says_who_starts_them(cli, deployment: Path) -> None:
    done = cli("clock", "list")
    assert done.code == 0
    assert "paycordon work" in done.out


def test_deadlines_are_listed_the_next_first_and_a_passed_one_is_a_finding(cli, deployment: Path) -> None:
    cli("clock", "list")
    add(deployment, "hold_2", 4_000_000_000_000_000)
    assert cli("clock", "list").code == 0
    add(deployment, "hold_1", micros(NOON))
    done = cli("clock", "list", "--json")
    assert done.code == 1
    assert [clock["subject_id"] for clock in done.json] == ["hold_1", "hold_2"]
    assert "over for" in cli("clock", "list", "--due-within", "30d").out
    assert "hold_2" not in cli("clock", "list", "--due-within", "30d").out


def test_restricted_deadlines_are_never_listed(cli, deployment: Path) -> None:
    cli("clock", "list")
    add(deployment, "dir_1", micros(NOON), restricted=1)
    done = cli("clock", "list", "--json")
    assert (done.code, done.json) == (0, [])


def test_a_wrong_span_is_a_usage_error(cli, deployment: Path) -> None:
    assert cli("clock", "list", "--due-within", "soon").code == 2


def test_the_doctor_fails_when_nobody_keeps_the_clocks(cli, deployment: Path) -> None:
    cli("clock", "list")
    add(deployment, "hold_1", micros(NOON))
    found = [each for each in cli("doctor", "--json").json["found"] if each["part"] == "clocks"]
    assert [(each["health"], "paycordon work" in each["fix"]) for each in found] == [("fail", True)]


def test_the_report_counts_what_comes_due_by_day_and_kind(cli, deployment: Path) -> None:
    assert "nothing comes due within 30 days" in cli("clock", "report").out
    soon = datetime.now(UTC) + timedelta(days=3)
    for number in range(3):
        add(deployment, f"hold_{number}", micros(soon))
    add(deployment, "hold_later", micros(soon + timedelta(days=60)))
    add(deployment, "dir_1", micros(soon), restricted=1)
    done = cli("clock", "report", "--days", "7", "--json")
    assert done.code == 0
    assert [(each["day"], each["kind"], each["deadlines"], each["merchants"]) for each in done.json] == [
        (f"{soon:%Y-%m-%d}", "review", 3, 1)
    ]
    add(deployment, "hold_passed", micros(NOON))
    done = cli("clock", "report")
    assert done.code == 1
    assert "yes" in done.out


def test_the_doctor_fails_when_holds_have_no_deadlines(cli, deployment: Path, hold: str) -> None:
    def health() -> list[str]:
        return [each["health"] for each in cli("doctor", "--json").json["found"] if each["part"] == "clocks"]

    assert health() == ["ok"]
    with closing(sqlite3.connect(deployment / "paycordon.db")) as connection, connection:
        connection.execute("UPDATE holds SET created_at = 0")
    assert health() == ["fail"]
