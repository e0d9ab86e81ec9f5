"""Read lists of names: JSON Lines of our own, and FollowTheMoney entities as OpenSanctions publishes them.

A list is read whole or not at all: a line that cannot be understood names its place, and the index in use stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from paycordon.errors import ConfigError, Position
from paycordon.names.index import Listed
from paycordon.names.words import MAX_LENGTH, NameKind

Format = Literal["jsonl", "ftm"]
MAX_ALIASES = 200
_FTM_KINDS = {
    "Person": NameKind.PERSON,
    "LegalEntity": NameKind.ORGANISATION,
    "Company": NameKind.ORGANISATION,
    "Organization": NameKind.ORGANISATION,
    "PublicBody": NameKind.ORGANISATION,
}
_FTM_NAMES = ("name", "alias", "weakAlias", "previousName")


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    id: str = Field(min_length=1, max_length=255)
    name: str = Field(min_length=1, max_length=MAX_LENGTH)
    kind: NameKind
    aliases: tuple[str, ...] = Field(default=(), max_length=MAX_ALIASES)
    reference: str = Field(default="", max_length=2_048)


def entries_of(path: Path, format_: Format) -> Iterator[Listed]:
    """Read a list, line by line; entries of other kinds than people and organisations are passed over.

    Raises:
        ConfigError: a line cannot be understood, or the file cannot be read; names file and line.
    """
    read = _own if format_ == "jsonl" else _ftm
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    entry = read(line, Position(str(path), number))
                    if entry is not None:
                        yield entry
    except OSError as error:
        raise ConfigError(f"the list of names `{path}` cannot be read: {error.strerror}") from None


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hex.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"the list of names `{path}` cannot be read: {error.strerror}") from None


def _own(line: bytes, at: Position) -> Listed:
    try:
        read = _Line.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"not an entry of a list of names: `{where}`: {first['msg'].lower()}", position=at) from None
    return Listed(read.id, read.name, read.kind, read.aliases, read.reference)


def _ftm(line: bytes, at: Position) -> Listed | None:
    try:
        entity = json.loads(line)
        id_, kind, properties = entity["id"], _FTM_KINDS.get(entity["schema"]), entity["properties"]
        if kind is None:
            return None
        names = [name[:MAX_LENGTH] for each in _FTM_NAMES for name in _texts(properties, each)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigError("not a FollowTheMoney entity", position=at) from None
    if not names or not isinstance(id_, str) or not id_:
        return None
    main = entity.get("caption")
    main = main if isinstance(main, str) and main else names[0]
    reference = next(iter(_texts(properties, "sourceUrl")), "")
    return Listed(id_, main[:MAX_LENGTH], kind, tuple(dict.fromkeys(names))[:MAX_ALIASES], reference)


def _texts(properties: Mapping[str, Any], name: str) -> list[str]:
    values = properties.get(name, [])
    return [value for value in values if isinstance(value, str) and value.strip()]
