"""Indicators: what the coalition knows, as keyed digests. Each change leaves an entry in the log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, select, text

from paycordon.errors import NotFound
from paycordon.record.log import append, digest_of
from paycordon.store import schema
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

_table = schema.indicators
_upsert = Prepared(
    text(
        "INSERT INTO indicators (digest, source, reference, kind, confidence, status, valid_from, valid_until) "
        "VALUES (:digest, :source, :reference, :kind, :confidence, :status, :valid_from, :valid_until) "
        "ON CONFLICT (digest, source, reference) DO UPDATE SET kind = excluded.kind, "
        "confidence = excluded.confidence, status = excluded.status, valid_from = excluded.valid_from, "
        "valid_until = excluded.valid_until, withdrawn_at = NULL"
    )
)
_withdraw = Prepared(
    text(
        "UPDATE indicators SET withdrawn_at = :now WHERE digest = :digest AND source = :source "
        "AND reference = :reference AND withdrawn_at IS NULL"
    )
)


@dataclass(frozen=True, slots=True)
class Indicator:
    """One source's knowledge of one identifier; digest, source and reference together name it.

    Attributes:
        kind: what kind of identifier it is, such as `email`.
        digest: the identifier's keyed digest.
        source: who says so.
        reference: the source's own name for this item.
        confidence: between 0 and 100, as the source says.
        status: what the source knows of it, such as `confirmed`.
        valid_from, valid_until: outside this time, UTC, it matches nothing.
        withdrawn_at: since when it matches nothing any more, UTC; none while it counts.
    """

    kind: str
    digest: str
    source: str
    reference: str
    confidence: int
    status: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    withdrawn_at: datetime | None = None


def add(connection: Connection, indicator: Indicator, now: datetime) -> None:
    """Add an indicator, or replace what its source said before; one that was withdrawn counts again."""
    row = _row(indicator)
    _upsert(connection, row)
    append(connection, now, "indicator.added", row)


def add_many(connection: Connection, indicators: Sequence[Indicator], source: str, now: datetime) -> None:
    """Add a whole feed of one source as `add` does, with one entry in the log: their number and a digest of them all.

    Raises:
        ValueError: one of them is of another source.
    """
    rows = [_row(each) for each in indicators]
    if any(row["source"] != source for row in rows):
        raise ValueError(f"an indicator is not of the source `{source}`")
    _upsert.many(connection, rows)
    digest = digest_of(json.dumps(rows, sort_keys=True, separators=(",", ":")))
    append(connection, now, "indicators.added", {"source": source, "count": len(rows), "digest": digest})


def withdraw(connection: Connection, digest: str, source: str, reference: str, now: datetime) -> None:
    """Let an indicator match nothing from now on; holds it led to stay until a person releases them.

    Raises:
        NotFound: there is no such indicator, or it was withdrawn before.
    """
    named = _named(digest, source, reference)
    if _withdraw(connection, {**named, "now": micros(now)}).rowcount != 1:
        raise NotFound(f"there is no indicator `{reference}` of `{source}` with that digest that still counts")
    append(connection, now, "indicator.withdrawn", named)


def listed(
    connection: Connection, *, source: str | None = None, counting_only: bool = True, limit: int = 1_000
) -> Sequence[Indicator]:
    """Return indicators, by source, reference and digest, at most `limit`; those withdrawn only if asked for."""
    query = select(_table).order_by(_table.c.source, _table.c.reference, _table.c.digest).limit(limit)
    if source is not None:
        query = query.where(_table.c.source == source)
    if counting_only:
        query = query.where(_table.c.withdrawn_at.is_(None))
    return [_indicator(row) for row in connection.execute(query).mappings()]


def _indicator(row: RowMapping) -> Indicator:
    times = {name: row[name] for name in ("valid_from", "valid_until", "withdrawn_at")}
    return Indicator(**{**row, **{name: None if at is None else from_micros(at) for name, at in times.items()}})


def _row(indicator: Indicator) -> dict[str, str | int | None]:
    return {
        "digest": indicator.digest,
        "source": indicator.source,
        "reference": indicator.reference,
        "kind": indicator.kind,
        "confidence": indicator.confidence,
        "status": indicator.status,
        "valid_from": _micros(indicator.valid_from),
        "valid_until": _micros(indicator.valid_until),
    }


def _named(digest: str, source: str, reference: str) -> dict[str, str]:
    return {"digest": digest, "source": source, "reference": reference}


def _micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)
