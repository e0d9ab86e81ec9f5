"""Merchants that are to be screened because of what the coalition newly says, and what it says from some day on."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from paycordon.store.schema.base import metadata

# One row a merchant, gone once it was screened. `position` is the log's entry that says what is new, `at` its time.
rescreenings = Table(
    "rescreenings",
    metadata,
    Column("merchant", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Index("ix_rescreenings_due_at", "due_at"),
    sqlite_with_rowid=False,
)

# Digests of indicators that will weigh more than now, and when; gone once that time has come and was acted on.
turns = Table(
    "turns",
    metadata,
    Column("at", BigInteger, primary_key=True),
    Column("digest", String, primary_key=True),
    sqlite_with_rowid=False,
)
