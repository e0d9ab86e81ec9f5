"""An index of what counts of each source, so that a part of a source is compared without reading all of it.

Revision ID: 0016_counting
Revises: 0015_confirmations
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016_counting"
down_revision = "0015_confirmations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing stored changes; a million indicators take some seconds."""
    op.create_index(
        "ix_indicators_counting",
        "indicators",
        ["source", "reference", "digest"],
        sqlite_where=sa.text("withdrawn_at IS NULL"),
        postgresql_where=sa.text("withdrawn_at IS NULL"),
        postgresql_ops={"reference": "text_pattern_ops"},
    )


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup that was made before the upgrade")
