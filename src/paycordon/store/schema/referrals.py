"""Tips that others hand us. Only the role `restricted` sees them; what is done with them is in `restricted_log`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, UniqueConstraint

from paycordon.store.schema.base import metadata

# `body` is what the tip says, as JSON, with digests in place of identifiers. The salts go before the bodies into the
# log's digests, and with them when they are erased. Deadlines are here and not in `clocks`, whose numbers everybody
# sees: a gap between them would tell. `told` is 0 until a deadline was warned of, then 1, and 2 once it has passed.
referrals = Table(
    "referrals",
    metadata,
    Column("id", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("reference", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("salt", String, nullable=False),
    Column("state", String, nullable=False),
    Column("steps", Integer, nullable=False),  # how many there are: who changes it has seen the last one
    Column("due_at", BigInteger),
    Column("warn_at", BigInteger),
    Column("next_at", BigInteger, index=True),
    Column("told", Integer, nullable=False),
    Column("ended_at", BigInteger),
    Column("kept_from", BigInteger),  # the end of what an authority asked for; documents are kept from then on
    UniqueConstraint("source", "reference"),
)

# What was done with each, in order.
referral_steps = Table(
    "referral_steps",
    metadata,
    Column("referral_id", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    Column("salt", String, nullable=False),
    sqlite_with_rowid=False,
)

# The facilitator's own merchants that a tip names.
referral_merchants = Table(
    "referral_merchants",
    metadata,
    Column("referral_id", String, primary_key=True),
    Column("merchant", String, primary_key=True),
    Index("ix_referral_merchants_merchant", "merchant"),
    sqlite_with_rowid=False,
)
