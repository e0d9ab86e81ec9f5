"""Indicators: what the coalition knows, as keyed digests. Each change leaves an entry in the log.

Batches of a feed come in by `paycordon.store.feeding`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, text

from paycordon.coalition.indicators import Indicator as Indicator
from paycordon.errors import NotFound
from paycordon.ids import Randomness
from paycordon.record.log import append, digest_of
from paycordon.store import newly, schema, uses, withdrawals
from paycordon.store.formerly import said_formerly
from paycordon.store.indicator_rows import MATTER, Row, indicator_of, note_batch, row_of, there, write
from paycordon.store.prepared import Prepared
from paycordon.store.schema import micros
from paycordon.store.sums import Sum, move
from paycordon.store.withdrawals import Withdrawal

_table = schema.indicators
_withdraw = Prepared(
    text(
        "UPDATE indicators SET withdrawn_at = :now, changed_at = :now, changed_by = :by WHERE digest = :digest "
        "AND source = :source AND reference = :reference AND withdrawn_at IS NULL"
    )
)


@dataclass(frozen=True, slots=True)
class Correction:
    """Who changes or withdraws indicators, and why; for the list of decisions that follows from it."""

    by: str
    reason: str


BY_SOURCE = Correction("the source", "the source says otherwise now")


def add(
    connection: Connection, indicator: Indicator, now: datetime, *, correction: Correction = BY_SOURCE
) -> list[Withdrawal]:
    """Add an indicator, or replace what its source said before; one that was withdrawn counts again.

    Returns the withdrawal that begins where a decision had used it as it was before.
    """
    return add_each(connection, [indicator], now, correction=correction)


def add_each(
    connection: Connection, indicators: Sequence[Indicator], now: datetime, *, correction: Correction = BY_SOURCE
) -> list[Withdrawal]:
    """Add several as `add` does, with one entry in the log for each."""
    rows = [row_of(indicator) for indicator in indicators]
    for source in sorted({each.source for each in indicators}):
        rows += said_formerly(connection, source, (each for each in indicators if each.source == source)).values()
    before = _before(connection, rows)
    changes: dict[str, Sum] = {}
    for whole in write(connection, rows, now, correction.by):
        changes.setdefault(str(whole["source"]), Sum()).replace(before.get(_name(whole)), whole)
    # What a source says by itself names nobody.
    who = {} if correction is BY_SOURCE else {"by": correction.by, "reason_digest": digest_of(correction.reason)}
    for row in rows:
        # The first entry of a source says what they all lead to.
        change = changes.pop(str(row["source"]), None)
        said = move(connection, str(row["source"]), change) if change else {}
        position = append(connection, now, "indicator.added", {**row, **said, **who})
    if rows:
        counted = {name: row for name, row in before.items() if row["withdrawn_at"] is None}
        note_batch(connection, position, str(rows[-1]["source"]), new_among(rows, before), now)
        newly.note(connection, ((counted.get(_name(row)), row) for row in rows), position, now)
    return corrected(connection, changed(rows, before), correction, now)


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
    change = Sum()
    before = there(connection, source, digests)
    for digest in sorted(digests):
        if not end(connection, digest, source, reference, now, correction.by):
            raise NotFound(f"there is no indicator `{reference}` of `{source}` with that digest that still counts")
        change.replace(before[digest, reference], before[digest, reference] | ended(now, correction.by))
    begun = []
    for number, digest in enumerate(digests):
        said = {} if number else move(connection, source, change)
        position = append(connection, now, "indicator.withdrawn", {**named(digest, source, reference), **said})
        newly.note(connection, [(before[digest, reference], None)], position, now)
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


def end(connection: Connection, digest: str, source: str, reference: str, now: datetime, by: str) -> bool:
    """Let one indicator match nothing from now on; false if there is none that counts."""
    return _withdraw(connection, {**named(digest, source, reference), "now": micros(now), "by": by}).rowcount == 1


def end_many(
    connection: Connection, source: str, names: Sequence[tuple[str, str]], now: datetime, by: str
) -> Sequence[tuple[str, str]]:
    """Let several of a source, by digest and reference, match nothing from now on; those that do not count stay."""
    _withdraw.many(connection, [{**named(d, source, r), "now": micros(now), "by": by} for d, r in names])
    return names


def ended(now: datetime, by: str) -> Row:
    """Return what differs in the row of an indicator that matches nothing from now on."""
    return {"withdrawn_at": micros(now), "changed_at": micros(now), "changed_by": by}


def _before(connection: Connection, rows: Sequence[Row]) -> dict[tuple[str, str, str], Row]:
    """Return what is stored of these names, counting or not."""
    found: dict[tuple[str, str, str], Row] = {}
    for source in sorted({str(row["source"]) for row in rows}):
        of_source = [str(row["digest"]) for row in rows if row["source"] == source]
        for (digest, reference), row in there(connection, source, of_source).items():
            found[digest, source, reference] = row
    return found


def _name(row: Row) -> tuple[str, str, str]:
    return str(row["digest"]), str(row["source"]), str(row["reference"])


def new_among(rows: Sequence[Row], before: dict[tuple[str, str, str], Row]) -> list[str]:
    """Return the digests of rows that did not count before."""
    counted = {name for name, row in before.items() if row["withdrawn_at"] is None}
    return [str(row["digest"]) for row in rows if _name(row) not in counted]


def changed(rows: Sequence[Row], before: dict[tuple[str, str, str], Row]) -> list[tuple[Row, Row]]:
    """Pair what was stored and counted with what replaces it, where decisions would differ."""
    pairs = ((before.get(_name(row)), row) for row in rows)
    counted = [(old, row) for old, row in pairs if old is not None and old["withdrawn_at"] is None]
    return [(old, row) for old, row in counted if any(old[name] != row[name] for name in MATTER)]


def corrected(
    connection: Connection, pairs: Sequence[tuple[Row, Row]], correction: Correction, now: datetime
) -> list[Withdrawal]:
    """Begin the withdrawal of each correction that a decision had used; call it after the rows were written."""
    begun = [
        withdrawals.begin(
            connection,
            uses.INDICATOR,
            uses.indicator_key(*_name(row)),
            withdrawals.Change.CORRECTED,
            by=correction.by,
            reason=correction.reason,
            now=now,
            randomness=secrets.token_bytes,
            detail={"before": {name: old[name] for name in MATTER}, "after": {name: row[name] for name in MATTER}},
        )
        for old, row in pairs
    ]
    return [each for each in begun if each is not None]


def counting(connection: Connection, digest: str, source: str, reference: str) -> Indicator | None:
    """Return an indicator that was not withdrawn, valid or not; none if there is no such."""
    table = _table.c
    names = (table.digest == digest, table.source == source, table.reference == reference)
    query = select(_table).where(*names, table.withdrawn_at.is_(None))
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else indicator_of(row)


def listed(
    connection: Connection,
    *,
    source: str | None = None,
    digests: Sequence[str] | None = None,
    counting_only: bool = True,
    limit: int = 1_000,
) -> Sequence[Indicator]:
    """Return indicators, by source, reference and digest, at most `limit`; those withdrawn only if asked for.

    Args:
        connection: to the store.
        source: of this one only.
        digests: on these only.
        counting_only: leave out those withdrawn.
        limit: at most so many.
    """
    query = select(_table).order_by(_table.c.source, _table.c.reference, _table.c.digest).limit(limit)
    if source is not None:
        query = query.where(_table.c.source == source)
    if digests is not None:
        query = query.where(_table.c.digest.in_(digests))
    if counting_only:
        query = query.where(_table.c.withdrawn_at.is_(None))
    return [indicator_of(row) for row in connection.execute(query).mappings()]


def named(digest: str, source: str, reference: str) -> dict[str, str]:
    """Return an indicator's name as parameters."""
    return {"digest": digest, "source": source, "reference": reference}
