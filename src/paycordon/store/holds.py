"""Holds: one reason each why something is restricted, from decision to release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from paycordon.decisions import Outcome
from paycordon.errors import Conflict, NotFound
from paycordon.record.log import append, digest_of
from paycordon.store import schema
from paycordon.store.ledger import add_case_event, want_reconciled
from paycordon.store.schema import from_micros, micros
from paycordon.store.snapshot import standing_of


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as it is stored; times are UTC, `subject` is what the decision fell on."""

    id: str
    decision_id: str
    merchant: str
    instance: str
    account: str
    subject_kind: str
    subject_id: str
    outcome: Outcome
    rule: str
    merchant_reason: str
    created_at: datetime
    released_at: datetime | None
    released_by: str | None
    release_reason: str | None

    @property
    def active(self) -> bool:
        """Whether it still restricts anything."""
        return self.released_at is None


def get(connection: Connection, hold_id: str) -> Hold:
    """Return one hold.

    Raises:
        NotFound: there is none of that id.
    """
    row = connection.execute(select(schema.holds).where(schema.holds.c.id == hold_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no hold `{hold_id}`")
    return _hold(dict(row))


def listed(
    connection: Connection, *, merchant: str | None = None, active_only: bool = True, limit: int = 1_000
) -> Sequence[Hold]:
    """Return holds, the oldest first, at most `limit`."""
    query = select(schema.holds).order_by(schema.holds.c.created_at, schema.holds.c.id).limit(limit)
    if active_only:
        query = query.where(schema.holds.c.released_at.is_(None))
    if merchant is not None:
        query = query.where(schema.holds.c.merchant == merchant)
    return [_hold(dict(row)) for row in connection.execute(query).mappings()]


def release(connection: Connection, hold_id: str, *, by: str, reason: str, now: datetime) -> Hold:
    """Release a hold: the workers then make the gateways agree with what still holds.

    The merchant's case is closed when no hold is left on it.

    Raises:
        NotFound: there is no such hold.
        Conflict: it was released before.
    """
    hold = get(connection, hold_id)
    table = schema.holds
    changed = connection.execute(
        table.update()
        .where(table.c.id == hold_id, table.c.released_at.is_(None))
        .values(released_at=micros(now), released_by=by, release_reason=reason)
    )
    if changed.rowcount != 1:
        raise Conflict(f"the hold `{hold_id}` was released before")
    want_reconciled(connection, hold.merchant, hold.instance, hold.account, now)
    _note_release(connection, hold, by, reason, now)
    append(connection, now, "hold.released", {"hold": hold_id, "by": by, "reason_digest": digest_of(reason)})
    return get(connection, hold_id)


def _note_release(connection: Connection, hold: Hold, by: str, reason: str, now: datetime) -> None:
    cases = schema.cases
    open_ones = connection.execute(
        select(cases.c.id).where(cases.c.merchant == hold.merchant, cases.c.closed_at.is_(None))
    ).scalars()
    still_held = standing_of(connection, hold.merchant, hold.instance, hold.account).stops
    for case in list(open_ones):
        add_case_event(connection, case, now, "release", decision_id=hold.decision_id, actor=by, note=reason)
        if not still_held:
            connection.execute(cases.update().where(cases.c.id == case).values(closed_at=micros(now)))


def _hold(row: dict[str, object]) -> Hold:
    for name in ("created_at", "released_at"):
        value = row[name]
        row[name] = from_micros(value) if isinstance(value, int) else None
    row["outcome"] = Outcome(str(row["outcome"]))
    return Hold(**row)  # type: ignore[arg-type]  # the columns of the table are the fields of the class
