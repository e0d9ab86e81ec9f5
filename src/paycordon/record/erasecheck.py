"""Compare what was erased with what the log says of it: exactly what it names may be gone, and must be."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, text

from paycordon.record.problems import Problems
from paycordon.store.erasure import DECISION, EVENT, HOLD, batch_digest, hold_digest

_entries = text("SELECT seq, payload FROM log WHERE kind = 'erased' ORDER BY seq")
_digest = text("SELECT digest FROM erasures WHERE kind = :kind AND id = :id")
_count = text("SELECT COUNT(*) FROM erasures")
_BLANK_EVENT = {"seen": 0, "type": "", "account": "", "occurred_at": 0, "recorded_at": 0, "body": "", "salt": None}
_BLANK_DECISION = {"decided_at": 0, "body": "", "event_type": "", "shadow_outcome": None, "salt": None}
_BLANK_HOLD = {
    **dict.fromkeys(("account", "subject_kind", "subject_id", "rule", "merchant_reason"), ""),
    **dict.fromkeys(("release_reason", "amount", "currency", "internal_reason")),
}
_BLANK: Mapping[str, Mapping[str, object]] = {EVENT: _BLANK_EVENT, DECISION: _BLANK_DECISION, HOLD: _BLANK_HOLD}


class EraseCheck:
    """Knows what the log says was erased, and compares records with it.

    `named` is a database for what does not fit into memory; its table `erased` belongs to this.
    """

    def __init__(self, connection: Connection, problems: Problems, named: sqlite3.Connection) -> None:
        self._connection = connection
        self._problems = problems
        self._named = named
        named.execute("CREATE TABLE erased (kind TEXT, id TEXT, seq INT, PRIMARY KEY (kind, id)) WITHOUT ROWID")
        for row in connection.execute(_entries):
            self._take(row)

    def says(self, kind: str, id_: str) -> bool:
        """Tell whether the log says that a record was erased."""
        row = self._named.execute("SELECT 1 FROM erased WHERE kind = ? AND id = ?", (kind, id_))
        return row.fetchone() is not None

    def doubt(self, kind: str, id_: str, row: Mapping[str, Any], digest: object) -> str:
        """Say what is wrong with a record whose text is gone, or should be; empty if nothing is.

        Args:
            kind: `event`, `decision` or `hold`.
            id_: its id; the position of an event.
            row: its columns.
            digest: what the log's own entry about it gives as its digest.
        """
        if not self.says(kind, id_):
            return "its text is gone, and no entry of the log says that it was erased"
        if any(row[name] != value for name, value in _BLANK[kind].items()):
            return "was erased, as the log says, but is not as that leaves it"
        kept = self._connection.execute(_digest, {"kind": kind, "id": id_}).scalar()
        return "" if kept == digest else "its erasure is not what the log says"

    def doubt_of_hold(self, row: Mapping[str, Any]) -> str:
        """Say what is wrong with a hold that the log says was erased."""
        return self.doubt(HOLD, row["id"], row, hold_digest(row))

    def end(self) -> None:
        """Find erasures that no entry names."""
        said = self._named.execute("SELECT COUNT(*) FROM erased").fetchone()[0]
        if self._connection.execute(_count).scalar_one() > said:
            self._problems.add(
                "unnamed", "table `erasures`: has rows that no entry of the log names", record="erasures"
            )

    def _take(self, row: Any) -> None:
        content = _content(row.payload)
        names = [(kind, id_) for kind in (EVENT, DECISION, HOLD) for id_ in _texts(content.get(f"{kind}s"))]
        self._named.executemany("INSERT OR IGNORE INTO erased VALUES (?, ?, ?)", [(*each, row.seq) for each in names])
        if batch_digest(self._stored(names)) != content.get("digest"):
            sentence = f"entry {row.seq}: the erasures that it names are not what is stored of them"
            self._problems.add("changed", sentence, entry=row.seq)

    def _stored(self, names: list[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
        for kind, id_ in names:
            yield kind, id_, str(self._connection.execute(_digest, {"kind": kind, "id": id_}).scalar())


def _content(payload: object) -> Mapping[str, Any]:
    try:
        content = json.loads(payload) if isinstance(payload, str) else None
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
