"""`paycordon feed publish`, `renew` and `rotate`: make signed bundles that others read as a feed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_json, print_line, progressing

if TYPE_CHECKING:
    from paycordon.feeds.items import Item

To = Annotated[Path, typer.Option("--to", help="The bundle's directory, for any web server.")]
Keys = Annotated[Path, typer.Option("--keys", help="The directory of the publisher's keys; made if there is none.")]


def publish(
    items: Annotated[Path, typer.Argument(help="All that you say now: JSON Lines, an item a line.", exists=True)],
    to: To,
    keys: Keys,
    plain: Annotated[
        bool, typer.Option("--plain", help="Publish plain values; only of kinds that cannot be found by trying.")
    ] = False,
    under: Annotated[
        str | None, typer.Option(help="Make digests under this one of `identifier_keys.shared`, which readers have.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Publish a signed bundle, or its next version. Values leave as digests: under your current key, or `--under`."""
    from paycordon.feeds import publishing
    from paycordon.screening import utc_now

    read = _items(items)
    if plain:
        publishing.check_plain(read)
    else:
        digester = read_config(config).digester()
        read = publishing.keyed(read, digester.under(under) if under else digester)
    done = publishing.publish(read, to, keys, utc_now())
    if as_json:
        print_json(asdict(done))
    else:
        print_line(
            f"published {done.items} items as version {done.bundle}; renew it within a day: paycordon feed renew"
        )


def renew(to: To, keys: Keys, as_json: JsonOption = False) -> None:
    """Say that a bundle is still the newest one; readers refuse one that nobody has renewed for a day."""
    from paycordon.feeds import publishing
    from paycordon.screening import utc_now

    version = publishing.renew(to, keys, utc_now())
    if as_json:
        print_json({"timestamp": version})
    else:
        print_line(f"renewed for a day (timestamp {version})")


def rotate(
    role: Annotated[str, typer.Argument(help="root, targets, snapshot or timestamp.")],
    to: To,
    keys: Keys,
    as_json: JsonOption = False,
) -> None:
    """Replace the key of a role; readers follow by themselves. Publish again right after it."""
    from paycordon.feeds import publishing
    from paycordon.screening import utc_now

    publishing.rotate(role, to, keys, utc_now())
    if as_json:
        print_json({"rotated": role})
    else:
        print_line(f"the key of `{role}` is another one; publish again: paycordon feed publish")


def _items(path: Path) -> list[Item]:
    from paycordon.feeds.items import item_of
    from paycordon.feeds.reading import as_mapping, json_of

    lines = path.read_bytes().splitlines()
    found: list[Item] = []
    with progressing("reading items", len(lines)) as shown:
        for number, line in enumerate(lines, start=1):
            where = f"{path.name}, line {number}"
            found.append(item_of(as_mapping(json_of(line, where), where), where))
            shown(number)
    return found
