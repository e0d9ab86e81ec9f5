"""Erase what is past its time, and a merchant's data on request; a page in each transaction, each in the log.

Whoever is killed in between loses nothing: what is left is found again. Nothing of a merchant is erased while a hold is
in force, a case is open, a clock runs or a proposal waits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypedDict

from sqlalchemy import Connection, text

from paycordon.errors import Conflict, NotFound
from paycordon.record.log import append, digest_of
from paycordon.sections import RetentionSection
from paycordon.store import Store, erasure, referrals
from paycordon.store.erasure import Erased, Erasing
from paycordon.store.schema import day_of, from_micros, micros

BY = "retention"
_PAGE = 100


@dataclass(frozen=True, slots=True)
class _Class:
    """A class of records: its table, key, the time that its period counts from, and what else must hold.

    `columns` are what `withheld` keeps of a row where that is an obligation; none for what is erased as text. `written`
    says whether people write something in it, whose salts go with it.
    """

    table: str
    key: str
    since: str
    where: str
    merchant: str | None = None
    columns: tuple[str, ...] = ()
    children: tuple[str, str, tuple[str, ...]] | None = None
    written: bool = False

    @property
    def condition(self) -> str:
        """What is past its time and may go, in SQL; `:cutoff` is the moment."""
        return f"{self.past} AND {erasure.nothing_stands(self.merchant)}" if self.merchant else self.past

    @property
    def past(self) -> str:
        """What is past its time, whether it may go or not."""
        return f"{self.since} < :cutoff AND {self.where}"


_CLASSES: Mapping[str, _Class] = {
    "events": _Class("events", "position", "recorded_at", "body <> ''", "events.merchant"),
    "decisions": _Class("decisions", "id", "decided_at", "decided_at > 0 AND body <> ''", "decisions.merchant"),
    "deliveries": _Class("deliveries", "id", "received_at", "state = 'done'"),
    "cases": _Class(
        *("cases", "id", "closed_at", "closed_at IS NOT NULL AND restricted = 0", "cases.merchant"),
        ("opened_at", "closed_at", "closed_by", "resolution"),
        ("case_events", "case_id", ("id", "at", "kind", "decision_id", "actor", "note", "detail")),
        written=True,
    ),
    "acts": _Class(
        *("acts", "id", "settled_at", "state = 'done'", "acts.merchant"),
        columns=(
            *("instance", "account", "act", "parameters", "reason", "asked_by", "agreed_by", "asked_at"),
            *("settled_at", "reference", "result", "already"),
        ),
        written=True,
    ),
    "proposals": _Class(  # one that nobody decided has lapsed
        *("proposals", "id", "COALESCE(decided_at, lapses_at)", "restricted = 0", "proposals.merchant"),
        columns=(
            *("kind", "subject_id", "detail", "reason", "proposed_by", "proposed_at", "lapses_at", "state"),
            *("decided_by", "decided_at", "decision_reason"),
        ),
        written=True,
    ),
    "snoozes": _Class(
        *("snoozes", "id", "COALESCE(ended_at, until)", "TRUE", "snoozes.merchant"),
        columns=("rule", "reason", "placed_by", "agreed_by", "placed_at", "until", "ended_at", "ended_by"),
        written=True,
    ),
    "contributions": _Class(
        *("contributions", "id", "settled_at", "settled_at IS NOT NULL", "contributions.merchant"),
        columns=("recipient", "kind", "hold_id", "code", "state", "theirs", "drafted_by", "drafted_at", "settled_at"),
        children=(
            *("exchange_messages", "contribution_id"),
            ("id", "verb", "independent", "unseen", "reason", "asked_by", "agreed_by", "state", "settled_at"),
        ),
        written=True,
    ),
    "feedback": _Class(
        *("exchange_messages", "id", "settled_at", "contribution_id IS NULL AND state = 'taken'"),
        columns=("about", "reason", "asked_by", "settled_at"),
        written=True,
    ),
    "notices": _Class(
        *("notices", "id", "sent_at", "sent_at IS NOT NULL", "notices.merchant"),
        ("subject_id", "kind", "language", "text", "fields", "created_at", "sent_at", "sent_by"),
    ),
    "notifications": _Class("notifications", "id", "delivered_at", "state = 'delivered'", "notifications.merchant"),
    "inquiries": _Class(
        *("inquiries", "id", "watched_until", "TRUE", "inquiries.merchant"),
        columns=("service", "reference", "asked_at", "asked_by", "answered_at", "watched_until", "number", "state"),
    ),
}


@dataclass(frozen=True, slots=True)
class Due:
    """One class of records: how long it is kept, and how much of it is past its time.

    Attributes:
        period: how long it is kept; none for good.
        due: how many records would go now.
        kept_back: how many are past their time and stay, because something stands against it.
        next_at: when the oldest of the others comes to its time; none if there is none, or no period.
    """

    name: str
    period: timedelta | None
    due: int
    kept_back: int
    next_at: datetime | None


@dataclass
class Retention:
    """Erases what is past its time.

    Args:
        store: where it is.
        periods: how long each class is kept.
        clock: says what time it is, UTC.
    """

    store: Store
    periods: RetentionSection
    clock: Callable[[], datetime]
    _after: int = field(default=0, init=False)

    def step(self) -> bool:
        """Erase one page of one class; false when nothing is past its time.

        Raises:
            StoreUnavailable: the database cannot be used; what was erased is erased.
        """
        now = self.clock()
        for name, kind in _CLASSES.items():
            period: timedelta | None = getattr(self.periods, name)
            if period is not None and self._erase_page(name, kind, now, period):
                return True
        with self.store.read() as connection:
            kept = connection.execute(text("SELECT 1 FROM withheld LIMIT 1")).first()
        if kept is not None:
            with self.store.write() as connection:
                erasure.let_go(connection, now)
        self._erase_referrals(now)
        self._after = 0
        return False

    def _erase_referrals(self, now: datetime) -> None:
        """Erase referrals that are past their time: unseen, for nobody without the role knows that there are any."""
        if self.periods.referrals is None:
            return
        moments = (now - self.periods.referrals, now - erasure.AFTER_A_DIRECTIVE)
        with self.store.read() as connection:
            past = referrals.past(connection, *moments, _PAGE)
        if past:
            with self.store.write() as connection:
                referrals.erase(connection, past, now)

    def run(self) -> int:
        """Erase all that is past its time; returns how many pages that were."""
        pages = 0
        while self.step():
            pages += 1
        overwrite(self.store)
        return pages

    def report(self) -> list[Due]:
        """Say of each class what would go now, what stays, and when the next goes; writes nothing."""
        now = self.clock()
        with self.store.read() as connection:
            return [_due(connection, name, kind, getattr(self.periods, name), now) for name, kind in _CLASSES.items()]

    def _erase_page(self, name: str, kind: _Class, now: datetime, period: timedelta) -> bool:
        by = Erasing(BY, f"kept for {period.days} days: {name}", now)
        where: dict[str, Any] = {"cutoff": micros(now - period), "now": micros(now), "page": _PAGE}
        with self.store.write() as connection:
            if name == "events":
                return self._erase_events(connection, by, kind, where)
            if name == "decisions":
                query = f"SELECT id FROM decisions WHERE {kind.condition} ORDER BY decided_at, id LIMIT :page"  # noqa: S608
                found = connection.execute(text(query), where).scalars().all()
                by_hand = connection.execute(_BY_HAND_PAST, where).scalars().all()
                return erasure.erase(connection, by, decisions=found, by_hand=by_hand).total > 0
            return _delete(connection, name, kind, where, now) > 0

    def _erase_events(self, connection: Connection, by: Erasing, kind: _Class, where: Mapping[str, Any]) -> bool:
        """Erase a page of events; what is erased stays in the table, so the next page begins after it."""
        query = f"SELECT position FROM events WHERE position > :after AND {kind.condition} "  # noqa: S608
        page = text(f"{query} ORDER BY position LIMIT :page")
        found = connection.execute(page, {**where, "after": self._after}).scalars().all()
        erasure.erase(connection, by, events=found)
        if not found:
            _forget_sightings(connection, where)
            return False
        self._after = found[-1]
        return True


def erase_merchant(
    store: Store,
    merchant: str,
    *,
    by: str,
    basis: str,
    clock: Callable[[], datetime],
    progress: Callable[[int], None] | None = None,
) -> Erased:
    """Erase what is stored about a merchant, but for what the law obliges to keep; may be repeated after a crash.

    The opaque ids of the merchant, its accounts, events and decisions stay, and so does the log that names them.

    Raises:
        NotFound: there is no such merchant.
        Conflict: something stands against it; names what.
    """
    done = Erased()
    while True:
        erasing = Erasing(by, basis, clock())
        with store.write() as connection:
            _require_free(connection, merchant, erasing.now)
            erased = erasure.erase(connection, erasing, **_page_of(connection, merchant))
            done += erased
            if not erased.total:
                _erase_rest(connection, merchant, erasing)
                break
        if progress is not None:
            progress(done.total)
    overwrite(store)
    return done


def _require_free(connection: Connection, merchant: str, now: datetime) -> None:
    # A list may be asked before there is any event.
    asked_or_seen = text(
        "SELECT 1 FROM merchants WHERE merchant = :merchant UNION SELECT 1 FROM inquiries WHERE merchant = :merchant"
    )
    known = connection.execute(asked_or_seen, {"merchant": merchant})
    if known.first() is None:
        raise NotFound(f"there is no merchant `{merchant}`")
    found = erasure.standing(connection, merchant, now)
    if found:
        raise Conflict(f"nothing of `{merchant}` can be erased: there is {' and '.join(found)}")


class _Page(TypedDict):
    events: list[int]
    decisions: list[str]
    by_hand: list[str]


def _page_of(connection: Connection, merchant: str) -> _Page:
    where = {"merchant": merchant, "page": _PAGE}
    events = text("SELECT position FROM events WHERE merchant = :merchant AND body <> '' ORDER BY seq LIMIT :page")
    decisions = text(
        "SELECT d.id FROM events e JOIN decisions d ON d.instance = e.instance AND d.event_id = e.id "
        "WHERE e.merchant = :merchant AND d.body <> '' ORDER BY e.seq LIMIT :page"
    )
    by_hand = text(f"{_BY_HAND} AND merchant = :merchant ORDER BY id LIMIT :page")
    return {
        "events": list(connection.execute(events, where).scalars()),
        "decisions": list(connection.execute(decisions, where).scalars()),
        "by_hand": list(connection.execute(by_hand, where).scalars()),
    }


_BY_HAND = (
    "SELECT id FROM holds WHERE decision_id IS NULL AND released_at IS NOT NULL "
    "AND id NOT IN (SELECT id FROM erasures WHERE kind = 'hold')"
)
_BY_HAND_PAST = text(
    f"{_BY_HAND} AND released_at < :cutoff AND {erasure.nothing_stands('holds.merchant')} ORDER BY id LIMIT :page"
)


def _erase_rest(connection: Connection, merchant: str, erasing: Erasing) -> None:
    where = {"merchant": merchant}
    past = referrals.past_only_of(connection, merchant, erasing.now - erasure.AFTER_A_DIRECTIVE)
    if past:
        referrals.erase(connection, past, erasing.now)
    gone, theirs = dict[str, int](), "merchant = :merchant"
    named = erasure.cases_named(connection, f"{theirs} AND {_CLASSES['cases'].where}", where)
    for name in ("cases", "notices", "acts", "proposals", "snoozes", "contributions", "inquiries"):
        gone[name] = _remove(connection, _CLASSES[name], f"{theirs} AND {_CLASSES[name].where}", where, erasing.now)
    erasure.forget_written(connection, erasing.now, {merchant: merchant})
    for name, condition in _REST.items():
        query = f"DELETE FROM {name} WHERE merchant = :merchant AND {condition}"  # noqa: S608
        gone[name] = connection.execute(text(query), where).rowcount
    said = {f"{name}_rows": number for name, number in gone.items() if number}
    who = {"merchant": merchant, "by": erasing.by, "basis_digest": digest_of(erasing.basis)}
    append(connection, erasing.now, "erased.merchant", {**who, **said, **named})


# Of a merchant without holds, cases and clocks; what is restricted is not touched here.
_REST: Mapping[str, str] = {
    "sightings": "TRUE",
    "aliases": "TRUE",
    "rescreenings": "TRUE",
    "clocks": "ended_at IS NOT NULL AND restricted = 0",
    "notifications": "state = 'delivered'",
    "restrictions": "desired = 'none' AND applied = 'none' AND state = 'settled'",
}


def _forget_sightings(connection: Connection, where: Mapping[str, Any]) -> None:
    connection.execute(
        text(f"DELETE FROM sightings WHERE last_seen < :cutoff AND {erasure.nothing_stands('sightings.merchant')}"),  # noqa: S608
        dict(where),
    )
    connection.execute(
        text(f"DELETE FROM aliases WHERE named_on < :day AND {erasure.nothing_stands('aliases.merchant')}"),  # noqa: S608
        {**where, "day": day_of(from_micros(where["cutoff"]))},
    )


def _delete(connection: Connection, name: str, kind: _Class, where: Mapping[str, Any], now: datetime) -> int:
    keys = f"SELECT {kind.key} FROM {kind.table} WHERE {kind.condition} ORDER BY {kind.since} LIMIT :page"  # noqa: S608
    named = erasure.cases_named(connection, f"id IN ({keys})", where) if name == "cases" else {}
    removed = _remove(connection, kind, f"{kind.key} IN ({keys})", where, now)
    if removed:
        append(connection, now, "retention", {"class": name, "rows": removed, "before": where["cutoff"], **named})
    return removed


def _remove(connection: Connection, kind: _Class, condition: str, where: Mapping[str, Any], now: datetime) -> int:
    """Delete rows with what belongs to them, and withhold of them what has to be."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    keys = f"SELECT {kind.key} FROM {kind.table} WHERE {condition}"  # noqa: S608
    if kind.columns:
        columns = ", ".join((kind.key, "merchant", *kind.columns))
        query = f"SELECT {columns} FROM {kind.table} WHERE {kind.key} IN ({keys})"  # noqa: S608
        rows = connection.execute(text(query), where).mappings().all()
        kept: list[tuple[str, str, str, str | None, str]] = [
            (kind.table, str(r[kind.key]), str(r["merchant"]), None, json.dumps(dict(r))) for r in rows
        ]
        kept += _children(connection, kind, keys, where)
        erasure.withhold(connection, now, kept)
        if kind.written:
            erasure.forget_written(connection, now, {str(r[kind.key]): str(r["merchant"]) for r in rows})
    if kind.children:
        table, parent, _ = kind.children
        connection.execute(text(f"DELETE FROM {table} WHERE {parent} IN ({keys})"), where)  # noqa: S608
    return connection.execute(text(f"DELETE FROM {kind.table} WHERE {kind.key} IN ({keys})"), where).rowcount  # noqa: S608


def _children(
    connection: Connection, kind: _Class, keys: str, where: Mapping[str, Any]
) -> list[tuple[str, str, str, str | None, str]]:
    if kind.children is None:
        return []
    table, parent, columns = kind.children
    names = ", ".join(f"c.{name}" for name in columns)
    query = (
        f"SELECT p.merchant, {names} FROM {table} c JOIN {kind.table} p ON p.{kind.key} = c.{parent} "  # noqa: S608
        f"WHERE c.{parent} IN ({keys})"
    )
    rows = connection.execute(text(query), where).mappings().all()
    return [(table, str(row["id"]), str(row["merchant"]), None, json.dumps(dict(row))) for row in rows]


def _due(connection: Connection, name: str, kind: _Class, period: timedelta | None, now: datetime) -> Due:
    oldest = f"SELECT MIN({kind.since}) FROM {kind.table} WHERE {kind.where} AND {kind.since} >= :cutoff"  # noqa: S608
    if period is None:
        return Due(name, None, 0, 0, None)
    where = {"cutoff": micros(now - period), "now": micros(now)}
    due, past = (
        int(connection.execute(text(f"SELECT COUNT(*) FROM {kind.table} WHERE {each}"), where).scalar_one())  # noqa: S608
        for each in (kind.condition, kind.past)
    )
    first = connection.execute(text(oldest), where).scalar()
    return Due(name, period, due, past - due, None if first is None else from_micros(first) + period)


def overwrite(store: Store) -> None:
    """Take what was erased out of the write-ahead log of SQLite as well; others may still be reading, then later."""
    if store.dialect != "sqlite":
        return
    raw = store.engine.raw_connection()
    try:
        raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        raw.close()
