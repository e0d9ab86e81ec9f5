"""Compare what others were told with what the log says: each message, who agreed to it, and what stands where.

What retention has deleted is not missed here: what was told and taken back has entries of its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from paycordon.people import same_name
from paycordon.record.apart import is_of
from paycordon.record.log import digest_of
from paycordon.record.problems import Problems
from paycordon.store import schema

_STEPS = {
    "contribution.drafted": "drafted",
    "feedback.given": "drafted",
    "contribution.agreed": "agreed",
    "contribution.dropped": "dropped",
    "contribution.sent": "taken",
    "contribution.corrected": "taken",
    "contribution.retracted": "taken",
    "feedback.sent": "taken",
}
_OF_CONTRIBUTIONS = {"contribution.sent": "sent", "contribution.retracted": "retracted"}
_NAMED = ("contribution", "recipient", "merchant", "verb", "revision", "by_hand")
_TEXTS = ("about", "independent", "unseen", "reason")
_FIRST = "INSERT OR IGNORE INTO told VALUES (?, ?, ?)"
_LAST = "INSERT OR REPLACE INTO told VALUES (?, ?, ?)"

Said = Mapping[str, Any]


class ExchangeCheck:
    """Keeps what the log says others were told, in `named`, a database for what does not fit into memory."""

    def __init__(self, connection: Connection, problems: Problems, named: sqlite3.Connection) -> None:
        self._connection = connection
        self._problems = problems
        self._named = named
        named.execute("CREATE TABLE told (step TEXT, id TEXT, said TEXT, PRIMARY KEY (step, id)) WITHOUT ROWID")

    def take(self, kind: str, said: Said) -> None:
        """Note an entry."""
        step, message, about = _STEPS.get(kind), said.get("message"), said.get("contribution")
        if step is None or not isinstance(message, str):
            return
        self._note(step, message, said)
        if isinstance(about, str):
            if kind in _OF_CONTRIBUTIONS:
                self._note(_OF_CONTRIBUTIONS[kind], about, said)
            if kind == "contribution.drafted" and said.get("verb") == "add":
                self._note("new", about, said)
            if "digests_digest" in said:
                self._note("digests", about, said, newest=True)

    def end(self) -> None:
        """Find messages and contributions that are not as the log says."""
        for row in self._all(schema.messages):
            self._report("message", row["id"], self._doubt_of_message(row))
        for row in self._all(schema.contributions):
            self._report("contribution", row["id"], self._doubt_of_contribution(row))

    def _doubt_of_message(self, row: Mapping[str, Any]) -> str:
        drafted = self._said("drafted", row["id"])
        if drafted is None:
            return "no entry of the log names it"
        told = (*(drafted.get(name) for name in _NAMED), drafted.get("by"))
        names = ("contribution_id", *_NAMED[1:], "asked_by")
        if told != tuple(row[name] for name in names) or not self._says(drafted, row):
            return "is not what the log says was drafted"
        state, taken, dropped = row["state"], self._said("taken", row["id"]), self._said("dropped", row["id"])
        if (taken is not None) != (state == "taken") or (dropped is not None) != (state == "dropped"):
            return "what became of it is not what the log says"
        if taken is not None and (taken.get("theirs") or None) != row["theirs"]:
            return "what became of it is not what the log says"
        if state in ("taken", "dropped") and row["body"] is not None:
            return "keeps plain words, although it was taken or dropped"
        return self._doubt_of_people(row)

    def _says(self, drafted: Said, row: Mapping[str, Any]) -> bool:
        if row["body"] is not None and not is_of(self._connection, drafted.get("words_digest"), row["body"]):
            return False
        if row["body"] is None and "words_digest" in drafted and row["state"] not in ("taken", "dropped"):
            return False
        return all(
            row[name] is drafted.get(f"{name}_digest") is None
            or is_of(self._connection, drafted.get(f"{name}_digest"), row[name])
            for name in _TEXTS
        )

    def _doubt_of_people(self, row: Mapping[str, Any]) -> str:
        """Say whether something was let out, or could be, that no two people agreed to; empty if not."""
        if row["verb"] == "feedback" or row["state"] in ("draft", "dropped"):
            return ""
        agreed = self._said("agreed", row["id"]) or {}
        by, second = agreed.get("by"), agreed.get("agreed_by")
        if not isinstance(by, str) or not isinstance(second, str) or same_name(by, second):
            return "no second person agreed to it"
        return "" if (by, second) == (row["asked_by"], row["agreed_by"]) else "who agreed is not what the log says"

    def _doubt_of_contribution(self, row: Mapping[str, Any]) -> str:
        new = self._said("new", row["id"])
        if new is None:
            return "no entry of the log names it"
        told = tuple(new.get(name) for name in ("recipient", "merchant", "kind", "rests_on", "code", "origin", "by"))
        names = ("recipient", "merchant", "kind", "hold_id", "code", "origin", "drafted_by")
        digests = (self._said("digests", row["id"]) or {}).get("digests_digest")
        if told != tuple(row[name] for name in names) or digests != digest_of(row["digests"]):
            return "is not what the log says was drafted"
        if (self._said("retracted", row["id"]) is not None) != (row["state"] == "retracted"):
            return "whether it was taken back is not what the log says"
        stands = self._said("sent", row["id"]) is not None and row["state"] != "retracted"
        wrong = stands and row["state"] not in ("sent", "retracting", "ended")
        return "does not say that it stands at its recipient, as the log does" if wrong else ""

    def _note(self, step: str, id_: str, said: Said, *, newest: bool = False) -> None:
        self._named.execute(_LAST if newest else _FIRST, (step, id_, json.dumps(said)))

    def _said(self, step: str, id_: object) -> Said | None:
        found = self._named.execute("SELECT said FROM told WHERE step = ? AND id = ?", (step, id_)).fetchone()
        said: Said | None = json.loads(found[0]) if found else None
        return said

    def _all(self, table: Any) -> Any:
        query = select(table).order_by(table.c.id)
        return self._connection.execute(query.execution_options(yield_per=500)).mappings()

    def _report(self, kind: str, id_: str, doubt: str) -> None:
        if doubt:
            self._problems.add("changed", f"{kind} `{id_}`: {doubt}", record=id_)
