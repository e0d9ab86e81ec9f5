"""The expression language of rules: CEL (https://cel.dev), by Google's implementation; the only module that knows it.

Every expression is checked against the schema when a policy is loaded. At run time an error is a value in CEL, and a
truthy one at that; here it becomes an `Unclear`, so nobody can take it for an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cel_expr_python import cel

from paycordon.decisions import Finding
from paycordon.documents import did_you_mean, lower_first
from paycordon.events import Event, Money
from paycordon.policy.schema import SCHEMA, type_name

MAX_SOURCE = 4_096
MAX_NESTING = 32
TOGETHER = 64
MAX_TOGETHER = 50_000  # characters; the compiler takes 100,000 code points

Param = (
    bool
    | int
    | float
    | str
    | timedelta
    | Money
    | tuple[bool, ...]
    | tuple[int, ...]
    | tuple[float, ...]
    | tuple[str, ...]
)

RESERVED = frozenset(
    {
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"),
        *("namespace", "null", "package", "return", "true", "var", "void", "while"),
    }
)
_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_STATUS = re.compile(r"^[A-Z_]+: ")
_NO_FIELD = re.compile(r"undefined field '([^']*)' not found in struct '([^']*)'")
_NO_NAME = re.compile(r"undeclared reference to '([^']*)'")
_INPUTS = re.compile(r" expecting \{.*\}$")
_FOLLOWS = "*error*"
_MISSING = ("No matching overloads found", "unable to find descriptor for type URL")


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


@dataclass(frozen=True, slots=True)
class Unclear:
    """An expression has no answer for this event, for example for want of a value."""

    detail: str


class Language:
    """The variables of one policy: `event`, `findings`, `params.…` and `aggregates.…`."""

    def __init__(self, params: Mapping[str, Param], aggregates: Iterable[str]) -> None:
        variables = {"event": cel.Type(type_name(Event)), "findings": cel.Type.List(cel.Type(type_name(Finding)))}
        variables |= {f"params.{name}": _type(value) for name, value in params.items()}
        variables |= {f"aggregates.{name}": cel.Type.INT for name in aggregates}
        self._names = sorted(variables)
        self._env = cel.NewEnv(SCHEMA.pool, variables=variables)
        self._params = self.values_of(params)

    def check(self, source: str) -> None:
        """Compile an expression that has to yield true or false.

        Raises:
            ExpressionInvalid: it is too long, too deeply nested, malformed, not typed right, or yields something else.
        """
        _refuse_excess(source)
        yields = self._compile(source).return_type().name()
        if yields != "BOOL":
            raise ExpressionInvalid([Fault(1, 1, f"yields {yields.lower()} where true or false is needed")])

    def conditions(self, sources: Sequence[str]) -> Conditions:
        """Prepare expressions, each of them checked before, to be evaluated on the same event."""
        groups: list[list[str]] = [[]]
        for source in sources:
            if len(groups[-1]) >= TOGETHER or sum(map(len, groups[-1])) + len(source) > MAX_TOGETHER:
                groups.append([])
            groups[-1].append(source)
        return Conditions(self, [_Group(self, group) for group in groups])

    def values_of(self, params: Mapping[str, Param]) -> dict[str, Any]:
        """Return parameters as variables; given to an evaluation, they stand instead of the policy's own."""
        return {f"params.{name}": _value(value) for name, value in params.items()}

    def activation(self, variables: Mapping[str, Any]) -> Any:
        """Bind the variables; has to happen in the thread that evaluates."""
        return self._env.Activation({**self._params, **variables})

    def _compile(self, source: str) -> Any:
        try:
            return self._env.compile(source)
        except RuntimeError as error:
            raise ExpressionInvalid(_faults(str(error), self._names)) from None


class _Group:
    """Expressions compiled as one list, which costs half; separately once one of them has no answer."""

    def __init__(self, language: Language, sources: Sequence[str]) -> None:
        # The line break ends a `//` comment, which would swallow the bracket otherwise.
        listed = ",".join(f"({source}\n)" for source in sources)
        self._together = language._compile(f"[{listed}]")
        self._separate = [language._compile(source) for source in sources]

    def evaluate(self, activation: Any) -> list[bool | Unclear]:
        result = _evaluated(self._together, activation)
        if not isinstance(result, Unclear) and result.type() is not cel.Type.ERROR:
            values: list[Any] = result.plain_value()
            if all(value is True or value is False for value in values):
                return values
        return [_answer(_evaluated(expression, activation)) for expression in self._separate]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Several prepared expressions of one policy."""

    language: Language
    groups: Sequence[_Group]

    def evaluate(self, variables: Mapping[str, Any]) -> list[bool | Unclear]:
        """Answer each expression, in order; an error in one does not touch the others."""
        activation = self.language.activation(variables)
        return [answer for group in self.groups for answer in group.evaluate(activation)]


def _evaluated(expression: Any, activation: Any) -> Any:
    """Evaluate; what the implementation itself gives up on, such as a loop that is too long, has no answer either."""
    try:
        return expression.eval(activation)
    except RuntimeError as error:
        return Unclear(_readable(str(error)))


def _answer(value: Any) -> bool | Unclear:
    if isinstance(value, Unclear):
        return value
    if value.type() == cel.Type.BOOL:
        return bool(value.value())
    if value.type() == cel.Type.ERROR:
        return Unclear(_readable(str(value.value())))
    return Unclear("a value it needs is missing")


def _readable(error: str) -> str:
    text = _STATUS.sub("", error)[:500]
    return f"a value it needs is missing or of another kind: {text}" if any(word in text for word in _MISSING) else text


def _type(value: Param) -> Any:
    if isinstance(value, tuple):
        return cel.Type.List(_type(value[0]))
    plain = {
        bool: cel.Type.BOOL,
        int: cel.Type.INT,
        float: cel.Type.DOUBLE,
        str: cel.Type.STRING,
        timedelta: cel.Type.DURATION,
    }
    return cel.Type(type_name(Money)) if isinstance(value, Money) else plain[type(value)]


def _value(value: Param) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return SCHEMA.message(value) if isinstance(value, Money) else value


def _refuse_excess(source: str) -> None:
    if len(source) > MAX_SOURCE:
        raise ExpressionInvalid([Fault(1, 1, f"is longer than {MAX_SOURCE} characters")])
    depth = 0
    for index, char in enumerate(source):
        depth += (char in "([{") - (char in ")]}")
        if depth > MAX_NESTING:
            before = source[:index]
            column = index - before.rfind("\n")
            raise ExpressionInvalid(
                [Fault(before.count("\n") + 1, column, f"nests deeper than {MAX_NESTING} brackets")]
            )


def _faults(text: str, names: Sequence[str]) -> list[Fault]:
    found = [
        _fault(int(m[1]), int(m[2]), m[3].removesuffix(" [INVALID_ARGUMENT]"), names) for m in _ERROR.finditer(text)
    ]
    causes = [fault for fault in found if _FOLLOWS not in fault.message]
    return causes or found or [Fault(1, 1, _STATUS.sub("", text.split("\n", 1)[0])[:300])]


def _fault(line: int, column: int, message: str, names: Sequence[str]) -> Fault:
    """Put a complaint of the compiler into the words and quotes of the rest, with a suggestion where there is one."""
    if field := _NO_FIELD.search(message):
        known = SCHEMA.fields(field[2])
        hint = did_you_mean(field[1], known) or f"known are {', '.join(known)}"
        return Fault(line, column, f"`{field[2].removeprefix('paycordon.')}` has no field `{field[1]}`", hint)
    if name := _NO_NAME.search(message):
        near = [each for each in names if "." not in name[1] or each.startswith(name[1].split(".")[0])]
        other = f"known are {', '.join(near)}" if near else None
        return Fault(line, column, f"there is no `{name[1]}`", did_you_mean(name[1], near) or other)
    text = _INPUTS.sub("", message).replace("'", "`")
    return Fault(line, column, lower_first(text)[:300])
