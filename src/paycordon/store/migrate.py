"""Bring a database's schema up to date with the Alembic revisions that ship with the package."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from paycordon.errors import ConfigError

SCRIPTS = Path(__file__).parent / "migrations"
NEWEST = "0018_reminders"
"""The newest revision among `SCRIPTS`, so that a database that has it opens without loading Alembic (0.4 s)."""

_LOCK = 0x70617963  # any number that nobody else uses for an advisory lock


def current(connection: Connection) -> str | None:
    """Return the database's revision, or none when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(engine: Engine) -> None:
    """Create or upgrade the schema; several processes may start at once.

    Raises:
        ConfigError: the database was made by a newer version.
    """
    with engine.connect() as connection, connection.begin():
        if current(connection) == NEWEST:
            return
    _upgrade(engine)


def _upgrade(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    with engine.connect() as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ConfigError(
                "the store was made by a newer version of paycordon", hint="upgrade this installation"
            ) from error
