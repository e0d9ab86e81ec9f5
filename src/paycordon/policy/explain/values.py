"""Evaluate any part of an expression on recorded inputs, and say what came out in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, NoneType
from typing import Any

from cel_expr_python import cel
from google.protobuf.message import Message

from paycordon.events import Money
from paycordon.policy.answers import Unclear, answer, evaluated
from paycordon.policy.cel import ExpressionInvalid, Language
from paycordon.policy.schema import type_name

MAX_TEXT = 300
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


class Engine:
    """The expressions of one policy on one event: what each part of them yields.

    Not for the hot path: every part is compiled when it is asked for.

    Args:
        language: of the policy.
        bound: the values of its names.
        variables: its shared expressions, as `variables.NAME`.
    """

    def __init__(
        self, language: Language, bound: Mapping[str, Any], variables: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.variables = variables
        self._language = language
        self._activation = language.activation(bound)
        self._known: dict[str, Any] = {}

    def value(self, source: str) -> Any:
        """What an expression yields: a plain value, an amount, None for what is missing, or `Unclear`."""
        if source not in self._known:
            self._known[source] = self._evaluated(source)
        return self._known[source]

    def _evaluated(self, source: str) -> Any:
        try:
            result = evaluated(self._language.program(self._language.runnable(source)), self._activation)
        except ExpressionInvalid as invalid:  # a part that means something only within the whole
            return Unclear(invalid.faults[0].message)
        if isinstance(result, Unclear) or result.type() == cel.Type.ERROR:
            return answer(result)
        value = result.plain_value()
        return Money(minor=value.minor.value, currency=value.currency.value) if _is_money(value) else value


@dataclass(frozen=True, slots=True)
class Shown:
    """A part of a condition and what it was."""

    text: str
    value: Any

    @property
    def words(self) -> str:
        """The value for people."""
        return in_words(self.value)


def _is_money(value: object) -> bool:
    return isinstance(value, Message) and value.DESCRIPTOR.full_name == type_name(Money)


def in_words(value: object) -> str:
    """Write a value as people read it; long ones are cut."""
    text = _words(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _words(value: object) -> str:
    if isinstance(value, Unclear):
        return "missing" if value.detail.startswith("a value it needs is missing") else f"no answer: {value.detail}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_words, value))}]"
    return next((write(value) for kind, write in _WRITTEN if isinstance(value, kind)), str(value))


_WRITTEN: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (NoneType, lambda _: "missing"),
    (bool, lambda value: "true" if value else "false"),
    (str, lambda value: json.dumps(value, ensure_ascii=False)),
    (datetime, lambda value: value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")),
    (timedelta, lambda value: duration_in_words(value)),
    (float, lambda value: f"{value:g}"),
    (Mapping, lambda value: json.dumps(dict(value), default=str, ensure_ascii=False)),
    (Message, lambda value: "present" if value.ListFields() else "empty"),
)


def duration_in_words(value: timedelta) -> str:
    """Write `3d 2h`; the two largest units."""
    seconds = abs(int(value.total_seconds()))
    parts: list[str] = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    sign = "-" if value < timedelta() else ""
    return sign + (" ".join(parts[:2]) or "0s")
