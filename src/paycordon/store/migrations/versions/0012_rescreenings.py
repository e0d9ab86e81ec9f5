"""Merchants that are to be screened because of what the coalition newly says.

Revision ID: 0012_rescreenings
Revises: 0011_exchange
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_rescreenings"
down_revision = "0011_exchange"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What was said before is met at each merchant's next event."""
    op.create_table(
        "rescreenings",
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_rescreenings")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_rescreenings_due_at", "rescreenings", ["due_at"])


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup that was made before the upgrade")
