"""`paycordon indicator lookup`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store, read_config
from paycordon.cli.output import counting, print_json, print_line


def lookup(
    build: Annotated[bool, typer.Option("--build", help="Make the file anew from the store.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Say how the lookup of indicators stands; workers keep it up to date, and `--build` makes it anew.

    Ends with 1 when there is none that can be used: the store is asked then, which is right but slower.
    """
    from paycordon.store.lookups import build as make
    from paycordon.store.lookups import state

    path = read_config(config).lookup
    if path is None:
        none = "there is no lookup; `indicators.lookup` in the configuration says where it is kept"
        if as_json:
            print_json({"path": None, "trouble": none})
        else:
            print_line(none)
        raise typer.Exit(1)
    store = open_store(config)
    try:
        if build:
            with counting("digests") as advance:
                make(store, path, advance)
        now = state(store, path)
    finally:
        store.close()
    if as_json:
        print_json({"path": str(path), **asdict(now)})
    elif now.trouble is not None:
        print_line(f"{path} cannot be used, so the store is asked: {now.trouble}")
    else:
        print_line(f"{path}: {now.digests:,} digests as of entry {now.position} of the log, {now.since:,} added since")
    if now.trouble is not None:
        raise typer.Exit(1)
