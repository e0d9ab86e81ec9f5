"""What weighs more from some day on, so that merchants are screened for it on that day.

Revision ID: 0017_turns
Revises: 0016_counting
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0017_turns"
down_revision = "0016_counting"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What was stated before this, and begins later, is noted too."""
    op.create_table(
        "turns",
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("at", "digest", name=op.f("pk_turns")),
        sqlite_with_rowid=False,
    )
    for day, which in (("valid_from", "status <> 'refuted'"), ("valid_until", "status = 'refuted'")):
        later = sa.text(
            f"INSERT INTO turns (at, digest) SELECT DISTINCT {day}, digest FROM indicators "  # noqa: S608
            f"WHERE withdrawn_at IS NULL AND {which} AND {day} > :now"
        )
        op.execute(later.bindparams(now=int(datetime.now(UTC).timestamp() * 1_000_000)))


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup that was made before the upgrade")
