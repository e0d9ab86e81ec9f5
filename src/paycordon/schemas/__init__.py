"""JSON Schemas of what goes in and comes out, for programs in other languages; `event.v1.json`, `decision.v1.json`.

The files are made from the models and shipped. After a change of a model, make them again with
`python -m paycordon.schemas src/paycordon/schemas`.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from paycordon.decisions import Decision
from paycordon.events import Event

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILES = ("event.v1.json", "decision.v1.json")

__all__ = ["FILES", "generate", "shipped"]


def generate() -> dict[str, str]:
    """Make the texts of the schemas from the models, by file name: events as taken, decisions as given out."""
    made = (Event.model_json_schema(mode="validation"), Decision.model_json_schema(mode="serialization"))
    return {name: _text(schema) for name, schema in zip(FILES, made, strict=True)}


def shipped(name: str) -> dict[str, Any]:
    """Read a shipped schema by its file name.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    found: dict[str, Any] = json.loads(files(__name__).joinpath(name).read_text(encoding="utf-8"))
    return found


def _text(schema: dict[str, Any]) -> str:
    return json.dumps({"$schema": DIALECT, **schema}, indent=2, sort_keys=True) + "\n"
