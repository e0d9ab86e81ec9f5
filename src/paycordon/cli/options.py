"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from paycordon.config import Config
    from paycordon.store import Store

DEFAULT_CONFIG = Path("paycordon.yaml")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="PAYCORDON_CONFIG", help="The configuration file.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]


def require_config(path: Path) -> None:
    """Raise a `ConfigError` that says what to do when there is no configuration."""
    if not path.exists():
        hint = "make one with `paycordon init`, or name one with `--config`"
        raise ConfigError(f"there is no configuration `{path}`", hint=hint)


def read_config(path: Path) -> Config:
    """Read the configuration.

    Raises:
        ConfigError: it is missing or wrong.
    """
    require_config(path)
    from paycordon.config import load_config

    return load_config(path, os.environ)


def open_store(path: Path) -> Store:
    """Open the store that a configuration names.

    Raises:
        ConfigError: the configuration is wrong.
        StoreUnavailable: the database cannot be reached.
    """
    from paycordon.store import Store

    return Store.open(read_config(path).store)


@contextmanager
def looking(path: Path) -> Iterator[Connection]:
    """Read in the store that a configuration names, and close it afterwards; raises as `open_store`."""
    store = open_store(path)
    try:
        with store.read() as connection:
            yield connection
    finally:
        store.close()
