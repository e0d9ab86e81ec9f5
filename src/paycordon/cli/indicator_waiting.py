"""`paycordon indicator waiting` and `approve`: batches that would match too many merchants without a person."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from paycordon.cli.identity import ByOption, ReasonOption, at_work, said
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store
from paycordon.cli.output import print_json, print_line, print_table

Batch = Annotated[str, typer.Argument(help="The batch, as `paycordon indicator waiting` shows it.")]


def waiting(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List batches of indicators that would match more merchants than their source may, and so were not taken in."""
    from paycordon.store.feeding import waiting as read

    store = open_store(config)
    try:
        with store.read() as connection:
            found = read(connection)
    finally:
        store.close()
    if as_json:
        print_json([asdict(each) for each in found])
    elif not found:
        print_line("no batch waits; `sources.NAME.most_new_matches` says how many merchants one may match by itself")
    else:
        columns = ("batch", "source", "added", "withdrawn", "merchants", "since", "approved by")
        rows = [(b.digest, b.source, b.added, b.withdrawn, b.matches, b.asked_at, b.approved_by) for b in found]
        print_table(columns, rows)


def approve(
    batch: Batch,
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Let a batch through: it is taken in the next time its feed brings exactly the same."""
    from paycordon.people import Role
    from paycordon.screening import utc_now
    from paycordon.store.feeding import approve as agree

    why = said(reason)
    with at_work(config, by) as (_, store, person):
        person.require(Role.APPROVER)
        with store.write() as connection:
            agree(connection, batch, person.name, why, utc_now())
    if as_json:
        print_json({"batch": batch, "approved_by": person.name})
    else:
        print_line(f"approved {batch[:12]}; it is taken in when its feed brings it again")
