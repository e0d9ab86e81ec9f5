"""`paycordon inquiry`: ask lists of terminated merchants, and see what they said."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.identity import ByOption, at_work
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store, read_config
from paycordon.cli.output import print_fields, print_json, print_line, print_table
from paycordon.cli.root import FINDINGS

if TYPE_CHECKING:
    from paycordon.exchange.contract import Party
    from paycordon.store.inquiries import Inquired

EMPTY = "nobody was asked; `paycordon inquiry ask MERCHANT FILE` asks a list of terminated merchants"
NO_LIST = "no list is configured; `inquiries: {NAME: {format: match, …}}` in the configuration adds one"
AtOption = Annotated[str | None, typer.Option(metavar="NAME", help="Which list; the only one without it.")]


def ask(
    merchant: Annotated[str, typer.Argument(metavar="MERCHANT", help="The facilitator's id of the merchant.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Who it is, as JSON; `-` reads standard input.")],
    by: ByOption,
    at: AtOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Ask a list whether a merchant was terminated before it is signed; exit code 1 if it may have been.

    The file holds `legal_name`, and as far as they are known `trading_name`, `address`, `phone`, `tax_id`, `urls` and
    `principals`. It is sent to the list and not kept.
    """
    from paycordon.inquiring import Inquiries
    from paycordon.people import Role

    party = _party(file)
    with at_work(config, by) as (loaded, store, person):
        person.require(Role.ANALYST)
        found = Inquiries.configured(store, loaded).ask(merchant, party, by=person.name, at=at)
    _show(found, as_json=as_json)
    return FINDINGS if found.matches else 0


def list_inquiries(
    merchant: Annotated[str, typer.Option(help="About this merchant only.")] = "",
    at: Annotated[str, typer.Option(metavar="NAME", help="At this list only.")] = "",
    listing: Annotated[str, typer.Option(help="That name this listing: an indicator's reference.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 1_000,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """List what was asked, the newest first; exit code 1 if a merchant may be listed, or an answer is missing."""
    from paycordon.store import inquiries

    lists = read_config(config).inquiries
    store = open_store(config)
    try:
        with store.read() as connection:
            found = inquiries.listed(connection, merchant=merchant, service=at, listing=listing, most=limit)
    finally:
        store.close()
    if as_json:
        print_json([_told(each) for each in found])
    elif not found:
        print_line(EMPTY if lists else NO_LIST)
    else:
        columns = ("inquiry", "list", "merchant", "asked", "watched until", "matches", "state", "why")
        rows = [
            (i.id, i.service, i.merchant, i.asked_at, i.watched_until, len(i.matches), i.state, i.why) for i in found
        ]
        print_table(columns, rows)
    return FINDINGS if any(each.matches or each.answered_at is None for each in found) else 0


def show(
    inquiry: Annotated[str, typer.Argument(metavar="ID", help="The inquiry, as `inquiry list` names it.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Show one inquiry: which listed merchants may be meant, by what, who listed them; exit code 1 if any may be."""
    from paycordon.store import inquiries

    store = open_store(config)
    try:
        with store.read() as connection:
            found = inquiries.get(connection, inquiry)
    finally:
        store.close()
    _show(found, as_json=as_json)
    return FINDINGS if found.matches else 0


def _show(found: Inquired, *, as_json: bool) -> None:
    told = _told(found)
    if as_json:
        print_json(told)
        return
    print_fields({name: value for name, value in told.items() if name not in ("matches", "asked_about")})
    if not found.matches:
        print_line("nobody is listed who may be meant" if found.answered_at else "there is no answer yet")
        return
    rows = [(hit.listing, hit.reason, hit.listed_on, hit.listed_by, ", ".join(hit.about)) for hit in found.matches]
    print_table(("listing", "reason", "listed on", "listed by", "what matches"), rows)
    print_line("a match is a lead, never a proof: ask whoever listed it before you decide")


def _told(found: Inquired) -> dict[str, Any]:
    """Return an inquiry without digests, which say nothing to people."""
    shown = ("id", "service", "merchant", "reference", "state", "why", "asked_at", "asked_by", "answered_at")
    return {
        **{name: getattr(found, name) for name in (*shown, "heard_at", "watched_until")},
        "asked_about": sorted({*found.asked.parts, *(about for who in found.asked.people for about in who)}),
        "matches": [
            {name: value for name, value in asdict(hit).items() if name not in ("names", "taken")}
            for hit in found.matches
        ],
    }


def _party(path: Path) -> Party:
    """Read who is asked about.

    Raises:
        InputInvalid: it cannot be read or does not fit; no value is repeated.
    """
    from pydantic import ValidationError

    from paycordon.cli.inputs import InputInvalid, read_text
    from paycordon.errors import Position
    from paycordon.exchange.contract import Party

    name, text = read_text(path)
    try:
        return Party.model_validate_json(text)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        message = f"`{field}` cannot be taken: {first['type'].replace('_', ' ')}"
        raise InputInvalid(
            message, position=Position(name), hint="`paycordon inquiry ask --help` says what it holds"
        ) from None
