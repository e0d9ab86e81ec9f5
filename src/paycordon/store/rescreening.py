"""Which merchants are to be screened because of what the coalition newly says of what they are known by.

A merchant is wanted in the transaction that makes an indicator count, and no more once all its events are recorded. In
between it belongs to one worker at a time, for the length of a lease; the events have ids that follow from the entry of
the log, so that whoever comes next finds those that are there already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from paycordon.aggregates.definition import By
from paycordon.events import Event
from paycordon.store.engine import Store
from paycordon.store.indicator_rows import CHUNK, chunks
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

_NEWEST = 200
"""So many of a merchant's newest events are looked at for its accounts."""

_PLACES = ", ".join(f":d{i}" for i in range(CHUNK))
_known_by = Prepared(
    text(
        f"SELECT merchant FROM sightings WHERE digest IN ({_PLACES}) AND named_on IS NOT NULL "  # noqa: S608
        f"UNION SELECT merchant FROM aliases WHERE digest IN ({_PLACES})"
    )
)
_want = Prepared(
    text(
        "INSERT INTO rescreenings (merchant, position, at, due_at, failures) "
        "VALUES (:merchant, :position, :at, :at, 0) ON CONFLICT (merchant) DO UPDATE SET "
        "position = excluded.position, at = excluded.at, due_at = excluded.due_at, failures = 0"
    )
)
_DUE = (
    "SELECT merchant, position, at, failures FROM rescreenings WHERE due_at <= :now ORDER BY due_at, merchant LIMIT 1"
)
_due = {"sqlite": Prepared(text(_DUE)), "postgresql": Prepared(text(f"{_DUE} FOR UPDATE SKIP LOCKED"))}
_later = Prepared(
    text(
        "UPDATE rescreenings SET due_at = :due, failures = :failures "
        "WHERE merchant = :merchant AND position = :position"
    )
)
_done = Prepared(text("DELETE FROM rescreenings WHERE merchant = :merchant AND position = :position"))
_any = Prepared(text("SELECT 1 FROM rescreenings WHERE due_at <= :now LIMIT 1"))
_of_itself = Prepared(
    text(
        "SELECT e.body FROM facts f JOIN events e ON e.position = f.position "
        "JOIN accounts a ON a.instance = e.instance AND a.account = e.account AND a.merchant = e.merchant "
        "WHERE f.key = :key AND f.type IN ('merchant.onboarding', 'merchant.changed') AND e.merchant = :merchant "
        "AND e.body <> '' ORDER BY f.occurred_at DESC, f.position DESC LIMIT :newest"
    )
)
_newest = Prepared(
    text(
        "SELECT e.body FROM events e JOIN accounts a ON a.instance = e.instance AND a.account = e.account "
        "WHERE e.merchant = :merchant AND a.merchant = :merchant AND e.body <> '' ORDER BY e.seq DESC LIMIT :newest"
    )
)
_recorded = Prepared(text("SELECT 1 FROM events WHERE instance = :instance AND id = :id"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A merchant that is to be screened: the entry of the log that says what is new, its time, and earlier failures."""

    merchant: str
    position: int
    at: datetime
    failures: int


def want(connection: Connection, digests: Iterable[str], position: int, now: datetime) -> int:
    """Want all merchants screened that are known by any of these identifiers; returns how many they are.

    Call it after the log was appended to: whoever records a sighting later then sees what is new, and judges by it.

    Args:
        connection: the transaction that makes indicators on them count.
        digests: of the identifiers.
        position: the entry of the log that says so.
        now: the time, UTC.
    """
    merchants = known_by(connection, digests)
    row = {"position": position, "at": micros(now)}
    _want.many(connection, [{**row, "merchant": merchant} for merchant in sorted(merchants)])
    return len(merchants)


def known_by(connection: Connection, digests: Iterable[str]) -> set[str]:
    """Return the merchants that are known by any of these identifiers."""
    merchants: set[str] = set()
    for places in chunks(sorted(set(digests))):
        merchants.update(_known_by(connection, places).scalars())
    return merchants


def claim(store: Store, now: datetime, lease: timedelta) -> Wanted | None:
    """Take the merchant that has waited longest, for the length of a lease; none if none is due.

    Raises:
        StoreUnavailable: the database cannot be used.
    """
    with store.read() as connection:
        if _any(connection, {"now": micros(now)}).first() is None:
            return None
    with store.write() as connection:
        row = _due[store.dialect](connection, {"now": micros(now)}).first()
        if row is None:
            return None
        wanted = Wanted(row[0], row[1], from_micros(row[2]), row[3])
        _put_off(connection, wanted, now + lease, wanted.failures)
    return wanted


def put_off(store: Store, wanted: Wanted, until: datetime) -> None:
    """Try again later, because it failed."""
    with store.write() as connection:
        _put_off(connection, wanted, until, wanted.failures + 1)


def done(store: Store, wanted: Wanted) -> None:
    """Want a merchant no more, unless something newer is said of it meanwhile."""
    with store.write() as connection:
        _done(connection, {"merchant": wanted.merchant, "position": wanted.position})


def newest_events(store: Store, merchant: str) -> Sequence[Event]:
    """Return of each gateway instance at which a merchant has accounts the newest event that says most of it.

    That is one about the merchant itself; events about its payouts and payments often say no more than its account.
    Only its newest events are looked at; what was erased says nothing any more.
    """
    found: dict[str, Event] = {}
    about = {"merchant": merchant, "key": f"{By.MERCHANT}:{merchant}", "newest": _NEWEST}
    with store.read() as connection:
        for body in (*_of_itself(connection, about).scalars(), *_newest(connection, about).scalars()):
            event = Event.model_validate_json(body)
            found.setdefault(event.instance, event)
    return tuple(found.values())


def is_recorded(store: Store, event: Event) -> bool:
    """Tell whether an event of this id is stored."""
    with store.read() as connection:
        return _recorded(connection, {"instance": event.instance, "id": event.id}).first() is not None


def _put_off(connection: Connection, wanted: Wanted, until: datetime, failures: int) -> None:
    row = {"merchant": wanted.merchant, "position": wanted.position, "due": micros(until), "failures": failures}
    _later(connection, row)
