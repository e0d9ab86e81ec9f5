"""What was asked of lists of terminated merchants; nothing plain of the question or of the answer."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from paycordon.store.schema.base import metadata

# `asked` is JSON: by what of the merchant, the digests that were asked about. `matches` is JSON: of each listing its
# name, reason and date, who listed it, and which of those digests matched how. `said` is JSON: digest and reference of
# each indicator that was made of it and that no later answer took back. `state` is `asking` until an answer is stored,
# then `answered` or `later` until its indicators are taken in, then `done`.
inquiries = Table(
    "inquiries",
    metadata,
    Column("id", String, primary_key=True),
    Column("service", String, nullable=False),
    Column("merchant", String, nullable=False),
    Column("reference", String),
    Column("asked_at", BigInteger, nullable=False),
    Column("asked_by", String, nullable=False),
    Column("answered_at", BigInteger),
    Column("watched_until", BigInteger, nullable=False),
    Column("heard_at", BigInteger),
    Column("asked", Text, nullable=False),
    Column("matches", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("said", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("why", Text),
    Index("ix_inquiries_merchant", "merchant", "answered_at"),
    Index("ix_inquiries_service", "service", "state"),
)
