"""`paycordon adapter`: begin an adapter for another gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paycordon.cli.options import JsonOption
from paycordon.cli.output import print_json, print_line


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The gateway, as the configuration will call it.")],
    directory: Annotated[
        Path | None, typer.Option(help="Where to; `paycordon-NAME` in this directory by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a distribution for a gateway's adapter; its test suite starts red and lists what is to be done."""
    from paycordon.scaffold import write

    where = directory or Path(f"paycordon-{name.replace('_', '-')}")
    made = write(name, where)
    if as_json:
        print_json([str(path) for path in made])
        return
    for path in made:
        print_line(str(path))
    print_line(f"next: cd {where} && pip install -e '.[dev]' && pytest")
