"""Write what aggregates read, in the transaction of the event it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, text

from paycordon.aggregates.definition import IDENTIFIER, By
from paycordon.aggregates.facts import Facts
from paycordon.store.prepared import Prepared

HOUR = 3_600_000_000
_LOW = 0xFFFFFFFF

COLUMNS = (
    "key",
    "type",
    "occurred_at",
    "position",
    "merchant",
    "account",
    "amount",
    "currency",
    "payer",
    "destination",
    "method",
    "status",
    "reason",
    "payer_country",
    "country",
    "mcc",
    "payer_hour",
    "payer_weekday",
)
_FACTS_COLUMNS = tuple(name for name in COLUMNS if name not in ("key", "position"))
_fact = Prepared(
    text(f"INSERT INTO facts ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{name}' for name in COLUMNS)})")  # noqa: S608
)
_hour = Prepared(
    text(
        "INSERT INTO hours (merchant, type, hour, account, currency, events, low, high, smallest, largest) "
        "VALUES (:merchant, :type, :hour, :account, :currency, 1, :low, :high, :amount, :amount) "
        "ON CONFLICT (merchant, type, hour, account, currency) DO UPDATE SET events = hours.events + 1, "
        "low = hours.low + excluded.low, high = hours.high + excluded.high, "
        "smallest = CASE WHEN excluded.smallest < hours.smallest THEN excluded.smallest ELSE hours.smallest END, "
        "largest = CASE WHEN excluded.largest > hours.largest THEN excluded.largest ELSE hours.largest END"
    )
)


def key_by(facts: Facts, by: str) -> str | None:
    """Name the history that an aggregate by `by` looks at for an event; none if the event does not say whose.

    An account's events stand in its merchant's history.
    """
    if by.startswith(IDENTIFIER):
        value = facts.identifier(by.removeprefix(IDENTIFIER))
    elif by in (By.MERCHANT, By.ACCOUNT):
        by, value = By.MERCHANT, facts.merchant
    else:
        value = facts.payer if by == By.PAYER else facts.destination
    return None if value is None else f"{by}:{value}"


def keys_of(facts: Facts) -> Iterator[str]:
    """Name the histories that an event belongs to."""
    for by in (By.MERCHANT, By.PAYER, By.DESTINATION):
        if (key := key_by(facts, by)) is not None:
            yield key
    for kind, digest in facts.identifiers:
        yield f"{IDENTIFIER}{kind}:{digest}"


def rows_of(facts: Facts, position: int) -> list[dict[str, Any]]:
    """The rows of the table `facts` for an event."""
    shared = {name: getattr(facts, name) for name in _FACTS_COLUMNS} | {"position": position}
    return [{**shared, "key": key} for key in keys_of(facts)]


def add_to_hours(connection: Connection, facts: Facts) -> None:
    """Count an event in its hour."""
    amount = facts.amount
    row = {
        "merchant": facts.merchant,
        "type": facts.type,
        "hour": facts.occurred_at // HOUR,
        "account": facts.account,
        "currency": facts.currency or "",
        "low": 0 if amount is None else amount & _LOW,
        "high": 0 if amount is None else amount >> 32,
        "amount": amount,
    }
    _hour(connection, row)


def add_facts(connection: Connection, facts: Facts, position: int) -> None:
    """Write an event's rows of the table `facts`."""
    _fact.many(connection, rows_of(facts, position))
