"""Indicators that very many merchants share, and what people say of them.

Revision ID: 0015_confirmations
Revises: 0014_aliases
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015_confirmations"
down_revision = "0014_aliases"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of those that very many share already, people are told when the next merchant meets them."""
    op.create_table(
        "confirmations",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.Column("confirmed", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_confirmations")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup that was made before the upgrade")
