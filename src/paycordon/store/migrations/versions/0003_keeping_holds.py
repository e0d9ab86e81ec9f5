"""What holds need to be kept: scopes, clocks, cases with states, proposals, snoozes, directives, notices, messages."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the new tables, and say of old holds and cases what new ones say."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL statement_timeout = 0")  # a large store takes as long as it takes
    _create_tables()
    _change_holds()
    _change_cases()
    _create_withdrawals()
    _fill_uses()


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup made before the upgrade")


def _create_tables() -> None:
    op.create_table(
        "appeals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("case_id", sa.String(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeals")),
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "clocks",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("subject_kind", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("warn_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("restricted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clocks")),
    )
    op.create_index(op.f("ix_clocks_next_at"), "clocks", ["next_at"])
    op.create_index("ix_clocks_subject", "clocks", ["subject_id", "kind"])

    op.create_table(
        "gateway_health",
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("failed", sa.Text(), nullable=False),
        sa.Column("rests", sa.Integer(), nullable=False),
        sa.Column("rests_until", sa.BigInteger(), nullable=False),
        sa.Column("probe_until", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("instance", name=op.f("pk_gateway_health")),
    )

    op.create_table(
        "covert",
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("directive_id", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("noted", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("settled", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_covert")),
    )
    op.create_index(op.f("ix_covert_directive_id"), "covert", ["directive_id"])
    op.create_index(op.f("ix_covert_noted"), "covert", ["noted"])

    op.create_table(
        "directives",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("agency", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.String(), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_directives")),
    )
    op.create_index(op.f("ix_directives_merchant"), "directives", ["merchant"])

    op.create_table(
        "erasures",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=False),
        sa.Column("erased_by", sa.String(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", name=op.f("pk_erasures")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("sent_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    op.create_index(op.f("ix_notices_merchant"), "notices", ["merchant"])

    op.create_table(
        "notifications",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
    )
    op.create_index("ix_notifications_due", "notifications", ["state", "due_at"])

    op.create_table(
        "proposals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("case_id", sa.String(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("lapses_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decision_reason", sa.Text(), nullable=True),
        sa.Column("restricted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
    )
    op.create_index("ix_proposals_state", "proposals", ["state", "proposed_at"])
    op.create_index("ix_proposals_subject", "proposals", ["subject_id", "state"])

    op.create_table(
        "restricted_log",
        sa.Column("seq", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_restricted_log")),
    )
    op.create_table(
        "snoozes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.String(), nullable=False),
        sa.Column("agreed_by", sa.String(), nullable=True),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snoozes")),
    )
    op.create_index(op.f("ix_snoozes_merchant"), "snoozes", ["merchant"])

    op.create_table(
        "uses",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", "decision_id", name=op.f("pk_uses")),
        sqlite_with_rowid=False,
    )


def _change_holds() -> None:
    for name in ("source", "scope", "currency", "placed_by"):
        op.add_column("holds", sa.Column(name, sa.String(), nullable=True))
    op.add_column("holds", sa.Column("amount", sa.BigInteger(), nullable=True))
    op.add_column("holds", sa.Column("internal_reason", sa.Text(), nullable=True))
    op.add_column("holds", sa.Column("two_people", sa.Integer(), nullable=True))
    # A hold that rests on what the coalition knows is released by two people, and so is one placed before that was so.
    op.execute(
        "UPDATE holds SET source = 'decision', scope = CASE WHEN outcome = 'block' THEN 'charges' ELSE 'payouts' END, "
        "two_people = CASE WHEN decision_id IN (SELECT id FROM decisions WHERE body LIKE '%\"indicator.match\"%') "
        "THEN 1 ELSE 0 END"
    )
    with op.batch_alter_table("holds") as table:
        table.alter_column("decision_id", existing_type=sa.String(), nullable=True)
        for name in ("source", "scope"):
            table.alter_column(name, existing_type=sa.String(), nullable=False)
        table.alter_column("two_people", existing_type=sa.Integer(), nullable=False)
    op.add_column("holds", sa.Column("clocked", sa.Integer(), server_default="0", nullable=False))
    op.create_index(op.f("ix_holds_clocked"), "holds", ["clocked"])
    op.add_column("restrictions", sa.Column("drift", sa.Text(), nullable=True))


def _change_cases() -> None:
    op.add_column("case_events", sa.Column("detail", sa.Text(), nullable=True))
    for name in ("state", "assignee", "closed_by", "resolution"):
        op.add_column("cases", sa.Column(name, sa.String(), nullable=True))
    for name in ("priority", "restricted"):
        op.add_column("cases", sa.Column(name, sa.Integer(), nullable=True))
    op.execute(
        "UPDATE cases SET state = CASE WHEN closed_at IS NULL THEN 'open' ELSE 'closed' END, "
        "priority = 2, restricted = 0"
    )
    with op.batch_alter_table("cases") as table:
        table.alter_column("state", existing_type=sa.String(), nullable=False)
        for name in ("priority", "restricted"):
            table.alter_column(name, existing_type=sa.Integer(), nullable=False)
    op.add_column("cases", sa.Column("clocked", sa.Integer(), server_default="0", nullable=False))
    op.create_index(op.f("ix_cases_clocked"), "cases", ["clocked"])
    op.create_index("ix_cases_state", "cases", ["state", "priority", "opened_at"])
    _merge_open_cases()
    where = sa.text("closed_at IS NULL AND restricted = 0")
    op.create_index("uq_cases_open", "cases", ["merchant"], unique=True, sqlite_where=where, postgresql_where=where)


def _merge_open_cases() -> None:
    """Make one of several open cases of a merchant, which transactions at the same time could open until now."""
    first = (
        "SELECT MIN(o.id) FROM cases o WHERE o.closed_at IS NULL "
        "AND o.merchant = (SELECT c.merchant FROM cases c WHERE c.id = case_events.case_id)"
    )
    op.execute(
        f"UPDATE case_events SET case_id = ({first}) "  # noqa: S608 - a constant
        "WHERE case_id IN (SELECT id FROM cases WHERE closed_at IS NULL)"
    )
    op.execute(
        "DELETE FROM cases WHERE closed_at IS NULL AND id NOT IN "
        "(SELECT MIN(id) FROM cases WHERE closed_at IS NULL GROUP BY merchant)"
    )


def _create_withdrawals() -> None:
    for table in ("events", "decisions"):
        op.add_column(table, sa.Column("salt", sa.String(), nullable=True))
    op.create_table(
        "withheld",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("salt", sa.String(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", name=op.f("pk_withheld")),
    )
    op.create_index(op.f("ix_withheld_merchant"), "withheld", ["merchant"])
    op.create_table(
        "withdrawals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("change", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("withdrawn_by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_withdrawals")),
    )
    op.create_index(op.f("ix_withdrawals_finished_at"), "withdrawals", ["finished_at"])
    op.create_index("ix_withdrawals_key", "withdrawals", ["kind", "key"])
    op.create_table(
        "withdrawal_items",
        sa.Column("withdrawal_id", sa.String(), nullable=False),
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("how", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("holds", sa.Text(), nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("withdrawal_id", "decision_id", name=op.f("pk_withdrawal_items")),
        sqlite_with_rowid=False,
    )
    columns = ["withdrawal_id", "settled_at", "how", "decision_id"]
    op.create_index("ix_withdrawal_items_open", "withdrawal_items", columns)


def _fill_uses() -> None:
    """Say of decisions made before what new ones say: which indicators and policies they rest on."""
    connection = op.get_bind()
    page = sa.text("SELECT id, body FROM decisions WHERE id > :last ORDER BY id LIMIT 1000")
    insert = sa.text("INSERT INTO uses (kind, key, decision_id) VALUES (:kind, :key, :decision_id)")
    last = ""
    while rows := connection.execute(page, {"last": last}).all():
        last = rows[-1][0]
        uses = [{"kind": kind, "key": key, "decision_id": id_} for id_, body in rows for kind, key in _uses(body)]
        if uses:
            connection.execute(insert, uses)


def _uses(body: str) -> set[tuple[str, str]]:
    """As `paycordon.store.uses` has it when this revision was written; a body that cannot be read has none."""
    try:
        decision = json.loads(body)
        digests = {ref["name"]: ref["digest"] for ref in decision["policies"]}
        matched = {m["policy"] for m in decision["matches"] if m["outcome"] != "allow"}
        found = {("policy", digests[name]) for name in matched if name in digests}
        for finding in decision["findings"]:
            said = finding["evidence"]
            named = [said.get(name) for name in ("digest", "source", "reference")]
            if all(isinstance(each, str) for each in named):
                found.add(("indicator", json.dumps(named, ensure_ascii=False, separators=(",", ":"))))
            elif finding["code"] == "identifier.shared_with_blocked" and isinstance(named[0], str):
                found.add(("shared", named[0]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
    return found
