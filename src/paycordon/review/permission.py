"""The second word on what is to be told: looked at anew, since what was right when it was drafted may not be now."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from paycordon.errors import Conflict, Refused
from paycordon.exchange.contract import Verb
from paycordon.exchange.sharing import Exchange
from paycordon.store import cases, contributions, messages
from paycordon.store.contributed import State
from paycordon.store.messages import Message, MessageState
from paycordon.store.sharing import ground_gone, refused


def agree(connection: Connection, message_id: str, exchange: Exchange, by: str, now: datetime) -> Message:
    """Let a worker send what somebody drafted, if it still may be sent.

    Raises:
        NotFound: there is no such message, or its recipient is not configured any more.
        Conflict: it is no draft any more, or may not be sent; says why.
    """
    message = messages.get(connection, message_id)
    if message.state is not MessageState.DRAFT:
        raise Conflict(f"`{message_id}` is no draft any more: it is `{message.state}`")
    require_allowed(connection, message, exchange, now)
    contributions.agree(connection, message, by, now)
    return messages.get(connection, message_id)


def keep_still(connection: Connection, message_id: str) -> None:
    """Have everybody else wait who writes about what a message is about; before the log is written."""
    message = messages.get(connection, message_id)
    cases.lock(connection, message.merchant)
    contributions.lock(connection, message.contribution)


def decline(connection: Connection, message_id: str, by: str, now: datetime) -> None:
    """Give a draft up, and erase what is plain in it."""
    contributions.drop(connection, messages.get(connection, message_id), State.DECLINED, by=by, now=now)


def require_allowed(connection: Connection, message: Message, exchange: Exchange, now: datetime) -> None:
    """Go on only if a draft may be sent now.

    Raises:
        NotFound: its recipient is not configured any more.
        Conflict: it may not; says why.
    """
    if message.by_hand:
        return
    recipient = exchange.recipient(message.recipient)
    if message.verb not in recipient.verbs:
        hint = "; take it back there, then add `--by-hand`" if message.verb is Verb.RETRACT else ""
        raise Conflict(f"`{message.recipient}` cannot be told `{message.verb}`{hint}")
    found = refused(connection, message, exchange, now)
    stored = None if message.contribution is None else contributions.get(connection, message.contribution)
    if stored is not None and message.verb is Verb.CORRECT and stored.state is not State.SENT:
        found.append(f"it does not stand there: it is `{stored.state}`")
    if stored is not None and message.verb is Verb.ADD:
        if stored.kind not in recipient.kinds:
            found.append(f"the recipient takes no `{stored.kind}`")
        if ground_gone(connection, stored.hold, stored.case):
            found.append("what it rests on was released")
    words = message.words(recipient.here.digester)
    partial = message.verb is Verb.CORRECT and words is not None and not words.content.items
    if words is not None and not found and not partial:
        try:
            recipient.check(words.content)
        except Refused as error:
            found.append(str(error))
    if found:
        raise Conflict(f"this may not be told to `{message.recipient}`: {'; '.join(found)}")
