"""Files that people write, read so that every complaint names file, line and column.

Values never appear in messages, only keys and what was expected: a value may be a secret in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from paycordon.documents_models import known_keys
from paycordon.documents_yaml import Mark, Node, YamlRefused, parse
from paycordon.errors import ConfigError, Position

__all__ = [
    "MAX_BYTES",
    "Document",
    "Problem",
    "did_you_mean",
    "document_from",
    "error_from",
    "lower_first",
    "problems_of",
    "read_content",
    "read_document",
    "validate",
]

MAX_BYTES = 1_048_576
_ENUM_MEMBER = re.compile(r"<\w+\.\w+: '([^']*)'>")
_QUOTED = re.compile(r"'([^']*)'")
_KEY = "[key]"  # pydantic's step for the key itself
_ONE_OF = ("enum", "literal_error")
Loc = Sequence[str | int]
_M = TypeVar("_M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where, and at most one hint."""

    position: Position
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.position}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class Document:
    """What a file says, and where it says it."""

    def __init__(self, file: Path | str, text: str, root: Node) -> None:
        self.file = file
        self._text = text
        self._root = root

    @classmethod
    def absent(cls, position: Position) -> Document:
        """An empty mapping that was not written, but would have stood near `position`."""
        mark = Mark(position.line, position.column)
        return cls(position.file, "", Node({}, mark, mark))

    @property
    def data(self) -> JsonValue:
        """The content, as JSON-like values."""
        return self._root.value

    def part(self, *loc: str | int) -> Document:
        """The part of the document below `loc`, with positions in the same file.

        Raises:
            KeyError: there is nothing there.
        """
        node = self._root
        for step in loc:
            node = node.children[step]
        return Document(self.file, self._text, node)

    def position(self, loc: Loc = (), *, key: bool = False) -> Position:
        """Where the value at `loc` stands, or its key; the nearest thing around it if it is not there."""
        node, mark = self._root, self._root.start
        for step in loc:
            if step not in node.children:
                continue
            name = node.keys.get(step) if isinstance(step, str) else None
            node = node.children[step]
            mark = name if key and name else node.start
        return self._position(mark)

    def position_in(self, loc: Loc, line: int, column: int) -> Position:
        """Where the character at `line` and `column` (from 1) of the text at `loc` stands in the file."""
        node = self._root
        for step in loc:
            node = node.children[step]
        value = node.value
        if not isinstance(value, str):
            return self._position(node.start)
        lines = value.split("\n")
        wanted = sum(len(above) + 1 for above in lines[: line - 1]) + column - 1
        index = _index_in_source(value, self._text, node, min(wanted, max(len(value) - 1, 0)))
        before = self._text[:index]
        return Position(self.file, before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)

    def _position(self, mark: Mark) -> Position:
        return Position(self.file, mark.line, mark.column)


def _index_in_source(value: str, text: str, node: Node, wanted: int) -> int:
    """Walk a scalar's value along its source; quotes, escapes, indentation and folding are skipped."""
    raw = found = node.start.offset
    if text[raw] in "|>":
        raw = text.index("\n", raw) + 1
    elif text[raw] in "'\"":
        raw += 1
    for char in value[: wanted + 1]:
        while raw < node.end.offset and text[raw] != char and not (char.isspace() and text[raw].isspace()):
            raw += 1
        if raw >= node.end.offset:
            break
        found, raw = raw, raw + 1
    return found


def read_document(path: Path, *, error: type[ConfigError] = ConfigError) -> Document:
    """Read a YAML file of at most one MiB whose root is a mapping.

    Raises:
        ConfigError: or the class given as `error`: the file is missing, unreadable, too big, not UTF-8, empty, or
            outside the subset of `paycordon.documents_yaml`.
    """
    return document_from(read_content(path, error=error), path, error=error)


def read_content(path: Path, *, error: type[ConfigError] = ConfigError) -> bytes:
    """Read the bytes of a file of at most one MiB.

    Raises:
        ConfigError: or the class given as `error`: the file is missing, unreadable or too big.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise error(f"cannot be read: {reason}", position=Position(path)) from None
    if len(content) > MAX_BYTES:
        raise error("the file is larger than 1 MiB", position=Position(path), hint="split it")
    return content


def document_from(content: bytes, file: Path | str, *, error: type[ConfigError] = ConfigError) -> Document:
    """Read the content of a file that was read already; otherwise as `read_document`."""
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as problem:
        before = content[: problem.start]
        column = problem.start - (before.rfind(b"\n") + 1) + 1
        place = Position(file, before.count(b"\n") + 1, column)
        raise error("the file is not UTF-8", position=place, hint="save it as UTF-8") from None
    text = text.replace("\r\n", "\n")
    try:
        return Document(file, text, parse(text))
    except YamlRefused as refused:
        place = Position(file, refused.mark.line, refused.mark.column)
        raise error(str(refused), position=place, hint=refused.hint) from None


def validate(
    model: type[_M], document: Document, *, error: type[ConfigError] = ConfigError, data: JsonValue = None
) -> _M:
    """Read a document into a pydantic model.

    Args:
        model: the model.
        document: what to read, and where its positions come from.
        error: the class to raise.
        data: what to read instead of `document.data`, for example with its secrets resolved.

    Raises:
        ConfigError: or the class given: all problems, each with its position; the first one leads.
    """
    try:
        return model.model_validate(document.data if data is None else data)
    except ValidationError as invalid:
        raise error_from(problems_of(invalid, model, document), error) from None


def problems_of(invalid: ValidationError, model: type[BaseModel], document: Document) -> list[Problem]:
    """Say what pydantic found wrong, with positions in the document, in their order there."""
    details = invalid.errors(include_url=False, include_context=True)
    problems = {_problem(each, model, document): None for each in details if not _follows(each, details)}
    return sorted(problems, key=lambda p: (p.position.line, p.position.column))


def _follows(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Tell whether a list is only too short because items of it were refused."""
    loc = detail["loc"]
    return detail["type"] == "too_short" and any(len(d["loc"]) > len(loc) == _shared(d["loc"], loc) for d in details)


def _shared(one: Loc, other: Loc) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def error_from(problems: Sequence[Problem], error: type[ConfigError] = ConfigError) -> ConfigError:
    """Make one error of at least one problem: the first leads, the others follow on lines of their own."""
    first, *others = problems
    if not others:
        return error(first.message, position=first.position, hint=first.hint)
    hint = f" ({first.hint})" if first.hint else ""
    return error("\n".join([f"{first.message}{hint}", *map(str, others)]), position=first.position)


def did_you_mean(word: str, known: Sequence[str]) -> str | None:
    """Suggest the known word nearest to a misspelt one, as a hint."""
    near = get_close_matches(word, known, n=1)
    return f"did you mean `{near[0]}`?" if near else None


def lower_first(text: str) -> str:
    """Begin a sentence with a small letter, unless it begins with a code such as EUR."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _problem(detail: ErrorDetails, model: type[BaseModel], document: Document) -> Problem:
    loc, kind = detail["loc"], detail["type"]
    if kind == "extra_forbidden":
        name, keys = str(loc[-1]), known_keys(model, loc[:-1])
        hint = did_you_mean(name, keys) or (f"known keys: {', '.join(keys)}" if keys else None)
        return Problem(document.position(loc, key=True), f"unknown key `{name}`", hint)
    if kind == "missing":
        return Problem(document.position(loc[:-1]), f"`{loc[-1]}` is missing")
    is_key = loc[-1:] == (_KEY,)
    name = ".".join(str(step) for step in loc if step != _KEY)
    text = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if kind in _ONE_OF:
        text = _ENUM_MEMBER.sub(r"'\1'", text).replace("'", "`")
    message = f"`{name}`: {lower_first(text)}" if name else lower_first(text)
    return Problem(document.position(loc, key=is_key), message, _hint(detail))


def _hint(detail: ErrorDetails) -> str | None:
    """Suggest the expected word that a misspelt one is nearest to; the misspelt one itself is not shown."""
    expected = detail.get("ctx", {}).get("expected")
    given = detail.get("input")
    if detail["type"] not in _ONE_OF or not isinstance(given, str) or not isinstance(expected, str):
        return None
    return did_you_mean(given, _QUOTED.findall(_ENUM_MEMBER.sub(r"'\1'", expected)))
