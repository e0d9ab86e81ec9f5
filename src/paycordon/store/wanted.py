"""Ask the workers to make gateways agree with the holds."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

from paycordon.store.prepared import Prepared
from paycordon.store.schema import micros

_restrict = Prepared(
    text(
        "INSERT INTO restrictions (instance, account, merchant, desired, generation, attempt, state, applied, "
        "failures, due_at, lease_until) "
        "SELECT instance, account, merchant, 'none', 0, 0, 'pending', 'none', 0, :now, 0 "
        "FROM accounts WHERE merchant = :merchant OR (instance = :instance AND account = :account) "
        "ORDER BY instance, account "  # locked in one order, so that no two transactions wait for each other
        "ON CONFLICT (instance, account) DO UPDATE SET state = 'pending', failures = 0, due_at = excluded.due_at, "
        "generation = restrictions.generation + 1, merchant = excluded.merchant"
    )
)

_relink = Prepared(
    text(
        "UPDATE restrictions SET merchant = :merchant, state = 'pending', failures = 0, due_at = :now, "
        "generation = generation + 1 WHERE instance = :instance AND account = :account"
    )
)
_reclock = Prepared(
    text(
        "UPDATE clocks SET merchant = :merchant WHERE subject_id = :subject AND subject_kind = 'restriction' "
        "AND ended_at IS NULL"
    )
)


def want_reconciled(connection: Connection, merchant: str, instance: str, account: str, now: datetime) -> None:
    """Ask the workers to look at every account of a merchant, and at this one."""
    where = {"merchant": merchant, "instance": instance, "account": account}
    _restrict(connection, {**where, "now": micros(now)})


def relinked(connection: Connection, merchant: str, instance: str, account: str, now: datetime) -> None:
    """Say that an account belongs to another merchant, and have workers look at it if it was ever restricted."""
    _relink(connection, {"merchant": merchant, "instance": instance, "account": account, "now": micros(now)})
    _reclock(connection, {"merchant": merchant, "subject": f"{instance}/{account}"})
