"""`paycordon init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paycordon.cli.options import JsonOption
from paycordon.cli.output import print_json, print_line


def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where; made if it does not exist.")] = Path(),
    adapter: Annotated[
        str | None, typer.Option(help="Add a commented section for this gateway adapter, such as `stripe`.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a working deployment: configuration, starter policy and keys. Never overwrites a file."""
    from paycordon.deployment import create

    created = create(directory, adapter)
    if as_json:
        print_json({"directory": str(directory), "created": [str(path) for path in created]})
        return
    for path in created:
        print_line(f"created {path}")
    inside = f"cd {directory} && " if directory != Path() else ""
    print_line(f"next: {inside}paycordon doctor")
    print_line("then: edit policies/starter.yaml, and screen an event with `paycordon screen event.json`")
