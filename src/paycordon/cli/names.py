"""`paycordon names`: lists of names that merchants and the people behind them are compared with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.identity import ByOption, ReasonOption, at_work, moment, print_proposed, said, wish_of
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_json, print_line, print_table
from paycordon.names.words import NameKind

if TYPE_CHECKING:
    from paycordon.config import Config
    from paycordon.names.index import Found

_NONE = "no list of names is configured; `name_lists:` in the configuration names some (see examples/README.md)"

ListName = Annotated[str | None, typer.Option("--list", metavar="NAME", help="This list only.")]


def build(
    list_: ListName = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Read lists of names and put their indexes in the place of the former ones; running processes see it in 5 s."""
    from paycordon.names.index import build as build_index
    from paycordon.names.lists import digest_of_file, entries_of

    read = read_config(config)
    built = []
    for name in _chosen(read, list_):
        file, directory = read.name_list_places()[name]
        source = digest_of_file(file)
        with _progress(f"reading {name}") as told:
            count = build_index(directory, entries_of(file, read.name_lists[name].format), source, told)
        built.append({"list": name, "entries": count, "source_sha256": source})
    if as_json:
        print_json(built)
    elif not built:
        print_line(_NONE)
    for each in built if not as_json else ():
        print_line(f"{each['list']}: {each['entries']} entries")


def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> int:
    """Show which lists there are, and whether their indexes hold what their files say; 1 if one does not."""
    from paycordon.errors import ConfigError
    from paycordon.names.index import CurrentIndex
    from paycordon.names.lists import digest_of_file

    read = read_config(config)
    rows = []
    for name, (file, directory) in read.name_list_places().items():
        try:
            manifest = dict(CurrentIndex(directory).get().manifest)
            state = "current" if manifest["source"] == digest_of_file(file) else "file has changed"
        except ConfigError as error:
            manifest, state = {}, error.message
        threshold = read.name_lists[name].threshold
        rows.append({"list": name, "entries": manifest.get("entries"), "threshold": threshold, "state": state})
    if as_json:
        print_json(rows)
    elif not rows:
        print_line(_NONE)
    else:
        print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    return int(any(row["state"] != "current" for row in rows))


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Names, one a line; `-` is stdin.")],
    kind: Annotated[NameKind, typer.Option(help="Whose names they are.")] = NameKind.ORGANISATION,
    list_: ListName = None,
    threshold: Annotated[int | None, typer.Option(min=1, max=100, help="Instead of each list's own.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Compare names with the lists, and say how each score comes about; 1 if one is like an entry."""
    from paycordon.cli.inputs import read_text
    from paycordon.names.index import CurrentIndex

    read = read_config(config)
    chosen = _chosen(read, list_)
    _, text = read_text(file)
    found: list[tuple[str, str, Found]] = []
    for name in chosen:
        index = CurrentIndex(read.name_list_places()[name][1]).get()
        least = threshold or read.name_lists[name].threshold
        for asked in filter(None, map(str.strip, text.splitlines())):
            found += [(asked, name, each) for each in index.search(asked, kind, least)]
    if as_json:
        print_json(
            [
                {"asked": asked, "list": name, **asdict(each), "why": each.score.explained()}
                for asked, name, each in found
            ]
        )
    elif not chosen:
        print_line(_NONE)
    elif not found:
        print_line("no entry is like any of them")
    else:
        rows = [
            (asked, name, each.entry.id, each.by, each.score.value, each.score.explained())
            for asked, name, each in found
        ]
        print_table(("asked", "list", "entry", "name there", "score", "why"), rows)
    return int(bool(found))


def clear(
    clearance: Annotated[str, typer.Argument(metavar="CLEARANCE", help="As the finding's evidence gives it.")],
    merchant: Annotated[str, typer.Option(help="For which merchant.")],
    until: Annotated[str, typer.Option(metavar="TIME", help="When it ends: `2027-01-31` or with a time and zone.")],
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Remember that an entry is somebody else than this merchant; it counts again when the time is over.

    It is kept with the snoozes: `paycordon snooze list` shows it, `paycordon snooze end` ends it.
    """
    from paycordon.cli.snooze import check_end
    from paycordon.names.screening import list_of_clearance
    from paycordon.review.proposals import snooze
    from paycordon.store.proposals import Proposal

    why, ends = said(reason), moment(until, "--until")
    with at_work(config, by) as (read, store, person):
        wish = wish_of(read, person, why)
        check_end(read, wish.now, ends)
        name = _chosen(read, list_of_clearance(clearance))[0]
        takes_two = read.name_lists[name].two_people
        with store.write() as connection:
            came = snooze(connection, merchant, clearance, ends, wish, takes_two=takes_two)
    if isinstance(came, Proposal):
        return print_proposed(came, as_json)
    if as_json:
        print_json(asdict(came))
    else:
        print_line(f"{came.id}: that entry is not {merchant}, until {came.until:%Y-%m-%d %H:%M}Z")
    return 0


def _chosen(config: Config, list_: str | None) -> list[str]:
    """Return the lists that are meant, all by default.

    Raises:
        NotFound: there is no such list.
    """
    from paycordon.errors import NotFound

    if list_ is not None and list_ not in config.name_lists:
        raise NotFound(f"there is no list of names `{list_}` in the configuration")
    return [list_] if list_ else list(config.name_lists)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from paycordon.cli.output import console

    columns = (SpinnerColumn(), TextColumn("{task.description}: {task.completed:,} entries"))
    with Progress(*columns, console=console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count: bar.update(task, completed=count)
