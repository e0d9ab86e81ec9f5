"""Indicators with category, handling and age; batches, matches and checkpoints of their sources.

Revision ID: 0006_indicators
Revises: 0005_salts
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_indicators"
down_revision = "0005_salts"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """What is stored keeps what its source said; nobody said that it may be passed on, so it may not."""
    for name, default in (("category", ""), ("tlp", "amber+strict"), ("licence", "")):
        op.add_column("indicators", sa.Column(name, sa.String(), nullable=False, server_default=default))
    op.add_column("indicators", sa.Column("reshare", sa.Integer(), nullable=False, server_default="0"))
    for name in ("first_seen", "last_seen", "changed_at"):
        op.add_column("indicators", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("indicators", sa.Column("half_life", sa.Integer(), nullable=True))
    op.add_column("indicators", sa.Column("changed_by", sa.String(), nullable=True))

    op.create_table(
        "indicator_batches",
        sa.Column("position", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("keys", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_indicator_batches")),
    )
    op.create_table(
        "indicator_matches",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "merchant", name=op.f("pk_indicator_matches")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "indicator_sources",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_indicator_sources")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "indicator_waiting",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("withdrawn", sa.Integer(), nullable=False),
        sa.Column("matches", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_indicator_waiting")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup that was made before the upgrade")
