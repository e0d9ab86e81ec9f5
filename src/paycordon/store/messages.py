"""The outbox of what recipients are told: each message from its draft until it was taken, under a lease and one key.

What is plain in a message is kept, sealed under the identifier key (`coalition.sealing`), until the recipient has taken
it, or it was dropped, and erased in the transaction that says so; the log has the digest of what is stored, whose salt
goes with it. A message's id is its idempotency key: a worker that
takes over sends the same once more, and the recipient has it once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, exists, select

from paycordon.coalition.identifiers import Digester
from paycordon.errors import Conflict, NotFound
from paycordon.exchange.contract import Contribution, Outgoing, Verb, Worth
from paycordon.ids import Randomness, new_id
from paycordon.record.apart import digest_apart, forget
from paycordon.record.log import Payload, append
from paycordon.store import Store, schema
from paycordon.store.schema import from_micros, micros

_table = schema.messages
_MAX_ERROR = 500


class MessageState(StrEnum):
    """`draft` until a second person agrees, `waiting` for a worker, `taken`, `stuck` (a person looks), or `dropped`."""

    DRAFT = "draft"
    WAITING = "waiting"
    TAKEN = "taken"
    STUCK = "stuck"
    DROPPED = "dropped"


OPEN = (MessageState.DRAFT, MessageState.WAITING, MessageState.STUCK)


@dataclass(frozen=True, slots=True)
class Words:
    """What is plain in a message, as it is kept until it is taken.

    Attributes:
        content: what is told.
        seen: of each of its items, whether the identifier was ever seen with the merchant.
    """

    content: Contribution
    seen: tuple[bool, ...] = ()

    def sealed(self, digester: Digester, contribution: str | None, revision: int) -> str:
        """Return it as it is stored, as words of one message about a contribution."""
        content = self.content.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        words = json.dumps({"content": content, "seen": list(self.seen)}, separators=(",", ":"), sort_keys=True)
        return digester.sealer().seal(words, _place(contribution, revision))

    @classmethod
    def read(cls, stored: str, digester: Digester, contribution: str | None, revision: int) -> Words:
        """Read what was stored.

        Raises:
            Refused: its key is not configured any more, or it was changed.
        """
        said = json.loads(digester.sealer().unseal(stored, _place(contribution, revision)))
        return cls(Contribution.model_validate(said["content"]), tuple(said["seen"]))


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be drafted; as `Message`."""

    recipient: str
    merchant: str
    verb: Verb
    revision: int
    reason: str
    asked_by: str
    contribution: str | None = None
    sealed: str | None = field(default=None, repr=False)
    about: Mapping[str, str] | None = None
    independent: str | None = None
    unseen: str | None = None
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is stored; times are UTC.

    Attributes:
        contribution: what it is about; none in feedback.
        sealed: what is plain in it, as it is stored until it was taken; `words` opens it.
        about: source, reference and worth, in feedback.
        independent, unseen: what people state about the identifiers.
        by_hand: whether people do at the recipient what it says.
        failures, last_error: how often it failed, and how the last time.
        begun: whether a worker has begun to send it, and has not said what came of that; it may have died.
        theirs: how the recipient calls it.
    """

    id: str
    contribution: str | None
    recipient: str
    merchant: str
    verb: Verb
    revision: int
    sealed: str | None = field(repr=False)
    about: Mapping[str, str] | None
    independent: str | None
    unseen: str | None
    reason: str
    by_hand: bool
    asked_by: str
    asked_at: datetime
    agreed_by: str | None
    agreed_at: datetime | None
    proposal: str | None
    state: MessageState
    failures: int
    last_error: str | None
    begun: bool
    due_at: datetime
    settled_at: datetime | None
    theirs: str | None
    already: bool | None

    @property
    def key(self) -> str:
        """The idempotency key."""
        return f"paycordon-{self.id}"

    def words(self, digester: Digester) -> Words | None:
        """Return what is plain in it, until it was taken.

        Args:
            digester: of the deployment; has the identifier keys.

        Raises:
            Refused: their key is not configured any more, or they were changed.
        """
        return None if self.sealed is None else Words.read(self.sealed, digester, self.contribution, self.revision)

    def outgoing(self, theirs: str | None, content: Contribution | None) -> Outgoing:
        """Return it as a recipient gets it."""
        about = self.about or {}
        return Outgoing(
            self.key,
            self.verb,
            self.contribution or self.id,
            self.revision,
            content,
            about.get("reference", theirs),
            Worth(about["worth"]) if "worth" in about else None,
        )


def body_of(message_id: str) -> str:
    """The name under which the salt of a message's plain words is kept, to be forgotten with them."""
    return f"{message_id}/words"


def insert(connection: Connection, new: NewMessage, state: MessageState, now: datetime, randomness: Randomness) -> str:
    """Store a message and return its id; what the log says of it is the caller's."""
    id_ = new_id("msg", now, randomness)
    row = {
        "id": id_,
        "contribution_id": new.contribution,
        "recipient": new.recipient,
        "merchant": new.merchant,
        "verb": new.verb.value,
        "revision": new.revision,
        "body": new.sealed,
        "about": None if new.about is None else _text_of(new.about),
        "independent": new.independent,
        "unseen": new.unseen,
        "reason": new.reason,
        "by_hand": int(new.by_hand),
        "asked_by": new.asked_by,
        "asked_at": micros(now),
        "state": state.value,
        "failures": 0,
        "due_at": micros(now),
        "lease_until": 0,
    }
    connection.execute(_table.insert().values(row))
    return id_


def said_of(connection: Connection, message: Message) -> Payload:
    """Return what the log says of a message when it is drafted."""
    about = None if message.about is None else _text_of(message.about)
    subject = message.contribution or message.id
    texts = {
        "words_digest": (body_of(message.id), message.sealed),
        "about_digest": (subject, about),
        "independent_digest": (subject, message.independent),
        "unseen_digest": (subject, message.unseen),
        "reason_digest": (subject, message.reason),
    }
    digests = {name: digest_apart(connection, of, text) for name, (of, text) in texts.items() if text}
    return {
        "message": message.id,
        "contribution": message.contribution,
        "recipient": message.recipient,
        "merchant": message.merchant,
        "verb": message.verb.value,
        "revision": message.revision,
        "by_hand": int(message.by_hand),
        "by": message.asked_by,
        **digests,
    }


def get(connection: Connection, id_: str) -> Message:
    """Return one message.

    Raises:
        NotFound: there is none of that id.
    """
    row = connection.execute(select(_table).where(_table.c.id == id_)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no message `{id_}`; `paycordon exchange show` names those of a contribution")
    return _message(row)


def of(connection: Connection, contribution: str) -> Sequence[Message]:
    """Return all messages about a contribution, the oldest first."""
    query = select(_table).where(_table.c.contribution_id == contribution).order_by(_table.c.asked_at, _table.c.id)
    return [_message(row) for row in connection.execute(query).mappings()]


def listed(connection: Connection, *, states: Sequence[MessageState] = OPEN, limit: int = 1_000) -> Sequence[Message]:
    """Return messages in some states, the oldest first."""
    query = select(_table).where(_table.c.state.in_([each.value for each in states]))
    ordered = query.order_by(_table.c.asked_at, _table.c.id).limit(limit)
    return [_message(row) for row in connection.execute(ordered).mappings()]


def feedback_given(
    connection: Connection, *, about: Mapping[str, str] | None = None, limit: int = 1_000
) -> Sequence[Message]:
    """Return the feedback that sources were given, whatever became of it, the newest first.

    Args:
        about: only what says just this: source, reference and worth.
        limit: how much at most.
    """
    query = select(_table).where(_table.c.verb == Verb.FEEDBACK.value)
    if about is not None:
        query = query.where(_table.c.about == _text_of(about))
    ordered = query.order_by(_table.c.asked_at.desc(), _table.c.id.desc()).limit(limit)
    return [_message(row) for row in connection.execute(ordered).mappings()]


def claim(store: Store, recipient: str, owner: str, now: datetime, lease: timedelta) -> Message | None:
    """Take the oldest message to a recipient that is due; no other worker gets it during the lease.

    What comes after a message about the same contribution waits until that one is settled, or waits for a person.
    `begun` of what is returned says whether another worker had it before.
    """
    before = _table.alias()
    earlier = exists().where(
        before.c.contribution_id == _table.c.contribution_id,
        before.c.state == MessageState.WAITING.value,
        before.c.revision < _table.c.revision,
    )
    due = select(_table).where(
        _table.c.recipient == recipient,
        _table.c.state == MessageState.WAITING.value,
        _table.c.due_at <= micros(now),
        _table.c.lease_until <= micros(now),
        ~earlier,
    )
    with store.read() as connection:
        if connection.execute(due.limit(1)).first() is None:
            return None
    with store.write() as connection:
        locked = due.order_by(_table.c.due_at, _table.c.id).limit(1).with_for_update(skip_locked=True, of=_table)
        row = connection.execute(locked).mappings().one_or_none()
        if row is None:
            return None
        values = {"lease_owner": owner, "lease_until": micros(now + lease)}
        connection.execute(_table.update().where(_table.c.id == row["id"]).values(values))
        return _message(row)


def move(
    connection: Connection, message: Message, to: MessageState, values: Mapping[str, Any], *, owner: str | None = None
) -> bool:
    """Change a message that still stands where it was read, and whose lease is the owner's; tells whether it did."""
    where = [_table.c.id == message.id, _table.c.state == message.state.value]
    if owner is not None:
        where.append(_table.c.lease_owner == owner)
    full = {**values, "state": to.value, "lease_owner": None, "lease_until": 0}
    return bool(connection.execute(_table.update().where(and_(*where)).values(full)).rowcount == 1)


def erase_words(connection: Connection, message_id: str) -> None:
    """Erase what is plain in a message, and the salt of its digest."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")  # else the text stays in the file until overwritten
    connection.execute(_table.update().where(_table.c.id == message_id).values(body=None))
    forget(connection, body_of(message_id))


def require_none_open(connection: Connection, contribution: str, verb: Verb) -> None:
    """Go on only if no message with this verb about a contribution is open.

    Raises:
        Conflict: there is one; names it.
    """
    states = [each.value for each in OPEN]
    where = (_table.c.contribution_id == contribution, _table.c.verb == verb.value, _table.c.state.in_(states))
    found = connection.execute(select(_table.c.id).where(*where).limit(1)).scalar()
    if found is not None:
        raise Conflict(f"`{verb}` is under way already, as `{found}`")


def in_hand(connection: Connection, message_id: str, now: datetime) -> bool:
    """Tell whether a worker has a message right now."""
    lease = connection.execute(select(_table.c.lease_until).where(_table.c.id == message_id)).scalar()
    return lease is not None and int(lease) > micros(now)


def failed_once_more(message: Message, error: str, due_at: datetime) -> dict[str, Any]:
    """Return what changes in a message that was not taken."""
    return {"failures": message.failures + 1, "last_error": error[:_MAX_ERROR], "due_at": micros(due_at)}


def log(connection: Connection, now: datetime, kind: str, message: Message, more: Payload) -> None:
    """Append an entry about a message."""
    append(connection, now, kind, {"message": message.id, "contribution": message.contribution, **more})


def _text_of(about: Mapping[str, str]) -> str:
    return json.dumps(dict(about), sort_keys=True)


def _message(row: RowMapping) -> Message:
    times = {
        name: None if row[name] is None else from_micros(row[name])
        for name in ("asked_at", "agreed_at", "due_at", "settled_at")
    }
    same = ("id", "recipient", "merchant", "revision", "independent", "unseen", "reason", "asked_by", "agreed_by")
    return Message(
        **{name: row[name] for name in (*same, "failures", "last_error", "theirs")},
        **times,  # type: ignore[arg-type]  # those that are never empty in the table are not here either
        contribution=row["contribution_id"],
        verb=Verb(row["verb"]),
        sealed=row["body"],
        about=None if row["about"] is None else json.loads(row["about"]),
        by_hand=bool(row["by_hand"]),
        begun=row["lease_owner"] is not None,
        proposal=row["proposal_id"],
        state=MessageState(row["state"]),
        already=None if row["already"] is None else bool(row["already"]),
    )


def _place(contribution: str | None, revision: int) -> str:
    return f"{contribution or ''}/{revision}"
