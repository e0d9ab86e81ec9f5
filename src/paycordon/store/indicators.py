"""Indicators: what the coalition knows, as keyed digests. Each change leaves an entry in the log."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, select, text

from paycordon.errors import NotFound
from paycordon.ids import Randomness
from paycordon.record.log import append, digest_of
from paycordon.store import schema, uses, withdrawals
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros
from paycordon.store.withdrawals import Withdrawal

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

# What decides whether a decision would have found it, and how sure.
_MATTER = ("kind", "confidence", "status", "valid_from", "valid_until")
_before = Prepared(
    text(
        f"SELECT {', '.join(_MATTER)} FROM indicators WHERE digest = :digest AND source = :source "  # noqa: S608
        "AND reference = :reference AND withdrawn_at IS NULL"
    )
)
_Row = dict[str, str | int | None]


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


@dataclass(frozen=True, slots=True)
class Correction:
    """Who changes or withdraws indicators, and why; for the list of decisions that follows from it."""

    by: str
    reason: str


_BY_SOURCE = Correction("the source", "the source says otherwise now")


def add(
    connection: Connection, indicator: Indicator, now: datetime, *, correction: Correction = _BY_SOURCE
) -> list[Withdrawal]:
    """Add an indicator, or replace what its source said before; one that was withdrawn counts again.

    Returns the withdrawal that begins where a decision had used it as it was before.
    """
    return add_each(connection, [indicator], now, correction=correction)


def add_each(
    connection: Connection, indicators: Sequence[Indicator], now: datetime, *, correction: Correction = _BY_SOURCE
) -> list[Withdrawal]:
    """Add several as `add` does, with one entry in the log for each."""
    rows = [_row(indicator) for indicator in indicators]
    changed = _changed(connection, rows)
    _upsert.many(connection, rows)
    for row in rows:
        append(connection, now, "indicator.added", row)
    return _corrected(connection, changed, correction, now)


def add_many(
    connection: Connection,
    indicators: Sequence[Indicator],
    source: str,
    now: datetime,
    *,
    correction: Correction = _BY_SOURCE,
) -> list[Withdrawal]:
    """Add a whole feed of one source as `add` does, with one entry in the log: their number and a digest of them all.

    Raises:
        ValueError: one of them is of another source.
    """
    rows = [_row(each) for each in indicators]
    if any(row["source"] != source for row in rows):
        raise ValueError(f"an indicator is not of the source `{source}`")
    changed = _changed(connection, rows)
    _upsert.many(connection, rows)
    digest = digest_of(json.dumps(rows, sort_keys=True, separators=(",", ":")))
    append(connection, now, "indicators.added", {"source": source, "count": len(rows), "digest": digest})
    return _corrected(connection, changed, correction, now)


def withdraw(
    connection: Connection,
    digest: str,
    source: str,
    reference: str,
    now: datetime,
    *,
    correction: Correction,
    randomness: Randomness = secrets.token_bytes,
) -> Withdrawal:
    """Let an indicator match nothing from now on, and list the decisions that used it.

    Raises:
        NotFound: there is no such indicator, or it was withdrawn before.
    """
    return withdraw_each(connection, [digest], source, reference, now, correction=correction, randomness=randomness)[0]


def withdraw_each(
    connection: Connection,
    digests: Sequence[str],
    source: str,
    reference: str,
    now: datetime,
    *,
    correction: Correction,
    randomness: Randomness = secrets.token_bytes,
) -> list[Withdrawal]:
    """Withdraw several indicators of one item of a source as `withdraw` does; all or none.

    Raises:
        NotFound: one of them is not there, or was withdrawn before.
    """
    # Every row is locked before the log is, in one order: as decisions that rest on them do.
    for digest in sorted(digests):
        if _withdraw(connection, {**_named(digest, source, reference), "now": micros(now)}).rowcount != 1:
            raise NotFound(f"there is no indicator `{reference}` of `{source}` with that digest that still counts")
    begun = []
    for digest in digests:
        append(connection, now, "indicator.withdrawn", _named(digest, source, reference))
        withdrawal = withdrawals.begin(
            connection,
            uses.INDICATOR,
            uses.indicator_key(digest, source, reference),
            withdrawals.Change.WITHDRAWN,
            by=correction.by,
            reason=correction.reason,
            now=now,
            randomness=randomness,
        )
        begun += [withdrawal] if withdrawal else []
    return begun


def _changed(connection: Connection, rows: Sequence[_Row]) -> list[tuple[_Row, _Row]]:
    """Pair what is stored and counts with what is to replace it, where the two differ."""
    found = ((_before(connection, row).first(), row) for row in rows)
    pairs = [(dict(zip(_MATTER, before, strict=True)), row) for before, row in found if before is not None]
    return [(before, row) for before, row in pairs if any(before[name] != row[name] for name in _MATTER)]


def _corrected(
    connection: Connection, changed: Sequence[tuple[_Row, _Row]], correction: Correction, now: datetime
) -> list[Withdrawal]:
    begun = [
        withdrawals.begin(
            connection,
            uses.INDICATOR,
            uses.indicator_key(str(row["digest"]), str(row["source"]), str(row["reference"])),
            withdrawals.Change.CORRECTED,
            by=correction.by,
            reason=correction.reason,
            now=now,
            randomness=secrets.token_bytes,
            detail={"before": before, "after": {name: row[name] for name in _MATTER}},
        )
        for before, row in changed
    ]
    return [each for each in begun if each is not None]


def counting(connection: Connection, digest: str, source: str, reference: str) -> Indicator | None:
    """Return an indicator that was not withdrawn, valid or not; none if there is no such."""
    table = _table.c
    named = (table.digest == digest, table.source == source, table.reference == reference)
    query = select(_table).where(*named, table.withdrawn_at.is_(None))
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _indicator(row)


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


def _row(indicator: Indicator) -> _Row:
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
