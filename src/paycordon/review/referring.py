"""What people of the role `restricted` do with referrals: tips that others hand us.

Every step is one transaction with its entry in the restricted log. The same step again by the same person for the same
reason does nothing more; whatever no longer fits is refused, and named. Until a referral is released nothing here rests
on it. Who has not the role learns of none of this, whatever became of it: that law enforcement had looked at somebody
stays its own. What they see of a released one are its indicators, as of any other source.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from paycordon.coalition_sections import ReferralsSection
from paycordon.config import Config
from paycordon.errors import Conflict
from paycordon.exchange.referral import State, Step, must_wait, next_state, undone
from paycordon.ids import Randomness
from paycordon.people import Person, Role
from paycordon.record import restricted
from paycordon.sections import Clocks, DirectivesSection, ReviewSection
from paycordon.spans import Span, deadline
from paycordon.store import referrals
from paycordon.store.referral_outcomes import Outcome, outcome_of
from paycordon.store.referrals import About, Line, Referral

_SPANS: Mapping[State, str] = {
    State.RECEIVED: "offer",
    State.WITH_LAW_ENFORCEMENT: "law_enforcement",
    State.RELEASED: "act",
    State.ACTED: "feedback",
    State.WITHDRAWN: "feedback",
}


@dataclass(frozen=True, slots=True)
class Practice:
    """How this house handles referrals.

    Attributes:
        settings: the deadlines, and how many people a release takes.
        warn_percent: which part of a deadline is left when it is warned of.
        longest: how long an authority's request may last.
        proposal: how long the first word for a release waits for the second.
        feeds: the names that feeds use: a referral's indicators under one would be withdrawn with the next batch.
        keys: the names of the identifier keys; a digest under another matches nothing. None to not look.
    """

    settings: ReferralsSection = field(default_factory=ReferralsSection)
    warn_percent: int = Clocks().warn_percent
    longest: Span = DirectivesSection().longest
    proposal: Span = ReviewSection().proposal
    feeds: Collection[str] = ()
    keys: Collection[str] | None = None

    @classmethod
    def of(cls, config: Config) -> Practice:
        """Return what a configuration says."""
        spans = (config.directives.longest, config.review.proposal)
        keys = frozenset(config.identifier_keys.keys)
        return cls(config.referrals, config.clocks.warn_percent, *spans, frozenset(config.feeds), keys)

    def due(self, state: State, now: datetime) -> datetime | None:
        """By when something is to be done about a referral that has just come to stand there."""
        name = _SPANS.get(state)
        if name is None:
            return None
        span: Span = getattr(self.settings, name)
        return deadline(now, span, self.settings.calendar, self.settings.zone)

    def warn(self, due_at: datetime | None, now: datetime) -> datetime | None:
        """When people are warned of a deadline."""
        return None if due_at is None else due_at - (due_at - now) * self.warn_percent / 100


@dataclass(frozen=True, slots=True)
class Doing:
    """Who does something, why, when, and how this house handles it."""

    by: Person
    reason: str
    now: datetime
    practice: Practice
    randomness: Randomness = secrets.token_bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """A referral with the merchants that were seen with its identifiers, and what came of it."""

    referral: Referral
    seen: Sequence[str]
    outcome: Outcome


def receive(connection: Connection, tip: About, doing: Doing) -> Referral:
    """Take in a tip; one that is here already as it is stays as it is.

    Raises:
        Forbidden: the person has not the role `restricted`.
        Conflict: its source has one of that reference that says something else, or has the name of a feed.
    """
    doing.by.require(Role.RESTRICTED)
    if tip.source in doing.practice.feeds:
        raise Conflict(f"`{tip.source}` is the name of a feed, which would withdraw what it did not say; use another")
    state = State.RECEIVED
    due_at = doing.practice.due(state, doing.now)
    first = Line(1, doing.now, Step.RECEIVE, state, state, doing.by.name, None, doing.reason, due_at, {})
    made = referrals.insert(connection, tip, first, doing.practice.warn(due_at, doing.now), doing.randomness)
    return made or referrals.same_as(connection, tip)


def listed(connection: Connection, *, by: Person, now: datetime, everything: bool = False) -> Sequence[Referral]:
    """Return referrals, those that are due first at the front; the look is logged.

    Raises:
        Forbidden: the person has not the role `restricted`.
    """
    by.require(Role.RESTRICTED)
    restricted.append(connection, now, "referral.listed", {"by": by.name})
    return referrals.listed(connection, everything=everything)


def show(connection: Connection, id_: str, *, by: Person, now: datetime) -> Shown:
    """Return a referral with all that belongs to it; the look is logged.

    Raises:
        Forbidden, NotFound: the person has not the role; there is no such referral.
    """
    by.require(Role.RESTRICTED)
    found = referrals.get(connection, id_)
    restricted.append(connection, now, "referral.shown", {"by": by.name, "referral": id_})
    return Shown(found, sorted(referrals.seen_here(connection, found)), outcome_of(connection, found))


def offer(connection: Connection, id_: str, to: str, doing: Doing, *, until: datetime | None = None) -> Referral:
    """Note that a referral was offered to law enforcement, which has until a moment to say what it wants.

    Raises:
        Forbidden, NotFound, Conflict: as all steps: the person has not the role; there is no such referral; it does
            not stand where this can be done, or somebody was faster.
    """
    found, detail = taken(connection, id_, doing), {"to": to}
    if repeated(found, Step.OFFER, doing, detail):
        return found
    if until is not None and until <= doing.now:
        raise Conflict("the time that law enforcement has must end in the future")
    return step(connection, found, Step.OFFER, doing, detail=detail, due_at=until)


def act(connection: Connection, id_: str, doing: Doing) -> Referral:
    """Note that people have acted on a released referral; what they did is looked up and written down with it.

    Raises:
        Forbidden, NotFound, Conflict: as all steps; or nobody has decided anything yet.
    """
    found = taken(connection, id_, doing)
    if repeated(found, Step.ACT, doing):
        return found
    require_next(found, Step.ACT)
    outcome = outcome_of(connection, found)
    if not outcome.decided:
        led = f"it led to {len(outcome.decisions)} decisions, {len(outcome.holds)} holds"
        raise Conflict(f"nobody has decided anything about `{id_}` yet: {led}; decide, or close it without action")
    return step(connection, found, Step.ACT, doing, detail=asdict(outcome))


def close(connection: Connection, id_: str, doing: Doing) -> Referral:
    """Close a referral without action; indicators that it has become go on counting until they are withdrawn.

    A keep-open request that was placed for it stands until its date: it is an authority's.

    Raises:
        Forbidden, NotFound, Conflict: as all steps.
    """
    found = taken(connection, id_, doing)
    return found if repeated(found, Step.CLOSE, doing) else step(connection, found, Step.CLOSE, doing)


def taken(connection: Connection, id_: str, doing: Doing) -> Referral:
    """Return a referral for somebody who may do something with it; nobody else can until the transaction ends.

    Raises:
        Forbidden, NotFound: the person has not the role `restricted`; there is no such referral.
    """
    doing.by.require(Role.RESTRICTED)
    return referrals.get(connection, id_, lock=True)


def repeated(found: Referral, wanted: Step, doing: Doing, detail: Mapping[str, Any] | None = None) -> bool:
    """Tell whether this was the last thing done, by the same person and for the same reason: then it is done."""
    last = found.last
    same = detail is None or dict(detail) == {name: last.detail.get(name) for name in detail}
    who = doing.by.is_(last.agreed_by or last.by)
    return last.step is wanted and who and last.reason == doing.reason and same


def require_next(found: Referral, wanted: Step) -> State:
    """Return where a step leads.

    Raises:
        Conflict: it cannot be done from where the referral stands; names where and since when that is.
    """
    state = next_state(found.state, wanted, taken_back=found.taken_back)
    if state is None:
        last = found.last
        name = wanted.replace("_", " ")
        since = f"`{found.state}` since {last.at:%Y-%m-%d %H:%M}Z, by {last.by}"
        raise Conflict(f"`{found.id}` is {since}; from there it cannot do `{name}`")
    return state


def step(
    connection: Connection,
    found: Referral,
    wanted: Step,
    doing: Doing,
    *,
    detail: Mapping[str, Any] | None = None,
    due_at: datetime | None = None,
    kept_from: datetime | None = None,
    proposed_by: str | None = None,
    about: About | None = None,
) -> Referral:
    """Write down a step; `due_at` is its deadline where that is not the house's own, `about` what is said from then on.

    Raises:
        Conflict: it cannot be done from where the referral stands, or somebody was faster.
    """
    state = require_next(found, wanted)
    due_at = due_at or doing.practice.due(state, doing.now)
    line = _line(found, wanted, state, doing, due_at, detail, proposed_by)
    kept = kept_from or found.kept_from
    warn_at = doing.practice.warn(due_at, doing.now)
    referrals.move(connection, found, line, warn_at, doing.randomness, kept_from=kept, about=about)
    return referrals.get(connection, found.id)


def undo(connection: Connection, found: Referral, doing: Doing, detail: Mapping[str, Any]) -> Referral:
    """Take back the last step as recorded by mistake; the deadline that ran before it runs on.

    Raises:
        Conflict: it cannot be taken back, or somebody was faster.
    """
    state = undone(found.state, found.last.step, found.last.before)
    if state is None:
        raise Conflict(f"`{found.id}` is `{found.state}`; `{found.last.step}` cannot be taken back")
    earlier = [line for line in found.history if line.state is state and line.step is not Step.UNDO]
    due_at = earlier[-1].due_at if earlier else None
    line = _line(found, Step.UNDO, state, doing, due_at, detail)
    kept = None if found.state is State.HELD and state is not State.HELD else found.kept_from
    referrals.move(connection, found, line, doing.practice.warn(due_at, doing.now), doing.randomness, kept_from=kept)
    return referrals.get(connection, found.id)


def require_free(found: Referral, doing: Doing, *, freed: bool) -> None:
    """Go on only if law enforcement's time is over, or it has said that it lets go.

    Raises:
        Conflict: it may still want it held.
    """
    if not freed and must_wait(found.state, found.due_at, doing.now):
        until = f"until {found.due_at:%Y-%m-%d %H:%M}Z"
        raise Conflict(f"`{found.id}` is with law enforcement {until}; say so if it has let go before (`--freed`)")


def _line(
    found: Referral,
    wanted: Step,
    state: State,
    doing: Doing,
    due_at: datetime | None,
    detail: Mapping[str, Any] | None,
    proposed_by: str | None = None,
) -> Line:
    by, agreed_by = (doing.by.name, None) if proposed_by is None else (proposed_by, doing.by.name)
    number, said = found.last.number + 1, dict(detail or {})
    return Line(number, doing.now, wanted, found.state, state, by, agreed_by, doing.reason, due_at, said)
