"""By what a merchant is known: identifiers that events about itself or its payouts carried, and when they last did.

Revision ID: 0009_known
Revises: 0008_sums
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_known"
down_revision = "0008_sums"
branch_labels = None
depends_on = None

# What only payments or disputes carried may be a payer's. Where no facts are left of it, it was the merchant's for all
# that is known. Days since 1970.
_NAMED_ON = """
UPDATE sightings SET named_on = last_seen / 86400000000 WHERE NOT (
  EXISTS (SELECT 1 FROM facts f WHERE f.key = 'identifier.' || sightings.kind || ':' || sightings.digest
    AND f.merchant = sightings.merchant AND (f.type LIKE 'payment.%' OR f.type LIKE 'dispute.%'))
  AND NOT EXISTS (SELECT 1 FROM facts f WHERE f.key = 'identifier.' || sightings.kind || ':' || sightings.digest
    AND f.merchant = sightings.merchant AND (f.type LIKE 'merchant.%' OR f.type LIKE 'payout.%'))
)
"""


def upgrade() -> None:
    """A merchant is known at once by what it was seen with; by the domains in it from the next event on."""
    op.add_column("sightings", sa.Column("named_on", sa.Integer(), nullable=True))
    op.execute(sa.text(_NAMED_ON))
    op.create_index(
        "ix_sightings_merchant_named_on",
        "sightings",
        ["merchant", "named_on"],
        sqlite_where=sa.text("named_on IS NOT NULL"),
        postgresql_where=sa.text("named_on IS NOT NULL"),
    )


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup that was made before the upgrade")
