"""The tables. Times are integers: microseconds since 1970-01-01 UTC, the same on every database.

`alembic` revisions in `store/migrations` create exactly this; a test compares the two.
"""

from paycordon.store.schema.base import from_micros, metadata, micros
from paycordon.store.schema.enforcement import clocks, former_accounts, gateway_health, holds, restrictions
from paycordon.store.schema.record import (
    checkpoints,
    erasures,
    list_items,
    log,
    policy_files,
    policy_sets,
    restricted_log,
    withdrawal_items,
    withdrawals,
    withheld,
)
from paycordon.store.schema.review import (
    case_events,
    cases,
    covert,
    cursors,
    directives,
    notices,
    notifications,
    proposals,
    snoozes,
)
from paycordon.store.schema.screening import (
    accounts,
    decisions,
    deliveries,
    events,
    facts,
    hours,
    indicators,
    merchants,
    sightings,
    uses,
    volumes,
)

__all__ = [
    "accounts",
    "case_events",
    "cases",
    "checkpoints",
    "clocks",
    "covert",
    "cursors",
    "decisions",
    "deliveries",
    "directives",
    "erasures",
    "events",
    "facts",
    "former_accounts",
    "from_micros",
    "gateway_health",
    "holds",
    "hours",
    "indicators",
    "list_items",
    "log",
    "merchants",
    "metadata",
    "micros",
    "notices",
    "notifications",
    "policy_files",
    "policy_sets",
    "proposals",
    "restricted_log",
    "restrictions",
    "sightings",
    "snoozes",
    "uses",
    "volumes",
    "withdrawal_items",
    "withdrawals",
    "withheld",
]
