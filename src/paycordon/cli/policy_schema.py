"""`paycordon policy schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from paycordon.cli.options import JsonOption
from paycordon.cli.output import print_json, print_line
from paycordon.errors import ConfigError, PaycordonError, Position

_ENDING = ".v1.json"


def schema(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Which: `policy`, `bindings`, `test` or `config`.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write all of them into this directory.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print or write the JSON Schemas of policies, bindings, policy tests and the configuration, for editors."""
    from paycordon.schemas import FOR_EDITORS, shipped

    known = {file.removesuffix(_ENDING): file for file in FOR_EDITORS}
    if out is not None:
        written = [_write(out / file, shipped(file)) for file in FOR_EDITORS]
        if as_json:
            print_json([str(path) for path in written])
        else:
            for path in written:
                print_line(f"wrote {path}")
    elif name in known:
        print_json(shipped(known[name]))
    elif name is None:
        descriptions = {each: str(shipped(file).get("description", "")).split("\n")[0] for each, file in known.items()}
        if as_json:
            print_json(descriptions)
        else:
            for each, description in descriptions.items():
                print_line(f"{each:<9} {description}")
            print_line("`paycordon policy schema --out .schemas` writes them for your editor")
    else:
        raise PaycordonError(f"there is no schema `{name}`; known are {', '.join(f'`{each}`' for each in known)}")


def _write(path: Path, content: dict[str, object]) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"cannot be written: {reason}", position=Position(path)) from None
    return path
