"""Restrictions: the desired state of each account, claimed by workers under leases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, case, func, or_, select

from paycordon.gateways import Restriction, Settings
from paycordon.store import Store, schema
from paycordon.store.holds import Hold
from paycordon.store.schema import from_micros, micros
from paycordon.store.snapshot import restriction_of

_table = schema.restrictions
_LOOKED_AFTER = ("settled", "drifted", "accepted")


@dataclass(frozen=True, slots=True)
class RestrictionRow:
    """One account's restriction as it is stored.

    Attributes:
        desired: what the active holds ask for.
        applied: what the gateway was last known to have.
        baseline: the gateway's own settings before the first restriction; none while nothing is restricted.
        settings: the gateway's settings as last read after a change.
        generation: grows whenever a hold is placed or released.
        attempt: grows when an answer of the gateway must not be replayed.
        state: `pending`, `settled`, `unknown` (an answer is missing), `stuck` (a person must look), `drifted` (somebody
            changed it by hand, a person must decide) or `accepted` (a person decided to leave it so for now).
        expires_at: when the gateway itself ends the restriction, UTC.
        drift: what somebody set by hand and nobody has decided about.
    """

    instance: str
    account: str
    merchant: str
    desired: Restriction
    applied: Restriction
    baseline: Settings | None
    settings: Settings | None
    generation: int
    attempt: int
    state: str
    failures: int
    last_error: str | None
    due_at: datetime
    expires_at: datetime | None
    drift: Settings | None


class LeaseLost(Exception):  # never leaves enforcement; not an error of the caller
    """Another worker has taken over; this one must not touch the gateway or the row any more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's exclusive right to work on one restriction until a moment."""

    owner: str
    until: datetime


def claim(
    store: Store, instance: str, owner: str, now: datetime, lease: timedelta, limit: int = 1
) -> Sequence[RestrictionRow]:
    """Take restrictions of an instance that are due, the longest waiting first; no other worker gets them meanwhile."""
    due = (
        select(_table)
        .where(_table.c.instance == instance, _table.c.due_at <= micros(now), _table.c.lease_until <= micros(now))
        # What was asked for comes before regular looks at what agreed: however many those are, no hold waits for them.
        .order_by(case((_table.c.state.in_(_LOOKED_AFTER), 1), else_=0), _table.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    with store.write() as connection:
        rows = connection.execute(due).mappings().all()
        claimed = []
        for found in rows:
            row = _with_owner(connection, found)
            values = {
                "merchant": row["merchant"],
                "lease_owner": owner,
                "lease_until": micros(now + lease),
                "desired": _desired(connection, row).value,
            }
            connection.execute(_table.update().where(*_key(row["instance"], row["account"])).values(values))
            claimed.append(_row({**row, **values}))
        return claimed


def lock(connection: Connection, merchant: str) -> None:
    """Have workers who write about a merchant's accounts wait until this transaction ends."""
    query = select(_table.c.account).where(_table.c.merchant == merchant).order_by(_table.c.instance, _table.c.account)
    connection.execute(query.with_for_update()).all()


def due(connection: Connection, instance: str, now: datetime) -> bool:
    """Tell, without locking anything, whether a restriction of an instance waits to be worked on."""
    query = select(_table.c.account).where(
        _table.c.instance == instance, _table.c.due_at <= micros(now), _table.c.lease_until <= micros(now)
    )
    return connection.execute(query.limit(1)).first() is not None


def update(connection: Connection, row: RestrictionRow, owner: str, now: datetime, values: dict[str, Any]) -> None:
    """Write a worker's result, if its lease still holds.

    Raises:
        LeaseLost: the lease has passed or belongs to another worker.
    """
    changed = connection.execute(
        _table.update()
        .where(*_key(row.instance, row.account), _table.c.lease_owner == owner, _table.c.lease_until > micros(now))
        .values(values)
    )
    if changed.rowcount != 1:
        raise LeaseLost


def refreshed(
    connection: Connection, row: RestrictionRow, owner: str, now: datetime, lease: timedelta
) -> RestrictionRow:
    """Extend the lease and read again what the holds ask for, right before the gateway is touched.

    Raises:
        LeaseLost: another worker has taken over.
    """
    update(connection, row, owner, now, {"lease_until": micros(now + lease)})
    current = _with_owner(
        connection, connection.execute(select(_table).where(*_key(row.instance, row.account))).mappings().one()
    )
    desired = _desired(connection, current).value
    connection.execute(_table.update().where(*_key(row.instance, row.account)).values(desired=desired))
    return _row({**current, "desired": desired})


def finished(row: RestrictionRow, state: str, due_at: datetime) -> dict[str, Any]:
    """Return the values that end a claim; a hold placed or released meanwhile keeps the restriction pending."""
    unchanged = _table.c.generation == row.generation
    return {
        "state": case((unchanged, state), else_="pending"),
        "due_at": case((unchanged, micros(due_at)), else_=_table.c.due_at),
        "lease_until": 0,
        "lease_owner": None,
    }


def baseline_after_release(row: RestrictionRow) -> Any:
    """Return the value of a released account's baseline: none, unless it was touched again meanwhile."""
    return case((_table.c.generation == row.generation, None), else_=_table.c.baseline)


def reopen(connection: Connection, row: RestrictionRow, now: datetime) -> None:
    """Have an account looked at at once, with the baseline that its late writer knew in case it was dropped."""
    values = {
        "state": "pending",
        "generation": _table.c.generation + 1,
        "due_at": micros(now),
        "baseline": func.coalesce(_table.c.baseline, None if row.baseline is None else as_text(row.baseline)),
    }
    connection.execute(_table.update().where(*_key(row.instance, row.account)).values(values))


def listed(
    connection: Connection, *, merchant: str | None = None, account: str | None = None
) -> Sequence[RestrictionRow]:
    """Return the restrictions, of one merchant, of accounts of one id, or of all."""
    query = select(_table).order_by(_table.c.instance, _table.c.account)
    for column, value in ((_table.c.merchant, merchant), (_table.c.account, account)):
        query = query if value is None else query.where(column == value)
    return [_row(dict(row)) for row in connection.execute(query).mappings()]


def of_hold(connection: Connection, hold: Hold) -> Sequence[RestrictionRow]:
    """Return the restrictions that a hold asks for: of its account, whomever that belongs to now, and its merchant."""
    query = select(_table).where(or_(_table.c.merchant == hold.merchant, and_(*_key(hold.instance, hold.account))))
    rows = connection.execute(query.order_by(_table.c.instance, _table.c.account)).mappings()
    return [_row(dict(row)) for row in rows]


def wanted(connection: Connection, row: RestrictionRow) -> Restriction:
    """Return what the holds ask for now; the stored wish is only brought up to date when a worker takes it up."""
    return restriction_of(connection, row.merchant, row.instance, row.account)


def as_text(settings: Settings) -> str:
    """Return settings as the JSON text that is stored."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"))


def _key(instance: str, account: str) -> tuple[Any, Any]:
    return _table.c.instance == instance, _table.c.account == account


def _with_owner(connection: Connection, row: RowMapping) -> dict[str, Any]:
    """Take a row with the merchant whom its account belongs to now.

    Whoever places a hold while the account is being linked to another merchant may write the former one.
    """
    accounts = schema.accounts
    where = (accounts.c.instance == row["instance"], accounts.c.account == row["account"])
    owner = connection.execute(select(accounts.c.merchant).where(*where)).scalar()
    return {**row, "merchant": owner or row["merchant"]}


def _desired(connection: Connection, row: Mapping[str, Any]) -> Restriction:
    return restriction_of(connection, row["merchant"], row["instance"], row["account"])


def _row(row: dict[str, Any]) -> RestrictionRow:
    return RestrictionRow(
        instance=row["instance"],
        account=row["account"],
        merchant=row["merchant"],
        desired=Restriction(row["desired"]),
        applied=Restriction(row["applied"]),
        baseline=None if row["baseline"] is None else json.loads(row["baseline"]),
        settings=None if row["settings"] is None else json.loads(row["settings"]),
        generation=row["generation"],
        attempt=row["attempt"],
        state=row["state"],
        failures=row["failures"],
        last_error=row["last_error"],
        due_at=from_micros(row["due_at"]),
        expires_at=None if row["expires_at"] is None else from_micros(row["expires_at"]),
        drift=None if row["drift"] is None else json.loads(row["drift"]),
    )
