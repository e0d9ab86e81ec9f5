"""What people ask of enforcement: look now, put back, leave as it is.

An account at an instance that the configuration does not name is enforced by nobody. It is listed as `unconfigured`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, select

from paycordon.errors import Conflict, NotFound
from paycordon.gateways import Restriction
from paycordon.people import Person, Role
from paycordon.record.apart import digest_apart
from paycordon.record.log import append
from paycordon.store import cases, schema
from paycordon.store.restrictions import RestrictionRow, as_text, listed, wanted
from paycordon.store.schema import micros

UNCONFIGURED = "unconfigured"
_table = schema.restrictions
_BY_HAND = ("drifted", "accepted")


@dataclass(frozen=True, slots=True)
class Listed:
    """An account as people are shown it.

    Attributes:
        row: as it is stored.
        wanted: what the holds ask for now; the stored wish is only brought up to date when a worker takes it up.
        state: the stored state, or `unconfigured`.
    """

    row: RestrictionRow
    wanted: Restriction
    state: str


def overview(
    connection: Connection, instances: Collection[str], *, merchant: str | None = None, state: str | None = None
) -> Sequence[Listed]:
    """Return the accounts that are or should be restricted, of one merchant or state or of all.

    Args:
        instances: those of the configuration.
    """
    every = (_listed(connection, row, instances) for row in listed(connection, merchant=merchant))
    of_interest = (each for each in every if merchant is not None or _is_of_interest(each))
    return [each for each in of_interest if state in (None, each.state)]


def account(connection: Connection, id_: str, instances: Collection[str], *, instance: str | None = None) -> Listed:
    """Return one account.

    Raises:
        NotFound: no hold ever concerned such an account.
        Conflict: several instances have an account of this id.
    """
    found = [row for row in listed(connection, account=id_) if instance in (None, row.instance)]
    if not found:
        raise NotFound(f"no restriction of an account `{id_}` is known")
    if len(found) > 1:
        names = ", ".join(row.instance for row in found)
        raise Conflict(f"several instances have an account `{id_}` ({names}); name one")
    return _listed(connection, found[0], instances)


def look_now(connection: Connection, now: datetime, *, merchant: str | None = None, instance: str | None = None) -> int:
    """Have accounts read and made to agree as soon as a worker is free; returns how many.

    An account that a worker is at is left to it. One that a person has to decide about is only read. An instance that
    is left alone because it does not answer is left alone still.
    """
    asked = _table.update().where(_table.c.due_at > micros(now)).values(due_at=micros(now))
    for column, value in ((_table.c.merchant, merchant), (_table.c.instance, instance)):
        asked = asked if value is None else asked.where(column == value)
    return connection.execute(asked.where(_restricted())).rowcount


def reapply(connection: Connection, row: RestrictionRow, *, by: Person, reason: str, now: datetime) -> None:
    """Have what somebody changed by hand undone: the restriction that the holds ask for is put back.

    Raises:
        Forbidden: the person is no analyst.
        Conflict: nobody changed the account by hand, or it was decided about since.
    """
    by.require(Role.ANALYST)
    values = {
        "state": "pending",
        "drift": None,
        "failures": 0,
        "generation": _table.c.generation + 1,
        "attempt": _table.c.attempt + 1,
        "due_at": micros(now),
    }
    _decide(connection, row, _BY_HAND, values)
    _note(connection, row, "restriction.reapplied", "reapply", by, reason, now)


def accept(connection: Connection, row: RestrictionRow, *, by: Person, reason: str, now: datetime) -> None:
    """Leave what somebody changed by hand as it is, until the next hold on the merchant is placed or released.

    The baseline stays what it was before the first restriction, and a release restores it. Accepting that an account
    is restricted less than its holds ask for has the effect of a release, so it takes an approver, and is refused
    where a release takes two people.

    Raises:
        Forbidden: the person is no analyst, or no approver where it takes one.
        Conflict: there is nothing to decide about, or the holds have to be released instead.
    """
    by.require(Role.ANALYST)
    if row.applied.rank < wanted(connection, row).rank:
        by.require(Role.APPROVER)
        if _takes_two(connection, row):
            raise Conflict("a hold on this account is only released by two people; release it, or `reapply`")
    found = None if row.drift is None else as_text(row.drift)
    _decide(connection, row, ("drifted",), {"state": "accepted", "settings": found, "drift": None})
    _note(connection, row, "restriction.accepted", "accept", by, reason, now)


def _decide(connection: Connection, row: RestrictionRow, states: tuple[str, ...], values: Mapping[str, Any]) -> None:
    """Change the account only if it is still as the person saw it."""
    seen = _table.c.drift.is_(None) if row.drift is None else _table.c.drift == as_text(row.drift)
    changed = connection.execute(
        _table.update()
        .where(_table.c.instance == row.instance, _table.c.account == row.account)
        .where(_table.c.state.in_(states), _table.c.generation == row.generation, seen)
        .values(values)
    )
    if changed.rowcount != 1:
        raise Conflict(f"nothing at account `{row.account}` waits for this decision; look again")


def _takes_two(connection: Connection, row: RestrictionRow) -> bool:
    holds = schema.holds
    here = (holds.c.instance == row.instance) & (holds.c.account == row.account)
    query = select(holds.c.id).where(holds.c.released_at.is_(None), holds.c.two_people == 1)
    return connection.execute(query.where((holds.c.merchant == row.merchant) | here).limit(1)).first() is not None


def _note(
    connection: Connection, row: RestrictionRow, kind: str, act: str, by: Person, reason: str, now: datetime
) -> None:
    cases.note(connection, row.merchant, now, act, f"account {row.account} at {row.instance}, by {by.name}: {reason}")
    about = {"instance": row.instance, "account": row.account}
    why = digest_apart(connection, row.merchant, reason)
    append(connection, now, kind, {**about, "by": by.name, "reason_digest": why})


def _listed(connection: Connection, row: RestrictionRow, instances: Collection[str]) -> Listed:
    return Listed(row, wanted(connection, row), row.state if row.instance in instances else UNCONFIGURED)


def _is_of_interest(each: Listed) -> bool:
    quiet = each.row.baseline is None and each.wanted is Restriction.NONE
    return not (quiet and each.row.state == "settled")


def _restricted() -> ColumnElement[bool]:
    """Accounts that are restricted or are to be: nobody watches the others."""
    holds = schema.holds
    held = exists().where(holds.c.released_at.is_(None), holds.c.merchant == _table.c.merchant)
    return _table.c.baseline.is_not(None) | (_table.c.state != "settled") | held
