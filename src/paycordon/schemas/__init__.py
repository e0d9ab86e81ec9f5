"""JSON Schemas: of what goes in and comes out, for programs in other languages, and of the files that people write.

`event.v1.json` and `decision.v1.json` are for programs, the others for editors (`paycordon policy schema`). The files
are made from the models and shipped. After a change of a model, make them again with
`python -m paycordon.schemas src/paycordon/schemas`.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel

from paycordon.config import Config
from paycordon.decisions import Decision
from paycordon.events import Event
from paycordon.policy.bindings import BindingsDocument
from paycordon.policy.cases.document import CasesDocument
from paycordon.policy.document import PolicyDocument

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MODELS: dict[str, tuple[type[BaseModel], Literal["validation", "serialization"]]] = {
    "event.v1.json": (Event, "validation"),
    "decision.v1.json": (Decision, "serialization"),
    "policy.v1.json": (PolicyDocument, "validation"),
    "bindings.v1.json": (BindingsDocument, "validation"),
    "test.v1.json": (CasesDocument, "validation"),
    "config.v1.json": (Config, "validation"),
}
FILES = tuple(_MODELS)
FOR_EDITORS = ("policy.v1.json", "bindings.v1.json", "test.v1.json", "config.v1.json")

__all__ = ["FILES", "FOR_EDITORS", "generate", "shipped"]


def generate() -> dict[str, str]:
    """Make the texts of the schemas from the models, by file name: events as taken, decisions as given out."""
    return {name: _text(model.model_json_schema(mode=mode)) for name, (model, mode) in _MODELS.items()}


def shipped(name: str) -> dict[str, Any]:
    """Read a shipped schema by its file name.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    found: dict[str, Any] = json.loads(files(__name__).joinpath(name).read_text(encoding="utf-8"))
    return found


def _text(schema: dict[str, Any]) -> str:
    return json.dumps({"$schema": DIALECT, **schema}, indent=2, sort_keys=True) + "\n"
