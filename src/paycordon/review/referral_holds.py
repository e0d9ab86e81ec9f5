"""Hold a referral as law enforcement asks: each merchant concerned is kept open until a date, and nothing else happens.

The keep-open requests are directives as any other (`paycordon.review.directives`): this places them with the letter's
words and end, or names those that are in force already, and ends those that it has placed when they have no reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from paycordon.errors import Conflict
from paycordon.exchange.referral import State, Step
from paycordon.review import directives, referring
from paycordon.review.referring import Doing
from paycordon.spans import deadline
from paycordon.store import directives as stored
from paycordon.store.directives import Kind, Terms
from paycordon.store.referrals import Referral


@dataclass(frozen=True, slots=True)
class Letter:
    """What law enforcement asks for in writing.

    Attributes:
        until: when it ends, UTC; mandatory.
        merchants: whom it concerns, beside those that the referral names.
        directives: keep-open requests in force that say the same for a merchant.
        notification, concurrence: as of `store.directives.Terms`.
    """

    agency: str
    reference: str
    until: datetime
    merchants: Sequence[str] = ()
    directives: Sequence[str] = ()
    notification: bool = False
    concurrence: bool = False


def hold(connection: Connection, id_: str, letter: Letter, doing: Doing) -> Referral:
    """Let a referral wait until a date, and keep everybody open whom it concerns; a new letter moves the date.

    Raises:
        Forbidden, NotFound: the person has not the role `restricted`; there is no such referral or directive.
        Conflict: it does not stand where this can be done, a directive that is named is not in force or is none to
            keep open, or somebody was faster.
        PaycordonError: the end has passed or is too far ahead.
    """
    found = referring.taken(connection, id_, doing)
    named = sorted(letter.directives)
    said = {"agency": letter.agency, "letter": letter.reference, "named": named, "until": letter.until.isoformat()}
    if referring.repeated(found, Step.HOLD, doing, said):
        return found
    referring.require_next(found, Step.HOLD)
    placed_before = _placed(found)
    stored.lock(connection, [*named, *placed_before.values()])
    covered = {_merchant_of(connection, each, doing.now) for each in named}
    placed: dict[str, str] = {}
    for merchant in sorted({*found.about.merchants, *letter.merchants, *placed_before} - covered):
        placed[merchant] = _keep_open(connection, merchant, placed_before.get(merchant), letter, doing)
    detail = {**said, "placed": placed}
    kept = max(letter.until, found.kept_from or letter.until)
    return referring.step(connection, found, Step.HOLD, doing, detail=detail, due_at=letter.until, kept_from=kept)


def undo(connection: Connection, id_: str, doing: Doing) -> Referral:
    """Take back the last step as recorded by mistake; of a hold, what it has placed ends as well.

    Raises:
        Forbidden, NotFound, Conflict: the person has not the role; there is no such referral; it cannot be taken back.
    """
    found = referring.taken(connection, id_, doing)
    if referring.repeated(found, Step.UNDO, doing):
        return found
    was_held = found.state is State.HELD and found.last.step is not Step.PROPOSE
    ended = let_go(connection, found, doing) if was_held else []
    return referring.undo(connection, found, doing, {"ended": ended})


def let_go(connection: Connection, found: Referral, doing: Doing) -> list[str]:
    """End the keep-open requests that were placed for a referral and are in force; returns their ids."""
    ids = sorted(_placed(found).values())
    stored.lock(connection, ids)
    ended = [id_ for id_ in ids if stored.get(connection, id_).ended_at is None]
    for id_ in ended:
        directives.end(connection, id_, by=doing.by, reason=f"{found.id}: {doing.reason}", now=doing.now)
    return ended


def _placed(found: Referral) -> Mapping[str, str]:
    """Return the directives that were placed for a referral, by merchant."""
    return dict(_each_placed(found))


def _each_placed(found: Referral) -> Iterator[tuple[str, str]]:
    for line in found.history:
        if line.step is Step.HOLD:
            yield from line.detail["placed"].items()


def _merchant_of(connection: Connection, id_: str, now: datetime) -> str:
    directive = stored.get(connection, id_)
    terms = directive.terms
    if terms.kind is not Kind.KEEP_OPEN or not directive.counts(now):
        raise Conflict(f"the directive `{id_}` is no keep-open request in force")
    return terms.merchant


def _keep_open(connection: Connection, merchant: str, before: str | None, letter: Letter, doing: Doing) -> str:
    longest = deadline(doing.now, doing.practice.longest) - doing.now
    how: dict[str, Any] = {"by": doing.by, "reason": doing.reason, "now": doing.now, "longest": longest}
    if before is not None and stored.get(connection, before).ended_at is None:
        return directives.renew(connection, before, letter.until, **how).id
    terms = Terms(
        kind=Kind.KEEP_OPEN,
        merchant=merchant,
        account="",
        agency=letter.agency,
        reference=letter.reference,
        starts_at=doing.now,
        ends_at=letter.until,
        notification=letter.notification,
        concurrence=letter.concurrence,
    )
    return directives.place(connection, terms, randomness=doing.randomness, **how).id
