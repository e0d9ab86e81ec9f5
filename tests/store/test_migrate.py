"""The migrations make exactly the schema, once, and refuse what is newer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, make_url, text

from paycordon.errors import ConfigError, StoreUnavailable
from paycordon.events import Event
from paycordon.record.verify import verify
from paycordon.screening import Cordon
from paycordon.store import Store, cases
from paycordon.store.migrate import NEWEST, SCRIPTS, current
from paycordon.store.schema import metadata
from paycordon.testing import NOON, make_event


def test_migrated_schema_is_the_declared_one(empty_url: str) -> None:
    store = Store.open(empty_url)
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert current(connection) == NEWEST
    store.close()


def test_tables_without_rowid_are_made_so(sqlite_store: Store) -> None:
    declared = {t.name for t in metadata.tables.values() if t.dialect_options["sqlite"]["with_rowid"] is False}
    with sqlite_store.read() as connection:
        made = connection.execute(text("SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%'")).scalars()
        assert set(made) == declared != set()


def test_second_open_changes_nothing(store: Store, store_url: str) -> None:
    with store.write() as connection:
        connection.execute(text("INSERT INTO merchants (merchant, seq) VALUES ('m', 7)"))
    Store.open(store_url).close()
    with store.read() as connection:
        assert connection.execute(text("SELECT seq FROM merchants")).scalar_one() == 7
        assert current(connection) == NEWEST


def test_store_of_a_newer_version_is_refused(store: Store, store_url: str) -> None:
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer version"):
        Store.open(store_url)


def test_several_processes_may_open_an_empty_store_at_once(empty_url: str) -> None:
    errors: list[Exception] = []

    def open_it() -> None:
        try:
            Store.open(empty_url).close()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    store = Store.open(empty_url, migrate=False)
    with store.read() as connection:
        assert current(connection) == NEWEST
    store.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "cannot be read"),
        ("mysql://localhost/x", "`mysql` is not supported"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
    ],
)
def test_wrong_url_stops_the_start(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Store.open(url)


def test_place_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        Store.open(f"sqlite:///{tmp_path / 'missing' / 'store.db'}")


def test_the_newest_revision_is_the_one_that_ships() -> None:
    assert ScriptDirectory(str(SCRIPTS)).get_current_head() == NEWEST


def history() -> Iterator[Event]:
    """Some of everything, a few events late, one amount at the edge of what fits."""
    for number in range(40):
        yield make_event(
            ("payout.requested", "payment.succeeded", "merchant.changed", "dispute.opened")[number % 4],
            id=f"evt_{number}",
            occurred_at=NOON + timedelta(minutes=number * 7 - (100 if number % 9 == 0 else 0)),
            merchant={"id": f"m_{number % 3}", "country": "NL", "mcc": "5999"},
            account={"id": f"acct_{number % 3}"},
        )
    yield make_event("payout.requested", id="huge", payout={"amount": {"minor": -(2**63), "currency": "EUR"}})


@pytest.fixture
def first_schema(empty_url: str) -> Iterator[Engine]:
    """A database as the first version of this package made it, without any rows."""
    engine = create_engine(
        make_url(empty_url).set(drivername="postgresql+psycopg") if "postgres" in empty_url else empty_url
    )
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    yield engine
    engine.dispose()


@pytest.fixture
def unsalted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record as the first version did, whose digests had no salts."""
    monkeypatch.setattr("paycordon.store.ledger.new_salt", lambda randomness: None)


def put_back(store: Store, old: Engine) -> None:
    """Copy what a store of today holds into a database of the first schema."""
    same = ("merchants", "accounts", "sightings", "cases", "case_events", "log")
    with store.read() as source, old.begin() as target:
        for name in same:
            for now in source.execute(metadata.tables[name].select()).mappings():
                row = {column: value for column, value in now.items() if column != "named_on"}
                columns = ", ".join(row)
                target.execute(text(f"INSERT INTO {name} ({columns}) VALUES ({', '.join(f':{c}' for c in row)})"), row)
        for row in source.execute(text("SELECT * FROM decisions")).mappings():
            target.execute(
                text(
                    "INSERT INTO decisions VALUES (:id, :instance, :event_id, :merchant, :outcome, :decided_at, :body)"
                ),
                dict(row),
            )
        for row in source.execute(text("SELECT * FROM events")).mappings():
            amount = Event.model_validate_json(row["body"]).amount
            target.execute(
                text(
                    "INSERT INTO events VALUES (:instance, :id, :type, :merchant, :seq, :account, :occurred_at, "
                    ":recorded_at, :amount, :currency, 'counterparty', :body)"
                ),
                {**row, "amount": amount and amount.minor, "currency": amount and amount.currency},
            )


def rows(store: Store, table: str) -> list[tuple[object, ...]]:
    with store.read() as connection:
        return sorted((tuple(row) for row in connection.execute(metadata.tables[table].select())), key=repr)


def test_what_the_first_version_recorded_gets_positions_and_facts(
    sqlite_store: Store, first_schema: Engine, empty_url: str, make_cordon: Callable[[Store], Cordon], unsalted: None
) -> None:
    cordon = make_cordon(sqlite_store)
    for event in history():
        cordon.screen(event)
    put_back(sqlite_store, first_schema)
    migrated = Store.open(empty_url)
    for table in ("events", "facts", "hours", "decisions", "sightings"):
        assert rows(migrated, table) == rows(sqlite_store, table) != []
    report = verify(migrated)
    assert report.ok, report.problems
    again = make_cordon(migrated)
    assert again.screen(make_event("payout.requested", id="next")).outcome == "allow"
    assert verify(migrated).ok
    migrated.close()


def test_events_that_no_entry_names_are_kept_and_still_named(
    sqlite_store: Store, first_schema: Engine, empty_url: str, make_cordon: Callable[[Store], Cordon], unsalted: None
) -> None:
    cordon = make_cordon(sqlite_store)
    for event in history():
        cordon.screen(event)
    put_back(sqlite_store, first_schema)
    with first_schema.begin() as connection:
        connection.execute(text("UPDATE events SET id = 'forged' WHERE id = 'evt_3'"))
        connection.execute(text("UPDATE events SET body = '{}' WHERE id = 'evt_4'"))
    migrated = Store.open(empty_url)
    problems = [each.text for each in verify(migrated).problems]
    assert "event `evt_3`: is missing, entry 4 names it" in problems
    assert "event `forged`: no entry of the log names it" in problems
    assert "event `evt_4`: is not what entry 5 recorded" in problems
    migrated.close()


def test_several_open_cases_of_a_merchant_become_one_with_all_that_happened(
    first_schema: Engine, empty_url: str
) -> None:
    with first_schema.begin() as connection:
        for case, merchant in (("case_1", "m_1"), ("case_2", "m_1"), ("case_3", "m_2")):
            row = {"id": case, "merchant": merchant}
            connection.execute(text("INSERT INTO cases (id, merchant, opened_at) VALUES (:id, :merchant, 7)"), row)
            event = "INSERT INTO case_events (case_id, at, kind) VALUES (:id, 7, 'decision')"
            connection.execute(text(event), row)
    migrated = Store.open(empty_url)
    with migrated.read() as connection:
        assert [each.id for each in cases.queue(connection)] == ["case_1", "case_3"]
        assert [len(cases.timeline(connection, case)) for case in ("case_1", "case_3")] == [2, 1]
    migrated.close()
