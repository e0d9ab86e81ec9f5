"""Compare what people did by hand with what the log says: holds they placed, releases, proposals, snoozes and acts.

What retention has deleted is not missed here: what came of it has entries of its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from paycordon.decisions import Decision
from paycordon.people import same_name
from paycordon.policy.guarded import COALITION_CODES
from paycordon.record.apart import is_of
from paycordon.record.problems import Problems
from paycordon.store import schema

_KINDS = {
    "hold.placed": "placed",
    "hold.released": "hold",
    "proposal.made": "proposal",
    "proposal.agreed": "proposal",
    "proposal.declined": "proposal",
    "snooze.placed": "snooze",
    "snooze.ended": "snooze",
    "act.asked": "asked",
    "act.done": "done",
}
_PLACED = (
    "merchant", "instance", "account", "subject_kind", "subject_id", "outcome", "scope", "rule", "source",
    "merchant_reason", "amount", "currency", "two_people",
)  # fmt: skip

Said = Mapping[str, Any]


class ReviewCheck:
    """Keeps what the log says people did, in `named`, a database for what does not fit into memory."""

    def __init__(self, connection: Connection, problems: Problems, named: sqlite3.Connection) -> None:
        self._connection = connection
        self._problems = problems
        self._named = named
        named.execute("CREATE TABLE done (kind TEXT, id TEXT, said TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID")

    def take(self, kind: str, said: Said) -> str | None:
        """Note an entry; returns the id of the hold if it says that one was placed."""
        name = _KINDS.get(kind)
        id_ = said.get(name) if name else None
        if not isinstance(id_, str):
            return None
        self._named.execute("INSERT OR IGNORE INTO done VALUES (?, ?, ?)", (kind, id_, json.dumps(said)))
        return id_ if kind == "hold.placed" else None

    def doubt_of_hold(self, row: Mapping[str, Any]) -> str:
        """Say what is wrong with a hold that no decision asked for; empty if nothing is."""
        said = self._said("hold.placed", row["id"])
        if said is None:
            return "no entry of the log says who placed it"
        told = {name: said.get(name) for name in _PLACED} | {"by": said.get("by")}
        is_so = {name: row[name] for name in _PLACED} | {"by": row["placed_by"]}
        same = told == is_so and self._is_of(said.get("reason_digest"), row["internal_reason"])
        return "" if same else "is not what the log says was placed"

    def doubt_of_people(self, row: Mapping[str, Any], decision: str | None) -> str:
        """Say whether one person alone released, or could release, what takes two; empty if not."""
        placed = self._said("hold.placed", row["id"]) or {}
        if placed.get("source") == "order":
            return ""  # released by the role `restricted` alone; its own log says by whom
        takes_two = _rests_on_coalition(decision) or placed.get("two_people") == 1
        if row["released_at"] is None:
            return "does not say that its release takes two people" if takes_two and row["two_people"] != 1 else ""
        said = self._said("hold.released", row["id"])
        if said is None or "two_people" not in said:  # the entry of an earlier version, when it took one
            return ""
        by, second = said.get("by"), said.get("agreed_by")
        agreed = isinstance(by, str) and isinstance(second, str) and not same_name(by, second)
        takes_two = takes_two or row["two_people"] == 1
        return "was released by one person, although it takes two people" if takes_two and not agreed else ""

    def end(self) -> None:
        """Find proposals, snoozes and acts that are not as the log says."""
        for row in self._all(schema.proposals, restricted=False):
            self._report("proposal", row["id"], self._doubt_of_proposal(row))
        for row in self._all(schema.snoozes):
            self._report("snooze", row["id"], self._doubt_of_snooze(row))
        for row in self._all(schema.acts):
            self._report("act", row["id"], self._doubt_of_act(row))

    def _doubt_of_proposal(self, row: Mapping[str, Any]) -> str:
        made = self._said("proposal.made", row["id"])
        if made is None:
            return "no entry of the log names it"
        told = tuple(made.get(n) for n in ("kind", "merchant", "subject", "by", "lapses_at"))
        is_so = (row["kind"], row["merchant"], row["subject_id"], row["proposed_by"], row["lapses_at"])
        texts = (("detail_digest", row["detail"]), ("reason_digest", row["reason"]))
        if told != is_so or not all(self._is_of(made.get(name), words) for name, words in texts):
            return "is not what the log says was proposed"
        decided = {state: self._said(f"proposal.{state}", row["id"]) for state in ("agreed", "declined")}
        states = [state for state, said in decided.items() if said is not None] or ["open"]
        said = decided.get(states[0]) or {}
        given, why = row["decision_reason"], said.get("reason_digest")
        answered = row["decided_by"] == said.get("by") and (why is given is None or self._is_of(why, given))
        right = row["state"] == states[0] and answered
        return "" if right else "what was decided about it is not what the log says"

    def _doubt_of_snooze(self, row: Mapping[str, Any]) -> str:
        placed, ended = self._said("snooze.placed", row["id"]), self._said("snooze.ended", row["id"])
        if placed is None:
            return "no entry of the log names it"
        told = tuple(placed.get(n) for n in ("merchant", "rule", "until", "by", "agreed_by"))
        is_so = tuple(row[n] for n in ("merchant", "rule", "until", "placed_by", "agreed_by"))
        if told != is_so or not self._is_of(placed.get("reason_digest"), row["reason"]):
            return "is not what the log says was placed"
        return "" if row["ended_by"] == (ended or {}).get("by") else "its end is not what the log says"

    def _doubt_of_act(self, row: Mapping[str, Any]) -> str:
        asked, done = self._said("act.asked", row["id"]), self._said("act.done", row["id"])
        if asked is None:
            return "no entry of the log names it"
        named = ("instance", "account", "merchant", "act", "by", "agreed_by")
        is_so = tuple(row[n] for n in ("instance", "account", "merchant", "act", "asked_by", "agreed_by"))
        told = tuple(asked.get(name) for name in named)
        texts = (("parameters_digest", row["parameters"]), ("reason_digest", row["reason"]))
        if told != is_so or not all(self._is_of(asked.get(name), words) for name, words in texts):
            return "is not what the log says was asked for"
        ended = None if done is None else (done.get("reference"), done.get("shows"))
        is_done = (row["reference"], row["result"]) if row["state"] == "done" else None
        return "" if ended == is_done else "what became of it is not what the log says"

    def _is_of(self, digest: object, words: object) -> bool:
        return is_of(self._connection, digest, words)

    def _said(self, kind: str, id_: object) -> Said | None:
        found = self._named.execute("SELECT said FROM done WHERE kind = ? AND id = ?", (kind, id_)).fetchone()
        said: Said | None = json.loads(found[0]) if found else None
        return said

    def _all(self, table: Any, *, restricted: bool | None = None) -> Any:
        query = select(table).order_by(table.c.id)
        if restricted is not None:
            query = query.where(table.c.restricted == int(restricted))
        return self._connection.execute(query.execution_options(yield_per=500)).mappings()

    def _report(self, kind: str, id_: str, doubt: str) -> None:
        if doubt:
            self._problems.add("changed", f"{kind} `{id_}`: {doubt}", record=id_)


def _rests_on_coalition(decision: str | None) -> bool:
    try:
        found = Decision.model_validate_json(decision or "")
    except ValueError:
        return False
    return any(finding.code in COALITION_CODES for finding in found.findings)
