"""What the indicators of each source add up to, and who was told that a feed does not do well.

Revision ID: 0008_sums
Revises: 0007_feeds
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0008_sums"
down_revision = "0007_feeds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add up what is there; from here on the log says what each change leads to."""
    op.create_table(
        "indicator_sums",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("sum", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_indicator_sums")),
        sqlite_with_rowid=False,
    )
    op.add_column("feeds", sa.Column("told", sa.String(), nullable=True))
    _add_up(op.get_bind())


def _add_up(connection: sa.Connection) -> None:
    from paycordon.record.log import append
    from paycordon.store.sums import COLUMNS, Sum, move

    sums: dict[str, Sum] = {}
    query = sa.text(f"SELECT {', '.join(COLUMNS)} FROM indicators")  # noqa: S608  # names of columns
    for row in connection.execute(query, execution_options={"stream_results": True}):
        sums.setdefault(row.source, Sum()).put(tuple(row))
    for source, found in sorted(sums.items()):
        said = {key: value for key, value in move(connection, source, found).items() if key != "sum_before"}
        append(connection, datetime.now(UTC), "indicators.summed", {"source": source, **said})


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup that was made before the upgrade")
