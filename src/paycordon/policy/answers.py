"""Answers of the engine. An error is a value there, and a truthy one at that; here it becomes an `Unclear`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel

_STATUS = re.compile(r"^[A-Z_]+: ")
_NO_VALUE = re.compile(r'No value with name "([^"]*)" found')
_MISSING = ("No matching overloads found", "unable to find descriptor for type URL")


@dataclass(frozen=True, slots=True)
class Unclear:
    """An expression has no answer for this event, for example for want of a value."""

    detail: str


def evaluated(expression: Any, activation: Any) -> Any:
    """Evaluate; what the implementation itself gives up on, such as a loop that is too long, has no answer either."""
    try:
        return expression.eval(activation)
    except RuntimeError as error:
        return Unclear(_readable(str(error)))


def answer(value: Any) -> bool | Unclear:
    """Take a value for an answer only if it is true or false."""
    if isinstance(value, Unclear):
        return value
    if value.type() == cel.Type.BOOL:
        return bool(value.value())
    if value.type() == cel.Type.ERROR:
        return Unclear(_readable(str(value.value())))
    return Unclear("a value it needs is missing")


def _readable(error: str) -> str:
    text = _STATUS.sub("", error)[:500]
    if unbound := _NO_VALUE.search(text):
        return f"`{unbound[1]}` has no value for this event"
    return "a value it needs is missing or of another kind" if any(word in text for word in _MISSING) else text
