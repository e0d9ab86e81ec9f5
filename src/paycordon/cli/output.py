"""How commands print: JSON for programs, tables for people, and nothing that could steer a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_OF_A_FILE = 160


def plain(value: object) -> str:
    """Return a value as one line of text without control characters, which stored names may hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


def print_json(data: object) -> None:
    """Print one JSON document on one line of stdout, in ASCII."""
    sys.stdout.write(json.dumps(data, default=_jsonable) + "\n")


def print_line(text: str) -> None:
    """Print one line for people on stdout."""
    sys.stdout.write(f"{plain(text)}\n")


def print_note(text: str) -> None:
    """Print one line for people on stderr, where it does not mix with what is piped on."""
    sys.stderr.write(f"{plain(text)}\n")


def console(*, stderr: bool = False) -> Console:
    """Return a rich console: coloured on a terminal unless `NO_COLOR` is set, and wide when there is no terminal."""
    from rich.console import Console

    class Quiet(Console):
        """A console that leaves a closed pipe to the command line as a whole."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_OF_A_FILE
    return Quiet(file=stream, width=width, highlight=False, markup=False, emoji=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table; empty cells stand for none."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value), style=_STYLES.get(str(value), "")) for value in row))
    console().print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values below each other; values that are none are left out."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in fields.items():
        if value is not None:
            grid.add_row(Text(name), Text(_cell(value), style=_STYLES.get(str(value), "")))
    console().print(grid)


_STYLES = {
    "allow": "green",
    "review": "cyan",
    "hold": "yellow",
    "block": "red",
    "ok": "green",
    "warn": "yellow",
    "warning": "yellow",
    "fail": "red",
    "error": "red",
    "stuck": "red",
    "settled": "green",
}


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    return "\n".join(plain(line) for line in str(value).split("\n"))


def _jsonable(value: Any) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """Show a growing number while something of unknown length runs; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress, TextColumn

    with Progress(
        TextColumn("{task.description}: {task.completed}"), console=console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def progressing(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how much of a known amount is done, and how long it still takes; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
