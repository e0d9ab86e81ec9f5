"""`paycordon indicator common` and `confirm`: indicators on what more merchants share than name somebody."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from paycordon.cli.identity import ByOption, ReasonOption, at_work, print_proposed, said, wish_of
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store
from paycordon.cli.output import print_json, print_line, print_table


def common(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List indicators that so many merchants share that they name nobody, and those confirmed to name somebody."""
    from paycordon.store.confirmations import listed

    store = open_store(config)
    try:
        with store.read() as connection:
            found = listed(connection)
    finally:
        store.close()
    if as_json:
        print_json([asdict(each) for each in found])
    elif not found:
        print_line("none; `indicators.most_merchants` says how many merchants an indicator may belong to")
    else:
        columns = ("digest", "kind", "counts", "told", "last word")
        rows = [(c.digest, c.kind, "confirmed" if c.confirmed else "no", c.told_at, c.changed_at) for c in found]
        print_table(columns, rows)


def confirm(
    digest: Annotated[str, typer.Option(help="The digest, as `paycordon indicator common` shows it.")],
    by: ByOption,
    reason: ReasonOption,
    take_back: Annotated[bool, typer.Option("--take-back", help="It names nobody again; one person says so.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Propose that an indicator names somebody, however many merchants share it; a second person agrees.

    Then it is a match again for each of them, and they are screened at once. For what honest merchants share, such as
    domains and addresses of the network, it is refused.
    """
    from paycordon.people import Role
    from paycordon.review.proposals import confirm_indicator
    from paycordon.screening import utc_now
    from paycordon.store import confirmations

    why = said(reason)
    with at_work(config, by) as (loaded, store, person), store.write() as connection:
        person.require(Role.ANALYST)
        if not take_back:
            return print_proposed(confirm_indicator(connection, digest, wish_of(loaded, person, why)), as_json)
        confirmations.take_back(connection, digest, person.name, why, utc_now())
    if as_json:
        print_json({"digest": digest, "confirmed": False})
    else:
        print_line(f"{digest} names nobody again; holds that rest on it stand until people release them")
    return 0
