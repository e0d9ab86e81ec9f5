"""Take in what the source of a referral says now instead of what it said before; the earlier stays in its history.

Nobody may be stopped for what the source does not say any more, and nobody for what two people have not released: after
a release, what does not stand in the new version word for word is withdrawn in the same transaction, what stands goes
on counting, and the referral begins anew for the rest.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from paycordon.coalition.indicators import Changes, Withdrawn
from paycordon.errors import Conflict
from paycordon.exchange.referral import Step
from paycordon.people import Role
from paycordon.review import referring
from paycordon.review.referring import Doing
from paycordon.store import Store, referrals
from paycordon.store.feeding import apply_changes
from paycordon.store.referrals import About, Referral


def correct(store: Store, tip: About, doing: Doing) -> Referral:
    """Let a tip take the place of the one that its source gave the same reference.

    Before its release it stands where it stood, its deadline runs on, and a release that was proposed is not any more.
    A keep-open request is an authority's and stays; merchants that are new in the tip are not kept open by it. Said
    again as it is already, it changes nothing.

    Args:
        store: where it is; this opens transactions of its own.
        tip: what the source says now.
        doing: who does it, and why.

    Raises:
        Forbidden: the person has not the role `restricted`.
        NotFound: its source has none of that reference.
        Conflict: its source has taken it back, or somebody was faster.
    """
    doing.by.require(Role.RESTRICTED)
    with store.write() as connection:
        found = referring.taken(connection, referrals.named(connection, tip.source, tip.reference), doing)
        if referrals.says(found, tip):
            return found
        _require_standing(found)
        if found.released_at is None:
            return _correct(connection, found, tip, doing)
    stands = set(tip.indicators)
    gone = [Withdrawn(each.digest, tip.reference) for each in found.about.indicators if each not in stands]

    def first(connection: Connection) -> None:
        again = referring.taken(connection, found.id, doing)
        if again.last.number != found.last.number:
            raise Conflict(f"somebody else has just done something with `{found.id}`; look at it again")
        _correct(connection, again, tip, doing)

    apply_changes(store, Changes(tip.source, withdrawn=gone), doing.now, first=first)
    with store.read() as connection:
        return referrals.get(connection, found.id)


def _require_standing(found: Referral) -> None:
    if found.taken_back:
        raise Conflict(f"`{found.id}` was taken back by its source; what it says anew needs another reference")


def _correct(connection: Connection, found: Referral, tip: About, doing: Doing) -> Referral:
    state = referring.require_next(found, Step.CORRECT)
    detail: dict[str, Any] = {
        "was": f"{len(found.about.indicators)} identifiers, {len(found.about.merchants)} merchants",
        "new_merchants": sorted(set(tip.merchants) - set(found.about.merchants)),
        "before": referrals.kept_words(connection, found.id),
    }
    due_at = found.due_at if state is found.state else None
    return referring.step(connection, found, Step.CORRECT, doing, detail=detail, due_at=due_at, about=tip)
