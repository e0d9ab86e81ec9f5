"""`paycordon feed publish`, `renew` and `rotate`: make signed bundles that others read as a feed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_json, print_line, progressing
from paycordon.feeds.parts import PER_PART

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
    changes: Annotated[
        bool,
        typer.Option(
            "--changes",
            help="The file says only what changes: what it says of a reference replaces all that was said of it, and "
            'a line {"reference": …, "withdrawn": true} takes that back.',
        ),
    ] = False,
    per_part: Annotated[
        int, typer.Option(min=1, help="About how many items a part holds, of which readers fetch those that changed.")
    ] = PER_PART,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Publish a signed bundle, or its next version. Values leave as digests: under your current key, or `--under`."""
    from paycordon.feeds import publishing
    from paycordon.screening import utc_now

    read, withdrawn = _items(items, changes)
    publishing.check_marks(read)
    if plain:
        publishing.check_plain(read)
    else:
        digester = read_config(config).digester()
        read = publishing.keyed(read, digester.under(under) if under else digester)
    if changes:
        done = publishing.publish_changes(read, withdrawn, to, keys, utc_now(), per_part=per_part)
    else:
        done = publishing.publish(read, to, keys, utc_now(), per_part=per_part)
    if as_json:
        print_json(asdict(done))
    else:
        parts = f" in {done.written} of {done.parts} parts" if done.parts > 1 else ""
        said = f"{done.items} items{f' and {len(withdrawn)} withdrawals' if changes else ''}{parts}"
        print_line(f"published {said} as version {done.bundle}; renew it within a day: paycordon feed renew")


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


def _items(path: Path, changes: bool) -> tuple[list[Item], set[str]]:
    """Return the items of a file, and the references that it withdraws."""
    from paycordon.errors import FeedRefused
    from paycordon.feeds.items import item_of
    from paycordon.feeds.reading import as_mapping, json_of

    lines = path.read_bytes().splitlines()
    found: list[Item] = []
    withdrawn: set[str] = set()
    with progressing("reading items", len(lines)) as shown:
        for number, line in enumerate(lines, start=1):
            where = f"{path.name}, line {number}"
            said = as_mapping(json_of(line, where), where)
            if changes and "withdrawn" in said:
                if said.keys() != {"reference", "withdrawn"} or said["withdrawn"] is not True:
                    raise FeedRefused(f"{where}: a withdrawal has a `reference`, and `withdrawn` is true")
                withdrawn.add(str(said["reference"]))
            else:
                found.append(item_of(said, where))
            shown(number)
    if both := withdrawn.intersection(item.reference for item in found):
        raise FeedRefused(f"{path.name}: {len(both)} references are both said and withdrawn")
    return found, withdrawn
