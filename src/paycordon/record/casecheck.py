"""Compare cases, and what people did in them, with what the log says of it.

What a person does in a case, an objection and a release each have an entry: the line in the case must be as it says,
none may be missing, and none be there that no entry names. Who works on a case, and how it ended, follows from these
lines. Lines of the machine that have no entry of their own are not compared, but for the decision that they name.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from paycordon.record.apart import is_of
from paycordon.record.problems import Problems
from paycordon.store import schema

_PAGE = 200
_ACTS = frozenset(
    {"assign", "note", "attachment", "uphold", "release", "request_information", "escalate", "resume", "reopen"}
)
_OTHERS = frozenset({"appeal", "refer"})
_CLOSING = ("uphold", "release")
_REOPENING = frozenset({"reopen", "appeal", "withdrawal"})

Said = Mapping[str, Any]
_Row = RowMapping
_Lines = Sequence[_Row]


class CaseCheck:
    """Keeps what the log says of cases, in `named`, a database for what does not fit into memory."""

    def __init__(self, connection: Connection, problems: Problems, named: sqlite3.Connection) -> None:
        self._connection, self._problems, self._named = connection, problems, named
        self._gone_unnamed = 0
        named.execute("CREATE TABLE case_lines (id TEXT, kind TEXT, at INTEGER, said TEXT)")
        named.execute("CREATE INDEX case_lines_id ON case_lines (id, kind, at)")
        named.execute("CREATE TABLE case_releases (at INTEGER, by TEXT, hold TEXT, digest TEXT)")
        named.execute("CREATE INDEX case_releases_at ON case_releases (at, by)")
        named.execute("CREATE TABLE cases_gone (id TEXT PRIMARY KEY) WITHOUT ROWID")

    def take(self, kind: str, at: object, said: Said) -> None:
        """Note an entry; `at` is its time in microseconds."""
        action = kind.removeprefix("case.")
        if action != kind and isinstance(said.get("case"), str):
            self._named.execute(
                "INSERT INTO case_lines VALUES (?, ?, ?, ?)", (said["case"], action, at, json.dumps(said))
            )
        elif kind == "hold.released":
            row = (at, said.get("by"), said.get("hold"), said.get("reason_digest"))
            if all(isinstance(each, str) for each in row[1:]):
                self._named.execute("INSERT INTO case_releases VALUES (?, ?, ?, ?)", row)
        elif kind == "erased.merchant" or (kind == "retention" and said.get("class") == "cases"):
            self._note_gone(said)

    def end(self) -> None:
        """Find cases that are not as the log says."""
        self._named.execute("CREATE TEMP TABLE cases_there (id TEXT PRIMARY KEY) WITHOUT ROWID")
        for page in self._pages():
            lines = self._lines([row["id"] for row in page])
            for row in page:
                self._named.execute("INSERT INTO cases_there VALUES (?)", (row["id"],))
                doubt = self._doubt(row, lines.get(row["id"], []))
                if doubt:
                    self._problems.add("changed", f"case `{row['id']}`: {doubt}", record=row["id"])
        self._note_missing()

    def _note_gone(self, said: Said) -> None:
        """Note which cases retention has deleted; entries of earlier versions say only how many."""
        ids = said.get("cases")
        if isinstance(ids, list):
            self._named.executemany("INSERT OR IGNORE INTO cases_gone VALUES (?)", [(str(each),) for each in ids])
            return
        number = said.get("rows", said.get("cases_rows"))
        self._gone_unnamed += number if isinstance(number, int) else 0

    def _note_missing(self) -> None:
        missing = self._named.execute(
            "SELECT DISTINCT id FROM case_lines WHERE id NOT IN (SELECT id FROM cases_gone) "
            "AND id NOT IN (SELECT id FROM cases_there) ORDER BY id"
        ).fetchall()
        if len(missing) > self._gone_unnamed:
            for (id_,) in missing:
                self._problems.add("missing", f"case `{id_}`: is missing, the log names it", record=id_)

    def _doubt(self, row: _Row, lines: _Lines) -> str:
        for line in lines:
            if line["kind"] in ("decision", "cap") and line["merchant"] != row["merchant"]:
                return "has a line on a decision that is not there, or is about another merchant"
        wanted: dict[tuple[str, int], list[Said]] = {}
        said = self._named.execute("SELECT kind, at, said FROM case_lines WHERE id = ?", (row["id"],))
        for kind, at, text in said.fetchall():
            wanted.setdefault((kind, at), []).append(json.loads(text))
        for line in lines:
            if not self._is_told(line, wanted.get((line["kind"], line["at"]), [])):
                return f"its line `{line['kind']}` is not what the log says, or no entry names it"
        left = next((kind for (kind, _), entries in wanted.items() if entries and kind in _ACTS | _OTHERS), None)
        if left is not None:
            return f"a line `{left}` that the log names is missing"
        return _doubt_of_row(row, lines)

    def _is_told(self, line: _Row, entries: list[Said]) -> bool:
        """Tell whether an entry says what a line says, and take it out of the entries."""
        if line["kind"] not in _OTHERS and (line["kind"] not in _ACTS or line["actor"] is None):
            return True
        for entry in entries:
            if line["kind"] in _OTHERS or self._is_act(line, entry):
                entries.remove(entry)
                return True
        return line["kind"] == "release" and self._is_release(line)

    def _is_act(self, line: _Row, entry: Said) -> bool:
        detail = entry.get("detail_digest")
        told = is_of(self._connection, entry.get("reason_digest"), line["note"])
        same = line["detail"] is detail is None or is_of(self._connection, detail, line["detail"])
        return same and entry.get("by") == line["actor"] and told

    def _is_release(self, line: _Row) -> bool:
        """Tell whether a hold was released then by whom the line says, for what it says."""
        query = "SELECT hold, digest FROM case_releases WHERE at = ? AND by = ?"
        found = self._named.execute(query, (line["at"], line["actor"])).fetchall()
        return any(is_of(self._connection, digest, line["note"]) or self._is_erased(hold) for hold, digest in found)

    def _is_erased(self, hold: str) -> bool:
        table = schema.erasures
        query = select(table.c.id).where(table.c.kind == "hold", table.c.id == hold)
        return self._connection.execute(query).first() is not None

    def _pages(self) -> Iterator[Sequence[_Row]]:
        table = schema.cases
        query = select(table).where(table.c.restricted == 0).order_by(table.c.id).limit(_PAGE)
        page = self._connection.execute(query).mappings().all()
        while page:
            yield page
            page = self._connection.execute(query.where(table.c.id > page[-1]["id"])).mappings().all()

    def _lines(self, ids: Sequence[str]) -> dict[str, list[_Row]]:
        """Return the lines of these cases, each with the merchant of its decision."""
        table, decisions = schema.case_events, schema.decisions
        joined = table.outerjoin(decisions, decisions.c.id == table.c.decision_id)
        query = select(table, decisions.c.merchant).select_from(joined).where(table.c.case_id.in_(ids))
        found: dict[str, list[_Row]] = {}
        for line in self._connection.execute(query.order_by(table.c.id)).mappings():
            found.setdefault(line["case_id"], []).append(line)
        return found


def _assigned(line: _Row) -> str | None:
    try:
        to = json.loads(line["detail"])["to"]
    except (TypeError, ValueError, KeyError):
        return None
    return to if isinstance(to, str) else None


def _doubt_of_row(row: _Row, lines: _Lines) -> str:
    """Say what in a case does not follow from its lines; empty if all does."""
    assigned = [_assigned(line) for line in lines if line["kind"] == "assign"]
    if row["assignee"] != (assigned[-1] if assigned else None):
        return "is not assigned to whom the log says"
    closed = row["closed_at"] is not None
    if closed != (row["state"] == "closed"):
        return "is closed and open at once"
    ended = (row["resolution"], row["closed_at"], row["closed_by"])
    if closed:
        there = any((line["kind"], line["at"], line["actor"]) == ended for line in lines if line["kind"] in _CLOSING)
        return "" if there else "was not closed by whom, when or as it says"
    if ended != (None, None, None):
        return "is open, and says how it was closed"
    last = next((line["kind"] for line in reversed(lines) if line["kind"] in {"uphold", *_REOPENING}), None)
    return "is open, but was upheld" if last == "uphold" else ""
