"""Reminders that wait to be told to the role `restricted`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from paycordon.store.schema.base import metadata

# Apart from `notifications`, whose numbers everybody sees: a gap between them would tell. What a reminder is about is
# not here, and goes nowhere; a row goes once it is told.
reminders = Table(
    "reminders",
    metadata,
    Column("id", String, primary_key=True),
    Column("stage", String, nullable=False),  # `near`, `passed` or `open`
    Column("at", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("last_error", Text),
    Column("due_at", BigInteger, nullable=False, index=True),
    Column("lease_until", BigInteger, nullable=False),
    Column("lease_owner", String),
    sqlite_with_rowid=False,
)
