"""Holds: one reason each why something is restricted, from decision to release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, and_, or_, select, text

from paycordon.decisions import Decision, Outcome, RuleMatch, Scope
from paycordon.errors import ApprovalRequired, Conflict, NotFound
from paycordon.events import Event, Stage
from paycordon.ids import Randomness, new_id
from paycordon.people import Forbidden, same_name
from paycordon.policy.guarded import COALITION_CODES
from paycordon.record.apart import digest_apart
from paycordon.record.log import Payload, append
from paycordon.store import cases, clocks, schema
from paycordon.store.hits import padded, with_list
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros
from paycordon.store.wanted import want_reconciled


class Source(StrEnum):
    """Who placed a hold: a decision, a person, or an authority's order."""

    DECISION = "decision"
    PERSON = "person"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as it is stored; times are UTC, `subject` is what it falls on.

    Attributes:
        amount: what it holds, in minor units of `currency`; none where that is not known.
        two_people: whether a release takes two people.
    """

    id: str
    decision_id: str | None
    merchant: str
    instance: str
    account: str
    subject_kind: str
    subject_id: str
    outcome: Outcome
    rule: str
    merchant_reason: str
    created_at: datetime
    released_at: datetime | None
    released_by: str | None
    release_reason: str | None
    source: Source
    scope: Scope
    amount: int | None
    currency: str | None
    placed_by: str | None
    internal_reason: str | None
    two_people: bool

    @property
    def active(self) -> bool:
        """Whether it still restricts anything."""
        return self.released_at is None


@dataclass(frozen=True, slots=True)
class NewHold:
    """A hold to be placed; as `Hold`."""

    merchant: str
    instance: str
    account: str
    subject_kind: str
    subject_id: str
    outcome: Outcome
    scope: Scope
    rule: str
    merchant_reason: str
    source: Source
    decision_id: str | None = None
    amount: int | None = None
    currency: str | None = None
    placed_by: str | None = None
    internal_reason: str | None = None
    two_people: bool = False


_insert = Prepared(
    text(
        "INSERT INTO holds (id, decision_id, merchant, instance, account, subject_kind, subject_id, outcome, rule, "
        "merchant_reason, created_at, source, scope, amount, currency, placed_by, internal_reason, two_people) "
        "VALUES (:id, :decision_id, :merchant, :instance, :account, :subject_kind, :subject_id, :outcome, :rule, "
        ":merchant_reason, :created_at, :source, :scope, :amount, :currency, :placed_by, :internal_reason, "
        ":two_people)"
    )
)
_STANDS_FOR = (
    "SELECT 1 FROM holds h WHERE h.merchant = :merchant AND h.released_at IS NULL AND h.rule = :rule "
    "AND h.outcome = :outcome AND h.scope = :scope AND (SELECT COUNT(*) FROM uses u WHERE u.kind = 'indicator' "
    "AND u.key IN ({digests}) AND u.decision_id = h.decision_id) = :many"
)


def rests_on_coalition(decision: Decision) -> bool:
    """Tell whether the coalition's knowledge is among what was found: releasing its holds takes two people."""
    return any(finding.code in COALITION_CODES for finding in decision.findings)


def of_match(decision: Decision, match: RuleMatch, event: Event) -> NewHold:
    """Say which hold a decision's rule asks for about its event."""
    amount = event.amount if event.stage in (Stage.PAYOUT, Stage.DISPUTE) else None
    return NewHold(
        merchant=decision.merchant,
        instance=decision.instance,
        account=decision.subject.account,
        subject_kind=decision.subject.kind.value,
        subject_id=decision.subject.id,
        outcome=match.outcome,
        scope=_scope(match, event),
        rule=f"{match.policy}/{match.rule}",
        merchant_reason=match.merchant_reason,
        source=Source.DECISION,
        decision_id=decision.id,
        amount=amount.minor if amount else None,
        currency=amount.currency if amount else None,
        two_people=rests_on_coalition(decision),
    )


def _scope(match: RuleMatch, event: Event) -> Scope:
    scope = match.scope or Scope.usual(match.outcome)
    # What is under way at the gateway already, nobody waits to be allowed to send: only all payouts can be held there.
    waits = event.payout is not None and event.payout.id is None
    return Scope.PAYOUTS if scope is Scope.PAYOUT and not waits else scope


def stands_for(connection: Connection, hold: NewHold, indicators: Sequence[str]) -> bool:
    """Tell whether a hold like this one, of the same rule and on the same indicators, is in force and covers it.

    Args:
        connection: the transaction that would place it.
        hold: what would be placed.
        indicators: the keys of all the indicators that it rests on (`store.uses.indicator_key`).
    """
    if hold.scope is Scope.PAYOUT:
        return False  # it holds its own payout only
    listed = padded(indicators)
    where = {"merchant": hold.merchant, "rule": hold.rule, "outcome": hold.outcome.value, "scope": hold.scope.value}
    found = with_list(_STANDS_FOR, len(listed))(connection, {**where, **listed, "many": len(indicators)})
    return found.first() is not None


def place(connection: Connection, hold: NewHold, now: datetime, randomness: Randomness) -> str:
    """Place a hold and ask the workers to make the gateways agree; returns its id."""
    id_ = new_id("hold", now, randomness)
    values = {field: getattr(hold, field) for field in NewHold.__slots__}
    enums = {name: values[name].value for name in ("outcome", "scope", "source")}
    _insert(connection, {**values, **enums, "two_people": int(hold.two_people), "id": id_, "created_at": micros(now)})
    want_reconciled(connection, hold.merchant, hold.instance, hold.account, now)
    return id_


def subject_of(connection: Connection, merchant: str | None, account: str | None) -> tuple[str, str, str, str, str]:
    """Find what a person wants to hold: a merchant, or one account written as `instance/account`.

    Returns:
        Its merchant, instance and account (both empty for a merchant), kind and id.

    Raises:
        NotFound: nothing was ever seen of it.
    """
    table = schema.accounts
    if account is None:
        known = select(schema.merchants.c.merchant).where(schema.merchants.c.merchant == merchant)
        if merchant is None or connection.execute(known).first() is None:
            raise NotFound(f"no event of merchant `{merchant}` was seen")
        return merchant, "", "", "merchant", merchant
    instance, _, id_ = account.partition("/")
    linked = select(table.c.merchant).where(table.c.instance == instance, table.c.account == id_)
    owner = connection.execute(linked).scalar()
    if owner is None:
        raise NotFound(f"no event of account `{account}` was seen; name it as `INSTANCE/ACCOUNT`")
    return owner, instance, id_, "account", id_


def place_by_hand(connection: Connection, wanted: NewHold, now: datetime, randomness: Randomness) -> Hold:
    """Place a hold that no decision asks for, put it before people, and log what it says and who placed it.

    `placed_by` and `internal_reason` must be there: who wants it and why.
    """
    if wanted.placed_by is None or wanted.internal_reason is None:
        raise ValueError("a hold by hand needs `placed_by` and `internal_reason`")
    hold = place(connection, wanted, now, randomness)
    urgency = cases.priority_of(wanted.outcome, on_coalition=False)
    case = cases.open_for(connection, wanted.merchant, now, randomness, priority=urgency)
    cases.add_event(connection, case, now, "hold", actor=wanted.placed_by, note=f"{hold}: {wanted.internal_reason}")
    placed = get(connection, hold)
    why = digest_apart(connection, hold, wanted.internal_reason)
    append(connection, now, "hold.placed", {**said_of(placed), "reason_digest": why})
    return placed


def said_of(hold: Hold) -> Payload:
    """Return what the log says of a hold that no decision asked for, but for the digest of its reason."""
    fields = ("merchant", "instance", "account", "subject_kind", "subject_id", "outcome", "scope", "rule", "source")
    return {
        "placed": hold.id,
        **{name: str(getattr(hold, name)) for name in fields},
        "merchant_reason": hold.merchant_reason,
        "amount": hold.amount,
        "currency": hold.currency,
        "by": hold.placed_by,
        "two_people": int(hold.two_people),
    }


def get(connection: Connection, hold_id: str) -> Hold:
    """Return one hold.

    Raises:
        NotFound: there is none of that id.
    """
    row = connection.execute(select(schema.holds).where(schema.holds.c.id == hold_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no hold `{hold_id}`")
    return _hold(dict(row))


def of_decisions(connection: Connection, decision_ids: Sequence[str]) -> Sequence[Hold]:
    """Return all holds that these decisions placed, released or not."""
    query = select(schema.holds).where(schema.holds.c.decision_id.in_(decision_ids)).order_by(schema.holds.c.id)
    return [_hold(dict(row)) for row in connection.execute(query).mappings()]


def listed(
    connection: Connection, *, merchant: str | None = None, active_only: bool = True, limit: int = 1_000
) -> Sequence[Hold]:
    """Return holds, the oldest first, at most `limit`."""
    query = select(schema.holds).order_by(schema.holds.c.created_at, schema.holds.c.id).limit(limit)
    if active_only:
        query = query.where(schema.holds.c.released_at.is_(None))
    if merchant is not None:
        query = query.where(schema.holds.c.merchant == merchant)
    return [_hold(dict(row)) for row in connection.execute(query).mappings()]


def release(
    connection: Connection,
    hold_id: str,
    *,
    by: str,
    reason: str,
    now: datetime,
    agreed_by: str | None = None,
    by_order: bool = False,
) -> Hold:
    """Release a hold: the workers then make the gateways agree with what still holds.

    The merchant's case is closed when no hold is left on it.

    Args:
        connection: a transaction for writing.
        hold_id: the hold.
        by: who releases it.
        reason: why.
        now: the time, UTC.
        agreed_by: the second person, where a release takes two.
        by_order: whether the role `restricted` releases it, which alone releases what an order holds.

    Raises:
        NotFound: there is no such hold.
        Conflict: it was released before.
        Forbidden: it is an order's.
        ApprovalRequired: it takes a second, different person, who has not agreed.
    """
    hold = get(connection, hold_id)
    if hold.active and hold.source is Source.ORDER and not by_order:
        raise Forbidden(f"`{hold_id}` is held by an order; its release takes the role `restricted`")
    if hold.active and not by_order and hold.two_people and (agreed_by is None or same_name(by, agreed_by)):
        raise ApprovalRequired(f"the release of `{hold_id}` takes two people; a second, different one must agree")
    table = schema.holds
    changed = connection.execute(
        table.update()
        .where(table.c.id == hold_id, table.c.released_at.is_(None))
        .values(released_at=micros(now), released_by=by, release_reason=reason)
    )
    if changed.rowcount != 1:
        raise Conflict(f"the hold `{hold_id}` was released before")
    clocks.stop(connection, hold_id, now)
    want_reconciled(connection, hold.merchant, hold.instance, hold.account, now)
    _note_release(connection, hold, by, reason, now)
    second = {} if agreed_by is None else {"agreed_by": agreed_by}
    entry: Payload = {"hold": hold_id, "by": by, "reason_digest": digest_apart(connection, hold_id, reason), **second}
    entry = {**entry, "two_people": int(hold.two_people)}
    append(connection, now, "hold.released", entry)
    return get(connection, hold_id)


def _note_release(connection: Connection, hold: Hold, by: str, reason: str, now: datetime) -> None:
    table = schema.cases
    open_ones = connection.execute(
        select(table.c.id).where(
            table.c.merchant == hold.merchant, table.c.closed_at.is_(None), table.c.restricted == 0
        )
    ).scalars()
    still_held = _any_left(connection, hold)
    for case in list(open_ones):
        cases.add_event(connection, case, now, "release", decision_id=hold.decision_id, actor=by, note=reason)
        if not still_held:
            closed = {"closed_at": micros(now), "closed_by": by, "resolution": "release", "state": "closed"}
            connection.execute(table.update().where(table.c.id == case).values(closed))
            clocks.stop(connection, case, now)


def _any_left(connection: Connection, hold: Hold) -> bool:
    table = schema.holds
    of_account = and_(table.c.instance == hold.instance, table.c.account == hold.account)
    left = select(table.c.id).where(table.c.released_at.is_(None), or_(table.c.merchant == hold.merchant, of_account))
    return connection.execute(left.limit(1)).first() is not None


def _hold(row: dict[str, object]) -> Hold:
    for name in ("created_at", "released_at"):
        value = row[name]
        row[name] = from_micros(value) if isinstance(value, int) else None
    row["outcome"], row["source"] = Outcome(str(row["outcome"])), Source(str(row["source"]))
    del row["clocked"]
    row["scope"], row["two_people"] = Scope(str(row["scope"])), bool(row["two_people"])
    return Hold(**row)  # type: ignore[arg-type]  # the columns of the table are the fields of the class
