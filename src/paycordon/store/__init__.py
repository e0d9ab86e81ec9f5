"""Everything durable: SQLite embedded or PostgreSQL, one schema, one transaction for all that belongs together."""

from paycordon.store.engine import Store

__all__ = ["Store"]
