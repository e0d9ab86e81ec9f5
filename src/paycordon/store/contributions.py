"""What recipients were told of merchants: each contribution from its draft until it was taken back or has ended.

Rows name a merchant by its id, and identifiers by kind and keyed digest: enough to correct and retract a word for as
long as it stands, and to find it when what it rests on is gone. What is plain is in messages, until they are taken.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from paycordon.errors import Conflict, NotFound
from paycordon.exchange.contract import ContributionKind, Receipt, Verb
from paycordon.ids import Randomness
from paycordon.record.apart import digest_apart
from paycordon.record.log import Payload, digest_of
from paycordon.store import clocks, messages, schema
from paycordon.store.contributed import LIVE, Gone, NewContribution, State, StoredContribution, Told, as_text, stored
from paycordon.store.messages import Message, MessageState, NewMessage
from paycordon.store.schema import micros

_table = schema.contributions


_DONE_LOGS = {Verb.ADD: "contribution.sent", Verb.CORRECT: "contribution.corrected"}
_DONE_LOGS |= {Verb.RETRACT: "contribution.retracted", Verb.FEEDBACK: "feedback.sent"}


def draft(
    connection: Connection, new: NewContribution, first: NewMessage, now: datetime, randomness: Randomness
) -> Message:
    """Store a contribution with its first message, which waits for a second person."""
    row = {
        "id": new.id,
        "recipient": new.recipient,
        "merchant": new.merchant,
        "kind": new.kind.value,
        "hold_id": new.hold,
        "case_id": new.case,
        "code": new.code,
        "origin": new.origin,
        "digests": as_text(new.digests),
        "state": State.DRAFT.value,
        "doubtful": 0,
        "appeal": new.appeal,
        "answered": 0,
        "drafted_by": first.asked_by,
        "drafted_at": micros(now),
    }
    connection.execute(_table.insert().values(row))
    about = {"kind": new.kind.value, "rests_on": new.hold, "code": new.code, "origin": new.origin}
    return _drafted(connection, first, now, randomness, {**about, "digests_digest": digest_of(str(row["digests"]))})


def draft_more(connection: Connection, new: NewMessage, now: datetime, randomness: Randomness) -> Message:
    """Store a correction or retraction of what was sent, which waits for a second person.

    A retraction is the last word: a correction with a higher revision would make it count for nothing.

    Raises:
        Conflict: such a one is under way already, or it is being taken back.
    """
    for verb in dict.fromkeys((Verb.RETRACT, new.verb)):
        messages.require_none_open(connection, new.contribution or "", verb)
    return _drafted(connection, new, now, randomness, {})


def _drafted(
    connection: Connection, new: NewMessage, now: datetime, randomness: Randomness, more: Mapping[str, str | None]
) -> Message:
    message = messages.get(connection, messages.insert(connection, new, MessageState.DRAFT, now, randomness))
    said = {**messages.said_of(connection, message), **more}
    messages.log(connection, now, "contribution.drafted", message, said)
    return message


def give_feedback(connection: Connection, new: NewMessage, now: datetime, randomness: Randomness) -> Message:
    """Store what people made of an indicator, for a worker to tell; one person is enough."""
    message = messages.get(connection, messages.insert(connection, new, MessageState.WAITING, now, randomness))
    messages.log(connection, now, "feedback.given", message, messages.said_of(connection, message))
    return message


def proposed(connection: Connection, message: Message, proposal: str) -> None:
    """Note which proposal a draft waits for."""
    table = schema.messages
    connection.execute(table.update().where(table.c.id == message.id).values(proposal_id=proposal))


def agree(connection: Connection, message: Message, by: str, now: datetime) -> None:
    """Let a worker send what a second person agreed to; what people do by hand is done with that.

    Raises:
        Conflict: it is no draft any more.
    """
    by_hand = message.by_hand
    values: dict[str, Any] = {"agreed_by": by, "agreed_at": micros(now), "due_at": micros(now)}
    to = MessageState.TAKEN if by_hand else MessageState.WAITING
    if by_hand:
        values |= {"settled_at": micros(now), "already": 1}
    if not messages.move(connection, message, to, values):
        raise Conflict(f"`{message.id}` is no draft any more")
    if message.verb is Verb.RETRACT:
        _give_up_others(connection, message, by, now)
    states = {Verb.ADD: State.WAITING, Verb.RETRACT: State.RETRACTING}
    if message.verb in states:
        _set(connection, message.contribution, state=states[message.verb].value)
    messages.log(connection, now, "contribution.agreed", message, {"by": message.asked_by, "agreed_by": by})
    if by_hand:
        _done(connection, message, now, Receipt("", already=True), Told())


def _give_up_others(connection: Connection, retraction: Message, by: str, now: datetime) -> None:
    """Give up what else was to be told, unless a worker has it: it is taken back anyway."""
    for other in messages.of(connection, retraction.contribution or ""):
        waits = other.state in (MessageState.WAITING, MessageState.STUCK) and other.verb is not Verb.RETRACT
        if waits and not messages.in_hand(connection, other.id, now):
            drop(connection, other, State.DROPPED, by=by, now=now)


def drop(connection: Connection, message: Message, state: State, *, by: str, now: datetime) -> bool:
    """Give a message up that was not sent: its words are erased. Tells whether it was still open.

    Args:
        connection: a transaction for writing.
        message: as it was read.
        state: `declined`, `lapsed` or `dropped`; what becomes of a contribution whose first message it was.
        by: who says so.
        now: the time, UTC.
    """
    if messages.get(connection, message.id).begun:
        doubt(connection, message)
    if not messages.move(connection, message, MessageState.DROPPED, {"settled_at": micros(now)}):
        return False
    messages.erase_words(connection, message.id)
    if message.verb is Verb.ADD and get(connection, message.contribution or "").doubtful:
        _set(connection, message.contribution, state=State.SENT.value)  # it may stand there, until it is taken back
    elif message.verb is Verb.ADD:
        _set(connection, message.contribution, state=state.value, settled_at=micros(now))
    elif message.verb is Verb.RETRACT:
        again = {"answered": Gone.NOTHING.value} if state is State.LAPSED else {}
        _set(connection, message.contribution, state=State.SENT.value, **again)
        if state is not State.LAPSED:
            clocks.stop(connection, message.contribution or "", now)
    messages.log(connection, now, "contribution.dropped", message, {"by": by, "why": state.value})
    return True


def doubt(connection: Connection, message: Message) -> None:
    """Note that a recipient may have taken a message without our hearing so: a worker that had it said nothing."""
    if message.verb is Verb.ADD:
        _set_if(connection, message.contribution, (State.WAITING, State.STUCK), doubtful=1)


def taken(connection: Connection, message: Message, owner: str, receipt: Receipt, told: Told, now: datetime) -> bool:
    """Record that a recipient took a message, if the lease is still this worker's; erases what was plain in it."""
    values = {"settled_at": micros(now), "last_error": None, "theirs": receipt.theirs, "already": int(receipt.already)}
    if not messages.move(connection, message, MessageState.TAKEN, values, owner=owner):
        return False
    _done(connection, message, now, receipt, told)
    return True


def _done(connection: Connection, message: Message, now: datetime, receipt: Receipt, told: Told) -> None:
    messages.erase_words(connection, message.id)
    if message.verb is Verb.RETRACT:
        _set(connection, message.contribution, state=State.RETRACTED.value, settled_at=micros(now))
        clocks.stop(connection, message.contribution or "", now)
    elif message.verb is not Verb.FEEDBACK:
        ends: dict[str, Any] = {} if told.ends_at is None else {"ends_at": micros(told.ends_at)}
        if message.verb is Verb.CORRECT and told.digests:
            ends["digests"] = as_text(told.digests)
        # A retraction may wait already; what was taken meanwhile does not make it stand for good.
        _set(connection, message.contribution, theirs=receipt.theirs, doubtful=0, **ends)
        _set_if(connection, message.contribution, (State.WAITING, State.STUCK), state=State.SENT.value)
    said: Payload = {"theirs": receipt.theirs, "already": int(receipt.already), "recipient": message.recipient}
    if message.verb is Verb.CORRECT and told.digests:
        said = {**said, "digests_digest": digest_of(as_text(told.digests))}
    messages.log(connection, now, _DONE_LOGS[message.verb], message, said)


def failed(
    connection: Connection,
    message: Message,
    owner: str,
    error: str,
    due_at: datetime,
    now: datetime,
    *,
    stuck: bool,
    doubtful: bool,
) -> bool:
    """Record that a message was not taken, or may not have been, if the lease is still this worker's."""
    values = messages.failed_once_more(message, error, due_at)
    to = MessageState.STUCK if stuck else MessageState.WAITING
    if not messages.move(connection, message, to, values, owner=owner):
        return False
    if doubtful and message.verb is Verb.ADD:
        _set(connection, message.contribution, doubtful=1)
    if stuck:
        if message.contribution is not None:
            _set_if(connection, message.contribution, (State.WAITING,), state=State.STUCK.value)
        kind = "feedback.stuck" if message.verb is Verb.FEEDBACK else "contribution.stuck"
        messages.log(connection, now, kind, message, {"error": error.partition(":")[0]})
    return True


def requeue(connection: Connection, message_id: str, *, by: str, reason: str, now: datetime) -> Message:
    """Let a stuck message be sent again.

    Raises:
        NotFound: there is no such message.
        Conflict: it is not stuck.
    """
    message = messages.get(connection, message_id)
    if message.state is not MessageState.STUCK:
        raise Conflict(f"the message `{message_id}` is not stuck: it is `{message.state}`")
    later = (each for each in messages.of(connection, message.contribution or "") if each.revision > message.revision)
    if any(each.state is MessageState.TAKEN for each in later):
        raise Conflict(f"`{message.recipient}` took a later word already; draft a correction instead")
    values = {"failures": 0, "due_at": micros(now)}
    if not messages.move(connection, message, MessageState.WAITING, values):
        raise Conflict(f"the message `{message_id}` has changed meanwhile; look at it again")
    _set_if(connection, message.contribution, (State.STUCK,), state=State.WAITING.value)
    why = digest_apart(connection, message.contribution or message.id, reason)
    messages.log(connection, now, "contribution.retried", message, {"by": by, "reason_digest": why})
    return messages.get(connection, message_id)


def get(connection: Connection, id_: str) -> StoredContribution:
    """Return one contribution.

    Raises:
        NotFound: there is none of that id.
    """
    row = connection.execute(select(_table).where(_table.c.id == id_)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no contribution `{id_}`; `paycordon exchange list` lists them")
    return stored(row)


def lock(connection: Connection, id_: str | None) -> None:
    """Have everybody else who changes a contribution wait until this transaction ends; before the log is written."""
    connection.execute(select(_table.c.id).where(_table.c.id == id_).with_for_update()).all()


def same(connection: Connection, new: NewContribution) -> str | None:
    """Return what tells a recipient the same already, or is about to; none if nothing does.

    A merchant is listed once at a recipient; identifiers are told once of a merchant, or of a source.
    """
    where = [_table.c.recipient == new.recipient, _table.c.merchant == new.merchant, _table.c.kind == new.kind.value]
    where.append(_table.c.state.in_([each.value for each in LIVE]))
    if new.origin is not None:
        where.append(_table.c.origin == new.origin)
    wanted = {(kind, digest) for kind, digest, _ in new.digests}
    for row in connection.execute(select(_table).where(*where).order_by(_table.c.id)).mappings():
        found = stored(row)
        if new.kind is ContributionKind.TERMINATION or wanted <= {(kind, digest) for kind, digest, _ in found.digests}:
            return found.id
    return None


def listed(
    connection: Connection,
    *,
    states: Collection[State] = LIVE,
    merchant: str | None = None,
    limit: int = 1_000,
) -> Sequence[StoredContribution]:
    """Return contributions, the oldest first; by default those that are not final."""
    query = select(_table).where(_table.c.state.in_([each.value for each in states]))
    if merchant is not None:
        query = query.where(_table.c.merchant == merchant)
    ordered = query.order_by(_table.c.drafted_at, _table.c.id).limit(limit)
    return [stored(row) for row in connection.execute(ordered).mappings()]


def next_revision(connection: Connection, contribution: str) -> int:
    """Return the number of the next message about a contribution."""
    table = schema.messages
    query = select(func.coalesce(func.max(table.c.revision), 0)).where(table.c.contribution_id == contribution)
    return int(connection.execute(query).scalar_one()) + 1


def answer(connection: Connection, contribution: str, gone: Gone) -> None:
    """Note for what its retraction was drafted, so that it is not drafted again for the same."""
    _set(connection, contribution, answered=gone.value)


def told_of_appeal(connection: Connection, contribution: str, appeal: str | None) -> None:
    """Note that an objection, or none any more, is told along, or was put before people."""
    _set(connection, contribution, appeal=appeal)


def any_over(connection: Connection, now: datetime) -> bool:
    """Tell, without locking anything, whether something has run out at its recipient."""
    return connection.execute(select(_table.c.id).where(*_over(now)).limit(1)).first() is not None


def ended(connection: Connection, now: datetime) -> int:
    """Settle what has run out at its recipients; returns how many that were."""
    values = {"state": State.ENDED.value, "settled_at": micros(now)}
    return connection.execute(_table.update().where(*_over(now)).values(values)).rowcount


def _over(now: datetime) -> tuple[Any, ...]:
    return _table.c.state == State.SENT.value, _table.c.ends_at <= micros(now)


def _set(connection: Connection, contribution: str | None, **values: Any) -> None:
    connection.execute(_table.update().where(_table.c.id == contribution).values(**values))


def _set_if(connection: Connection, contribution: str | None, states: Sequence[State], **values: Any) -> None:
    among = _table.c.state.in_([each.value for each in states])
    connection.execute(_table.update().where(_table.c.id == contribution, among).values(**values))
