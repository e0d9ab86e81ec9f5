"""What of a log entry may be told to others, and what to those only who may know rules and reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from paycordon.decisions import Decision, Outcome
from paycordon.store import schema

Facts = Mapping[str, str | int | None]

_TOLD = ("hold.", "case.", "proposal.", "clock.", "snooze.", "withdrawal.", "act.", "feed.")
_TOLD_EXACTLY = frozenset(
    {"decision", "indicator.common", "restriction.applied", "restriction.stuck", "restriction.drift"}
)
# What a merchant could be told as well; everything else that an entry says is for insiders.
_NEUTRAL = (
    "account",
    "case",
    "clock",
    "decision",
    "due_at",
    "event",
    "hold",
    "instance",
    "outcome",
    "proposal",
    "restriction",
    "scope",
    "snooze",
    "state",
    "withdrawal",
)
_HIDDEN = ("digest", "holds", "merchant", "seq")


@dataclass(frozen=True, slots=True)
class Told:
    """A message: its id, type and merchant (empty where there is none), and the two parts of what it says."""

    id: str
    type: str
    merchant: str
    facts: Facts
    internal: Facts


def told_of(connection: Connection, seq: int, kind: str, said: Mapping[str, Any]) -> Iterator[Told]:
    """Return the messages that an entry of the log makes; none of an `allow`, or of what nobody else needs to know."""
    if kind == "decision":
        yield from _of_decision(connection, seq, said)
    elif kind in _TOLD_EXACTLY or kind.startswith(_TOLD):
        yield _told(connection, f"msg_{seq}", kind, said)


def _of_decision(connection: Connection, seq: int, said: Mapping[str, Any]) -> Iterator[Told]:
    if said["outcome"] == Outcome.ALLOW.value:
        return
    table = schema.decisions
    body = connection.execute(select(table.c.body).where(table.c.id == said["decision"])).scalar()
    more = {"merchant_reason": "", "rule": ""}
    if body:  # it may have been erased meanwhile
        decision = Decision.model_validate_json(body)
        more = {"merchant_reason": decision.merchant_reason, "rule": decision.rule}
    yield _told(connection, f"msg_{seq}", "decision.made", {**said, **more})
    for number, hold in enumerate(said.get("holds", ()), start=1):
        placed = {"hold": hold, "decision": said["decision"]}
        yield _told(connection, f"msg_{seq}_{number}", "hold.placed", placed)


def _told(connection: Connection, id_: str, type_: str, said: Mapping[str, Any]) -> Told:
    if "placed" in said:  # by hand: the log calls it so, to tell it from a release
        said = {**said, "hold": said["placed"]}
    about = {**_of_subject(connection, said), **said}
    plain = {k: v for k, v in about.items() if isinstance(v, str | int) and not k.endswith(_HIDDEN)}
    facts = {name: value for name, value in plain.items() if name in (*_NEUTRAL, "merchant_reason")}
    internal = {name: value for name, value in plain.items() if name not in facts}
    return Told(id_, type_, str(about.get("merchant", "")), facts, internal)


def _of_subject(connection: Connection, said: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the store knows of the hold, the case or the account that an entry names by its id alone."""
    if "hold" in said:
        holds = schema.holds
        columns = (holds.c.merchant, holds.c.instance, holds.c.account, holds.c.outcome, holds.c.scope)
        more = (holds.c.merchant_reason, holds.c.rule)
        query: Any = select(*columns, *more).where(holds.c.id == said["hold"])
    elif "case" in said:
        query = select(schema.cases.c.merchant).where(schema.cases.c.id == said["case"])
    elif "account" in said:
        accounts = schema.accounts
        where = (accounts.c.instance == said.get("instance"), accounts.c.account == said["account"])
        query = select(accounts.c.merchant).where(*where)
    else:
        return {}
    row = connection.execute(query).mappings().one_or_none()
    return {} if row is None else {str(name): value for name, value in row.items()}
