"""Compare whom accounts belong to with the events that said so: it decides which accounts a hold reaches."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, text

from paycordon.events import Event
from paycordon.record.problems import Problems

# The newest event of each account links it; of erased events the account is not known any more.
_differing = text(
    "SELECT e.instance, e.account, e.merchant, e.seen, e.body, a.merchant AS linked FROM events e "
    "JOIN (SELECT MAX(position) AS position FROM events WHERE body <> '' GROUP BY instance, account) newest "
    "ON newest.position = e.position "
    "LEFT JOIN accounts a ON a.instance = e.instance AND a.account = e.account "
    "WHERE a.merchant IS NULL OR a.merchant <> e.merchant ORDER BY e.instance, e.account"
)
_explained = text(
    # By an event that the newest one did not know of when it was judged, or by one that was erased since.
    "SELECT 1 FROM events WHERE merchant = :linked "
    "AND (body = '' OR (instance = :instance AND account = :account AND position > :seen)) LIMIT 1"
)


def check_links(connection: Connection, problems: Problems) -> None:
    """Find accounts that are linked to another merchant than their newest event says, or to none."""
    for row in connection.execute(_differing).all():
        if row.linked is None:
            if _is_at_gateway(row.body):
                _add(problems, "missing", row, f"is linked to nobody, but belongs to `{row.merchant}`")
        elif connection.execute(_explained, dict(row._mapping)).first() is None:
            _add(problems, "changed", row, f"is linked to `{row.linked}`, but belongs to `{row.merchant}`")


def _is_at_gateway(body: str) -> bool:
    try:
        return Event.model_validate_json(body).account.at_gateway
    except ValidationError:  # somebody has changed it, which is named elsewhere
        return False


def _add(problems: Problems, what: str, row: Any, sentence: str) -> None:
    problems.add(what, f"account `{row.account}` at `{row.instance}`: {sentence}", record=row.account)
