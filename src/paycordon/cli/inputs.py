"""Read what people pipe in or name as a file; complaints name file, line and field, and never repeat a value."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from paycordon.errors import ConfigError, PaycordonError, Position

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from paycordon.events import Event

_T = TypeVar("_T")
_M = TypeVar("_M", bound="BaseModel")

MAX_INPUT_BYTES = 64 * 1_048_576
_STDIN = Path("-")
_AT = re.compile(r" at line (\d+) column (\d+)$")


class InputInvalid(ConfigError):
    """What was given to a command cannot be used; nothing was done with any of it."""


def read_text(path: Path) -> tuple[str, str]:
    """Return the name and the text of a file, or of stdin for `-`.

    Raises:
        InputInvalid: it cannot be read, is empty, too big or not UTF-8.
    """
    name = "<stdin>" if path == _STDIN else str(path)
    try:
        content = _read(sys.stdin.buffer) if path == _STDIN else _read_file(path)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise InputInvalid(f"cannot be read: {reason}", position=Position(name)) from None
    if len(content) > MAX_INPUT_BYTES:
        raise InputInvalid("the input is larger than 64 MiB", position=Position(name), hint="split it")
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        place = Position(name, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        raise InputInvalid("the input is not UTF-8", position=place, hint="save it as UTF-8") from None
    if not text.strip():
        raise InputInvalid("the input is empty", position=Position(name))
    return name, text


def read_events(path: Path) -> list[Event]:
    """Read one event as a JSON object, or several as JSON lines; all of them are valid, or none is returned.

    Raises:
        InputInvalid: something is wrong; names the line and the field of every event that is.
    """
    from paycordon.events import Event

    return read_each(path, lambda name, line, document: model_of(Event, name, line, document))


def read_each(path: Path, read: Callable[[str, int, str], _T]) -> list[_T]:
    """Read one JSON object, or several as JSON lines; all of them can be used, or none is returned.

    Args:
        path: the file; `-` for stdin.
        read: turns one into what it stands for, given the name of the file, the line and the text; raises
            `InputInvalid`.

    Raises:
        InputInvalid: something is wrong; names every line where it is.
    """
    name, text = read_text(path)
    found, problems = list[_T](), list[InputInvalid]()
    for line, document in _documents(text):
        try:
            found.append(read(name, line, document))
        except InputInvalid as error:
            problems.append(error)
    if problems:
        first, *others = problems
        more = "".join(f"\n{other}" for other in others[:20])
        raise InputInvalid(f"{first.message}{more}", position=first.position, hint=first.hint)
    return found


def _read(stream: BinaryIO) -> bytes:
    return stream.read(MAX_INPUT_BYTES + 1)


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return _read(file)


def _documents(text: str) -> Iterator[tuple[int, str]]:
    """Split JSON lines, with the number of each; what is no JSON on its first line is one document as a whole."""
    from pydantic_core import from_json

    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    try:
        from_json(lines[0][1])
    except ValueError:
        yield 1, text
        return
    yield from lines


def model_of(model: type[_M], name: str, line: int, document: str) -> _M:
    """Read a JSON object that begins on a line of a file.

    Raises:
        InputInvalid: it is none, or does not fit; names the place and the field, never a value.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate_json(document)
    except ValidationError as invalid:
        raise invalid_at(invalid, name, line) from None


def invalid_at(invalid: ValidationError, name: str, line: int) -> InputInvalid:
    """Say what is wrong first, in our words: the place and the field, never a value."""
    detail = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
    message, place = detail["msg"], Position(name, line)
    found = _AT.search(message)
    if detail["type"] == "json_invalid" and found:
        message = message[: found.start()]
        place = Position(name, line + int(found[1]) - 1, int(found[2]))
    field = ".".join(str(step) for step in detail["loc"])
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    text = text[:1].lower() + text[1:]
    return InputInvalid(f"`{field}`: {text}" if field else text, position=place)


def checked(problem: str, condition: bool) -> None:
    """Refuse an option's value.

    Raises:
        PaycordonError: the condition does not hold.
    """
    if not condition:
        raise PaycordonError(problem)
