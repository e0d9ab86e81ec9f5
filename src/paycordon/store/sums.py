"""The sum of each source's indicators: a hash of the set of its rows, kept up with each change.

The log names batches, not rows: ten million entries for ten million indicators would be a log that nobody verifies. So
each row is hashed to 4,096 bits, and the log says after each change what they add up to (AdHash; Bellare, Micciancio,
"A New Paradigm for Collision-Free Hashing", 1997). The order of rows is all one, and a row is taken out by subtracting
it, so that a change costs what it touches; `paycordon log verify` adds all rows up again. To find other rows with the
same sum takes about 2**128 steps by the best way known (Wagner, "A Generalized Birthday Problem", 2002: 2**(2 √n)).

An entry says the sum before and after. Who changes the stored sum as well as a row breaks this chain at the next entry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from paycordon.record.log import lock
from paycordon.store.indicator_rows import SAID
from paycordon.store.prepared import Prepared

COLUMNS = ("digest", "source", "reference", *SAID, "changed_at", "changed_by", "withdrawn_at")
"""All that a row holds, in the order in which it is hashed."""

_BYTES = 512
_MASK = (1 << 8 * _BYTES) - 1
_encode = json.JSONEncoder(separators=(",", ":")).encode
_read = Prepared(text("SELECT rows, sum FROM indicator_sums WHERE source = :source"))
_write = Prepared(
    text(
        "INSERT INTO indicator_sums (source, rows, sum) VALUES (:source, :rows, :sum) "
        "ON CONFLICT (source) DO UPDATE SET rows = excluded.rows, sum = excluded.sum"
    )
)


class Sum:
    """How many rows, and what they add up to; of a change, both may be less than nothing."""

    __slots__ = ("rows", "total")

    def __init__(self, rows: int = 0, total: int = 0) -> None:
        self.rows, self.total = rows, total

    def put(self, values: Sequence[Any]) -> None:
        """Add a row: its values in the order of `COLUMNS`."""
        self.rows += 1
        self.total = (self.total + _hash(values)) & _MASK

    def take(self, values: Sequence[Any]) -> None:
        """Take a row out."""
        self.rows -= 1
        self.total = (self.total - _hash(values)) & _MASK

    def replace(self, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        """Put a row in the place of another, or of none."""
        if before is not None:
            self.take([before[name] for name in COLUMNS])
        self.put([after[name] for name in COLUMNS])

    @property
    def stored(self) -> bytes:
        """The sum as it is stored."""
        return self.total.to_bytes(_BYTES, "little")

    @property
    def digest(self) -> str:
        """The SHA-256 of the sum, in hexadecimal, as the log says it."""
        return hashlib.sha256(self.stored).hexdigest()


def move(connection: Connection, source: str, change: Sum) -> dict[str, str | int]:
    """Keep up the sum of a source, and return what the log's entry has to say of it.

    Call it right before the entry is appended: on PostgreSQL it takes the log's lock.
    """
    lock(connection)
    rows, stored = _read(connection, {"source": source}).first() or (0, bytes(_BYTES))
    before = Sum(rows, int.from_bytes(stored, "little"))
    after = Sum(before.rows + change.rows, (before.total + change.total) & _MASK)
    _write(connection, {"source": source, "rows": after.rows, "sum": after.stored})
    return {"rows": after.rows, "sum_before": before.digest, "sum_after": after.digest}


def _hash(values: Sequence[Any]) -> int:
    # JSON's text of these values is the same on every version of Python, which `repr` of a text is not.
    return int.from_bytes(hashlib.shake_128(_encode(values).encode()).digest(_BYTES), "little")
