"""`paycordon appeal`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paycordon.cli.identity import ByOption
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store, read_config
from paycordon.cli.output import print_json, print_line


def add(
    merchant: Annotated[str, typer.Option(help="Who objects.")],
    text_file: Annotated[Path, typer.Option(help="What they say; `-` is stdin.")],
    by: ByOption,
    appeal_id: Annotated[str | None, typer.Option("--id", help="Yours, so that it counts once.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Put what a merchant objects into their case; a closed one is opened again."""
    from pydantic import ValidationError

    from paycordon.cli.identity import acting
    from paycordon.cli.inputs import checked, read_text
    from paycordon.ids import new_id
    from paycordon.people import Role
    from paycordon.review.appeals import Appeal, receive
    from paycordon.screening import utc_now

    acting(read_config(config), by).require(Role.ANALYST)
    now = utc_now()
    _, words = read_text(text_file)
    try:
        appeal = Appeal(id=appeal_id or new_id("appeal", now), merchant=merchant, text=words.strip())
    except ValidationError as error:
        checked(f"the appeal cannot be taken: {error.errors()[0]['msg'].removeprefix('Value error, ')}", False)
        raise
    store = open_store(config)
    try:
        with store.write() as connection:
            receive(connection, appeal, now)
    finally:
        store.close()
    if as_json:
        print_json({"appeal": appeal.id})
    else:
        print_line(f"received {appeal.id}; `paycordon case list` shows where it went, if anything was seen of them")
