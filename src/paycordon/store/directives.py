"""Instructions of authorities: stored for the role `restricted`, looked up by every screening at the same cost.

A keep-open request asks to let an account go on as if nothing was known of it, in writing, for a limited time
(FinCEN guidance FIN-2007-G002; 31 U.S.C. 5333 asks for a termination date). An order to freeze is the opposite.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, select

from paycordon.errors import Conflict, NotFound
from paycordon.ids import Randomness, new_id
from paycordon.store import schema
from paycordon.store.schema import from_micros, micros

_table = schema.directives


class Kind(StrEnum):
    """What an authority asks for: to let go on, or to stop."""

    KEEP_OPEN = "keep_open"
    FREEZE = "freeze"


@dataclass(frozen=True, slots=True)
class Terms:
    """What an authority asks for, as its letter says.

    Attributes:
        kind: to keep open or to freeze.
        merchant: whom it concerns.
        account: the only account concerned, as `INSTANCE/ACCOUNT`; empty for all of the merchant.
        agency: who asks.
        reference: the agency's own name for its request.
        starts_at, ends_at: when it counts, UTC; the end is mandatory and does not belong to it any more.
        notification: whether the agency has notified whom it must (in the United States FinCEN).
        concurrence: whether that office concurs, where the agency needs it to.
    """

    kind: Kind
    merchant: str
    account: str
    agency: str
    reference: str
    starts_at: datetime
    ends_at: datetime
    notification: bool = False
    concurrence: bool = False


@dataclass(frozen=True, slots=True)
class Directive:
    """A directive as it is stored; times are UTC.

    Attributes:
        terms: what it says.
        hold: the hold that an order to freeze has placed.
        ended_at: when it ended: at its date, or before by a person.
    """

    id: str
    terms: Terms
    hold: str | None
    placed_by: str
    placed_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    end_reason: str | None

    def counts(self, now: datetime) -> bool:
        """Tell whether it is in force."""
        return self.ended_at is None and self.terms.starts_at <= now < self.terms.ends_at


def insert(
    connection: Connection, terms: Terms, *, hold: str | None, by: str, now: datetime, randomness: Randomness
) -> Directive:
    """Store a directive; what follows from it is the caller's."""
    id_ = new_id("dir", now, randomness)
    flags = {"notification": terms.notification, "concurrence": terms.concurrence, "hold": hold}
    row = {
        "id": id_,
        "kind": terms.kind.value,
        "merchant": terms.merchant,
        "agency": terms.agency,
        "reference": terms.reference,
        "scope": terms.account,
        "starts_at": micros(terms.starts_at),
        "ends_at": micros(terms.ends_at),
        "flags": json.dumps(flags, sort_keys=True),
        "placed_by": by,
        "placed_at": micros(now),
    }
    connection.execute(_table.insert().values(row))
    return get(connection, id_)


def get(connection: Connection, id_: str) -> Directive:
    """Return one directive.

    Raises:
        NotFound: there is none of that id.
    """
    row = connection.execute(select(_table).where(_table.c.id == id_)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no directive `{id_}`")
    return _directive(row)


def lock(connection: Connection, ids: Sequence[str]) -> None:
    """Have everybody else who would change these wait until this transaction ends.

    Whoever takes these locks has not begun to write to the restricted log.
    """
    query = select(_table.c.id).where(_table.c.id.in_(ids)).order_by(_table.c.id)
    connection.execute(query.with_for_update()).all()


def listed(connection: Connection, *, merchant: str | None = None, everything: bool = False) -> Sequence[Directive]:
    """Return directives, those that end first at the front; ended ones only if `everything` is asked for."""
    query = select(_table).order_by(_table.c.ends_at, _table.c.id)
    if merchant is not None:
        query = query.where(_table.c.merchant == merchant)
    if not everything:
        query = query.where(_table.c.ended_at.is_(None))
    return [_directive(row) for row in connection.execute(query).mappings()]


def over(connection: Connection, now: datetime) -> Directive | None:
    """Return a directive that has passed its date and was not ended yet."""
    past = (_table.c.ended_at.is_(None), _table.c.ends_at <= micros(now))
    row = connection.execute(select(_table).where(*past).order_by(_table.c.ends_at).limit(1)).mappings().first()
    return None if row is None else _directive(row)


def renew(connection: Connection, directive: Directive, ends_at: datetime) -> Directive:
    """Let a directive end at another time, as a new letter says.

    Raises:
        Conflict: it has ended.
    """
    _change(connection, directive, ends_at=micros(ends_at))
    return get(connection, directive.id)


def end(connection: Connection, directive: Directive, *, by: str, reason: str, now: datetime) -> Directive:
    """End a directive.

    Raises:
        Conflict: it has ended.
    """
    _change(connection, directive, ended_at=micros(now), ended_by=by, end_reason=reason)
    return get(connection, directive.id)


def _change(connection: Connection, directive: Directive, **values: str | int) -> None:
    open_one = (_table.c.id == directive.id, _table.c.ended_at.is_(None))
    if connection.execute(_table.update().where(*open_one).values(**values)).rowcount != 1:
        raise Conflict(f"the directive `{directive.id}` has ended already")


def _directive(row: RowMapping) -> Directive:
    flags = json.loads(row["flags"])
    terms = Terms(
        kind=Kind(row["kind"]),
        merchant=row["merchant"],
        account=row["scope"],
        agency=row["agency"],
        reference=row["reference"],
        starts_at=from_micros(row["starts_at"]),
        ends_at=from_micros(row["ends_at"]),
        notification=flags["notification"],
        concurrence=flags["concurrence"],
    )
    ended = row["ended_at"]
    return Directive(
        id=row["id"],
        terms=terms,
        hold=flags["hold"],
        placed_by=row["placed_by"],
        placed_at=from_micros(row["placed_at"]),
        ended_at=None if ended is None else from_micros(ended),
        ended_by=row["ended_by"],
        end_reason=row["end_reason"],
    )
