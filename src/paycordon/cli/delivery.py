"""`paycordon delivery`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store
from paycordon.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from paycordon.gateways import Gateway
    from paycordon.store import Store

_COLUMNS = ("id", "instance", "type", "state", "received_at", "failures", "last_error")
_MOST = 1_000


def list_deliveries(
    waiting: Annotated[bool, typer.Option("--waiting", help="Include those that still wait for a worker.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List deliveries that are stuck: authentic, but never screened."""
    store = open_store(config)
    try:
        with store.read() as connection:
            found = _found(connection, ("stuck", "waiting") if waiting else ("stuck",))
    finally:
        store.close()
    if as_json:
        print_json(found)
    elif not found:
        print_line("none; `paycordon doctor` looks at everything else")
    else:
        print_table([column.replace("_", " ") for column in _COLUMNS], [list(row.values()) for row in found])
        print_line("to try one again: paycordon delivery retry ID")


def retry(
    delivery_id: Annotated[int, typer.Argument(metavar="ID", help="As `paycordon delivery list` names it.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Let workers try a stuck delivery again, once what kept it from being screened is repaired."""
    from paycordon.screening import utc_now
    from paycordon.store.deliveries import requeue

    store = open_store(config)
    try:
        requeue(store, delivery_id, utc_now())
    finally:
        store.close()
    if as_json:
        print_json({"delivery": delivery_id, "state": "waiting"})
    else:
        print_line(f"delivery {delivery_id} waits for a worker again")


def catch_up(
    instance: Annotated[str | None, typer.Option(help="This gateway instance only; else all that keep a list.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not before: `2027-01-31`; else as long as the gateway keeps it.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Take in what gateways could not deliver while this was down; what came in already is not taken twice."""
    from paycordon.cli.inputs import checked
    from paycordon.cli.options import read_config
    from paycordon.plugins import load, open_gateways
    from paycordon.store import Store

    read = read_config(config)
    checked(f"there is no instance `{instance}` among `gateways`", instance is None or instance in read.gateways)
    gateways = [
        gateway
        for name, gateway in open_gateways(read, load(read)).items()
        if gateway.keeps_missed is not None and instance in (None, name)
    ]
    store = Store.open(read.store)
    try:
        rows = [_caught_up(store, gateway, since) for gateway in gateways]
    finally:
        store.close()
    if as_json:
        print_json(rows)
    elif not rows:
        print_line("no configured gateway keeps a list of what it could not deliver")
    else:
        print_table(("instance", "not delivered", "new here", "unreadable"), [tuple(row.values()) for row in rows])
        print_line("a worker (`paycordon work`) screens what is new")


def _caught_up(store: Store, gateway: Gateway[Any], since: str | None) -> dict[str, Any]:
    from dataclasses import asdict
    from datetime import timedelta

    from paycordon.cli.identity import moment
    from paycordon.cli.output import counting
    from paycordon.intake.catching_up import catch_up as run
    from paycordon.screening import utc_now

    oldest = utc_now() - (gateway.keeps_missed or timedelta(0))
    start = oldest if since is None else max(oldest, moment(since, "--since"))
    with counting(f"messages of {gateway.instance}") as count:
        return {"instance": gateway.instance, **asdict(run(store, gateway, start, utc_now, count))}


def _found(connection: Connection, states: Sequence[str]) -> list[dict[str, Any]]:
    from sqlalchemy import select

    from paycordon.store import schema
    from paycordon.store.schema import from_micros

    table = schema.deliveries
    query = select(*(table.c[name] for name in _COLUMNS)).where(table.c.state.in_(states)).order_by(table.c.id)
    rows = connection.execute(query.limit(_MOST)).mappings()
    return [{**row, "received_at": from_micros(row["received_at"])} for row in rows]
