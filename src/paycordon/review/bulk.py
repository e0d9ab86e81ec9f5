"""The same thing to many holds or cases, with the guards of each: each in its own transaction, counted at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, select

from paycordon.errors import Conflict, NotFound
from paycordon.people import Forbidden
from paycordon.review.proposals import Wish, release
from paycordon.store import Store, cases, schema
from paycordon.store.cases import Case
from paycordon.store.holds import Hold
from paycordon.store.schema import micros

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which holds in force are meant; at least one of its fields must be there.

    Attributes:
        case: those of the case's merchant.
        rule: those that this rule placed, as `policy/rule`.
        since, until: those placed from then on, and before then.
    """

    case: str | None = None
    merchant: str | None = None
    rule: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(slots=True)
class Summary:
    """What became of the holds: ids of released ones and of proposals, and why others were refused, by id."""

    released: list[str] = field(default_factory=list)
    proposed: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def selected(connection: Connection, wanted: Selection) -> Sequence[str]:
    """Return the ids of the holds that are meant, the oldest first.

    Raises:
        NotFound: there is no such case.
    """
    table = schema.holds
    query = select(table.c.id).where(table.c.released_at.is_(None)).order_by(table.c.created_at, table.c.id)
    if wanted.case is not None:
        query = query.where(table.c.merchant == cases.get(connection, wanted.case).merchant)
    if wanted.merchant is not None:
        query = query.where(table.c.merchant == wanted.merchant)
    if wanted.rule is not None:
        query = query.where(table.c.rule == wanted.rule)
    if wanted.since is not None:
        query = query.where(table.c.created_at >= micros(wanted.since))
    if wanted.until is not None:
        query = query.where(table.c.created_at < micros(wanted.until))
    return connection.execute(query).scalars().all()


def release_each(
    store: Store, ids: Sequence[str], wish: Callable[[], Wish], told: Callable[[int], None] = lambda _done: None
) -> Summary:
    """Release holds one by one, or propose it where that takes two people.

    What was done before the database fails or the process dies stays done; what is left is still in force, so the same
    selection again goes on from there.

    Args:
        store: where they are.
        ids: which ones.
        wish: who wants it and why, asked for each, so that each has its own time.
        told: how many are done.

    Raises:
        StoreUnavailable: the database cannot be used right now.
    """
    summary = Summary()
    for came in _each(store, ids, lambda connection, id_: release(connection, id_, wish()), summary.refused, told):
        (summary.released if isinstance(came, Hold) else summary.proposed).append(came.id)
    return summary


@dataclass(frozen=True, slots=True)
class CaseSelection:
    """Which open cases are meant; at least one of `rule`, `assignee` and `unassigned` must be there.

    Attributes:
        rule: those of merchants that this rule holds, as `policy/rule`.
        assignee: those that this person works on.
        unassigned: those that nobody works on.
        since, until: those opened from then on, and before then.
    """

    rule: str | None = None
    assignee: str | None = None
    unassigned: bool = False
    since: datetime | None = None
    until: datetime | None = None


@dataclass(slots=True)
class CaseSummary:
    """What became of the cases: ids of those it was done to, and why others were refused, by id."""

    done: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def selected_cases(connection: Connection, wanted: CaseSelection) -> Sequence[str]:
    """Return the ids of the open cases that are meant, the oldest first; never one of the role `restricted` alone."""
    table, holds = schema.cases, schema.holds
    query = select(table.c.id).where(table.c.closed_at.is_(None), table.c.restricted == 0)
    if wanted.rule is not None:
        held = select(holds.c.merchant).where(holds.c.released_at.is_(None), holds.c.rule == wanted.rule)
        query = query.where(table.c.merchant.in_(held))
    if wanted.assignee is not None:
        query = query.where(table.c.assignee == wanted.assignee)
    if wanted.unassigned:
        query = query.where(table.c.assignee.is_(None))
    if wanted.since is not None:
        query = query.where(table.c.opened_at >= micros(wanted.since))
    if wanted.until is not None:
        query = query.where(table.c.opened_at < micros(wanted.until))
    return connection.execute(query.order_by(table.c.opened_at, table.c.id)).scalars().all()


def each_case(
    store: Store,
    ids: Sequence[str],
    act: Callable[[Connection, str], Case],
    told: Callable[[int], None] = lambda _done: None,
) -> CaseSummary:
    """Do something to cases one by one; what was done before a failure stays done, as with `release_each`.

    Args:
        store: where they are.
        ids: which ones.
        act: does it to one, and refuses by raising what actions raise.
        told: how many are done.

    Raises:
        StoreUnavailable: the database cannot be used right now.
    """
    summary = CaseSummary()
    summary.done.extend(case.id for case in _each(store, ids, act, summary.refused, told))
    return summary


def _each(
    store: Store,
    ids: Sequence[str],
    act: Callable[[Connection, str], _T],
    refused: dict[str, str],
    told: Callable[[int], None],
) -> Iterator[_T]:
    for done, id_ in enumerate(ids, start=1):
        try:
            with store.write() as connection:
                came = act(connection, id_)
        except (Conflict, Forbidden, NotFound) as error:
            refused[id_] = str(error)
        else:
            yield came
        told(done)
