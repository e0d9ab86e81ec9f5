"""What the engine says of an expression that it does not compile, in the words and quotes of the rest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from paycordon.documents import did_you_mean, lower_first
from paycordon.policy.schema import SCHEMA
from paycordon.policy.syntax import line_column

_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_NO_FIELD = re.compile(r"undefined field '([^']*)' not found in struct '([^']*)'")
_NO_NAME = re.compile(r"undeclared reference to '([^']*)'")
_INPUTS = re.compile(r" expecting \{.*\}$")
_FOLLOWS = "*error*"
_STATUS = re.compile(r"^[A-Z_]+: ")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an expression, at a line and column of its text, both from 1."""

    line: int
    column: int
    message: str
    hint: str | None = None


class ExpressionInvalid(Exception):
    """An expression does not compile; `faults` says why."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = faults
        super().__init__(faults[0].message)


def fault_at(source: str, offset: int, message: str) -> Fault:
    """A fault at an offset of the text, in characters from 0."""
    return Fault(*line_column(source, offset), message)


def faults_in(text: str, names: Sequence[str], aggregates: str | None) -> list[Fault]:
    """Read the engine's complaint; `names` are the variables there are, `aggregates` the type of that name."""
    found = [
        _fault(int(m[1]), int(m[2]), m[3].removesuffix(" [INVALID_ARGUMENT]"), names, aggregates)
        for m in _ERROR.finditer(text)
    ]
    causes = [fault for fault in found if _FOLLOWS not in fault.message]
    return causes or found or [Fault(1, 1, _STATUS.sub("", text.split("\n", 1)[0])[:300])]


def _fault(line: int, column: int, message: str, names: Sequence[str], aggregates: str | None) -> Fault:
    """Put a complaint of the compiler into the words and quotes of the rest, with a suggestion where there is one."""
    if field := _NO_FIELD.search(message):
        known = SCHEMA.fields(field[2])
        if field[2] == aggregates:
            full = [f"aggregates.{each}" for each in known]
            wanted = f"aggregates.{field[1]}"
            return Fault(line, column, f"there is no `{wanted}`", _suggestion(wanted, full))
        hint = _suggestion(field[1], known)
        return Fault(line, column, f"`{field[2].removeprefix('paycordon.')}` has no field `{field[1]}`", hint)
    if name := _NO_NAME.search(message):
        near = [each for each in names if "." not in name[1] or each.startswith(name[1].split(".")[0])]
        other = f"known are {', '.join(near)}" if near else None
        return Fault(line, column, f"there is no `{name[1]}`", did_you_mean(name[1], near) or other)
    text = _INPUTS.sub("", message).replace("'", "`")
    return Fault(line, column, lower_first(text)[:300])


def _suggestion(word: str, known: Sequence[str]) -> str:
    return did_you_mean(word, known) or f"known are {', '.join(known)}"
