"""What people asked for at gateways beyond restrictions, and what became of it.

A row is written in one transaction with the log; a worker does it under a lease. The row's id is the idempotency key:
a worker that takes over asks for the same once more, and the adapter reads before it does anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from paycordon.errors import Conflict, NotFound
from paycordon.gateways import Performed
from paycordon.ids import Randomness, new_id
from paycordon.record.apart import digest_apart
from paycordon.record.log import append
from paycordon.store import schema
from paycordon.store.engine import Store
from paycordon.store.schema import from_micros, micros
from paycordon.store.snapshot import standing_alone

_table = schema.acts
_MAX_ERROR = 500


class ActState(StrEnum):
    """`waiting` for a worker, `done`, or `stuck` when a person must look."""

    WAITING = "waiting"
    DONE = "done"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class NewAct:
    """An act to be done.

    Attributes:
        instance, account: where.
        act: its name, as the adapter has it.
        parameters: as JSON text, checked against the adapter's type.
        reason: why; internal.
        asked_by, agreed_by: who wants it, and the second person where it takes two.
    """

    instance: str
    account: str
    act: str
    parameters: str
    reason: str
    asked_by: str
    agreed_by: str | None = None


@dataclass(frozen=True, slots=True)
class StoredAct:
    """An act as it is stored; times are UTC.

    Attributes:
        failures, last_error: how often it failed, and how the last time.
        reference, result: what the gateway made or changed, and its state as read back.
        already: whether it was found to be so, and nothing was sent.
    """

    id: str
    instance: str
    account: str
    merchant: str
    act: str
    parameters: Mapping[str, Any]
    reason: str
    asked_by: str
    agreed_by: str | None
    asked_at: datetime
    state: ActState
    failures: int
    last_error: str | None
    due_at: datetime
    settled_at: datetime | None
    reference: str | None
    result: str | None
    already: bool | None


def merchant_at(connection: Connection, instance: str, account: str) -> str:
    """Return whose an account is; one that was never seen stands for itself."""
    accounts = schema.accounts
    query = select(accounts.c.merchant).where(accounts.c.instance == instance, accounts.c.account == account)
    return connection.execute(query).scalar() or standing_alone(instance, account)


def ask(connection: Connection, wanted: NewAct, now: datetime, randomness: Randomness) -> StoredAct:
    """Let an act be done, and log who wants it.

    Raises:
        Conflict: the same was asked for and is not done yet; names that act.
    """
    same = (getattr(_table.c, name) == getattr(wanted, name) for name in ("instance", "account", "act", "parameters"))
    query = select(_table.c.id).where(*same, _table.c.state != ActState.DONE.value).limit(1)
    waiting = connection.execute(query).scalar()
    if waiting is not None:
        raise Conflict(f"the same was asked for already, as `{waiting}`, and is not done yet")
    id_ = new_id("act", now, randomness)
    row: dict[str, Any] = {name: getattr(wanted, name) for name in NewAct.__slots__}
    row |= {
        "id": id_,
        "merchant": merchant_at(connection, wanted.instance, wanted.account),
        "asked_at": micros(now),
        "state": ActState.WAITING.value,
        "failures": 0,
        "due_at": micros(now),
        "lease_until": 0,
    }
    connection.execute(_table.insert().values(row))
    named = {"asked": id_, **{name: row[name] for name in ("instance", "account", "merchant", "act")}}
    why = digest_apart(connection, id_, wanted.reason)
    people = {"by": wanted.asked_by, "agreed_by": wanted.agreed_by, "reason_digest": why}
    what = digest_apart(connection, id_, wanted.parameters)
    append(connection, now, "act.asked", {**named, "parameters_digest": what, **people})
    return get(connection, id_)


def get(connection: Connection, id_: str) -> StoredAct:
    """Return one act.

    Raises:
        NotFound: there is none of that id.
    """
    row = connection.execute(select(_table).where(_table.c.id == id_)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no act `{id_}`")
    return _stored(row)


def listed(connection: Connection, *, instance: str | None = None, open_only: bool = True) -> Sequence[StoredAct]:
    """Return acts, the oldest first, at most a thousand."""
    query = select(_table).order_by(_table.c.asked_at, _table.c.id).limit(1_000)
    if open_only:
        query = query.where(_table.c.state != ActState.DONE.value)
    if instance is not None:
        query = query.where(_table.c.instance == instance)
    return [_stored(row) for row in connection.execute(query).mappings()]


def claim(store: Store, instance: str, owner: str, now: datetime, lease: timedelta) -> StoredAct | None:
    """Take the oldest act that is due at an instance; no other worker gets it during the lease."""
    due = select(_table).where(
        _table.c.instance == instance,
        _table.c.state == ActState.WAITING.value,
        _table.c.due_at <= micros(now),
        _table.c.lease_until <= micros(now),
    )
    with store.read() as connection:
        if connection.execute(due.limit(1)).first() is None:
            return None
    with store.write() as connection:
        locked = due.order_by(_table.c.due_at, _table.c.id).limit(1).with_for_update(skip_locked=True)
        row = connection.execute(locked).mappings().one_or_none()
        if row is None:
            return None
        values = {"lease_owner": owner, "lease_until": micros(now + lease)}
        connection.execute(_table.update().where(_table.c.id == row["id"]).values(values))
        return _stored(row)


def done(connection: Connection, act: StoredAct, owner: str, performed: Performed, now: datetime) -> bool:
    """Record that an act is done, if the lease is still this worker's; returns whether it was."""
    values: dict[str, Any] = {
        "state": ActState.DONE.value,
        "settled_at": micros(now),
        "last_error": None,
        "reference": performed.reference,
        "result": performed.state[:_MAX_ERROR],
        "already": int(performed.already),
    }
    if not _settle(connection, act, owner, values):
        return False
    # Not called `state`: that may be told to everybody, and gateways say there why an account was rejected.
    shows: dict[str, str | int] = {
        "reference": performed.reference,
        "shows": performed.state[:_MAX_ERROR],
        "already": int(performed.already),
    }
    append(connection, now, "act.done", {**_named("done", act), **shows})
    return True


def failed(
    connection: Connection, act: StoredAct, owner: str, error: str, due_at: datetime, now: datetime, *, stuck: bool
) -> bool:
    """Record that an act is not done yet, if the lease is still this worker's; returns whether it was."""
    values: dict[str, Any] = {
        "state": (ActState.STUCK if stuck else ActState.WAITING).value,
        "failures": act.failures + 1,
        "last_error": error[:_MAX_ERROR],
        "due_at": micros(due_at),
    }
    if not _settle(connection, act, owner, values):
        return False
    if stuck:
        append(connection, now, "act.stuck", {**_named("stuck", act), "error": error.partition(":")[0]})
    return True


def requeue(connection: Connection, id_: str, *, by: str, reason: str, now: datetime) -> StoredAct:
    """Let a stuck act be tried again.

    Raises:
        NotFound: there is no such act.
        Conflict: it is not stuck.
    """
    values = {"state": ActState.WAITING.value, "failures": 0, "due_at": micros(now)}
    stuck = (_table.c.id == id_, _table.c.state == ActState.STUCK.value)
    if connection.execute(_table.update().where(*stuck).values(values)).rowcount != 1:
        raise Conflict(f"the act `{id_}` is not stuck: it is `{get(connection, id_).state}`")
    why = digest_apart(connection, id_, reason)
    append(connection, now, "act.retried", {"retried": id_, "by": by, "reason_digest": why})
    return get(connection, id_)


def _named(verb: str, act: StoredAct) -> dict[str, Any]:
    return {verb: act.id, "instance": act.instance, "account": act.account}


def _settle(connection: Connection, act: StoredAct, owner: str, values: Mapping[str, Any]) -> bool:
    mine = (_table.c.id == act.id, _table.c.state == ActState.WAITING.value, _table.c.lease_owner == owner)
    settled = _table.update().where(*mine).values({**values, "lease_owner": None, "lease_until": 0})
    return bool(connection.execute(settled).rowcount == 1)


def _stored(row: RowMapping) -> StoredAct:
    values = {name: row[name] for name in StoredAct.__slots__}
    for name in ("asked_at", "due_at", "settled_at"):
        values[name] = None if row[name] is None else from_micros(row[name])
    values |= {"parameters": json.loads(row["parameters"]), "state": ActState(row["state"])}
    return StoredAct(**{**values, "already": None if row["already"] is None else bool(row["already"])})
