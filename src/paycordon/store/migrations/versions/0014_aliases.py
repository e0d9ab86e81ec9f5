"""What merchants are known by under keys that the coalition shares.

Revision ID: 0014_aliases
Revises: 0013_inquiries
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_aliases"
down_revision = "0013_inquiries"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No key was shared before."""
    op.create_table(
        "aliases",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("named_on", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "merchant", name=op.f("pk_aliases")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_aliases_merchant_named_on", "aliases", ["merchant", "named_on"])


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup that was made before the upgrade")
