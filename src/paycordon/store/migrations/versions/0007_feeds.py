"""How each configured feed does.

Revision ID: 0007_feeds
Revises: 0006_indicators
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_feeds"
down_revision = "0006_indicators"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No feed was read before."""
    op.create_table(
        "feeds",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.Column("looked_at", sa.BigInteger(), nullable=True),
        sa.Column("good_at", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_feeds")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup that was made before the upgrade")
