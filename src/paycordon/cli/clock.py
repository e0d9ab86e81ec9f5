"""`paycordon clock`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store
from paycordon.cli.output import print_json, print_line, print_table
from paycordon.cli.root import FINDINGS

if TYPE_CHECKING:
    from datetime import datetime

    from paycordon.store.clocks import Clock


def list_clocks(
    merchant: Annotated[str | None, typer.Option(help="Only those of one merchant.")] = None,
    within: Annotated[
        str | None, typer.Option("--due-within", metavar="SPAN", help="Only what is due within `48h`, `30d` and so on.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 1_000,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """List deadlines of holds, cases and gateways, the next first. Exits with 1 when one has passed."""
    from paycordon.screening import utc_now
    from paycordon.store.clocks import listed

    now = utc_now()
    before = None if within is None else now + _span(within)
    store = open_store(config)
    try:
        with store.read() as connection:
            found = listed(connection, merchant=merchant, due_before=before, limit=limit)
    finally:
        store.close()
    if as_json:
        print_json([asdict(clock) for clock in found])
    elif not found:
        print_line("no deadline runs; a worker (`paycordon work`) starts them when something is held")
    else:
        columns = ("due", "left", "kind", "of", "merchant", "state", "source")
        print_table(columns, [_row(clock, now) for clock in found])
    return FINDINGS if any(clock.due_at <= now for clock in found) else 0


def report(
    days: Annotated[int, typer.Option(min=1, max=3_660, help="How far to look ahead.")] = 30,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Count what comes due in the days ahead, by day and kind. Exits with 1 when something has passed."""
    from paycordon.screening import utc_now
    from paycordon.store.clocks import coming

    now = utc_now()
    store = open_store(config)
    try:
        with store.read() as connection:
            found = coming(connection, now + timedelta(days=days))
    finally:
        store.close()
    passed = any(each.first <= now for each in found)
    if as_json:
        print_json([asdict(each) for each in found])
    elif not found:
        print_line(f"nothing comes due within {days} days; `paycordon clock list` shows all deadlines")
    else:
        rows = [
            (each.day, each.kind, each.deadlines, each.merchants, "yes" if each.first <= now else "") for each in found
        ]
        print_table(("day", "kind", "deadlines", "merchants", "passed"), rows)
    return FINDINGS if passed else 0


def _span(text: str) -> timedelta:
    from paycordon.cli.inputs import checked
    from paycordon.spans import parse_span

    try:
        span = parse_span(text)
    except ValueError:
        span = None
    checked("`--due-within` is a time such as `48h` or `30d`", span is not None and not span.business_days)
    return span.length if span else timedelta(0)


def _row(clock: Clock, now: datetime) -> tuple[object, ...]:
    left = clock.due_at - now
    words = _long(left) if left > timedelta(0) else f"over for {_long(-left)}"
    subject = f"{clock.subject_kind} {clock.subject_id}"
    return clock.due_at, words, clock.kind, subject, clock.merchant, clock.state, clock.source


def _long(span: timedelta) -> str:
    return f"{span.days} d" if span.days else f"{span.seconds // 3600} h"
