"""What weighs more than before, so that merchants are screened for it at once: new, raised, begun, no longer denied.

A source may say it at once, or from some day on: then the day is noted, and a worker acts when it has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from paycordon.coalition.confidence import REFUTED, effective_confidence
from paycordon.record.log import append, digest_of
from paycordon.store import Store
from paycordon.store.indicator_rows import Row
from paycordon.store.prepared import Prepared
from paycordon.store.rescreening import known_by, want
from paycordon.store.schema import from_micros, micros

FRESHER = 5
"""By so many points of 100 being seen again has to raise it; sources that say so daily cause no daily screenings."""

SETTLED = timedelta(seconds=30)
"""So long after its time a turn is acted on: a decision that was made before it is recorded by then, or never."""

_MANY = 500
_note = Prepared(text("INSERT INTO turns (at, digest) VALUES (:at, :digest) ON CONFLICT (at, digest) DO NOTHING"))
_any = Prepared(text("SELECT 1 FROM turns WHERE at <= :until LIMIT 1"))
_DUE = "SELECT at, digest FROM turns WHERE at <= :until ORDER BY at, digest LIMIT :many"
_due = {"sqlite": Prepared(text(_DUE)), "postgresql": Prepared(text(f"{_DUE} FOR UPDATE SKIP LOCKED"))}
_turned = Prepared(
    text(
        "SELECT 1 FROM indicators WHERE digest = :digest AND withdrawn_at IS NULL "
        "AND (valid_from = :at OR valid_until = :at) LIMIT 1"
    )
)
_over = Prepared(text("DELETE FROM turns WHERE at = :at AND digest = :digest"))


def weighs_more(before: Row | None, after: Row | None, now: datetime) -> bool:
    """Tell whether merchants could be judged more severely since an indicator is as it is, of one source and name.

    Args:
        before: as it was stored; none if it was not, or did not count.
        after: as it counts now; none if it counts no more.
        now: the time, UTC; what is not valid then weighs nothing.
    """
    old, new = _valid(before, now), _valid(after, now)
    if old is not None and old["status"] == REFUTED:  # others weigh less for it
        return new is None or new["status"] != REFUTED or _weight(new, now) < _weight(old, now)
    if new is None or new["status"] == REFUTED:
        return False
    if old is None or new["status"] != old["status"] or _number(new["confidence"]) > _number(old["confidence"]):
        return True
    return _weight(new, now) >= _weight(old, now) + FRESHER


def note(
    connection: Connection,
    changes: Iterable[tuple[Row | None, Row | None]],
    position: int,
    now: datetime,
) -> None:
    """Want the merchants screened that are known by what weighs more since an entry of the log, now or some day.

    Call it after the log was appended to, as `rescreening.want`.

    Args:
        connection: the transaction that makes it count.
        changes: each indicator as it was and counted, and as it counts now; see `weighs_more`.
        position: the entry of the log that says so.
        now: the time, UTC.
    """
    more: set[str] = set()
    turns: list[Mapping[str, str | int]] = []
    for before, after in changes:
        if weighs_more(before, after, now):
            more.add(str((after or before or {})["digest"]))
        if after is not None:
            day = after["valid_until" if after["status"] == REFUTED else "valid_from"]
            if day is not None and _number(day) > micros(now):
                turns.append({"at": _number(day), "digest": str(after["digest"])})
    _note.many(connection, turns)
    want(connection, more, position, now)


def turn(store: Store, now: datetime) -> bool:
    """Want the merchants screened that are known by what began to count, or is no longer denied, by now.

    Returns false when nothing was due. A part of it at a time, each in one transaction with its entry in the log; two
    workers take different parts.

    Raises:
        StoreUnavailable: the database cannot be used.
    """
    until = micros(now - SETTLED)
    with store.read() as connection:
        if _any(connection, {"until": until}).first() is None:
            return False
    with store.write() as connection:
        due = _due[store.dialect](connection, {"until": until, "many": _MANY})
        rows = [{"at": at, "digest": digest} for at, digest in due]
        digests = sorted({str(row["digest"]) for row in rows if _turned(connection, row).first()})
        if known_by(connection, digests):
            said: dict[str, str | int | list[str] | None] = {"indicators": len(digests)}
            said["digest"] = digest_of(" ".join(digests))
            want(connection, digests, append(connection, now, "indicators.turned", said), now)
        _over.many(connection, rows)
    return True


def _valid(row: Row | None, now: datetime) -> Row | None:
    """Return what counts at a time, or none."""
    if row is None or row.get("withdrawn_at") is not None:
        return None
    begins, ends = row["valid_from"], row["valid_until"]
    at = micros(now)
    return row if (begins is None or _number(begins) <= at) and (ends is None or _number(ends) > at) else None


def _weight(row: Row, now: datetime) -> int:
    """How sure its source itself makes us, which is to be trusted wholly here: 0 to 100."""
    fresh = row["last_seen"] or row.get("changed_at")
    return effective_confidence(
        _number(row["confidence"]),
        half_life_days=None if row["half_life"] is None else _number(row["half_life"]),
        fresh_at=now if fresh is None else from_micros(_number(fresh)),
        now=now,
    )


def _number(value: str | int | None) -> int:
    return int(value or 0)
