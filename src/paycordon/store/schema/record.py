"""The log, and the policies and lists that were in force."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table, Text

from paycordon.store.schema.base import Serial, metadata

log = Table(
    "log",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    Column("payload", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("statement", Text, nullable=False),
    Column("key_id", String, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

# A chain of its own, so that the length of the log says nothing about directives.
restricted_log = Table(
    "restricted_log",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    Column("payload", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

# What was erased: the digests stay, so that the log can still be verified.
erasures = Table(
    "erasures",
    metadata,
    Column("kind", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("digest", String, nullable=False),
    Column("erased_at", BigInteger, nullable=False),
    Column("erased_by", String, nullable=False),
    Column("basis", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What an authority's instruction obliges to keep although it was erased for everybody else.
withheld = Table(
    "withheld",
    metadata,
    Column("kind", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("merchant", String, nullable=False, index=True),
    Column("salt", String),
    Column("body", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

# Salts of what people wrote, by the digest that the log names it by; `subject` is the record that has the text.
salts = Table(
    "salts",
    metadata,
    Column("digest", String, primary_key=True),
    Column("subject", String, nullable=False, index=True),
    Column("salt", String, nullable=False),
    sqlite_with_rowid=False,
)

# Indicators and policy versions that were withdrawn or corrected, and the decisions that had used them.
withdrawals = Table(
    "withdrawals",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),  # `indicator` or `policy`
    Column("key", String, nullable=False),
    Column("change", String, nullable=False),  # `withdrawn` or `corrected`
    Column("detail", Text, nullable=False),  # JSON: what it was and what it is
    Column("reason", Text, nullable=False),
    Column("withdrawn_by", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("finished_at", BigInteger, index=True),
    Index("ix_withdrawals_key", "kind", "key"),
)

withdrawal_items = Table(
    "withdrawal_items",
    metadata,
    Column("withdrawal_id", String, primary_key=True),
    Column("decision_id", String, primary_key=True),
    Column("how", String, nullable=False),  # `direct`, `shared` (through a blocked merchant) or `late`
    Column("verdict", String),
    Column("holds", Text),  # JSON: the verdict on each hold
    Column("settled_at", BigInteger),
    Index("ix_withdrawal_items_open", "withdrawal_id", "settled_at", "how", "decision_id"),
    sqlite_with_rowid=False,
)

# Every policy set that was ever in force, and the files it consisted of.
policy_sets = Table(
    "policy_sets",
    metadata,
    Column("digest", String, primary_key=True),
    Column("taken_at", BigInteger, nullable=False),
    Column("manifest", Text, nullable=False),
)

policy_files = Table(
    "policy_files",
    metadata,
    Column("digest", String, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

# Items of the lists that policies name and people keep in the store.
list_items = Table(
    "list_items",
    metadata,
    Column("list", String, primary_key=True),
    Column("value", String, primary_key=True),
    Column("added_at", BigInteger, primary_key=True, autoincrement=False),
    Column("added_by", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("removed_at", BigInteger),
    Column("removed_by", String),
)
