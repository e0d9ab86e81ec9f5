"""What people of the role `restricted` do with directives, and what happens when one ends.

Every step, looks included, leaves an entry in the restricted log, in the same transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from paycordon.decisions import Outcome, RuleMatch, Scope
from paycordon.errors import Conflict, PaycordonError
from paycordon.events import Event
from paycordon.ids import Randomness
from paycordon.people import Person, Role
from paycordon.policy import PolicySet
from paycordon.record import restricted
from paycordon.record.log import Payload, digest_of
from paycordon.review.rejudging import judge
from paycordon.store import Store, cases, covert, directives, holds
from paycordon.store import rejudging as stored
from paycordon.store.carrying import carried_from
from paycordon.store.covert import Covert, Waiting
from paycordon.store.directives import Directive, Kind, Terms
from paycordon.store.holds import Hold, NewHold, Source
from paycordon.store.rejudging import Known, Recorded

ITSELF = "paycordon"
ORDER_RULE = "order/freeze"
NEUTRAL_REASON = "additional_information_required"
_PAGE = 50


@dataclass(frozen=True, slots=True)
class Shown:
    """A directive with all that it covers: the real decisions, and the notes of its restricted case."""

    directive: Directive
    covert: Sequence[Covert]


def place(
    connection: Connection,
    terms: Terms,
    *,
    by: Person,
    reason: str,
    now: datetime,
    longest: timedelta,
    randomness: Randomness = secrets.token_bytes,
) -> Directive:
    """Put a directive in force; an order to freeze places its hold at once.

    Raises:
        Forbidden: the person has not the role `restricted`.
        PaycordonError: its end has passed, comes before its start, or is too far ahead.
        NotFound: an order to freeze names somebody who was never seen.
    """
    by.require(Role.RESTRICTED)
    _check_dates(terms.starts_at, terms.ends_at, now, longest)
    hold = _freeze(connection, terms, now, randomness).id if terms.kind is Kind.FREEZE else None
    placed = directives.insert(connection, terms, hold=hold, by=by.name, now=now, randomness=randomness)
    covert.note(connection, terms.merchant, now, randomness, "directive", actor=by.name, text_=f"{placed.id}: {reason}")
    _used(connection, placed, "placed", by, now, reason)
    return placed


def listed(
    connection: Connection, *, by: Person, now: datetime, merchant: str | None = None, everything: bool = False
) -> Sequence[Directive]:
    """Return directives; the look is logged.

    Raises:
        Forbidden: the person has not the role `restricted`.
    """
    by.require(Role.RESTRICTED)
    restricted.append(connection, now, "directive.listed", {"by": by.name, "merchant": merchant})
    return directives.listed(connection, merchant=merchant, everything=everything)


def show(connection: Connection, id_: str, *, by: Person, now: datetime) -> Shown:
    """Return a directive with the real decisions that it covers; the look is logged.

    Raises:
        Forbidden, NotFound: the person has not the role; there is no such directive.
    """
    by.require(Role.RESTRICTED)
    found = directives.get(connection, id_)
    _used(connection, found, "shown", by, now)
    return Shown(found, covert.of_directive(connection, id_))


def renew(
    connection: Connection, id_: str, ends_at: datetime, *, by: Person, reason: str, now: datetime, longest: timedelta
) -> Directive:
    """Let a directive end later or sooner, as a new letter of the authority says.

    Raises:
        Forbidden, NotFound, Conflict: the person has not the role; there is no such directive; it has ended.
        PaycordonError: the new end has passed or is too far ahead.
    """
    by.require(Role.RESTRICTED)
    found = directives.get(connection, id_)
    _check_dates(now, ends_at, now, longest)
    renewed = directives.renew(connection, found, ends_at)
    _used(connection, renewed, "renewed", by, now, reason)
    return renewed


def end(connection: Connection, id_: str, *, by: Person, reason: str, now: datetime) -> Directive:
    """End a directive before its date; what it covered is judged again by a worker.

    The hold of an order to freeze stays, until `release_frozen`.

    Raises:
        Forbidden, NotFound, Conflict: the person has not the role; there is no such directive; it has ended.
    """
    by.require(Role.RESTRICTED)
    found = directives.get(connection, id_)
    ended = directives.end(connection, found, by=by.name, reason=reason, now=now)
    text = f"{ended.id} ended: {reason}"
    covert.note(connection, found.terms.merchant, now, secrets.token_bytes, "directive", actor=by.name, text_=text)
    _used(connection, ended, "ended", by, now, reason)
    return ended


def release_frozen(connection: Connection, id_: str, *, by: Person, reason: str, now: datetime) -> Hold:
    """Release the hold of an order to freeze that has ended; nobody without the role can.

    Raises:
        Forbidden, NotFound: the person has not the role; there is no such directive.
        Conflict: it is still in force, it is no order to freeze, or its hold was released before.
    """
    by.require(Role.RESTRICTED)
    found = directives.get(connection, id_)
    if found.hold is None:
        raise Conflict(f"the directive `{id_}` holds nothing")
    if found.ended_at is None:
        raise Conflict(f"the directive `{id_}` is in force; end it first")
    _used(connection, found, "released", by, now, reason)
    for id_ in carried_from(connection, found.hold):
        holds.release(connection, id_, by=ITSELF, reason=NEUTRAL_REASON, now=now, by_order=True)
    return holds.release(connection, found.hold, by=ITSELF, reason=NEUTRAL_REASON, now=now, by_order=True)


def _freeze(connection: Connection, terms: Terms, now: datetime, randomness: Randomness) -> Hold:
    account = terms.account or None
    merchant, instance, id_, kind, subject = holds.subject_of(connection, terms.merchant, account)
    if merchant != terms.merchant:
        raise Conflict(f"the account `{terms.account}` is not of the merchant `{terms.merchant}`")
    wanted = NewHold(
        merchant=merchant,
        instance=instance,
        account=id_,
        subject_kind=kind,
        subject_id=subject,
        outcome=Outcome.HOLD,
        scope=Scope.PAYOUTS,
        rule=ORDER_RULE,
        merchant_reason=NEUTRAL_REASON,
        source=Source.ORDER,
        placed_by=ITSELF,
        internal_reason="an order; the role `restricted` knows more",
        two_people=True,
    )
    return holds.place_by_hand(connection, wanted, now, randomness)


def _check_dates(starts_at: datetime, ends_at: datetime, now: datetime, longest: timedelta) -> None:
    if ends_at <= max(starts_at, now):
        raise PaycordonError("a directive must end in the future, and after it starts")
    if ends_at - max(starts_at, now) > longest:
        raise PaycordonError(
            f"a directive may last for {longest.days} days at most (`directives.longest`); renew it with a new letter"
        )


def _used(
    connection: Connection, directive: Directive, what: str, by: Person, now: datetime, reason: str | None = None
) -> None:
    said: Payload = {
        "directive": directive.id,
        "by": by.name,
        "kind": directive.terms.kind.value,
        "ends_at": directive.terms.ends_at.isoformat(),
        "terms_digest": digest_of(repr(directive.terms)),
        **({} if reason is None else {"reason_digest": digest_of(reason)}),
    }
    restricted.append(connection, now, f"directive.{what}", said)


class Ending:
    """Notes what was covered, ends directives at their dates, and judges again what they covered: a worker's duty.

    A decision is settled in one transaction with the hold that follows from it, once, however many workers run and
    whoever is killed in between. The hold of an order to freeze stays until a person of the role releases it.

    Args:
        store: where they are.
        in_force: says which policies are in force now.
        clock: says what time it is, UTC.
        randomness: for ids.
    """

    def __init__(
        self,
        store: Store,
        in_force: Callable[[], PolicySet],
        *,
        clock: Callable[[], datetime],
        randomness: Randomness = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._in_force = in_force
        self._clock = clock
        self._randomness = randomness

    def step(self) -> bool:
        """Note one real decision, end one directive or settle one page; false when there is nothing to do.

        Raises:
            StoreUnavailable: the database cannot be used; what was settled is settled.
        """
        now = self._clock()
        with self._store.read() as connection:
            unnoted = covert.any_to_note(connection)
            over = directives.over(connection, now)
            page = covert.waiting(connection, _PAGE)
            known = stored.known(connection, [_as_recorded(each) for each in page])
        if unnoted:
            with self._store.write() as connection:
                covert.note_one(connection, now, self._randomness)
            return True
        if over is not None:
            self._end(over, now)
            return True
        policies = self._in_force() if page else None
        for each in page:
            with self._store.write() as connection:
                self._settle(connection, policies, each, known, now)
        return bool(page)

    def _end(self, over: Directive, now: datetime) -> None:
        by = Person(ITSELF, frozenset({Role.RESTRICTED}))
        try:
            with self._store.write() as connection:
                end(connection, over.id, by=by, reason="its date has come", now=now)
        except Conflict:
            return  # another worker or a person was faster

    def _settle(
        self, connection: Connection, policies: PolicySet | None, each: Waiting, known: Known, now: datetime
    ) -> None:
        if policies is None or each.event is None:
            covert.settle(connection, each.decision_id, {"verdict": "erased"}, now)
            return
        rejudged = judge(policies, each.event, each.decision, known)
        cases.lock(connection, each.merchant)
        worst = max(rejudged.matches, key=lambda match: match.outcome.rank, default=None)
        unclear = worst is None and not rejudged.clear and each.decision.outcome.stops
        verdict = "unclear" if unclear else "unsupported" if worst is None else "held"
        if not covert.settle(connection, each.decision_id, {"verdict": verdict, "rule": _name(worst)}, now):
            return
        note = f"judged again at the end of `{each.directive_id}`: {verdict} {_name(worst) or ''}".rstrip()
        covert.note(connection, each.merchant, now, self._randomness, "settled", decision=each.decision_id, text_=note)
        said: Payload = {"decision": each.decision_id, "verdict": verdict, "rule": _name(worst)}
        restricted.append(connection, now, "covert.settled", said)
        for match in rejudged.matches:
            self._hold(connection, each, each.event, match, now)

    def _hold(self, connection: Connection, each: Waiting, event: Event, match: RuleMatch, now: datetime) -> None:
        """Hold in public what still asks for it, once for each rule and account."""
        wanted = replace(
            holds.of_match(each.decision, match, event),
            source=Source.PERSON,
            decision_id=None,
            placed_by=ITSELF,
            internal_reason="judged again",
        )
        same = (wanted.rule, wanted.instance, wanted.account)
        active = holds.listed(connection, merchant=each.merchant)
        if any((hold.rule, hold.instance, hold.account) == same for hold in active):
            return
        holds.place_by_hand(connection, wanted, now, self._randomness)


def _as_recorded(each: Waiting) -> Recorded:
    return Recorded(each.decision_id, each.merchant, each.decision.outcome.value, each.event, each.decision, ())


def _name(match: RuleMatch | None) -> str | None:
    return None if match is None else f"{match.policy}/{match.rule}"
