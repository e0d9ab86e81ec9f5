"""`paycordon hub`: make, fill, serve and rotate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import log2
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.options import JsonOption
from paycordon.cli.output import print_fields, print_json, print_line, print_note, print_table, progressing

if TYPE_CHECKING:
    from paycordon.hub.home import Home
    from paycordon.hub.ledger import Row

DEFAULT_HUB = Path("hub")
DirectoryOption = Annotated[
    Path, typer.Option("--directory", "-d", envvar="PAYCORDON_HUB", help="The hub's directory.", show_default=True)
]


@contextmanager
def at_home(directory: Path) -> Iterator[Home]:
    """Open a hub's directory and close it.

    Raises:
        ConfigError: there is no hub in it, or what it takes is not installed.
    """
    from paycordon.hub.home import Home

    home = Home(directory)
    try:
        yield home
    finally:
        home.close()


def init(directory: DirectoryOption = DEFAULT_HUB, as_json: JsonOption = False) -> None:
    """Make a hub: its settings, its ledger and its first key."""
    from paycordon.hub.home import create
    from paycordon.screening import utc_now

    epoch = create(directory, utc_now())
    _tell_key("made", epoch, as_json=as_json)
    if not as_json:
        print_note("next: `paycordon hub build FILE`, `paycordon hub add-member NAME`, `paycordon hub serve`")


def build(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines or CSV with `kind` and `value`.")],
    kind: Annotated[str | None, typer.Option(help="What the values are, if the file has one a line.")] = None,
    shrink: Annotated[bool, typer.Option("--shrink", help="The list may lose more than half of its entries.")] = False,
    directory: DirectoryOption = DEFAULT_HUB,
    as_json: JsonOption = False,
) -> None:
    """Build the list anew from plain identifiers and swap it in: all of it, or nothing.

    The file is the whole list: what is not in it is not known any more. Only outputs of the hub's keys are kept.
    """
    from paycordon.screening import utc_now

    with at_home(directory) as home:
        size = source.stat().st_size if source.is_file() else 0
        with progressing("evaluating", size) as progress:
            epochs = home.build(source, utc_now, progress, kind=kind, shrink=shrink)
        if as_json:
            print_json([_shown(each) for each in epochs])
            return
        for epoch in epochs:
            print_line(f"epoch {epoch['number']}: {_anonymity(epoch)}")
        if epochs and epochs[-1]["smallest"] < home.settings.minimum:
            print_note("note: the list is shorter than `minimum`, so every answer is the whole of it and tells nothing")


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port; 0 takes a free one.")] = 8400,
    directory: DirectoryOption = DEFAULT_HUB,
    as_json: JsonOption = False,
) -> None:
    """Answer members over HTTP. Runs until it is told to stop; put a proxy with TLS before it.

    New lists, keys and members are seen at once. Any number of these may run on one directory.
    """
    from paycordon.cli.serve import announce, listening, uvicorn_module
    from paycordon.cli.work import logging_to_stderr
    from paycordon.hub.door import Door
    from paycordon.screening import utc_now

    uvicorn = uvicorn_module()
    with at_home(directory) as home, listening(host, port) as listener:
        if all(each["built_at"] is None for each in home.epochs(utc_now())):
            print_note("note: there is no list yet; `paycordon hub build FILE` makes one, and it is served at once")
        # Nothing in front of the door is needed, and no header says more than the answer.
        config = uvicorn.Config(
            Door(home, utc_now),
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
        announce(listener, as_json=as_json)
        with logging_to_stderr():
            uvicorn.Server(config).run(sockets=[listener])


def rotate(directory: DirectoryOption = DEFAULT_HUB, as_json: JsonOption = False) -> None:
    """Make the next key. Members pin it, then `paycordon hub build` serves it, beside the one before for `overlap`."""
    from paycordon.screening import utc_now

    with at_home(directory) as home:
        epoch = home.rotate(utc_now())
    _tell_key("made", epoch, as_json=as_json)
    if not as_json:
        print_note("give it to all members, the same to each, and when they have pinned it: `paycordon hub build FILE`")


def status(
    check: Annotated[
        bool, typer.Option("--check", help="Read the lists whole, and say whether they are intact.")
    ] = False,
    directory: DirectoryOption = DEFAULT_HUB,
    as_json: JsonOption = False,
) -> int:
    """Show keys and lists, and how well they hide what is looked up."""
    from paycordon.screening import utc_now

    with at_home(directory) as home:
        home.retire(utc_now())
        epochs, settings = home.epochs(utc_now()), home.settings
        damaged = [each["number"] for each in epochs if check and each["built_at"] and not home.intact(each)]
        members = len(home.members())
    if as_json:
        print_json(
            {"minimum": settings.minimum, "members": members, "epochs": [_shown(each) for each in epochs]}
            | ({"damaged": damaged} if check else {})
        )
        return 1 if damaged else 0
    print_fields({"k asked for": settings.minimum, "members": members})
    columns = ("epoch", "public key", "entries", "bits", "k", "bucket", "built", "ends")
    print_table(columns, [_row(each) for each in epochs])
    for epoch in epochs:
        if epoch["built_at"] is not None:
            print_line(f"epoch {epoch['number']}: {_anonymity(epoch)}")
    for number in damaged:
        print_line(f"epoch {number}: its list is damaged; run `paycordon hub build`")
    return 1 if damaged else 0


def _anonymity(epoch: Row) -> str:
    """Say what a lookup tells the hub, of what there is to tell."""
    whole = log2(epoch["entries"]) if epoch["entries"] else 0.0
    return (
        f"{epoch['entries']:,} entries in {2 ** epoch['bits']:,} buckets of {epoch['capacity']:,} with at least"
        f" {epoch['smallest']:,} true ones: a lookup tells the hub {epoch['bits']} bits of {whole:.1f}"
    )


def _shown(epoch: Row) -> dict[str, Any]:
    from paycordon.store.schema import from_micros

    names = ("number", "public_key", "entries", "bits", "smallest", "capacity")
    moments = {name: epoch[name] and from_micros(epoch[name]) for name in ("made_at", "built_at", "ends_at")}
    return {name: epoch[name] for name in names} | moments


def _row(epoch: Row) -> Sequence[object]:
    shown = _shown(epoch)
    names = ("number", "public_key", "entries", "bits", "smallest", "capacity", "built_at", "ends_at")
    return [shown[name] for name in names]


def _tell_key(what: str, epoch: Row, *, as_json: bool) -> None:
    if as_json:
        print_json({"epoch": epoch["number"], "public_key": epoch["public_key"]})
    else:
        print_line(f"{what} the key of epoch {epoch['number']}; members pin its public half:")
        print_line(epoch["public_key"])
