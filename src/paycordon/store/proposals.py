"""Proposals: what one person wants and another must agree to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, select

from paycordon.errors import Conflict, NotFound
from paycordon.ids import Randomness, new_id
from paycordon.record.apart import digest_apart
from paycordon.record.log import append
from paycordon.store import schema
from paycordon.store.schema import from_micros, micros

Detail = Mapping[str, str | int | None]


class Kind(StrEnum):
    """What takes two people."""

    RELEASE = "release"
    BLOCK = "block"
    REFERRAL = "referral"
    SNOOZE = "snooze"
    ACT = "act"
    CONTRIBUTION = "contribution"
    CORRECTION = "correction"
    RETRACTION = "retraction"
    INDICATOR = "indicator"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal as it is stored; times are UTC.

    Attributes:
        merchant: whose it is; empty where it is about no merchant.
        subject_id: what it is about: a hold, a merchant, a case, a merchant and a rule, an account and an act, a
            message to be sent, or the digest of an indicator.
        detail: what is to be done, by names that the kind has.
        state: `open`, `agreed`, `declined`, or `lapsed` once its time is over.
    """

    id: str
    kind: Kind
    merchant: str
    subject_id: str
    case_id: str | None
    detail: Detail
    reason: str
    proposed_by: str
    proposed_at: datetime
    lapses_at: datetime
    state: str
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None


@dataclass(frozen=True, slots=True)
class NewProposal:
    """A proposal to be made; as `Proposal`."""

    kind: Kind
    merchant: str
    subject_id: str
    detail: Detail
    reason: str
    proposed_by: str
    lapses_at: datetime
    case_id: str | None = None


def propose(connection: Connection, wanted: NewProposal, now: datetime, randomness: Randomness) -> Proposal:
    """Put a proposal before others.

    Raises:
        Conflict: the same was proposed already and is still open; names that proposal.
    """
    table = schema.proposals
    same = (table.c.subject_id == wanted.subject_id, table.c.kind == wanted.kind.value, table.c.restricted == 0)
    waiting = connection.execute(
        select(table.c.id).where(*same, table.c.state == "open", table.c.lapses_at > micros(now)).limit(1)
    ).scalar()
    if waiting is not None:
        raise Conflict(f"this is proposed already, by `{waiting}`; somebody else must agree")
    id_ = new_id("prop", now, randomness)
    detail = json.dumps(dict(wanted.detail), sort_keys=True)
    row = {
        "id": id_,
        "kind": wanted.kind.value,
        "merchant": wanted.merchant,
        "subject_id": wanted.subject_id,
        "case_id": wanted.case_id,
        "detail": detail,
        "reason": wanted.reason,
        "proposed_by": wanted.proposed_by,
        "proposed_at": micros(now),
        "lapses_at": micros(wanted.lapses_at),
        "state": "open",
        "restricted": 0,
    }
    connection.execute(table.insert().values(row))
    entry = {name: str(row[name]) for name in ("kind", "merchant")}
    made = {"proposal": id_, "subject": wanted.subject_id, "detail_digest": digest_apart(connection, id_, detail)}
    why = {"by": wanted.proposed_by, "reason_digest": digest_apart(connection, id_, wanted.reason)}
    append(connection, now, "proposal.made", {**entry, **made, **why, "lapses_at": micros(wanted.lapses_at)})
    return get(connection, id_, now)


def get(connection: Connection, proposal_id: str, now: datetime) -> Proposal:
    """Return one proposal.

    Raises:
        NotFound: there is none of that id.
    """
    table = schema.proposals
    found = connection.execute(select(table).where(table.c.id == proposal_id, table.c.restricted == 0)).mappings()
    row = found.one_or_none()
    if row is None:
        raise NotFound(f"there is no proposal `{proposal_id}`")
    return _proposal(row, now)


def listed(
    connection: Connection, now: datetime, *, merchant: str | None = None, open_only: bool = True, limit: int = 1_000
) -> Sequence[Proposal]:
    """Return proposals, the oldest first, at most `limit`; those that lapsed are not open."""
    table = schema.proposals
    query = select(table).where(table.c.restricted == 0).order_by(table.c.proposed_at, table.c.id).limit(limit)
    if open_only:
        query = query.where(table.c.state == "open", table.c.lapses_at > micros(now))
    if merchant is not None:
        query = query.where(table.c.merchant == merchant)
    return [_proposal(row, now) for row in connection.execute(query).mappings()]


def decide(connection: Connection, proposal: Proposal, state: str, by: str, reason: str, now: datetime) -> None:
    """Record what the second person said: `agreed` or `declined`.

    Raises:
        Conflict: somebody was faster, or it has lapsed.
    """
    table = schema.proposals
    changed = connection.execute(
        table.update()
        .where(table.c.id == proposal.id, table.c.state == "open", table.c.lapses_at > micros(now))
        .values(state=state, decided_by=by, decided_at=micros(now), decision_reason=reason)
    )
    if changed.rowcount != 1:
        state_now = get(connection, proposal.id, now).state
        raise Conflict(f"the proposal `{proposal.id}` is not open any more: it is `{state_now}`")
    entry = {"proposal": proposal.id, "by": by, "reason_digest": digest_apart(connection, proposal.id, reason)}
    append(connection, now, f"proposal.{state}", entry)


def _proposal(row: RowMapping, now: datetime) -> Proposal:
    values = {name: row[name] for name in Proposal.__slots__}
    for name in ("proposed_at", "lapses_at", "decided_at"):
        values[name] = None if row[name] is None else from_micros(row[name])
    lapsed = row["state"] == "open" and row["lapses_at"] <= micros(now)
    return Proposal(
        **{
            **values,
            "kind": Kind(row["kind"]),
            "detail": json.loads(row["detail"]),
            "state": "lapsed" if lapsed else row["state"],
        }
    )
