"""Tips that others hand us.

Revision ID: 0010_referrals
Revises: 0009_known
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_referrals"
down_revision = "0009_known"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """None was taken in before."""
    op.create_table(
        "referrals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("salt", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("warn_at", sa.BigInteger(), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("kept_from", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_referrals")),
        sa.UniqueConstraint("source", "reference", name=op.f("uq_referrals_source_reference")),
    )
    op.create_index(op.f("ix_referrals_next_at"), "referrals", ["next_at"])
    op.create_table(
        "referral_steps",
        sa.Column("referral_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("salt", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("referral_id", "number", name=op.f("pk_referral_steps")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "referral_merchants",
        sa.Column("referral_id", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("referral_id", "merchant", name=op.f("pk_referral_merchants")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_referral_merchants_merchant", "referral_merchants", ["merchant"])


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup that was made before the upgrade")
