"""How a contribution is stored, and where it stands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from sqlalchemy import RowMapping

from paycordon.exchange.contract import ContributionKind
from paycordon.store.schema import from_micros


class State(StrEnum):
    """Where a contribution stands; all from `retracted` on are final.

    `draft` waits for a second person, `waiting` for a worker, `stuck` for a person. `sent` stands at the recipient, and
    `retracting` is about to be taken back. `declined` and `lapsed` were never agreed to, `dropped` lost its ground
    before it was sent, `ended` has run out at the recipient.
    """

    DRAFT = "draft"
    WAITING = "waiting"
    SENT = "sent"
    STUCK = "stuck"
    RETRACTING = "retracting"
    RETRACTED = "retracted"
    DECLINED = "declined"
    LAPSED = "lapsed"
    DROPPED = "dropped"
    ENDED = "ended"


class Gone(IntEnum):
    """What became of what a contribution rests on: nothing, no rule asks for it any more, or people released it."""

    NOTHING = 0
    UNSUPPORTED = 1
    RELEASED = 2


FINAL = (State.RETRACTED, State.DECLINED, State.LAPSED, State.DROPPED, State.ENDED)
LIVE = (State.DRAFT, State.WAITING, State.SENT, State.STUCK, State.RETRACTING)


@dataclass(frozen=True, slots=True)
class NewContribution:
    """What is to be told, beside the words; as `StoredContribution`."""

    id: str
    recipient: str
    merchant: str
    kind: ContributionKind
    digests: Sequence[tuple[str, str, str]]
    hold: str | None = None
    case: str | None = None
    code: str | None = None
    origin: str | None = None
    appeal: str | None = None


@dataclass(frozen=True, slots=True)
class StoredContribution:
    """A contribution as it is stored; times are UTC.

    Attributes:
        hold, case: what it rests on here.
        code: the reason, as a code.
        origin: whose word is passed on.
        digests: kind and keyed digest of each identifier, with the reference under which it is told.
        theirs: how the recipient calls it.
        doubtful: whether it may have been taken without our hearing so.
        appeal: the last objection that was told along.
        answered: for what its retraction was drafted or decided about; see `Gone`.
        ends_at: when it ends at the recipient by itself.
    """

    id: str
    recipient: str
    merchant: str
    kind: ContributionKind
    hold: str | None
    case: str | None
    code: str | None
    origin: str | None
    digests: tuple[tuple[str, str, str], ...]
    state: State
    theirs: str | None
    doubtful: bool
    appeal: str | None
    answered: Gone
    drafted_by: str
    drafted_at: datetime
    ends_at: datetime | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Told:
    """What stands at a recipient once it took a message.

    Attributes:
        digests: of the identifiers that were told; none where they stay as they were.
        ends_at: when it ends there by itself; none where that stays as it was, or never.
    """

    digests: Sequence[tuple[str, str, str]] = ()
    ends_at: datetime | None = None


def as_text(digests: Sequence[tuple[str, str, str]]) -> str:
    """Return digests as they are stored, and as the log digests them."""
    return json.dumps([list(each) for each in digests])


def stored(row: RowMapping) -> StoredContribution:
    """Read a row of the table."""
    times = {
        name: None if row[name] is None else from_micros(row[name]) for name in ("drafted_at", "ends_at", "settled_at")
    }
    same = ("id", "recipient", "merchant", "code", "origin", "theirs", "appeal", "drafted_by")
    return StoredContribution(
        **{name: row[name] for name in same},
        **times,  # type: ignore[arg-type]  # `drafted_at` is never empty
        kind=ContributionKind(row["kind"]),
        hold=row["hold_id"],
        case=row["case_id"],
        digests=tuple((str(kind), str(digest), str(name)) for kind, digest, name in json.loads(row["digests"])),
        state=State(row["state"]),
        doubtful=bool(row["doubtful"]),
        answered=Gone(row["answered"]),
    )
