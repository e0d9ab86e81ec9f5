"""`paycordon lookup`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_json, print_line, print_note, print_table, progressing

if TYPE_CHECKING:
    from paycordon.events import Identifier
    from paycordon.hub.client import Hub
    from paycordon.sections import HubSection

_AT_ONCE = 64


def lookup(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON Lines or CSV with `kind` and `value`; `-` is stdin.")
    ] = Path("-"),
    kind: Annotated[str | None, typer.Option(help="What the values are, if the file has one a line.")] = None,
    hub: Annotated[str | None, typer.Option(help="Which of the configured hubs to ask, if there are several.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Ask a hub whether identifiers are known, without telling it which. Ends with 1 if one of them is.

    That one is known is a lead, never a proof: have a person look before anything is done.
    """
    from paycordon.hub.client import Hub

    name, section = _chosen(read_config(config).hubs, hub)
    lines = _identifiers(source, kind)
    member = Hub(section.url, section.token, section.pinned, max_bits=section.max_bits)
    try:
        answers, trouble = _asked(member, [identifier for _, identifier in lines])
    finally:
        member.close()
    found = [
        {"line": line, "kind": str(identifier.kind), "known": known}
        for (line, identifier), known in zip(lines, answers, strict=False)
    ]
    _tell(name, found, len(lines), as_json=as_json)
    if trouble is not None:
        raise trouble
    return int(any(answers))


def _chosen(hubs: dict[str, HubSection], name: str | None) -> tuple[str, HubSection]:
    from paycordon.errors import ConfigError

    if not hubs:
        hint = "add the hub's `url`, `token` and `pinned` public keys under `hubs`"
        raise ConfigError("the configuration names no hub", hint=hint)
    if name is None and len(hubs) == 1:
        (name,) = hubs
    if name is None or name not in hubs:
        known = ", ".join(f"`{each}`" for each in hubs)
        raise ConfigError(
            "no such hub is configured" if name else "several hubs are configured", hint=f"`--hub` {known}"
        )
    return name, hubs[name]


def _identifiers(source: Path, kind: str | None) -> Sequence[tuple[int, Identifier]]:
    """Read all lines; one that cannot be used refuses them all."""
    from paycordon.cli.inputs import InputInvalid, read_text
    from paycordon.errors import Position
    from paycordon.hub.source import LineInvalid, shape_of

    name, text = read_text(source)
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    found, line = list[tuple[int, Any]](), lines[0][0]
    try:
        shape, header = shape_of(lines[0][1], kind)
        for line, content in lines[1 if header else 0 :]:
            found.append((line, shape.read(content.strip("\r"))))
    except LineInvalid as invalid:
        raise InputInvalid(f"the line {invalid}", position=Position(name, line), hint="nothing was asked") from None
    return found


def _asked(member: Hub, identifiers: Sequence[Identifier]) -> tuple[list[bool], Exception | None]:
    """Ask about all; if the hub stops answering, return what it has answered and why there is no more."""
    from paycordon.hub.client import HubUnavailable

    answers = list[bool]()
    with progressing("asking", len(identifiers)) as progress:
        for at in range(0, len(identifiers), _AT_ONCE):
            try:
                answers += member.known(identifiers[at : at + _AT_ONCE])
            except HubUnavailable as error:
                return answers, error
            progress(len(answers))
    return answers, None


def _tell(hub: str, found: Sequence[dict[str, Any]], total: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"hub": hub, "asked": total, "answered": len(found), "answers": found})
        return
    known = [each for each in found if each["known"]]
    if known:
        print_table(("line", "kind"), [(each["line"], each["kind"]) for each in known], title=f"known to {hub}")
    print_line(f"{len(known)} of {len(found)} are known to {hub}")
    if known:
        print_line("each is a lead, never a proof: `paycordon indicator add` takes what a person stands for")
    if len(found) < total:
        print_note(
            f"note: {total - len(found)} were not answered, from line {found[-1]['line'] + 1 if found else 1} on"
        )
