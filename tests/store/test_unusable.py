"""A database that is locked, full or read-only is `StoreUnavailable`, and nothing is half-written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from paycordon.errors import StoreUnavailable
from paycordon.gateways import Message
from paycordon.store import Store
from paycordon.store.deliveries import DeliveryState, counts, store_messages
from paycordon.testing import NOON

SHORT = timedelta(milliseconds=50)
MESSAGES = [Message(f"m{n}", "t", {"filling": "x" * 900}) for n in range(400)]


@pytest.fixture
def impatient(sqlite_url: str) -> Iterator[Store]:
    store = Store.open(sqlite_url, patience=SHORT, migrate=False)
    yield store
    store.close()


def waiting(store: Store) -> int:
    return counts(store)[DeliveryState.WAITING]


def test_locked_sqlite_is_unavailable_and_writable_again_afterwards(impatient: Store, sqlite_url: str) -> None:
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store_messages(impatient, "acme", MESSAGES[:1], NOON)
    assert waiting(impatient) == 0  # readers go on
    other.execute("ROLLBACK")
    other.close()
    assert store_messages(impatient, "acme", MESSAGES[:1], NOON) == 1


def test_full_sqlite_stores_all_or_nothing(impatient: Store) -> None:
    with impatient.engine.connect() as connection:  # the pool hands out this one connection again
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages + 8}"))
    with pytest.raises(StoreUnavailable, match="full"):
        store_messages(impatient, "acme", MESSAGES, NOON)
    assert waiting(impatient) == 0
    assert store_messages(impatient, "acme", MESSAGES[:1], NOON) == 1


def test_read_only_sqlite_is_unavailable_for_writers_only(sqlite_url: str) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    store = Store.open(f"sqlite:///file:{path}?mode=ro&uri=true", patience=SHORT, migrate=False)
    with pytest.raises(StoreUnavailable, match="readonly"):
        store_messages(store, "acme", MESSAGES[:1], NOON)
    assert waiting(store) == 0
    store.close()


def test_file_that_is_no_database_is_unavailable(sqlite_url: str) -> None:
    with open(sqlite_url.removeprefix("sqlite:///"), "r+b") as file:  # noqa: PTH123  # opened to be spoilt
        file.write(b"something else, by mistake " * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        Store.open(sqlite_url)


def test_locked_postgresql_is_unavailable(postgres_url: str) -> None:
    holder = Store.open(postgres_url, migrate=False)
    impatient = Store.open(postgres_url, patience=SHORT, migrate=False)
    with holder.write() as connection:
        connection.execute(text("LOCK TABLE deliveries IN EXCLUSIVE MODE"))
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            store_messages(impatient, "acme", MESSAGES[:1], NOON)
    assert store_messages(impatient, "acme", MESSAGES[:1], NOON) == 1
    holder.close()
    impatient.close()


def test_read_only_postgresql_is_unavailable_for_writers_only(postgres_url: str) -> None:
    store = Store.open(f"{postgres_url}&options=", patience=SHORT, migrate=False)
    with store.write() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
    store.engine.dispose()
    with pytest.raises(StoreUnavailable, match="read-only"):
        store_messages(store, "acme", MESSAGES[:1], NOON)
    assert waiting(store) == 0
    store.close()


def test_postgresql_that_ends_the_connections_is_unavailable_and_comes_back(postgres_url: str) -> None:
    store = Store.open(postgres_url, migrate=False)
    killer = Store.open(postgres_url, migrate=False)
    with pytest.raises(StoreUnavailable), store.write() as connection:  # noqa: PT012  # lost half-way
        mine = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        connection.execute(text("INSERT INTO merchants (merchant, seq) VALUES ('m', 1)"))
        with killer.write() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
        connection.execute(text("SELECT 1"))
    with store.read() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM merchants")).scalar_one() == 0
    store.close()
    killer.close()


def test_unreachable_postgresql_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        Store.open("postgresql://nobody@127.0.0.1:1/nothing", patience=SHORT)
