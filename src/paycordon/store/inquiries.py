"""Inquiries as rows: what was asked of which list, what it answered, and what was made of that."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from paycordon.errors import Conflict, NotFound
from paycordon.exchange.asked import Asked, Hit, Name
from paycordon.record.inquirycheck import digest_of_matches
from paycordon.record.log import append, digest_of
from paycordon.store.prepared import Prepared
from paycordon.store.schema import day_of, from_micros, micros
from paycordon.store.sightings import alias, sighting

ASKING, ANSWERED, LATER, DONE = "asking", "answered", "later", "done"
Said = tuple[str, str]  # digest and reference of an indicator

_NAMES = (
    *("id", "service", "merchant", "reference", "asked_at", "asked_by", "answered_at", "watched_until", "heard_at"),
    *("asked", "matches", "said", "state", "why"),
)
_COLUMNS = ", ".join(_NAMES)
_add = Prepared(
    text(
        "INSERT INTO inquiries (id, service, merchant, asked_at, asked_by, watched_until, asked, matches, number, "
        "said, state) VALUES (:id, :service, :merchant, :now, :by, :until, :asked, '[]', 0, '[]', 'asking')"
    )
)
_failed = Prepared(text("UPDATE inquiries SET why = :why WHERE id = :id AND state = 'asking'"))
_answered = Prepared(
    text(
        "UPDATE inquiries SET reference = :reference, answered_at = :now, heard_at = :now, matches = :matches, "
        "number = :number, state = 'answered', why = NULL WHERE id = :id AND state = 'asking'"
    )
)
_heard = Prepared(
    text(
        "UPDATE inquiries SET heard_at = :now, matches = :matches, number = :number, "
        "state = CASE WHEN state = 'done' THEN 'later' ELSE state END WHERE id = :id AND matches = :before"
    )
)
_taken = Prepared(
    text(
        "UPDATE inquiries SET said = :said, matches = :matches, state = 'done' "
        "WHERE id = :id AND matches = :before AND state = :state"
    )
)
_said = Prepared(text("UPDATE inquiries SET said = :said WHERE id = :id"))
_one = Prepared(text(f"SELECT {_COLUMNS} FROM inquiries WHERE id = :id"))  # noqa: S608  # names of columns
_others = Prepared(
    text(
        "SELECT id, asked, said FROM inquiries WHERE service = :service AND merchant = :merchant AND id <> :id "
        "AND state <> 'asking' ORDER BY id"
    )
)
_pending = Prepared(
    text(
        f"SELECT {_COLUMNS} FROM inquiries WHERE service = :service AND state IN ('answered', 'later') "  # noqa: S608
        "ORDER BY asked_at, id"
    )
)
_watched = Prepared(
    text(
        "SELECT reference, MIN(id) FROM inquiries WHERE service = :service AND state <> 'asking' "
        "AND watched_until > :now AND reference IS NOT NULL GROUP BY reference"
    )
)
_listed = Prepared(
    text(
        f"SELECT {_COLUMNS} FROM inquiries WHERE (:merchant = '' OR merchant = :merchant) "  # noqa: S608
        "AND (:service = '' OR service = :service) AND (:listing = '' OR matches LIKE :pattern) "
        "ORDER BY asked_at DESC, id DESC LIMIT :most"
    )
)
_unanswered = Prepared(text("SELECT COUNT(*) FROM inquiries WHERE service = :service AND state = 'asking'"))


@dataclass(frozen=True, slots=True)
class Inquired:
    """An inquiry as it is stored; times are UTC.

    Attributes:
        id: our name of it, under which the list heard of it.
        service: how the configuration calls the list.
        merchant: the facilitator's id of the merchant.
        reference: how the list calls it; none until it has answered.
        watched_until: until when later listings are looked for.
        heard_at: when the list last said something of it.
        asked: what was asked about, as digests.
        matches: listed merchants that are possibly meant.
        said: the indicators that were made of them and stand.
        state: `asking` until there is an answer, `answered` or `later` until what it says is taken in, then `done`.
        why: why there is no answer, if there is none.
    """

    id: str
    service: str
    merchant: str
    reference: str | None
    asked_at: datetime
    asked_by: str
    answered_at: datetime | None
    watched_until: datetime
    heard_at: datetime | None
    asked: Asked
    matches: tuple[Hit, ...]
    said: frozenset[Said]
    state: str
    why: str | None


@dataclass(frozen=True, slots=True)
class Other:
    """Another answered inquiry about the same merchant at the same list: what it asked about, and what of it stands."""

    id: str
    asked: frozenset[str]
    said: frozenset[Said]


def begin(
    connection: Connection,
    id_: str,
    service: str,
    merchant: str,
    asked: Asked,
    by: str,
    now: datetime,
    until: datetime,
    shared: Iterable[Name] = (),
) -> None:
    """Note that a list is about to be asked; the merchant is known by what it is asked about from then on.

    `shared` are the same identifiers under keys that the coalition shares.
    """
    row = {"id": id_, "service": service, "merchant": merchant, "by": by, "now": micros(now), "until": micros(until)}
    about = _json(asked.as_json())
    _add(connection, {**row, "asked": about})
    sighting.many(
        connection,
        [
            {"digest": digest, "merchant": merchant, "kind": kind, "at": micros(now), "named_on": day_of(now)}
            for kind, digest in sorted(asked.names)
        ],
    )
    named = {"merchant": merchant, "day": day_of(now)}
    alias.many(connection, [{"digest": digest, "kind": kind, **named} for kind, digest in sorted(shared)])
    said = {"inquiry": id_, "service": service, "merchant": merchant, "by": by, "asked_digest": digest_of(about)}
    append(connection, now, "inquiry.asked", {**said})


def fail(connection: Connection, id_: str, why: str) -> None:
    """Note why there is no answer; `why` repeats no value."""
    _failed(connection, {"id": id_, "why": why})


def answer(connection: Connection, id_: str, reference: str, hits: Sequence[Hit], now: datetime) -> None:
    """Store what a list answered, to be taken in."""
    row: dict[str, str | int | None] = {"id": id_, "reference": reference, "number": len(hits)}
    if _answered(connection, {**row, "matches": _stored(hits), "now": micros(now)}).rowcount == 1:
        _log(connection, "inquiry.answered", id_, hits, now)


def hear(connection: Connection, inquired: Inquired, hits: Sequence[Hit], now: datetime) -> bool:
    """Store what was listed since, to be taken in; tells whether any of it is new.

    Whatever a list said before stands: it does not tell of an earlier inquiry what is listed no more.
    """
    known = {hit.listing for hit in inquired.matches}
    new = [hit for hit in hits if hit.listing not in known]
    if not new:
        return False
    both = [*inquired.matches, *new]
    row: dict[str, str | int | None] = {"id": inquired.id, "number": len(both), "now": micros(now)}
    if _heard(connection, {**row, "matches": _stored(both), "before": _stored(inquired.matches)}).rowcount == 0:
        return False  # another worker was faster
    _log(connection, "inquiry.later", inquired.id, both, now)
    return True


def take(connection: Connection, inquired: Inquired, said: Iterable[Said]) -> None:
    """Note that what an inquiry says is taken in.

    Raises:
        Conflict: it says something else by now.
    """
    row = {"id": inquired.id, "state": inquired.state, "before": _stored(inquired.matches), "said": _json(sorted(said))}
    taken = _stored([replace(hit, taken=True) for hit in inquired.matches])
    if _taken(connection, {**row, "matches": taken}).rowcount != 1:
        raise Conflict(f"the inquiry `{inquired.id}` has been answered otherwise meanwhile")


def others(connection: Connection, inquired: Inquired) -> list[Other]:
    """Return the other answered inquiries about the merchant at the same list, the oldest first."""
    where = {"service": inquired.service, "merchant": inquired.merchant, "id": inquired.id}
    return [
        Other(id_, frozenset(digest for _, digest in Asked.from_json(json.loads(asked)).names), _said_of(said))
        for id_, asked, said in _others(connection, where)
    ]


def keep(connection: Connection, id_: str, said: Iterable[Said]) -> None:
    """Leave of what an inquiry said only this."""
    _said(connection, {"id": id_, "said": _json(sorted(said))})


def get(connection: Connection, id_: str) -> Inquired:
    """Return one inquiry.

    Raises:
        NotFound: there is none of that id.
    """
    row = _one(connection, {"id": id_}).first()
    if row is None:
        raise NotFound(f"there is no inquiry `{id_}`; `paycordon inquiry list` lists them")
    return _inquired(row)


def pending(connection: Connection, service: str) -> list[Inquired]:
    """Return the inquiries whose answers are to be taken in."""
    return [_inquired(row) for row in _pending(connection, {"service": service})]


def watched(connection: Connection, service: str, now: datetime) -> dict[str, str]:
    """Return the ids of the inquiries of which later listings are looked for, by the list's references."""
    return {
        str(reference): str(id_) for reference, id_ in _watched(connection, {"service": service, "now": micros(now)})
    }


def listed(
    connection: Connection, *, merchant: str = "", service: str = "", listing: str = "", most: int = 1_000
) -> list[Inquired]:
    """Return inquiries, the newest first; of a merchant, at a list, or that name a listing."""
    where: dict[str, str | int | None] = {"merchant": merchant, "service": service, "most": most}
    # Whatever is no name of a listing is in no answer, so that nothing of it can stand for anything.
    where |= {"listing": listing, "pattern": f'%"listing":"{listing}"%' if listing.isalnum() else "-"}
    return [_inquired(row) for row in _listed(connection, where)]


def unanswered(connection: Connection, service: str) -> int:
    """Count the inquiries that a list has not answered."""
    return int(_unanswered(connection, {"service": service}).scalar() or 0)


def watch_of(service: str) -> str:
    """Name what listens to a list among the states of feeds; no feed can be called so."""
    return f"inquiry {service}"


def _log(connection: Connection, kind: str, id_: str, hits: Sequence[Hit], now: datetime) -> None:
    digest = digest_of_matches(_stored(hits))
    append(connection, now, kind, {"inquiry": id_, "matches": len(hits), "matches_digest": digest})


def _stored(hits: Iterable[Hit]) -> str:
    return _json([asdict(hit) for hit in hits])


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _said_of(text_: str) -> frozenset[Said]:
    return frozenset((digest, reference) for digest, reference in json.loads(text_))


def _inquired(row: Sequence[Any]) -> Inquired:
    values = dict(zip(_NAMES, row, strict=True))
    for name in ("asked_at", "answered_at", "watched_until", "heard_at"):
        values[name] = None if values[name] is None else from_micros(values[name])
    values["asked"] = Asked.from_json(json.loads(values["asked"]))
    values["matches"] = tuple(Hit(**each) for each in json.loads(values["matches"]))
    return Inquired(**{**values, "said": _said_of(values["said"])})
