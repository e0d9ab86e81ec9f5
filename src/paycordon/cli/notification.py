"""`paycordon notification`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store
from paycordon.cli.output import print_json, print_line, print_table
from paycordon.cli.root import FINDINGS


def list_notifications(
    waiting: Annotated[bool, typer.Option("--waiting", help="Include those that still wait to be sent.")] = False,
    delivered: Annotated[bool, typer.Option("--delivered", help="Include those that were taken.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 1_000,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """List messages that an endpoint did not take in many tries. Exits with 1 when there are any."""
    from paycordon.store.outbox import listed

    states = ["stuck", *(["waiting"] if waiting else []), *(["delivered"] if delivered else [])]
    store = open_store(config)
    try:
        with store.read() as connection:
            found = listed(connection, states=states, limit=limit)
    finally:
        store.close()
    if as_json:
        print_json([asdict(each) for each in found])
    elif not found:
        print_line("none; endpoints stand under `notifications` in the configuration")
    else:
        columns = ("message", "type", "to", "state", "tries", "since", "last error")
        rows = [(m.message_id, m.type, m.endpoint, m.state, m.failures, m.created_at, m.last_error) for m in found]
        print_table(columns, rows)
    return FINDINGS if any(each.state == "stuck" for each in found) else 0


def retry(
    endpoint: Annotated[str | None, typer.Option(help="All that are stuck on the way to one endpoint.")] = None,
    message: Annotated[str | None, typer.Option(help="One message, by its id.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Let stuck messages be sent again, once their endpoint is repaired."""
    from paycordon.cli.inputs import checked
    from paycordon.screening import utc_now
    from paycordon.store.outbox import requeue

    checked("say which: `--endpoint NAME` or `--message ID`", bool(endpoint or message))
    store = open_store(config)
    try:
        count = requeue(store, endpoint, message, utc_now())
    finally:
        store.close()
    if as_json:
        print_json({"waiting": count})
    else:
        print_line(f"{count} wait for a worker again")
