"""What this deployment tells others.

Revision ID: 0011_exchange
Revises: 0010_referrals
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_exchange"
down_revision = "0010_referrals"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody was told anything before."""
    op.create_table(
        "contributions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("hold_id", sa.String(), nullable=True),
        sa.Column("case_id", sa.String(), nullable=True),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("origin", sa.String(), nullable=True),
        sa.Column("digests", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("theirs", sa.String(), nullable=True),
        sa.Column("doubtful", sa.Integer(), nullable=False),
        sa.Column("appeal", sa.String(), nullable=True),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("drafted_by", sa.String(), nullable=False),
        sa.Column("drafted_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contributions")),
    )
    op.create_index(op.f("ix_contributions_hold_id"), "contributions", ["hold_id"])
    op.create_index(op.f("ix_contributions_merchant"), "contributions", ["merchant"])
    op.create_index("ix_contributions_state", "contributions", ["state", "drafted_at"])
    op.create_table(
        "exchange_messages",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("contribution_id", sa.String(), nullable=True),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("about", sa.Text(), nullable=True),
        sa.Column("independent", sa.Text(), nullable=True),
        sa.Column("unseen", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by_hand", sa.Integer(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("agreed_by", sa.String(), nullable=True),
        sa.Column("agreed_at", sa.BigInteger(), nullable=True),
        sa.Column("proposal_id", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("theirs", sa.String(), nullable=True),
        sa.Column("already", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange_messages")),
    )
    op.create_index(op.f("ix_exchange_messages_contribution_id"), "exchange_messages", ["contribution_id"])
    op.create_index("ix_exchange_messages_due", "exchange_messages", ["state", "recipient", "due_at"])
    op.create_index(op.f("ix_exchange_messages_merchant"), "exchange_messages", ["merchant"])


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup that was made before the upgrade")
