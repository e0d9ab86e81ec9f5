"""`paycordon feed list`, `show` and `pull`: what sources say, and how their feeds do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store, read_config
from paycordon.cli.output import counting, print_fields, print_json, print_line, print_table
from paycordon.cli.root import FINDINGS
from paycordon.errors import NotFound

if TYPE_CHECKING:
    from pathlib import Path

    from paycordon.store.feeds import FeedState

EMPTY = "no feeds; `feeds: {NAME: {format: …, source: …}}` in the configuration adds one"
Feed = Annotated[str, typer.Argument(metavar="NAME", help="The feed.")]


def list_feeds(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> int:
    """List the feeds and how they do; exit code 1 if one is refused, failed or waits for a person."""
    found = _described(config)
    if as_json:
        print_json(found)
    elif not found:
        print_line(EMPTY)
    else:
        columns = ("name", "format", "state", "counting", "good_at", "due_at", "why")
        heads = ("feed", "format", "state", "indicators", "last good", "next", "why")
        print_table(heads, [[each[column] for column in columns] for each in found])
    return FINDINGS if any(each["state"] not in ("ok", "never read") for each in found) else 0


def show(name: Feed, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> int:
    """Show one feed: how it does, how far it was read, and why it was refused, if it was."""
    found = next((each for each in _described(config) if each["name"] == name), None)
    if found is None:
        raise NotFound(f"there is no feed `{name}`; `paycordon feed list` lists them")
    if as_json:
        print_json(found)
    else:
        print_fields(found)
    return FINDINGS if found["state"] not in ("ok", "never read") else 0


def pull(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Look at this feed only.")] = None,
    accept_withdrawals: Annotated[
        bool, typer.Option("--accept-withdrawals", help="Take in a batch however much it withdraws.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Read it from the beginning, where its source forgets what it took back.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Look at one feed or all now, due or not; exit code 1 if one was not taken in to its end."""
    from paycordon.plugins import load, open_feeds
    from paycordon.pulling import pullings
    from paycordon.store import Store
    from paycordon.working import owner_name

    loaded = read_config(config)
    feeds = open_feeds(loaded, load(loaded))
    if name is not None and name not in feeds:
        raise NotFound(f"there is no feed `{name}`; `paycordon feed list` lists them")
    if (accept_withdrawals or anew) and name is None:
        raise NotFound("`--accept-withdrawals` and `--anew` need the name of a feed")
    most = {source: each.most_new_matches for source, each in loaded.sources.items()}
    wanted = feeds if name is None else {name: feeds[name]}
    store = Store.open(loaded.store)
    done: list[dict[str, Any]] = []
    try:
        for each, pulling in pullings(store, wanted, most, owner_name()).items():
            with counting(f"items of {each}") as count:
                found = pulling.look(early=True, accept_withdrawals=accept_withdrawals, anew=anew, progress=count)
            why = "another worker is looking at it"
            shown = {**asdict(found), "state": found.state or "ok"} if found else None
            done.append(shown or {"name": each, "state": "busy", "why": why})
    finally:
        store.close()
    if as_json:
        print_json(done)
    elif not done:
        print_line(EMPTY)
    else:
        columns = ("name", "state", "added", "corrected", "withdrawn", "unchanged", "matches", "why")
        rows = [[each.get(column) for column in columns] for each in done]
        print_table(("feed", *columns[1:6], "merchants", "why"), rows)
    return FINDINGS if any(each["state"] != "ok" for each in done) else 0


def _described(config: Path) -> list[dict[str, Any]]:
    """Return the configured feeds with their states."""
    from paycordon.store import feeds as states

    loaded = read_config(config)
    store = open_store(config)
    try:
        with store.read() as connection:
            known = {each.name: each for each in states.states(connection)}
    finally:
        store.close()
    return [
        {"name": name, "format": raw.get("format"), "source": _shown(raw), **_state(known.get(name))}
        for name, raw in loaded.feeds.items()
    ]


def _shown(raw: Any) -> str:
    """Return where a feed is read without what may be a secret in the address."""
    from urllib.parse import urlsplit

    source = str(raw.get("source", ""))
    parts = urlsplit(source)
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else source


def _state(found: FeedState | None) -> dict[str, Any]:
    fields = ("due_at", "looked_at", "good_at", "changed_at", "failures", "why", "counting")
    if found is None:
        return {"state": "never read", **dict.fromkeys(fields), "read_up_to": None}
    # A signed bundle's checkpoint holds what is trusted: too long for people, and none of their business.
    upto = found.checkpoint if found.checkpoint is None or len(found.checkpoint) < 200 else None
    state = found.state or ("ok" if found.good_at else "never read")
    return {"state": state, **{name: getattr(found, name) for name in fields}, "read_up_to": upto}
