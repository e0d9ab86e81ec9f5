"""Release a referral into screening, or take it out again as its source wants, with all that follows from either.

Its identifiers become indicators of its source, or are withdrawn, in the same transaction as the step, and in the one
way that feeds go. The public log says that the source says so, and nothing of the referral or of who released it.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from paycordon.coalition.indicators import Changes, Withdrawn
from paycordon.errors import ApprovalRequired, Conflict
from paycordon.exchange.contract import Worth
from paycordon.exchange.referral import Step
from paycordon.exchange.sharing import Exchange
from paycordon.people import Person, Role
from paycordon.review import contributing, referring
from paycordon.review.proposals import Wish
from paycordon.review.referral_holds import let_go
from paycordon.review.referring import Doing
from paycordon.spans import deadline
from paycordon.store import Store, cases, referrals
from paycordon.store.feeding import apply_changes
from paycordon.store.referrals import Referral

_ITSELF = Person("paycordon", frozenset({Role.ANALYST}))


def release(store: Store, id_: str, doing: Doing, *, freed: bool = False) -> Referral:
    """Let a referral's identifiers count as indicators; the first of two people proposes that, and nothing happens yet.

    Who agrees is an approver and has the role `restricted`: whoever decides over the payouts of everybody who has one
    of the identifiers must know what it is about. Keep-open requests that were placed for it end; merchants that it
    names are put before people. No number of merchants that it would match stops it, as one would stop a feed: two
    people have looked, and `show` says how many there are.

    Args:
        store: where it is; this opens transactions of its own.
        id_: the referral.
        doing: who wants it, and why.
        freed: law enforcement has said that it lets go, although its time still runs.

    Raises:
        Forbidden, NotFound: the person has not the roles; there is no such referral.
        Conflict: it does not stand where this can be done, it is with law enforcement, its source has the name of a
            feed by now, a key of its digests is not configured any more, or somebody was faster.
    """
    with store.write() as connection:
        found = referring.taken(connection, id_, doing)
        if referring.repeated(found, Step.RELEASE, doing):
            return found
        _require_releasable(found, doing, freed=freed)
        if doing.practice.settings.two_people and not _waits_for(found, doing):
            return _proposed(connection, found, doing, freed=freed)
    changes = Changes(found.about.source, said=found.about.indicators)
    apply_changes(store, changes, doing.now, first=lambda connection: _release(connection, found, doing, freed=freed))
    with store.read() as connection:
        return referrals.get(connection, id_)


def withdraw(store: Store, id_: str, doing: Doing) -> Referral:
    """Note that the source takes a referral back: its indicators count no more, what rested on them is judged again.

    A keep-open request stands: it is an authority's, and ends at its date or by `paycordon directive end`.

    Raises:
        Forbidden, NotFound, Conflict: the person has not the role; there is no such referral; it was taken back.
    """
    with store.write() as connection:
        found = referring.taken(connection, id_, doing)
        if referring.repeated(found, Step.WITHDRAW, doing):
            return found
        if found.released_at is None:
            return referring.step(connection, found, Step.WITHDRAW, doing)
        referring.require_next(found, Step.WITHDRAW)
    about = found.about
    changes = Changes(about.source, withdrawn=[Withdrawn(each.digest, about.reference) for each in about.indicators])

    def first(connection: Connection) -> None:
        referring.step(connection, _as_read(connection, found, doing), Step.WITHDRAW, doing)

    apply_changes(store, changes, doing.now, first=first)
    with store.read() as connection:
        return referrals.get(connection, id_)


def feed_back(
    connection: Connection, id_: str, told: str | Worth, doing: Doing, exchange: Callable[[], Exchange] = Exchange
) -> Referral:
    """Note how the source was told what came of a referral, or have it told through the exchange.

    What goes out, others see: that an indicator was useful, or not. It names nobody, and carries no word of the person.

    Args:
        connection: a transaction for writing.
        id_: the referral.
        told: how it was told otherwise; or what a worker is to tell the recipient that is this source.
        doing: who does it, and why.
        exchange: finds the recipients; asked only where a worker is to tell it.

    Raises:
        Forbidden, NotFound: the person has not the role; there is no such referral; nothing of it is an indicator.
        Conflict: nothing came of it yet, it never counted here, so that telling would show that there was one, no
            recipient that takes feedback is this source, or the same waits to be told already.
    """
    found = referring.taken(connection, id_, doing)
    detail = {"worth": told.value} if isinstance(told, Worth) else {"told": told}
    if referring.repeated(found, Step.FEED_BACK, doing, detail):
        return found
    done = referring.step(connection, found, Step.FEED_BACK, doing, detail=detail)
    if isinstance(told, Worth):
        if found.released_at is None:
            raise Conflict(
                f"`{id_}` never counted here, and its feedback would show that it is there; tell it otherwise"
            )
        wish = Wish(_ITSELF, "people have looked into it", doing.now, doing.randomness)
        contributing.feedback(connection, exchange(), found.about.source, found.about.reference, told, wish)
    return done


def _require_releasable(found: Referral, doing: Doing, *, freed: bool) -> None:
    referring.require_next(found, Step.RELEASE)
    referring.require_free(found, doing, freed=freed or _said_free(found))
    if found.about.source in doing.practice.feeds:
        raise Conflict(f"`{found.about.source}` is the name of a feed by now, which would withdraw what it did not say")
    keys = doing.practice.keys
    gone = sorted({each.digest.rpartition(":")[0] for each in found.about.indicators} - set(keys or ()))
    if keys is not None and gone:
        # `paycordon indicator keys` counts for everybody to see, and so without referrals.
        named = ", ".join(f"`{each}`" for each in gone)
        raise Conflict(f"digests under the key {named}, which is not configured, match nothing; list it again")


def _said_free(found: Referral) -> bool:
    """Tell whether who proposes the release has said that law enforcement lets go."""
    return found.last.step is Step.PROPOSE and bool(found.last.detail["freed"])


def _waits_for(found: Referral, doing: Doing) -> bool:
    """Tell whether somebody else has proposed the release, and not too long ago."""
    return _is_proposed(found, doing) and not doing.by.is_(found.last.by)


def _is_proposed(found: Referral, doing: Doing) -> bool:
    return found.last.step is Step.PROPOSE and doing.now < deadline(found.last.at, doing.practice.proposal)


def _proposed(connection: Connection, found: Referral, doing: Doing, *, freed: bool) -> Referral:
    if referring.repeated(found, Step.PROPOSE, doing) and _is_proposed(found, doing):
        return found
    detail = {"freed": freed, "matches": len(referrals.seen_here(connection, found))}
    return referring.step(connection, found, Step.PROPOSE, doing, detail=detail, due_at=found.due_at)


def _release(connection: Connection, read: Referral, doing: Doing, *, freed: bool) -> None:
    """Do all of a release but the indicators, which follow in the same transaction."""
    known = referrals.known_merchants(connection, read)
    for merchant in known:
        cases.lock(connection, merchant)  # before anything is written to a log, as everybody does
    found = _as_read(connection, read, doing)
    _require_releasable(found, doing, freed=freed)
    two = doing.practice.settings.two_people
    proposed_by = _first_person(found, doing) if two else None
    ended = let_go(connection, found, doing)
    detail = {
        "freed": freed or _said_free(found),
        "two_people": two,
        "ended": ended,
        "matches": len(referrals.seen_here(connection, found)),
        "never_seen": sorted(set(found.about.merchants) - set(known)),
    }
    referring.step(connection, found, Step.RELEASE, doing, detail=detail, proposed_by=proposed_by)
    for merchant in known:
        note = f"named by {found.about.source}: {found.about.reference}"
        cases.put_before_person(connection, merchant, doing.now, "named", note)


def _first_person(found: Referral, doing: Doing) -> str:
    doing.by.require(Role.APPROVER)
    if not _waits_for(found, doing):
        raise ApprovalRequired(f"nobody else proposes to release `{found.id}` any more")
    return found.last.by


def _as_read(connection: Connection, read: Referral, doing: Doing) -> Referral:
    """Read a referral again, for the transaction that changes it.

    Raises:
        Conflict: somebody has done something with it since it was read.
    """
    found = referring.taken(connection, read.id, doing)
    if found.last.number != read.last.number:
        raise Conflict(f"somebody else has just done something with `{read.id}`; look at it again")
    return found
