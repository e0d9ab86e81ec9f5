"""Compare what was asked of lists of terminated merchants, and what they answered, with what the log says of it.

What retention has deleted is not missed here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from paycordon.record.log import digest_of
from paycordon.record.problems import Problems
from paycordon.store import schema

_ASKED, _HEARD = "inquiry.asked", ("inquiry.answered", "inquiry.later")

Said = Mapping[str, Any]


class InquiryCheck:
    """Keeps what the log says of inquiries, in `named`, a database for what does not fit into memory."""

    def __init__(self, connection: Connection, problems: Problems, named: sqlite3.Connection) -> None:
        self._connection, self._problems, self._named = connection, problems, named
        named.execute("CREATE TABLE inquired (step TEXT, id TEXT, said TEXT, PRIMARY KEY (step, id)) WITHOUT ROWID")

    def take(self, kind: str, said: Said) -> None:
        """Note an entry; of several about one answer the last counts."""
        step = "asked" if kind == _ASKED else "heard" if kind in _HEARD else None
        if step is not None and isinstance(said.get("inquiry"), str):
            row = (step, said["inquiry"], json.dumps(said))
            self._named.execute("INSERT OR REPLACE INTO inquired VALUES (?, ?, ?)", row)

    def end(self) -> None:
        """Find inquiries that are not as the log says."""
        query = select(schema.inquiries).order_by(schema.inquiries.c.id).execution_options(yield_per=500)
        for row in self._connection.execute(query).mappings():
            doubt = self._doubt({**row})
            if doubt:
                self._problems.add("changed", f"inquiry `{row['id']}`: {doubt}", record=row["id"])

    def _doubt(self, row: Mapping[str, Any]) -> str:
        asked, heard = self._said("asked", row["id"]), self._said("heard", row["id"])
        if asked is None:
            return "no entry of the log names it"
        told = tuple(asked.get(name) for name in ("service", "merchant", "by"))
        same = told == (row["service"], row["merchant"], row["asked_by"])
        if not same or asked.get("asked_digest") != digest_of(row["asked"]):
            return "is not what the log says was asked"
        if heard is None:
            return "" if row["answered_at"] is None else "has an answer that no entry of the log names"
        same = heard.get("matches") == row["number"] and heard.get("matches_digest") == digest_of_matches(
            row["matches"]
        )
        return "" if same else "its answer is not what the log says"

    def _said(self, step: str, id_: object) -> Said | None:
        found = self._named.execute("SELECT said FROM inquired WHERE step = ? AND id = ?", (step, id_)).fetchone()
        said: Said | None = json.loads(found[0]) if found else None
        return said


def digest_of_matches(stored: str) -> str:
    """Return the digest that the log has of stored matches; that they were taken in since does not change it."""
    try:
        matches = [{name: value for name, value in each.items() if name != "taken"} for each in json.loads(stored)]
    except (ValueError, TypeError, AttributeError):
        return ""  # no answer of ours
    return digest_of(json.dumps(matches, sort_keys=True, separators=(",", ":")))
