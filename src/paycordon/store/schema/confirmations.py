"""Indicators that very many merchants share, and what people say of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table

from paycordon.store.schema.base import metadata

# One row an identifier that more merchants share than name somebody, once people were told. `confirmed` is 1 while it
# names somebody all the same, because two people say so; `changed_at` is when people last said so or took it back.
confirmations = Table(
    "confirmations",
    metadata,
    Column("digest", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("told_at", BigInteger),
    Column("confirmed", Integer, nullable=False),
    Column("changed_at", BigInteger),
    sqlite_with_rowid=False,
)
