"""Withdrawals: an indicator or a policy version that was wrong, and every decision that had used it.

A withdrawal begins in the transaction that withdraws or corrects the thing itself: the decisions are listed there and
then, so that the list is complete however soon the process ends. What becomes of their holds is judged afterwards
(`paycordon.review.withdrawal`), item by item, and each item is settled once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from paycordon.errors import NotFound
from paycordon.ids import Randomness, new_id
from paycordon.record.log import append, digest_of
from paycordon.store import uses
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

_PAGE = 5_000
# A screening that began under a set of policies ends within a minute; clocks of machines differ a little.
_LATE = timedelta(hours=1)


class Change(StrEnum):
    """Whether something counts no more, or counts otherwise."""

    WITHDRAWN = "withdrawn"
    CORRECTED = "corrected"


class How(StrEnum):
    """How a decision rests on what was withdrawn. The alphabet is the order in which items are judged.

    `late` is a decision that a process without the news recorded afterwards. `shared` rests on the block of another
    merchant that itself rests on what was withdrawn.
    """

    DIRECT = "direct"
    LATE = "late"
    SHARED = "shared"


class Verdict(StrEnum):
    """What is left of a hold, or of all holds of a decision, without what was withdrawn.

    `nothing`: none is in force. `supported`: a rule still asks for as much. `weaker`: rules ask for less than it does.
    `unclear`: the rules could not be judged. `unsupported`: no rule asks for anything that stops.
    """

    NOTHING = "nothing"
    SUPPORTED = "supported"
    WEAKER = "weaker"
    UNCLEAR = "unclear"
    UNSUPPORTED = "unsupported"

    @property
    def rank(self) -> int:
        """How much a person has to look at it, from 0."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One withdrawal; times are UTC.

    Attributes:
        kind: `indicator` or `policy`.
        key: which one: of an indicator its digest, source and reference as JSON, of a policy its digest.
        detail: what it was and what it is now.
        finished_at: when the last item was judged; none as long as some are not.
    """

    id: str
    kind: str
    key: str
    change: Change
    detail: Mapping[str, Any]
    reason: str
    withdrawn_by: str
    at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Item:
    """A decision that used what was withdrawn; `holds` is the verdict on each of its holds, once it was judged."""

    decision_id: str
    how: How
    merchant: str
    instance: str
    event_id: str
    event_type: str
    outcome: str
    decided_at: datetime
    active_holds: int
    verdict: Verdict | None
    holds: tuple[Mapping[str, Any], ...]


_insert = Prepared(
    text(
        "INSERT INTO withdrawals (id, kind, key, change, detail, reason, withdrawn_by, at, finished_at) "
        "VALUES (:id, :kind, :key, :change, :detail, :reason, :withdrawn_by, :at, :finished_at)"
    )
)
_list = Prepared(
    text(
        "INSERT INTO withdrawal_items (withdrawal_id, decision_id, how) SELECT :id, decision_id, :how FROM uses "
        "WHERE kind = :kind AND key = :key AND decision_id >= :since "
        "ON CONFLICT (withdrawal_id, decision_id) DO NOTHING"
    )
)
# Whom did the blocks that rest on this make suspicious? Their decisions found an identifier shared with one of them.
_spread = Prepared(
    text(
        "INSERT INTO withdrawal_items (withdrawal_id, decision_id, how) "
        "SELECT DISTINCT i.withdrawal_id, d.id, 'shared' FROM withdrawal_items i "
        "JOIN holds h ON h.decision_id = i.decision_id AND h.outcome = 'block' "
        "JOIN sightings s ON s.merchant = h.merchant "
        "JOIN uses u ON u.kind = 'shared' AND u.key = s.digest "
        "JOIN decisions d ON d.id = u.decision_id AND d.merchant <> h.merchant AND d.decided_at >= h.created_at "
        "WHERE i.withdrawal_id = :id ON CONFLICT (withdrawal_id, decision_id) DO NOTHING"
    )
)
_count = Prepared(text("SELECT COUNT(*) FROM withdrawal_items WHERE withdrawal_id = :id"))
_reopen = Prepared(text("UPDATE withdrawals SET finished_at = NULL WHERE id = :id"))
_finish = Prepared(
    text(
        "UPDATE withdrawals SET finished_at = :now WHERE id = :id AND finished_at IS NULL AND NOT EXISTS "
        "(SELECT 1 FROM withdrawal_items WHERE withdrawal_id = :id AND settled_at IS NULL)"
    )
)
_items = Prepared(
    text(
        "SELECT i.decision_id, i.how, d.merchant, d.instance, d.event_id, d.event_type, d.outcome, d.decided_at, "
        "(SELECT COUNT(*) FROM holds h WHERE h.decision_id = d.id AND h.released_at IS NULL), i.verdict, i.holds "
        "FROM withdrawal_items i JOIN decisions d ON d.id = i.decision_id "
        "WHERE i.withdrawal_id = :id AND i.decision_id > :after ORDER BY i.decision_id LIMIT :page"
    )
)
_COLUMNS = "SELECT id, kind, key, change, detail, reason, withdrawn_by, at, finished_at FROM withdrawals"
_all = Prepared(text(f"{_COLUMNS} ORDER BY at DESC, id DESC LIMIT :limit"))
_one = Prepared(text(f"{_COLUMNS} WHERE id = :id"))
_unfinished = Prepared(text(f"{_COLUMNS} WHERE finished_at IS NULL ORDER BY at, id LIMIT 1"))
_policies = Prepared(text(f"{_COLUMNS} WHERE kind = 'policy' ORDER BY at, id"))
_tally = Prepared(
    text(
        "SELECT COALESCE(verdict, 'to be judged'), COUNT(*) FROM withdrawal_items WHERE withdrawal_id = :id "
        "GROUP BY 1 ORDER BY 1"
    )
)


def begin(
    connection: Connection,
    kind: str,
    key: str,
    change: Change,
    *,
    by: str,
    reason: str,
    now: datetime,
    randomness: Randomness,
    detail: Mapping[str, Any] | None = None,
) -> Withdrawal | None:
    """List every decision that used something, to be judged again; none for a correction of what no decision used.

    Call it after the thing itself was changed, in the same transaction.
    """
    withdrawal = Withdrawal(new_id("wd", now, randomness), kind, key, change, dict(detail or {}), reason, by, now, None)
    _list(connection, {"id": withdrawal.id, "kind": kind, "key": key, "since": "", "how": How.DIRECT.value})
    while _spread(connection, {"id": withdrawal.id}).rowcount > 0:
        pass  # a block that rests on a shared identifier may have made others suspicious in turn
    found = count(connection, withdrawal.id)
    if change is Change.CORRECTED and not found:
        return None
    _insert(
        connection,
        {
            "id": withdrawal.id,
            "kind": kind,
            "key": key,
            "change": change.value,
            "detail": json.dumps(withdrawal.detail, sort_keys=True),
            "reason": reason,
            "withdrawn_by": by,
            "at": micros(now),
            "finished_at": None if found else micros(now),
        },
    )
    said = {"withdrawal": withdrawal.id, "kind": kind, "key": key, "change": change.value, "by": by, "found": found}
    append(connection, now, "withdrawal.begun", {**said, "reason_digest": digest_of(reason)})
    return withdrawal


def find_late(connection: Connection, now: datetime) -> int:
    """List decisions that rest on a withdrawn policy version and were recorded after it was withdrawn.

    A process that could not load the newer policies goes on judging by the older ones. Returns how many there were.
    """
    late = 0
    for row in _policies(connection).all():
        withdrawal = _withdrawal(row)
        since = f"dec_{int((withdrawal.at - _LATE).timestamp() * 1000):012x}"
        where = {"id": withdrawal.id, "kind": withdrawal.kind, "key": withdrawal.key, "since": since}
        found = _list(connection, {**where, "how": How.LATE.value}).rowcount
        if found > 0:
            late += found
            _reopen(connection, {"id": withdrawal.id})
            append(connection, now, "withdrawal.late", {"withdrawal": withdrawal.id, "found": found})
    return late


def finish(connection: Connection, withdrawal: Withdrawal, now: datetime) -> None:
    """Write down that all of a withdrawal was judged again; does nothing if it was, or if more has come."""
    if _finish(connection, {"id": withdrawal.id, "now": micros(now)}).rowcount == 1:
        append(
            connection, now, "withdrawal.finished", {"withdrawal": withdrawal.id, **tally(connection, withdrawal.id)}
        )


def count(connection: Connection, withdrawal_id: str) -> int:
    """Say how many decisions a withdrawal lists."""
    return int(_count(connection, {"id": withdrawal_id}).scalar())


def items(connection: Connection, withdrawal_id: str) -> Iterator[Item]:
    """Read the list, in the order of the decisions' ids, a page at a time."""
    after = ""
    while page := _items(connection, {"id": withdrawal_id, "after": after, "page": _PAGE}).all():
        for row in page:
            yield _item(row)
        after = page[-1][0]


def get(connection: Connection, withdrawal_id: str) -> Withdrawal:
    """Return one withdrawal.

    Raises:
        NotFound: there is none of that id.
    """
    row = _one(connection, {"id": withdrawal_id}).first()
    if row is None:
        raise NotFound(f"there is no withdrawal `{withdrawal_id}`; `paycordon withdrawal list` lists them")
    return _withdrawal(row)


def listed(connection: Connection, *, limit: int = 1_000) -> list[Withdrawal]:
    """Return withdrawals, the newest first, at most `limit`."""
    return [_withdrawal(row) for row in _all(connection, {"limit": limit}).all()]


def unfinished(connection: Connection) -> Withdrawal | None:
    """Return the oldest withdrawal with decisions that were not judged again yet."""
    row = _unfinished(connection).first()
    return None if row is None else _withdrawal(row)


def tally(connection: Connection, withdrawal_id: str) -> dict[str, int]:
    """Count a withdrawal's decisions by verdict."""
    return {str(verdict): int(number) for verdict, number in _tally(connection, {"id": withdrawal_id}).all()}


def withdrawn_policies(connection: Connection) -> frozenset[str]:
    """The digests of all policy versions that were withdrawn."""
    return frozenset(str(row[2]) for row in _policies(connection).all())


def judged_under(connection: Connection, policy_digest: str) -> int:
    """Count the decisions made while a policy version was in force, whether it said anything or not.

    A set is in force until the next one is taken, so at a change this may be off by what was screened within the
    seconds in which processes take the new set. Reads the log's policy entries.
    """
    from paycordon.store import policies

    history = policies.history(connection)
    total = 0
    for taken, following in zip(history, [*history[1:], None], strict=True):
        if policy_digest in {file.digest for file in policies.named(connection, taken.digest).files}:
            until = micros(following.at) if following else 2**62
            row = _between(connection, {"since": micros(taken.at), "until": until})
            total += int(row.scalar())
    return total


_between = Prepared(text("SELECT COUNT(*) FROM decisions WHERE decided_at >= :since AND decided_at < :until"))


def _withdrawal(row: tuple[Any, ...]) -> Withdrawal:
    id_, kind, key, change, detail, reason, by, at, finished = row
    ended = None if finished is None else from_micros(finished)
    return Withdrawal(id_, kind, key, Change(change), json.loads(detail), reason, by, from_micros(at), ended)


def _item(row: tuple[Any, ...]) -> Item:
    decision, how, merchant, instance, event, type_, outcome, at, active, verdict, holds = row
    return Item(
        decision_id=decision,
        how=How(how),
        merchant=merchant,
        instance=instance,
        event_id=event,
        event_type=type_,
        outcome=outcome,
        decided_at=from_micros(at),
        active_holds=int(active),
        verdict=None if verdict is None else Verdict(verdict),
        holds=tuple(json.loads(holds)) if holds else (),
    )


def describe(withdrawal: Withdrawal) -> str:
    """Name what was withdrawn, for people."""
    if withdrawal.kind == uses.INDICATOR:
        digest, source, reference = json.loads(withdrawal.key)
        return f"indicator `{reference}` of `{source}` ({digest})"
    return f"policy {withdrawal.detail.get('name', '')} {withdrawal.key[:12]}".replace("  ", " ")
