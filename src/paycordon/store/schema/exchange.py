"""What this deployment tells others, and what waits to be told."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from paycordon.store.schema.base import metadata

# What a recipient was told, or is to be told, of one merchant. Nothing plain is here.
contributions = Table(
    "contributions",
    metadata,
    Column("id", String, primary_key=True),
    Column("recipient", String, nullable=False),  # its name in the configuration
    Column("merchant", String, nullable=False, index=True),  # empty where others' knowledge is passed on
    Column("kind", String, nullable=False),  # `termination`, `sighting` or `relay`
    Column("hold_id", String, index=True),  # what it rests on
    Column("case_id", String),
    Column("code", String),  # the reason, such as `match:13`
    Column("origin", String),  # whose word is passed on
    Column("digests", Text, nullable=False),  # JSON: kind, keyed digest and reference of each
    Column("state", String, nullable=False),
    Column("theirs", String),  # how the recipient calls it
    Column("doubtful", Integer, nullable=False),  # 1 where it may have been taken without our hearing so
    Column("appeal", String),  # the last objection that was told along, or is about to be
    Column("answered", Integer, nullable=False),  # 1 once its retraction was drafted or decided, after its ground went
    Column("drafted_by", String, nullable=False),
    Column("drafted_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger),  # when it ends at the recipient by itself
    Column("settled_at", BigInteger),  # when it was taken back, dropped or ended
    Index("ix_contributions_state", "state", "drafted_at"),
)

# Each message to a recipient, from its draft until it was taken. `body` has what is plain, and is empty from then on.
messages = Table(
    "exchange_messages",
    metadata,
    Column("id", String, primary_key=True),
    Column("contribution_id", String, index=True),  # none in feedback
    Column("recipient", String, nullable=False),
    Column("merchant", String, nullable=False, index=True),
    Column("verb", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("body", Text),  # JSON
    Column("about", Text),  # JSON: source, reference and worth, in feedback
    Column("independent", Text),  # how it is known otherwise than from the sources that say it too
    Column("unseen", Text),  # why identifiers are the merchant's that were never seen with it
    Column("reason", Text, nullable=False),
    Column("by_hand", Integer, nullable=False),  # 1 where people do it at the recipient themselves
    Column("asked_by", String, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("agreed_by", String),
    Column("agreed_at", BigInteger),
    Column("proposal_id", String),
    Column("state", String, nullable=False),  # `draft`, `waiting`, `taken`, `stuck` or `dropped`
    Column("failures", Integer, nullable=False),
    Column("last_error", Text),
    Column("due_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("lease_owner", String),
    Column("settled_at", BigInteger),
    Column("theirs", String),
    Column("already", Integer),
    Index("ix_exchange_messages_due", "state", "recipient", "due_at"),
)
