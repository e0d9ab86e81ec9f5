"""Referrals as they are stored: what a tip says, its history, and its deadline. Each step leaves a restricted entry.

Nothing here leaves a trace that others see: no entry of the public log, no number out of a sequence they are shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, select, text

from paycordon.coalition.indicators import Indicator
from paycordon.errors import Conflict, NotFound
from paycordon.exchange.referral import ENDED, State, Step
from paycordon.ids import Randomness, new_id
from paycordon.record import restricted
from paycordon.record.log import new_salt, salted_digest
from paycordon.store import schema
from paycordon.store.indicator_rows import chunks
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

_table, _steps, _merchants = schema.referrals, schema.referral_steps, schema.referral_merchants
_insert = Prepared(
    text(
        "INSERT INTO referrals (id, source, reference, body, salt, state, steps, due_at, warn_at, next_at, told) "
        "VALUES (:id, :source, :reference, :body, :salt, :state, 1, :due_at, :warn_at, :next_at, :told) "
        "ON CONFLICT (source, reference) DO NOTHING"
    )
)
_PLACES = ", ".join(f":d{i}" for i in range(500))
_seen = Prepared(
    text(
        f"SELECT merchant FROM sightings WHERE digest IN ({_PLACES}) "  # noqa: S608
        f"UNION SELECT merchant FROM aliases WHERE digest IN ({_PLACES})"
    )
)
_TIMES = ("valid_from", "valid_until", "first_seen", "last_seen")


@dataclass(frozen=True, slots=True)
class About:
    """What a tip says, without anything plain; see `paycordon.exchange.tip.Tip`."""

    source: str
    reference: str
    received_at: datetime
    category: str
    note: str
    merchants: tuple[str, ...]
    indicators: tuple[Indicator, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One step of a referral's history; times are UTC.

    Attributes:
        state: where it stood afterwards; `before` where it stood then.
        agreed_by: the second person, where it took two.
        due_at: the deadline that has run since then.
        detail: what else belongs to the step, as JSON.
    """

    number: int
    at: datetime
    step: Step
    before: State
    state: State
    by: str
    agreed_by: str | None
    reason: str
    due_at: datetime | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Referral:
    """A referral with its history, the oldest step first; `told` says whether its deadline was warned of or passed."""

    id: str
    about: About
    state: State
    due_at: datetime | None
    told: int
    ended_at: datetime | None
    kept_from: datetime | None
    history: tuple[Line, ...]

    @property
    def last(self) -> Line:
        """What was done last."""
        return self.history[-1]

    @property
    def released_at(self) -> datetime | None:
        """When its identifiers became indicators; none if they never did."""
        return next((line.at for line in self.history if line.step is Step.RELEASE), None)

    @property
    def taken_back(self) -> bool:
        """Whether its source has taken it back."""
        return any(line.step is Step.WITHDRAW for line in self.history)

    def overdue(self, now: datetime) -> bool:
        """Tell whether its deadline has passed."""
        return self.due_at is not None and self.due_at <= now


def insert(
    connection: Connection, about: About, first: Line, warn_at: datetime | None, randomness: Randomness
) -> Referral | None:
    """Store a new referral with its first step; none if its source has one of that reference already."""
    id_, salt, body = new_id("ref", first.at, randomness), new_salt(randomness), _body_of(about)
    row: dict[str, Any] = {"id": id_, "source": about.source, "reference": about.reference, "body": body, "salt": salt}
    row |= {"state": first.state.value, **_deadline(first.due_at, warn_at)}
    if _insert(connection, row).rowcount != 1:
        return None
    _name(connection, id_, about)
    _write(connection, id_, first, randomness, about_digest=salted_digest(salt, body))
    return get(connection, id_)


def same_as(connection: Connection, about: About) -> Referral:
    """Return the referral of that source and reference; when it was received does not count.

    Raises:
        Conflict: it says something else.
    """
    named = (_table.c.source == about.source, _table.c.reference == about.reference)
    found = get(connection, connection.execute(select(_table.c.id).where(*named)).scalar_one())
    if not says(found, about):
        here = f"`{about.reference}` of `{about.source}` is here, as `{found.id}`, and says something else"
        raise Conflict(f"{here}; `paycordon referral correct` takes in what its source corrects")
    return found


def says(referral: Referral, about: About) -> bool:
    """Tell whether a referral says just this; when it was received does not count."""
    return replace(referral.about, received_at=about.received_at) == about


def named(connection: Connection, source: str, reference: str) -> str:
    """Return the id of the referral that its source gave this reference.

    Raises:
        NotFound: there is none.
    """
    query = select(_table.c.id).where(_table.c.source == source, _table.c.reference == reference)
    found: str | None = connection.execute(query).scalar()
    if found is None:
        raise NotFound(f"there is no `{reference}` of `{source}`; `paycordon referral receive` takes it in")
    return found


def kept_words(connection: Connection, id_: str) -> Mapping[str, str]:
    """Return what a referral says as it is stored, with the salt of its digest in the restricted log."""
    row = connection.execute(select(_table.c.body, _table.c.salt).where(_table.c.id == id_)).mappings().one()
    return dict(row)


def move(
    connection: Connection,
    referral: Referral,
    line: Line,
    warn_at: datetime | None,
    randomness: Randomness,
    *,
    kept_from: datetime | None,
    about: About | None = None,
) -> None:
    """Write down a step, provided that nothing has been done with the referral since it was read.

    With `about` it says that from then on. Whom it named before it names still, as far as erasure goes.

    Raises:
        Conflict: somebody else was faster.
    """
    ended = line.at if line.state in ENDED else None
    values: dict[str, Any] = {"state": line.state.value, "steps": line.number}
    if line.due_at != referral.due_at:
        values |= _deadline(line.due_at, warn_at)
    values |= {"ended_at": _micros(ended), "kept_from": _micros(kept_from)}
    more: dict[str, str] = {}
    if about is not None:
        salt, body = new_salt(randomness), _body_of(about)
        values |= {"body": body, "salt": salt}
        more = {"about_digest": salted_digest(salt, body)}
    as_read = (_table.c.id == referral.id, _table.c.steps == referral.last.number)
    if connection.execute(_table.update().where(*as_read).values(values)).rowcount != 1:
        raise Conflict(f"somebody else has just done something with `{referral.id}`; look at it again")
    if about is not None:
        _name(connection, referral.id, about)
    _write(connection, referral.id, line, randomness, **more)


def get(connection: Connection, id_: str, *, lock: bool = False) -> Referral:
    """Return one referral; with `lock` everybody else who would change it waits until this transaction ends.

    Raises:
        NotFound: there is none of that id.
    """
    query = select(_table).where(_table.c.id == id_)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no referral `{id_}`")
    return _referral(connection, row)


def listed(connection: Connection, *, everything: bool = False, limit: int = 1_000) -> Sequence[Referral]:
    """Return referrals, those that are due first at the front; those that have ended only if asked for."""
    query = select(_table).order_by(_table.c.due_at.is_(None), _table.c.due_at, _table.c.id).limit(limit)
    if not everything:
        query = query.where(_table.c.ended_at.is_(None))
    return [_referral(connection, row) for row in connection.execute(query).mappings().all()]


def seen_here(connection: Connection, referral: Referral) -> set[str]:
    """Return the merchants that were seen with one of its identifiers."""
    merchants: set[str] = set()
    for places in chunks(sorted({each.digest for each in referral.about.indicators})):
        merchants.update(_seen(connection, places).scalars())
    return merchants


def known_merchants(connection: Connection, referral: Referral) -> list[str]:
    """Return those of the merchants that it names who were ever seen here, in order."""
    table = schema.merchants.c.merchant
    query = select(table).where(table.in_(referral.about.merchants)).order_by(table)
    return list(connection.execute(query).scalars())


def waiting(connection: Connection, now: datetime) -> Referral | None:
    """Return the referral whose deadline has waited the longest to be warned of, told of or reminded of."""
    query = select(_table).where(_table.c.next_at <= micros(now)).order_by(_table.c.next_at, _table.c.id).limit(1)
    row = connection.execute(query).mappings().first()
    return None if row is None else _referral(connection, row)


def tell(connection: Connection, referral: Referral, told: int, next_at: datetime, now: datetime) -> bool:
    """Write down that a deadline was warned of or has passed; false if another worker has done so, or it moved."""
    as_read = (_table.c.id == referral.id, _table.c.steps == referral.last.number, _table.c.told == referral.told)
    change = _table.update().where(*as_read, _table.c.next_at <= micros(now))
    if connection.execute(change.values(told=told, next_at=micros(next_at))).rowcount != 1:
        return False
    kind = "warned" if told == 1 else "reminded" if referral.told == told else "due"
    said = {"referral": referral.id, "due_at": "" if referral.due_at is None else referral.due_at.isoformat()}
    restricted.append(connection, now, f"referral.{kind}", said)
    return True


def past(connection: Connection, ended_before: datetime, kept_before: datetime, limit: int) -> list[str]:
    """Return the ids of referrals that have ended before one moment, and whose documents need be kept until another."""
    kept = _table.c.kept_from.is_(None) | (_table.c.kept_from < micros(kept_before))
    over = (_table.c.ended_at < micros(ended_before), kept)
    return list(connection.execute(select(_table.c.id).where(*over).order_by(_table.c.id).limit(limit)).scalars())


def past_only_of(connection: Connection, merchant: str, kept_before: datetime) -> list[str]:
    """Return the ids of referrals that have ended, need be kept for nobody, and name this merchant and no other."""
    other = select(_merchants.c.referral_id).where(_merchants.c.merchant != merchant)
    kept = _table.c.kept_from.is_(None) | (_table.c.kept_from < micros(kept_before))
    query = (
        select(_table.c.id)
        .join(_merchants, _merchants.c.referral_id == _table.c.id)
        .where(_merchants.c.merchant == merchant, _table.c.ended_at.is_not(None), kept, _table.c.id.not_in(other))
    )
    return list(connection.execute(query.order_by(_table.c.id)).scalars())


def erase(connection: Connection, ids: Sequence[str], now: datetime) -> None:
    """Erase referrals with their history; the restricted log keeps their ids, and says that they were erased."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    for table, column in (
        (_steps, _steps.c.referral_id),
        (_merchants, _merchants.c.referral_id),
        (_table, _table.c.id),
    ):
        connection.execute(table.delete().where(column.in_(ids)))
    restricted.append(connection, now, "referral.erased", {"referrals": list(ids)})


def _write(connection: Connection, id_: str, line: Line, randomness: Randomness, **more: str) -> None:
    salt, body = new_salt(randomness), json.dumps(asdict(line), sort_keys=True, default=_plain)
    row = {"referral_id": id_, "number": line.number, "body": body, "salt": salt}
    connection.execute(_steps.insert().values(row))
    said = {"referral": id_, "number": line.number, "state": line.state.value, "by": line.by, **more}
    if line.agreed_by is not None:
        said["agreed_by"] = line.agreed_by
    restricted.append(connection, line.at, f"referral.{line.step}", {**said, "digest": salted_digest(salt, body)})


def _name(connection: Connection, id_: str, about: About) -> None:
    query = select(_merchants.c.merchant).where(_merchants.c.referral_id == id_)
    there = set(connection.execute(query).scalars())
    for merchant in dict.fromkeys(about.merchants):
        if merchant not in there:
            connection.execute(_merchants.insert().values(referral_id=id_, merchant=merchant))


def _body_of(about: About) -> str:
    return json.dumps(asdict(about), sort_keys=True, default=_plain)


def _plain(value: object) -> object:
    return micros(value) if isinstance(value, datetime) else str(value)


def _deadline(due_at: datetime | None, warn_at: datetime | None) -> dict[str, int | None]:
    ahead = None if due_at is None or warn_at is None or warn_at >= due_at else warn_at
    return {"due_at": _micros(due_at), "warn_at": _micros(ahead), "next_at": _micros(ahead or due_at), "told": 0}


def _micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def _time(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)


def _referral(connection: Connection, row: RowMapping) -> Referral:
    return Referral(
        id=row["id"],
        about=_about(json.loads(row["body"])),
        state=State(row["state"]),
        due_at=_time(row["due_at"]),
        told=row["told"],
        ended_at=_time(row["ended_at"]),
        kept_from=_time(row["kept_from"]),
        history=tuple(_history(connection, row["id"])),
    )


def _history(connection: Connection, id_: str) -> Iterator[Line]:
    query = select(_steps.c.body).where(_steps.c.referral_id == id_).order_by(_steps.c.number)
    for body in connection.execute(query).scalars():
        said = json.loads(body)
        said |= {"step": Step(said["step"]), "before": State(said["before"]), "state": State(said["state"])}
        yield Line(**{**said, "at": from_micros(said["at"]), "due_at": _time(said["due_at"])})


def _about(said: dict[str, Any]) -> About:
    known = [{**each, **{name: _time(each[name]) for name in _TIMES}} for each in said["indicators"]]
    indicators = tuple(Indicator(**{**each, "former": tuple(each.get("former", ()))}) for each in known)
    received = from_micros(said["received_at"])
    return About(**{**said, "received_at": received, "merchants": tuple(said["merchants"]), "indicators": indicators})
