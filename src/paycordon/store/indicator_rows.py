"""Indicators as rows: how they are written, compared with what is there, and numbered for the lookup."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from paycordon.coalition.indicators import Indicator
from paycordon.coalition.lookup import key_of
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

Row = dict[str, str | int | None]

MATTER = ("kind", "confidence", "status", "valid_from", "valid_until")
"""What decides whether a decision would have found it, and how sure."""

_TIMES = ("valid_from", "valid_until", "first_seen", "last_seen")
SAID = (*MATTER, "category", "tlp", "first_seen", "last_seen", "half_life", "licence", "reshare")
"""All that a source says of an indicator, beside its name."""

CHUNK = 500
_PART = 10_000
_NOTED = ("changed_at", "changed_by", "withdrawn_at")
_COLUMNS = ("digest", "source", "reference", *SAID, "changed_at", "changed_by")
_upsert = Prepared(
    text(
        f"INSERT INTO indicators ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{c}' for c in _COLUMNS)}) "  # noqa: S608
        "ON CONFLICT (digest, source, reference) DO UPDATE SET "
        f"{', '.join(f'{c} = excluded.{c}' for c in _COLUMNS[3:])}, withdrawn_at = NULL"
    )
)
_batch = Prepared(
    text("INSERT INTO indicator_batches (position, source, at, keys) VALUES (:position, :source, :at, :keys)")
)
_since = Prepared(text("SELECT keys FROM indicator_batches WHERE position > :after AND position <= :until"))
_PLACES = ", ".join(f":d{i}" for i in range(CHUNK))
_THERE = (
    f"SELECT digest, reference, {', '.join((*SAID, *_NOTED))} FROM indicators "  # noqa: S608
    f"WHERE source = :source AND digest IN ({_PLACES}) ORDER BY digest, source, reference"
)
_there = {"sqlite": Prepared(text(_THERE)), "postgresql": Prepared(text(f"{_THERE} FOR UPDATE"))}


def row_of(indicator: Indicator) -> Row:
    """Return what a source says of an indicator, with its name."""
    return {
        "digest": indicator.digest,
        "source": indicator.source,
        "reference": indicator.reference,
        "kind": indicator.kind,
        "confidence": indicator.confidence,
        "status": str(indicator.status),
        "category": indicator.category,
        "tlp": str(indicator.tlp),
        "half_life": indicator.half_life_days,
        "licence": indicator.licence,
        "reshare": int(indicator.reshare),
        **{name: _micros(getattr(indicator, name)) for name in _TIMES},
    }


def indicator_of(row: RowMapping | Mapping[str, Any]) -> Indicator:
    """Return the indicator that a whole row of the table holds."""
    said = dict(row)
    said["half_life_days"] = said.pop("half_life")
    said["reshare"] = bool(said["reshare"])
    for name in (*_TIMES, "withdrawn_at", "changed_at"):
        said[name] = None if said[name] is None else from_micros(said[name])
    return Indicator(**said)


def chunks(digests: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield parameters `d0`, `d1` … for statements that take a fixed number of digests; the last is repeated."""
    wanted = list(digests)
    for start in range(0, len(wanted), CHUNK):
        part = wanted[start : start + CHUNK]
        yield {f"d{i}": part[min(i, len(part) - 1)] for i in range(CHUNK)}


def there(connection: Connection, source: str, digests: Iterable[str]) -> dict[tuple[str, str], Row]:
    """Return the rows of a source on some digests, counting or not, by digest and reference.

    On PostgreSQL the rows stay locked until the transaction ends. They are locked in one order, before the log is, as
    decisions that rest on them do: neither waits for the other for ever.
    """
    found: dict[tuple[str, str], Row] = {}
    read = _there[connection.dialect.name]
    for places in chunks(sorted(set(digests))):
        for name, reference, *values in read(connection, {"source": source, **places}):
            row = {"digest": name, "source": source, "reference": reference}
            found[name, reference] = row | dict(zip((*SAID, *_NOTED), values, strict=True))
    return found


def write(connection: Connection, rows: Sequence[Row], now: datetime, by: str) -> Iterator[Row]:
    """Write rows as what their source says now, in one order, so that two writers never wait for each other.

    Of several of one name the last counts. Yields them whole, as they are stored now; written is what was taken from
    it, a part of many rows at a time, so that millions need no copies.
    """
    latest = {(row["digest"], row["source"], row["reference"]): row for row in rows}
    ordered = [latest[name] for name in sorted(latest)]
    noted: Row = {"changed_at": micros(now), "changed_by": by, "withdrawn_at": None}
    for start in range(0, len(ordered), _PART):
        whole = [row | noted for row in ordered[start : start + _PART]]
        _upsert.many(connection, whole)
        yield from whole


def note_batch(connection: Connection, position: int, source: str, digests: Iterable[str], now: datetime) -> None:
    """Let lookups know that some digests count since an entry of the log; does nothing without any."""
    keys = sorted({key_of(digest) for digest in digests})
    if keys:
        packed = struct.pack(f"<{len(keys)}Q", *keys)
        _batch(connection, {"position": position, "source": source, "at": micros(now), "keys": packed})


def keys_since(connection: Connection, after: int, until: int) -> set[int]:
    """Return the keys of what counts since an entry of the log, up to another one."""
    found: set[int] = set()
    for packed in _since(connection, {"after": after, "until": until}).scalars():
        found.update(struct.unpack(f"<{len(packed) // 8}Q", packed))
    return found


def _micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)
