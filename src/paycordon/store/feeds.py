"""How each feed does: when it is due, who reads it, when it was last good, and why it was refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from paycordon.errors import Conflict
from paycordon.record.log import append
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

WAITING = "waiting"
"""The state of a feed whose batch takes a person."""

_add = Prepared(
    text("INSERT INTO feeds (name, due_at, failures) VALUES (:name, :now, 0) ON CONFLICT (name) DO NOTHING")
)
_claim = Prepared(
    text(
        "UPDATE feeds SET owner = :owner, leased_until = :until, looked_at = :now WHERE name = :name "
        "AND (due_at <= :now OR :early = 1) AND (leased_until IS NULL OR leased_until <= :now)"
    )
)
_due = Prepared(text("SELECT 1 FROM feeds WHERE name = :name AND due_at > :now"))
_keep = Prepared(
    text(
        "UPDATE feeds SET leased_until = :until, changed_at = :now "
        "WHERE name = :name AND owner = :owner AND leased_until > :now"
    )
)
_end = Prepared(
    text(
        "UPDATE feeds SET owner = NULL, leased_until = NULL, due_at = :due, state = :state, why = :why, "
        "failures = CASE WHEN :good = 1 THEN 0 ELSE failures + 1 END, "
        "good_at = CASE WHEN :good = 1 THEN :now ELSE good_at END WHERE name = :name AND owner = :owner"
    )
)
_failures = Prepared(text("SELECT failures, told FROM feeds WHERE name = :name"))
_told = Prepared(text("UPDATE feeds SET told = :told WHERE name = :name"))
_all = Prepared(
    text(
        "SELECT f.name, f.due_at, f.looked_at, f.good_at, f.changed_at, f.failures, f.state, f.why, s.checkpoint, "
        "(SELECT COUNT(*) FROM indicators i WHERE i.source = f.name AND i.withdrawn_at IS NULL) "
        "FROM feeds f LEFT JOIN indicator_sources s ON s.source = f.name ORDER BY f.name"
    )
)


@dataclass(frozen=True, slots=True)
class FeedState:
    """How a feed does; times are UTC.

    Attributes:
        name: of the feed, and of the source of its indicators.
        due_at: when it is looked at next.
        looked_at: when it was looked at last.
        good_at: when a look last went well to its end.
        changed_at: when something of it was last taken in.
        failures: how many looks have failed since.
        state: none if all is well; `refused`: what it said was not taken; `waiting`: a person has to look
            (`paycordon indicator waiting`); `failed`: it could not be read.
        why: a sentence about that, without any value.
        checkpoint: how far it was read, in its own words.
        counting: how many of its indicators count.
    """

    name: str
    due_at: datetime
    looked_at: datetime | None
    good_at: datetime | None
    changed_at: datetime | None
    failures: int
    state: str | None
    why: str | None
    checkpoint: str | None
    counting: int


def claim(connection: Connection, name: str, owner: str, now: datetime, lease: timedelta, *, early: bool) -> bool:
    """Take a feed for one look, if it is due (or `early`) and nobody else is at it; tells whether it did."""
    _add(connection, {"name": name, "now": micros(now)})
    row = {"name": name, "owner": owner, "now": micros(now), "until": micros(now + lease), "early": int(early)}
    return _claim(connection, row).rowcount == 1


def is_waiting(connection: Connection, name: str, now: datetime) -> bool:
    """Tell whether a feed is known and not due yet; a look at this costs no write."""
    return _due(connection, {"name": name, "now": micros(now)}).first() is not None


def keep(connection: Connection, name: str, owner: str, now: datetime, lease: timedelta) -> None:
    """Prolong the lease as the first step of a transaction that takes something in.

    Raises:
        Conflict: it has ended meanwhile; what was read may be older than what another has taken in since.
    """
    row = {"name": name, "owner": owner, "now": micros(now), "until": micros(now + lease)}
    if _keep(connection, row).rowcount != 1:
        raise Conflict(f"the feed `{name}` took longer than its lease; another look begins anew")


def end(
    connection: Connection, name: str, owner: str, now: datetime, due: datetime, trouble: tuple[str, str] | None
) -> bool:
    """Note how a look went, and when the next one comes; false if another worker has the feed by now."""
    state, why = trouble or (None, None)
    row: dict[str, str | int | None] = {
        "name": name,
        "owner": owner,
        "now": micros(now),
        "due": micros(due),
        "state": state,
        "why": why,
    }
    row["good"] = int(trouble is None)
    return _end(connection, row).rowcount == 1


def failures(connection: Connection, name: str) -> tuple[int, str | None]:
    """Return how many looks in a row have failed, and what the log has last said of that (none: that all is well)."""
    return _failures(connection, {"name": name}).first() or (0, None)


def tell(connection: Connection, name: str, trouble: tuple[str, str] | None, now: datetime, *, patience: int) -> None:
    """Let the log say, and so notify whoever listens, that a feed does not do well, or that it does again.

    It is said once, not at each try: after `patience` looks in a row that failed, and at once where a person has to
    look. Call it after `end`, in the same transaction.
    """
    failed, told = failures(connection, name)
    if trouble is None:
        if told is not None:
            _told(connection, {"name": name, "told": None})
            append(connection, now, "feed.recovered", {"feed": name, "was": told})
        return
    state, why = trouble
    if told != WAITING and (state == WAITING or (told is None and failed >= patience)):
        _told(connection, {"name": name, "told": state})
        append(connection, now, "feed.troubled", {"feed": name, "state": state, "why": why, "failures": failed})


def states(connection: Connection) -> list[FeedState]:
    """Return how all feeds do that were ever looked at."""
    return [
        FeedState(name, from_micros(due), _time(looked), _time(good), _time(changed), *others)
        for name, due, looked, good, changed, *others in _all(connection)
    ]


def _time(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)
