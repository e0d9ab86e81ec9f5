"""The hub's own small database: members, keys, how much each member has asked, and who asked how much when.

The audit holds no content: member, time, what kind of request, how many. Its entries are chained by the same hash as
those of the decision log. SQLite in WAL mode: what was committed survives `kill -9`; a power cut may take the last
entries, and with them nothing but that they were asked.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from paycordon.errors import StoreUnavailable
from paycordon.record.log import GENESIS, entry_hash
from paycordon.store.schema import micros

_PATIENCE_S = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS generation (number INTEGER NOT NULL);
INSERT INTO generation SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM generation);
CREATE TABLE IF NOT EXISTS members (
    name TEXT PRIMARY KEY, token_sha256 TEXT NOT NULL, per_day INTEGER NOT NULL, burst INTEGER NOT NULL,
    added_at INTEGER NOT NULL, removed_at INTEGER,
    refused INTEGER NOT NULL DEFAULT 0, evaluate INTEGER NOT NULL DEFAULT 0, buckets INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epochs (
    number INTEGER PRIMARY KEY, public_key TEXT NOT NULL, key TEXT NOT NULL, overlap_s INTEGER NOT NULL,
    made_at INTEGER NOT NULL, built_at INTEGER, ends_at INTEGER, ended_at INTEGER,
    list TEXT, entries INTEGER, bits INTEGER, capacity INTEGER, smallest INTEGER
);
CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL, hash BLOB NOT NULL
);
"""
Row = Mapping[str, Any]


class Ledger:
    """An open ledger, for one thread.

    Args:
        path: the file.
        create: whether to make it.

    Raises:
        StoreUnavailable: it cannot be opened.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        try:
            mode = "rwc" if create else "rw"
            uri = f"{path.resolve().as_uri()}?mode={mode}"
            self._db = sqlite3.connect(
                uri, uri=True, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            if create:
                self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the ledger of the hub cannot be used: {error}") from None

    def close(self) -> None:
        """Close it."""
        self._db.close()

    @contextmanager
    def write(self) -> Iterator[None]:
        """A transaction: all of it or nothing.

        Raises:
            StoreUnavailable: the file is locked, full or cannot be written.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the ledger of the hub cannot be used: {error}") from None

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Sequence[Row]:
        """Return what a query finds.

        Raises:
            StoreUnavailable: as `write`.
        """
        try:
            return [dict(row) for row in self._db.execute(sql, parameters)]
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the ledger of the hub cannot be used: {error}") from None

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement inside of `write`, and return how many rows it changed."""
        return self._db.execute(sql, parameters).rowcount

    def generation(self) -> int:
        """A number that grows whenever members or epochs change."""
        return int(self.rows("SELECT number FROM generation")[0]["number"])

    def changed(self) -> None:
        """Say, inside of `write`, that members or epochs have changed: who serves looks again."""
        self.run("UPDATE generation SET number = number + 1")

    def note(self, at: datetime, kind: str, **payload: str | int) -> None:
        """Append to the audit, inside of `write`."""
        last = self._db.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        seq, previous = (last[0] + 1, last[1]) if last else (1, GENESIS)
        content, moment = json.dumps(payload, separators=(",", ":"), sort_keys=True), micros(at)
        digest = entry_hash(previous, seq, moment, kind, content)
        self.run("INSERT INTO audit VALUES (?, ?, ?, ?, ?)", (seq, moment, kind, content, digest))

    def charge(self, member: Row, what: str, number: int, epoch: int, now: datetime) -> float:
        """Count requests of a member against its limit; returns 0, or after how many seconds it may ask again.

        A member may ask `burst` times at once and gets its allowance back evenly, `per_day` in a day. What passes is
        noted in the audit in the same transaction; what does not is only counted.
        """
        gap, moment = 86_400_000_000 // int(member["per_day"]), micros(now)
        with self.write():
            (row,) = self._db.execute(f"SELECT {what} FROM members WHERE name = ?", (member["name"],))  # noqa: S608
            until = max(moment, int(row[0])) + number * gap
            excess = until - moment - int(member["burst"]) * gap
            if excess > 0:
                self.run("UPDATE members SET refused = refused + ? WHERE name = ?", (number, member["name"]))
                return excess / 1_000_000
            self.run(f"UPDATE members SET {what} = ? WHERE name = ?", (until, member["name"]))  # noqa: S608
            self.note(now, what, member=member["name"], number=number, epoch=epoch)
        return 0.0

    def verify(self) -> int | None:
        """Return the number of the first audit entry that is not what was written, or none."""
        previous, expected = GENESIS, 1
        for row in self._db.execute("SELECT seq, at, kind, payload, hash FROM audit ORDER BY seq"):
            computed = entry_hash(previous, row["seq"], row["at"], row["kind"], row["payload"])
            if row["seq"] != expected or computed != row["hash"]:
                return int(row["seq"])
            previous, expected = row["hash"], expected + 1
        return None
