"""Bring a database's schema up to date with the Alembic revisions that ship with the package."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, text

from paycordon.errors import ConfigError

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 0x70617963  # any number that nobody else uses for an advisory lock


def newest() -> str:
    """Return the id of the newest revision that this version of the package knows."""
    head = ScriptDirectory(str(_SCRIPTS)).get_current_head()
    if head is None:
        raise ConfigError("the package holds no schema revision", hint="reinstall paycordon")
    return head


def current(connection: Connection) -> str | None:
    """Return the database's revision, or none when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine) -> None:
    """Create or upgrade the schema; several processes may start at once.

    Raises:
        ConfigError: the database was made by a newer version.
    """
    with engine.connect() as connection, connection.begin():
        if current(connection) == newest():
            return
    with engine.connect() as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = Config()
        config.set_main_option("script_location", str(_SCRIPTS))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ConfigError(
                "the store was made by a newer version of paycordon", hint="upgrade this installation"
            ) from error
