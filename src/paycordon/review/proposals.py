"""What takes two people: one proposes, another agrees, and then it is done in the same transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from paycordon.decisions import Outcome, Scope
from paycordon.errors import ApprovalRequired, Conflict, NotFound
from paycordon.exchange.contract import Verb
from paycordon.exchange.sharing import Exchange
from paycordon.ids import Randomness
from paycordon.people import Person, Role
from paycordon.record.apart import digest_apart
from paycordon.record.log import append
from paycordon.review import permission
from paycordon.store import acts, cases, clocks, confirmations, contributions, holds, proposals, snoozes
from paycordon.store.acts import NewAct
from paycordon.store.cases import State
from paycordon.store.holds import Hold, NewHold, Source
from paycordon.store.messages import Message
from paycordon.store.proposals import Kind, NewProposal, Proposal
from paycordon.store.remembering import remember
from paycordon.store.schema import from_micros, micros
from paycordon.store.snoozes import NewSnooze, StoredSnooze

LIFETIME = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants something, why and when.

    Attributes:
        lifetime: how long a proposal of it stays open.
        rules_quiet, indicators_quiet: how long what was released does not hold the same merchant again.
        exchange: finds whom this deployment tells what it knows; asked only where something is to be told.
    """

    by: Person
    reason: str
    now: datetime
    randomness: Randomness
    lifetime: timedelta = LIFETIME
    rules_quiet: timedelta = timedelta(hours=24)
    indicators_quiet: timedelta = timedelta(days=90)
    exchange: Callable[[], Exchange] = Exchange


def release(connection: Connection, hold_id: str, wish: Wish) -> Hold | Proposal:
    """Release a hold, or propose it where that takes two people.

    Raises:
        Forbidden: the person may not.
        NotFound: there is no such hold.
        Conflict: it was released before, or its release is proposed already.
    """
    wish.by.require(Role.ANALYST)
    hold = holds.get(connection, hold_id)
    if hold.active and hold.source is Source.ORDER:
        raise Conflict(f"the hold `{hold_id}` was ordered by an authority; it ends with the order")
    if not hold.active or not hold.two_people:
        released = holds.release(connection, hold_id, by=wish.by.name, reason=wish.reason, now=wish.now)
        _remember(connection, released, wish, wish.reason, wish.by.name)
        return released
    return _propose(connection, Kind.RELEASE, hold.merchant, hold.id, {}, wish)


def place(connection: Connection, wanted: NewHold, wish: Wish, *, review_at: datetime | None) -> Hold | Proposal:
    """Place a hold by hand, or propose it where it is a block for good: without a review date.

    Raises:
        Forbidden: the person may not.
        Conflict: the same block is proposed already.
    """
    wish.by.require(Role.ANALYST)
    full = replace(wanted, placed_by=wish.by.name, internal_reason=wish.reason, source=Source.PERSON)
    if wanted.outcome is Outcome.BLOCK and review_at is None:
        detail: dict[str, str | int | None] = {name: getattr(wanted, name) for name in _BLOCK_FIELDS}
        detail["scope"] = wanted.scope.value
        return _propose(connection, Kind.BLOCK, wanted.merchant, wanted.subject_id, detail, wish)
    placed = holds.place_by_hand(connection, full, wish.now, wish.randomness)
    if review_at is not None:
        source = f"agreed by {wish.by.name}"
        clock = clocks.NewClock("hold", placed.id, placed.merchant, "by_hand", source, review_at)
        clocks.start(connection, clock, wish.now)
    return placed


def refer(connection: Connection, case_id: str, to: str, wish: Wish) -> Proposal:
    """Propose to refer a case to somebody outside. Nothing is sent: once agreed, a person sends it.

    Raises:
        Forbidden: the person may not.
        NotFound: there is no such case.
        Conflict: it is closed, or the referral is proposed already.
    """
    wish.by.require(Role.ANALYST)
    case = cases.get(connection, case_id)
    if case.state is State.CLOSED:
        raise Conflict(f"the case `{case_id}` is closed; reopen it first")
    return _propose(connection, Kind.REFERRAL, case.merchant, case.id, {"to": to}, wish)


def snooze(
    connection: Connection, merchant: str, rule: str, until: datetime, wish: Wish, *, takes_two: bool
) -> StoredSnooze | Proposal:
    """Let a rule say nothing about a merchant until a moment, or propose it where that takes two people.

    Raises:
        Forbidden: the person may not.
        Conflict: it is snoozed or proposed already, or the moment has passed.
    """
    wish.by.require(Role.ANALYST)
    if until <= wish.now:
        raise Conflict("a snooze must end in the future")
    if takes_two:
        detail: proposals.Detail = {"rule": rule, "until": micros(until)}
        return _propose(connection, Kind.SNOOZE, merchant, f"{merchant} {rule}", detail, wish)
    wanted = NewSnooze(merchant, rule, until, wish.reason, wish.by.name)
    placed = snoozes.place(connection, wanted, wish.now, wish.randomness)
    cases.note(connection, merchant, wish.now, "snooze", f"{placed.id}: {rule} until {until:%Y-%m-%d}")
    return placed


def propose_act(connection: Connection, wanted: NewAct, wish: Wish) -> Proposal:
    """Propose an act at a gateway, whose parameters were checked. Once agreed, a worker does it.

    Raises:
        Conflict: the same act is proposed already.
    """
    merchant = acts.merchant_at(connection, wanted.instance, wanted.account)
    detail = {name: getattr(wanted, name) for name in _ACT_FIELDS}
    about = f"{wanted.act} {wanted.account} at {wanted.instance}"
    return _propose(connection, Kind.ACT, merchant, about, detail, wish)


def propose_message(connection: Connection, message: Message, wish: Wish) -> Proposal:
    """Propose to send what was drafted. Once agreed, a worker does it.

    Raises:
        Conflict: it is proposed already.
    """
    detail: proposals.Detail = {"recipient": message.recipient, "contribution": message.contribution}
    made = _propose(connection, _KINDS[message.verb], message.merchant, message.id, detail, wish)
    contributions.proposed(connection, message, made.id)
    return made


def confirm_indicator(connection: Connection, digest: str, wish: Wish) -> Proposal:
    """Propose that an indicator names somebody, however many merchants share it.

    Raises:
        Forbidden: the person may not.
        NotFound: no indicator that counts is on it.
        Conflict: honest merchants share such things, or the same is proposed already.
    """
    wish.by.require(Role.ANALYST)
    kind = confirmations.check(connection, digest)
    return _propose(connection, Kind.INDICATOR, "", digest, {"digest": digest, "kind": kind}, wish)


def agree(connection: Connection, proposal_id: str, wish: Wish) -> Proposal:
    """Agree to what somebody else proposed, and do it.

    Raises:
        Forbidden: the person is not an approver.
        ApprovalRequired: it is the person's own proposal.
        NotFound: there is no such proposal.
        Conflict: it is not open any more, or what it is about has changed meanwhile; nothing was done.
    """
    found = _decidable(connection, proposal_id, wish)
    if wish.by.is_(found.proposed_by):
        raise ApprovalRequired(f"`{found.proposed_by}` proposed `{found.id}`; a second, different person must agree")
    if found.kind in _KINDS.values():
        permission.keep_still(connection, found.subject_id)
    proposals.decide(connection, found, "agreed", wish.by.name, wish.reason, wish.now)
    _DONE[found.kind](connection, found, wish)
    return proposals.get(connection, proposal_id, wish.now)


def decline(connection: Connection, proposal_id: str, wish: Wish) -> Proposal:
    """Decline a proposal; who made it may take it back so.

    Raises:
        Forbidden: the person is neither an approver nor who proposed it.
        NotFound: there is no such proposal.
        Conflict: it is not open any more.
    """
    found = proposals.get(connection, proposal_id, wish.now)
    wish.by.require(Role.ANALYST if wish.by.is_(found.proposed_by) else Role.APPROVER)
    about_words = found.kind in _KINDS.values()
    if about_words:
        permission.keep_still(connection, found.subject_id)
    proposals.decide(connection, found, "declined", wish.by.name, wish.reason, wish.now)
    if about_words:
        permission.decline(connection, found.subject_id, wish.by.name, wish.now)
    note = f"{found.kind} {found.id} declined: {wish.reason}"
    _note(connection, found, "declined", note, wish)
    return proposals.get(connection, proposal_id, wish.now)


def _decidable(connection: Connection, proposal_id: str, wish: Wish) -> Proposal:
    wish.by.require(Role.APPROVER)
    return proposals.get(connection, proposal_id, wish.now)


def _propose(
    connection: Connection, kind: Kind, merchant: str, subject_id: str, detail: proposals.Detail, wish: Wish
) -> Proposal:
    waiting = cases.queue(connection, merchant=merchant, limit=1)
    case = waiting[0].id if waiting else None
    until = wish.now + wish.lifetime
    wanted = NewProposal(kind, merchant, subject_id, detail, wish.reason, wish.by.name, until, case)
    made = proposals.propose(connection, wanted, wish.now, wish.randomness)
    _note(connection, made, "proposed", f"{kind} {made.id}: {wish.reason}", wish)
    return made


def _note(connection: Connection, about: Proposal, kind: str, note: str, wish: Wish) -> None:
    if about.case_id is not None:
        cases.add_event(connection, about.case_id, wish.now, kind, actor=wish.by.name, note=note)


_BLOCK_FIELDS = ("merchant", "instance", "account", "subject_kind", "subject_id", "merchant_reason", "rule")


def _release(connection: Connection, agreed: Proposal, wish: Wish) -> None:
    released = holds.release(
        connection,
        agreed.subject_id,
        by=agreed.proposed_by,
        reason=agreed.reason,
        now=wish.now,
        agreed_by=wish.by.name,
    )
    _remember(connection, released, wish, agreed.reason, agreed.proposed_by, wish.by.name)


def _remember(
    connection: Connection, hold: Hold, wish: Wish, reason: str, by: str, agreed_by: str | None = None
) -> None:
    remember(
        connection,
        hold,
        wish.now,
        rules_for=wish.rules_quiet,
        indicators_for=wish.indicators_quiet,
        reason=reason,
        by=by,
        agreed_by=agreed_by,
        randomness=wish.randomness,
    )


def _block(connection: Connection, agreed: Proposal, wish: Wish) -> None:
    wanted = NewHold(
        **{name: str(agreed.detail[name]) for name in _BLOCK_FIELDS},  # type: ignore[arg-type]  # all of them text
        outcome=Outcome.BLOCK,
        scope=Scope(str(agreed.detail["scope"])),
        source=Source.PERSON,
        placed_by=agreed.proposed_by,
        internal_reason=agreed.reason,
        two_people=True,  # what two have decided, one does not undo
    )
    holds.place_by_hand(connection, wanted, wish.now, wish.randomness)


def _refer(connection: Connection, agreed: Proposal, wish: Wish) -> None:
    try:
        case = cases.get(connection, agreed.subject_id)
    except NotFound:
        raise Conflict(f"the case of `{agreed.id}` is gone") from None
    note = f"to {agreed.detail['to']}, proposed by {agreed.proposed_by}: {agreed.reason}"
    cases.add_event(connection, case.id, wish.now, "refer", actor=wish.by.name, note=note)
    entry = {
        "case": case.id,
        "proposal": agreed.id,
        "to_digest": digest_apart(connection, case.id, str(agreed.detail["to"])),
    }
    append(connection, wish.now, "case.refer", entry)


def _snooze(connection: Connection, agreed: Proposal, wish: Wish) -> None:
    until = from_micros(int(agreed.detail["until"] or 0))
    if until <= wish.now:
        raise Conflict(f"what `{agreed.id}` proposes would have ended already")
    wanted = NewSnooze(
        agreed.merchant, str(agreed.detail["rule"]), until, agreed.reason, agreed.proposed_by, wish.by.name
    )
    snoozes.place(connection, wanted, wish.now, wish.randomness)


def _act(connection: Connection, agreed: Proposal, wish: Wish) -> None:
    wanted = NewAct(
        **{name: str(agreed.detail[name]) for name in _ACT_FIELDS},
        reason=agreed.reason,
        asked_by=agreed.proposed_by,
        agreed_by=wish.by.name,
    )
    asked = acts.ask(connection, wanted, wish.now, wish.randomness)
    _note(connection, agreed, "act", f"{asked.id}: {wanted.act} of {wanted.account} at {wanted.instance}", wish)


def _tell(connection: Connection, agreed: Proposal, wish: Wish) -> None:
    message = permission.agree(connection, agreed.subject_id, wish.exchange(), wish.by.name, wish.now)
    _note(connection, agreed, "exchange", f"{message.id}: {message.verb} at {message.recipient} is agreed to", wish)


def _confirm(connection: Connection, agreed: Proposal, wish: Wish) -> None:
    confirmations.confirm(connection, agreed.subject_id, agreed.proposed_by, wish.by.name, agreed.reason, wish.now)


_ACT_FIELDS = ("instance", "account", "act", "parameters")
_KINDS = {Verb.ADD: Kind.CONTRIBUTION, Verb.CORRECT: Kind.CORRECTION, Verb.RETRACT: Kind.RETRACTION}
_DONE = {Kind.ACT: _act, Kind.RELEASE: _release, Kind.BLOCK: _block, Kind.REFERRAL: _refer, Kind.SNOOZE: _snooze}
_DONE |= {Kind.INDICATOR: _confirm, **dict.fromkeys(_KINDS.values(), _tell)}
