"""`paycordon links`."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store, read_config
from paycordon.cli.output import print_json, print_line, print_note, print_table, progressing

if TYPE_CHECKING:
    from paycordon.links import Member, Network
    from paycordon.links.components import Components


_unusual = re.compile(r"[^A-Za-z0-9._-]")


class _Parser(TyperCommand):
    """Lets `--svg` stand without a value, which is the working directory then."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give `--svg` its value."""
        given = list(args)
        for at in [at for at, word in enumerate(given) if word == "--svg"][:1]:
            if at + 1 == len(given) or (given[at + 1].startswith("-") and given[at + 1] != "-"):
                given.insert(at + 1, ".")
        return super().parse_args(ctx, given)


PARSER = _Parser


def links(
    merchant: Annotated[str | None, typer.Argument(help="Whose surroundings are shown.")] = None,
    hops: Annotated[int, typer.Option(min=1, max=10, help="How far to go, from merchant to merchant.")] = 3,
    most_shared: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="Leave out identifiers that more merchants share; otherwise as `indicators.most_merchants` says.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="Find, or with `--components` show, at most so many.")
    ] = 200,
    svg: Annotated[
        Path | None,
        typer.Option(
            metavar="[FILE]",
            help="Draw it into this file, or in this directory into one named after the merchant; `-` prints the "
            "picture alone. Without a value it is drawn into a file in the working directory.",
        ),
    ] = None,
    components: Annotated[
        bool, typer.Option("--components", help="Show all groups of merchants that hang together instead.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show which merchants share identifiers with one, and the way to the nearest that is held or blocked.

    Ends with 1 when one of them is held or blocked.
    """
    from paycordon.cli.inputs import checked

    checked("name a merchant, or ask for all with `--components`", (merchant is None) == components)
    checked("`--svg` draws one merchant's surroundings; name the merchant", svg is None or not components)
    settings = read_config(config)
    most = most_shared or settings.standards.most_merchants
    common = settings.digester().common
    if merchant is None:
        found = _components(config, most, common, limit)
        _show_components(found, as_json=as_json)
        if any(each.stopped for each in found.largest):
            raise typer.Exit(1)
        return
    from paycordon.links import Reach
    from paycordon.store.links import network

    store = open_store(config)
    try:
        with store.read() as connection:
            around = network(connection, merchant, Reach(hops, most, limit + 1, common=common))
    finally:
        store.close()
    printed = svg is not None and str(svg) == "-"
    if svg is not None:
        _draw(around, svg)
    near = _nearest(around)
    if printed:
        pass
    elif as_json:
        print_json(_document(around, near))
    else:
        _show(around, near)
    if near is not None:
        raise typer.Exit(1)


def _components(config: Path, most: int, common: Any, limit: int) -> Components:
    from paycordon.links.components import components
    from paycordon.store.links import amount, sightings, stopped

    store = open_store(config)
    try:
        with store.read() as connection:
            total, bad = amount(connection), stopped(connection)
        with progressing("sightings", total) as advance:
            return components(sightings(store, advance), bad, most_shared=most, common=common, largest=limit)
    finally:
        store.close()


def _show_components(found: Components, *, as_json: bool) -> None:
    from paycordon.links.picture import plural

    if as_json:
        print_json({"components": found.count, "merchants": found.merchants, **asdict(found)})
        return
    if not found.count:
        print_line("no two merchants were seen with the same identifier")
        print_line(
            "merchants are seen with what `identifiers` of their events name; `paycordon screen` judges an event"
        )
    else:
        over = f"{found.shared:,} {plural('identifier', found.shared)}"
        groups = f"{found.count:,} {plural('group', found.count)}"
        print_line(f"{found.merchants:,} merchants hang together in {groups}, over {over}")
        rows = [(each.merchants, each.stopped, _named(each.some, each.merchants)) for each in found.largest]
        print_table(("merchants", "held or blocked", "such as"), rows)
    if found.hubs:
        print_line(f"left out, because too many share them: {found.hubs:,} {plural('identifier', found.hubs)}")


def _named(some: tuple[str, ...], of: int) -> str:
    return ", ".join(some) + (f" and {of - len(some):,} more" if of > len(some) else "")


def _nearest(around: Network) -> Member | None:
    from paycordon.decisions import Outcome

    return around.nearest(Outcome.BLOCK) or around.nearest(Outcome.HOLD)


def _draw(around: Network, file: Path) -> None:
    from paycordon.cli.inputs import InputInvalid
    from paycordon.errors import Position
    from paycordon.links.picture import picture_of

    picture = picture_of(around)
    if str(file) == "-":
        typer.echo(picture.decode())  # XML keeps its lines; what was stored is escaped in it
        return
    try:
        if file.is_dir():
            file /= f"links-{_unusual.sub('_', around.merchant)}.svg"
        file.write_bytes(picture)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise InputInvalid(f"the picture cannot be written: {reason}", position=Position(file)) from None
    print_note(f"drawn into {file}")


def _document(around: Network, near: Member | None) -> dict[str, Any]:
    way = None if near is None else [asdict(step) for step in around.way(near.merchant)]
    return {
        "merchant": around.merchant,
        "members": [asdict(member) for member in around.members],
        "ties": [asdict(tie) for tie in around.ties],
        "hubs": [asdict(hub) for hub in around.hubs],
        "cut": around.cut,
        "nearest": None if near is None else {**asdict(near), "way": way},
    }


def _show(around: Network, near: Member | None) -> None:
    from paycordon.links.picture import shortened, summary

    for line in filter(None, summary(around)):
        print_line(line)
    if len(around.members) == 1:
        print_line("`paycordon links --components` shows which merchants share identifiers at all")
    else:
        rows = [_row(around, each) for each in around.members[1:]]
        print_table(("merchant", "hops", "stands", "over", "from", "both since", "at the same time"), rows)
    if near is not None:
        steps = around.way(near.merchant)
        over = [f"{step.merchant} - {step.kind} {shortened(step.digest)} - " for step in steps]
        print_line(f"way: {''.join(over)}{near.merchant}")
    for hub in around.hubs:
        print_line(f"left out: {hub.kind} {shortened(hub.digest)}: {hub.why}")
    if around.cut:
        print_line("there is more; `--limit` lets more be found")


def _row(around: Network, member: Member) -> tuple[object, ...]:
    from paycordon.links.picture import shortened

    step = around.way(member.merchant)[-1]
    over = f"{step.kind} {shortened(step.digest)}"
    return (
        member.merchant, member.hops, member.standing, over, step.merchant, step.since, "yes" if step.together else "no"
    )  # fmt: skip
