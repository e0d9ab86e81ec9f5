"""Salts of what people wrote, so that the digests in the log tell nothing once it is erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_salts"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; what was written before stays named by digests without salt."""
    op.create_table(
        "salts",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("salt", sa.String(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_salts_subject", "salts", ["subject"])


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup made before the upgrade")
