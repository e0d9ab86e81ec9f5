"""How much each capped binding did within the last hour, counted by the minute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from paycordon.decisions import Outcome
from paycordon.policy.limiter import PERIOD, Usage, summed
from paycordon.store.prepared import Prepared
from paycordon.store.schema import micros

_MINUTE = timedelta(minutes=1) // timedelta(microseconds=1)
_KEPT = timedelta(days=1) // timedelta(minutes=1)

_count = Prepared(
    text(
        "INSERT INTO volumes (binding, minute, screened, held, blocked) "
        "VALUES (:binding, :minute, 1, :held, :blocked) ON CONFLICT (binding, minute) DO UPDATE SET "
        "screened = volumes.screened + 1, held = volumes.held + excluded.held, "
        "blocked = volumes.blocked + excluded.blocked"
    )
)
_usage = Prepared(
    text("SELECT binding, screened, held, blocked FROM volumes WHERE binding = :binding AND minute > :since")
)
_forget = Prepared(text("DELETE FROM volumes WHERE binding = :binding AND minute < :before"))


@dataclass(frozen=True, slots=True)
class Counted:
    """One decision under one capped binding, and what the binding made of it."""

    binding: str
    outcome: Outcome


def usage(connection: Connection, bindings: Iterable[str], now: datetime) -> Mapping[str, Usage]:
    """Say what bindings did within the hour that ends with the current minute."""
    since = (micros(now) - PERIOD // timedelta(microseconds=1)) // _MINUTE
    rows = [row for each in bindings for row in _usage(connection, {"binding": each, "since": since})]
    return summed((binding, screened, held, blocked) for binding, screened, held, blocked in rows)


def count(connection: Connection, decided: Iterable[Counted], now: datetime) -> None:
    """Count a decision, in its transaction; call it after everything else, as its rows are shared by all merchants."""
    minute = micros(now) // _MINUTE
    for each in sorted(decided, key=lambda counted: counted.binding):
        held, blocked = each.outcome is Outcome.HOLD, each.outcome is Outcome.BLOCK
        _count(connection, {"binding": each.binding, "minute": minute, "held": int(held), "blocked": int(blocked)})
        if minute % 60 == 0:
            _forget(connection, {"binding": each.binding, "before": minute - _KEPT})
