"""The same thing to many holds, with the guards of each: every hold in its own transaction, and a count at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, select

from paycordon.errors import Conflict, NotFound
from paycordon.people import Forbidden
from paycordon.review.proposals import Wish, release
from paycordon.store import Store, cases, schema
from paycordon.store.holds import Hold
from paycordon.store.schema import micros


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
    for done, id_ in enumerate(ids, start=1):
        try:
            with store.write() as connection:
                came = release(connection, id_, wish())
        except (Conflict, Forbidden, NotFound) as error:
            summary.refused[id_] = str(error)
        else:
            (summary.released if isinstance(came, Hold) else summary.proposed).append(came.id)
        told(done)
    return summary
