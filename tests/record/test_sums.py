"""An indicator that is added, changed or deleted by hand is noticed: the log says what they add up to."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, inspect, text

from paycordon.coalition.indicators import Changes, Indicator, Withdrawn
from paycordon.record.verify import verify
from paycordon.store import Store, indicators, migrate
from paycordon.store.feeding import apply_changes
from paycordon.store.sums import COLUMNS, Sum

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BY = indicators.Correction("ana", "synthetic")
ROW = {"source": "ngo", "d": f"k1:{99:064x}"}
COPY = (
    f"INSERT INTO indicators ({', '.join(COLUMNS)}) SELECT :d, {', '.join(COLUMNS[1:])} FROM indicators "
    "WHERE source = :source ORDER BY digest LIMIT 1"
)


def item(number: int, source: str = "ngo", **fields: object) -> Indicator:
    said = Indicator("email", f"k1:{number:064x}", source, f"case-{number}", 90, "allegation")
    return replace(said, **fields)  # type: ignore[arg-type]


def problems(store: Store) -> list[str]:
    return [str(each) for each in verify(store).problems]


def by_hand(store: Store, statement: str) -> None:
    with store.write() as connection:
        assert connection.execute(text(statement), {k: v for k, v in ROW.items() if f":{k}" in statement}).rowcount > 0


@pytest.fixture
def known(store: Store) -> Store:
    return filled(store)


@pytest.fixture
def known_here(sqlite_store: Store) -> Store:
    return filled(sqlite_store)


def filled(store: Store) -> Store:
    """Indicators of two sources, some of which were corrected, withdrawn, said again or added by hand."""
    at = iter(NOW + timedelta(minutes=n) for n in range(20))
    apply_changes(store, Changes("ngo", [item(n) for n in range(9)], checkpoint="1"), next(at))
    gone = [Withdrawn(item(3).digest, "case-3"), Withdrawn("k1:none", "unheard of")]
    apply_changes(store, Changes("ngo", [item(0), item(1, confidence=3)], gone, checkpoint="2"), next(at))
    apply_changes(store, Changes("ngo", [item(n) for n in range(1, 6)], complete=True, checkpoint="3"), next(at))
    with store.write() as connection:
        added = [item(1, "own"), item(2, "own"), item(7), item(2, "own", confidence=5)]
        indicators.add_each(connection, added, next(at))
        indicators.withdraw_each(connection, [item(1).digest], "own", "case-1", next(at), correction=BY)
    return store


def test_what_is_taken_in_and_added_adds_up(known: Store) -> None:
    assert problems(known) == []


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (COPY, "10 rows, one of which was added or deleted by hand: entry 6 left 9 rows"),
        (
            "DELETE FROM indicators WHERE source = 'ngo' AND reference = 'case-2'",
            "8 rows, one of which was added or deleted by hand: entry 6 left 9 rows",
        ),
        *(
            (f"UPDATE indicators SET {change} WHERE source = 'ngo' AND reference = 'case-2'", "9 rows, one of")
            for change in (
                "confidence = 1", "withdrawn_at = 7", "digest = 'k1:other'", "valid_until = 7", "changed_by = 'eve'",
                "licence = 'free'", "reshare = 1", "source = 'ngo', changed_at = 7",
            )
        ),
        ("UPDATE indicators SET withdrawn_at = NULL WHERE reference = 'case-8'", "9 rows, one of which was changed"),
    ],
)  # fmt: skip
def test_a_row_that_is_touched_by_hand_is_noticed(known_here: Store, statement: str, what: str) -> None:
    by_hand(known_here, statement)
    (found,) = problems(known_here)
    assert found.startswith(f"indicators of `ngo`: {what}")


def test_what_is_touched_stays_noticed_when_more_comes(known: Store) -> None:
    by_hand(known, COPY)
    apply_changes(known, Changes("ngo", [item(30)], checkpoint="4"), NOW + timedelta(days=1))
    (found,) = problems(known)
    assert "added or deleted by hand" in found


def test_who_makes_the_stored_sum_fit_breaks_the_chain_of_sums(known: Store) -> None:
    def fit(connection: Connection) -> None:
        columns = ", ".join(COLUMNS)
        whole = Sum()
        for row in connection.execute(text(f"SELECT {columns} FROM indicators WHERE source = 'ngo'")):
            whole.put(tuple(row))
        made = text("UPDATE indicator_sums SET rows = :rows, sum = :sum WHERE source = 'ngo'")
        connection.execute(made, {"rows": whole.rows, "sum": whole.stored})

    by_hand(known, COPY)
    with known.write() as connection:
        fit(connection)
    (found,) = problems(known)
    assert "one of which was added" in found
    done = apply_changes(known, Changes("ngo", [item(30)], checkpoint="4"), NOW + timedelta(days=1))
    assert problems(known) == [f"indicators of `ngo`: the stored sum was changed before entry {done.position}"]


def test_a_source_that_only_somebodys_hand_knows_is_noticed(store: Store, known: Store) -> None:
    by_hand(store, COPY.replace("SELECT :d, source", "SELECT :d, 'x'"))
    (found,) = problems(store)
    assert (
        found == "indicators of `x`: 1 rows, one of which was added or deleted by hand: no entry of the log names any"
    )


def test_what_sqlite_alone_can_hold_is_noticed(sqlite_store: Store) -> None:
    apply_changes(sqlite_store, Changes("ngo", [item(1)], checkpoint="1"), NOW)
    by_hand(sqlite_store, "UPDATE indicators SET licence = x'00'")
    (found,) = problems(sqlite_store)
    assert "changed by hand" in found


def take_back(connection: Connection, revision: str) -> None:
    """Leave of a schema what an older revision has: its tables with their columns and indices."""
    scratch = create_engine("sqlite://")
    with scratch.begin() as empty:
        config = Config()
        config.set_main_option("script_location", str(migrate.SCRIPTS))
        config.attributes["connection"] = empty
        command.upgrade(config, revision)
        before = {name: columns_of(empty, name) for name in inspect(empty).get_table_names()}
        indices = {each["name"] for name in before for each in inspect(empty).get_indexes(name)}
    scratch.dispose()
    shape = inspect(connection)
    for table in shape.get_table_names():
        if table not in before:
            connection.execute(text(f"DROP TABLE {table}"))
            continue
        newer = columns_of(connection, table) - before[table]
        for index in shape.get_indexes(table):
            name = str(index["name"])
            if newer.intersection(index["column_names"]) or (name.startswith("ix_") and name not in indices):
                connection.execute(text(f"DROP INDEX {name}"))
        for column in newer:
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))


def columns_of(connection: Connection, table: str) -> set[str]:
    return {each["name"] for each in inspect(connection).get_columns(table)}


def test_what_was_there_before_there_were_sums_is_added_up_when_the_store_is_upgraded(
    store: Store, store_url: str, known: Store
) -> None:
    with store.write() as connection:
        take_back(connection, "0007_feeds")
        connection.execute(text("UPDATE alembic_version SET version_num = '0007_feeds'"))
        # As an older version wrote them, the entries say nothing of sums; that breaks the chain of entries here.
        connection.execute(text("UPDATE log SET payload = '{}'"))
    store.close()
    upgraded = Store.open(store_url)
    try:
        assert not [each for each in problems(upgraded) if each.startswith("indicators")]
        by_hand(upgraded, COPY)
        assert [each for each in problems(upgraded) if each.startswith("indicators of `ngo`: 10 rows")]
        with upgraded.read() as connection:
            assert migrate.current(connection) == migrate.NEWEST
    finally:
        upgraded.close()


def test_the_order_is_all_one_and_what_is_taken_out_leaves_nothing() -> None:
    rows = [(f"k1:{n}", "ngo", str(n), *(None,) * 14) for n in range(50)]
    one, other = Sum(), Sum()
    for row in rows:
        one.put(row)
    for row in random.Random(1).sample(rows, 50):
        other.put(row)
    assert (one.rows, one.digest) == (other.rows, other.digest)
    assert one.digest != Sum().digest
    for row in rows:
        one.take(row)
    assert (one.rows, one.digest) == (0, Sum().digest)
    assert len(one.stored) == 512
