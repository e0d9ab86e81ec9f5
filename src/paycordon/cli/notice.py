"""`paycordon notice`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from paycordon.cli.identity import ByOption
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store, read_config
from paycordon.cli.output import print_json, print_line, print_table


def list_notices(
    merchant: Annotated[str | None, typer.Option(help="Only those to one merchant.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Include those that were sent.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 1_000,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List what merchants are still to be told, the most urgent first."""
    from paycordon.store.notices import listed

    store = open_store(config)
    try:
        with store.read() as connection:
            found = listed(connection, merchant=merchant, everything=everything, limit=limit)
    finally:
        store.close()
    if as_json:
        print_json([asdict(notice) for notice in found])
    elif not found:
        print_line("none; with a section `notices` in the configuration, `paycordon work` writes one for each hold")
    else:
        print_table(("notice", "merchant", "due", "text"), [(n.id, n.merchant, n.due_at, n.text) for n in found])


def show(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="As `paycordon hold list` names it.")],
    language: Annotated[str | None, typer.Option(help="Such as `de`; else as configured.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Say what a merchant may be told about a hold, in their language; nothing is kept or sent."""
    from paycordon.outward.wording import statement
    from paycordon.sections import NoticesSection
    from paycordon.store.holds import get

    settings = read_config(config).notices or NoticesSection()
    store = open_store(config)
    try:
        with store.read() as connection:
            hold = get(connection, hold_id)
    finally:
        store.close()
    told = statement(
        hold, language or settings.language, ground=settings.ground, contact=settings.contact, own=settings.texts
    )
    if as_json:
        print_json(asdict(told))
    else:
        print_line(told.text)


def sent(
    notice_id: Annotated[str, typer.Argument(metavar="NOTICE", help="As `paycordon notice list` names it.")],
    by: ByOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Note that the merchant was told."""
    from paycordon.cli.identity import acting
    from paycordon.people import Role
    from paycordon.screening import utc_now
    from paycordon.store.notices import sent as note_sent

    person = acting(read_config(config), by)
    person.require(Role.ANALYST)
    store = open_store(config)
    try:
        with store.write() as connection:
            note_sent(connection, notice_id, person.name, utc_now())
    finally:
        store.close()
    if as_json:
        print_json({"notice": notice_id, "sent_by": person.name})
    else:
        print_line(f"noted that {notice_id} was sent")
