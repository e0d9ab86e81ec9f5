"""The expression language of rules: CEL (https://cel.dev), by Google's implementation.

Every expression is checked against the schema when a policy is loaded. At run time an error is a value in CEL, and a
truthy one at that; here it becomes an `Unclear`, so nobody can take it for an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from cel_expr_python import cel

from paycordon.decisions import Finding
from paycordon.events import Event, Money
from paycordon.policy.answers import Unclear, evaluated
from paycordon.policy.conditions import Conditions
from paycordon.policy.faults import ExpressionInvalid, Fault, fault_at, faults_in
from paycordon.policy.functions import Lists, functions, list_types, list_variable, micros
from paycordon.policy.limits import MAX_VALUE, excesses
from paycordon.policy.rates import RateTable
from paycordon.policy.schema import BY_FULL_NAME, OCCURRED_AT, PRESENCE, SCHEMA, Path, type_name
from paycordon.policy.syntax import (
    MAX_SOURCE,
    Has,
    Node,
    SyntaxInvalid,
    fields_of_items,
    parse,
    path_of,
    paths,
    refuse_excess,
    walk,
)

__all__ = [
    "MAX_SOURCE",
    "RESERVED",
    "Conditions",
    "ExpressionInvalid",
    "Fault",
    "Language",
    "Param",
    "Unclear",
]


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


class Language:
    """The names of one policy and what they stand for.

    `event`, `findings`, `params.…`, `aggregates.…`, `variables.…`, `lists.…` and `countries.…`; see
    `paycordon.policy.functions` for what can be called.

    Args:
        params: the policy's parameters.
        aggregates: its aggregates, with what their values are; names alone mean whole numbers.
        lists: its lists.
        rates: exchange rates; without them a conversion has no answer.
        variables: expressions by name, which may use those before them; each is evaluated at most once per event.
    """

    def __init__(
        self,
        params: Mapping[str, Param],
        aggregates: Iterable[str],
        *,
        lists: Lists = MappingProxyType({}),
        rates: RateTable | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        types = {"event": cel.Type(type_name(Event)), "findings": cel.Type.List(cel.Type(type_name(Finding)))}
        types |= {f"params.{name}": _type(value) for name, value in params.items()}
        types |= list_types(lists)
        self._params = self.values_of(params)
        kinds = _kinds(aggregates)
        self._aggregates = SCHEMA.aggregates_type(kinds) if kinds else None
        self._names = [*types, *(f"aggregates.{name}" for name in kinds)]
        if self._aggregates:
            types["aggregates"] = cel.Type(self._aggregates)
        self._functions = functions(lists, rates)
        self._typed = self._environment(types)
        self.variable_faults: dict[str, Sequence[Fault]] = {}
        self._sources: dict[str, str] = {}
        for name, source in variables.items():
            self._add_variable(name, source, types)
        # Checked with its types, an expression is evaluated over values that are bound under their full names.
        full = {".".join(path): cel.Type.TIMESTAMP if path == OCCURRED_AT else cel.Type.DYN for path in BY_FULL_NAME}
        self._env = self._environment({**types, **full})
        self._variables = {name: _Variable(self, source) for name, source in self._sources.items()}

    def _environment(self, types: Mapping[str, Any]) -> Any:
        return cel.NewEnv(SCHEMA.pool, variables=types, functions=self._functions)

    def _add_variable(self, name: str, source: str, types: dict[str, Any]) -> None:
        """Check a variable against what is before it; one that is wrong has any type, so that it is reported once."""
        full_name = f"variables.{name}"
        try:
            yields = _kept(self._checked(source).return_type())
            types[full_name] = yields
            self._sources[full_name] = source
        except ExpressionInvalid as invalid:
            self.variable_faults[name] = invalid.faults
            types[full_name] = cel.Type.DYN
        self._names.append(full_name)
        self._typed = self._environment(types)

    def check(self, source: str) -> None:
        """Compile an expression that has to yield true or false.

        Raises:
            ExpressionInvalid: it is too long, too deeply nested, malformed, not typed right, asks for more than the
                limits in `paycordon.policy.limits`, or yields something else.
        """
        yields = self._checked(source).return_type().name()
        if yields != "BOOL":
            raise ExpressionInvalid([Fault(1, 1, f"yields {yields.lower()} where true or false is needed")])

    def _checked(self, source: str) -> Any:
        try:
            refuse_excess(source)
        except SyntaxInvalid as invalid:
            raise ExpressionInvalid([fault_at(source, invalid.offset, invalid.message)]) from None
        expression = self._compile(source, self._typed)
        try:
            found = [fault_at(source, node.start, text) for node, text in excesses(parse(source), self._roots())]
        except SyntaxInvalid as invalid:
            raise ExpressionInvalid([fault_at(source, invalid.offset, invalid.message)]) from None
        if found:
            raise ExpressionInvalid(found)
        return expression

    def _roots(self) -> set[str]:
        return {"event", "findings", "params", "aggregates", "variables", "lists", "countries"}

    def uses(self, source: str) -> frozenset[Path]:
        """The paths that an expression uses, with those that its variables use.

        A path of whose value it only asks whether it is there ends with `PRESENCE`.
        """
        tree = self.tree(source)
        found = {_scalar(path) for path in paths(tree, presence=PRESENCE)}
        fields = fields_of_items(tree, "findings")
        if fields is not None:
            found -= {("findings",)}
            found |= {("findings", name) for name in fields}
        for path in tuple(found):
            variable = self._sources.get(".".join(path[:2]))
            if variable is not None:
                found |= self.uses(variable)
        return frozenset(found)

    @staticmethod
    def tree(source: str) -> Node:
        """The tree of an expression, which may be several checked ones put together and so beyond their limits."""
        return _tree(source)

    @staticmethod
    def runnable(source: str) -> str:
        """What is evaluated for an expression, which reads scalars of the event under their full names.

        Under these names the engine takes `has` for the value, hence the comparison with null.
        """
        parts, end = [], 0
        asked = [node for node in walk(_tree(source)) if isinstance(node, Has)]
        for node in sorted(asked, key=lambda node: node.start):
            path = (*(path_of(node.operand) or ()), node.field)
            if path in BY_FULL_NAME:
                there = "true" if path == OCCURRED_AT else f"({'.'.join(path)} != null)"
                parts += [source[end : node.start], there]
                end = node.end
        return "".join(parts) + source[end:]

    def program(self, runnable: str) -> Any:
        """Compile what `runnable` returned, or a list of such."""
        return self._compile(runnable, self._env)

    def conditions(self, sources: Sequence[str]) -> Conditions:
        """Prepare expressions, each of them checked before, to be evaluated on the same event."""
        return Conditions(self, sources)

    def values_of(self, params: Mapping[str, Param]) -> dict[str, Any]:
        """Return parameters as variables; given to an evaluation, they stand instead of the policy's own."""
        return {f"params.{name}": _value(value) for name, value in params.items()}

    def activation(self, variables: Mapping[str, Any], uses: frozenset[Path] | None = None) -> Any:
        """Bind what `uses` names, or everything; has to happen in the thread that evaluates."""
        names = self._needed(uses)
        given = {**self._params, **variables}
        bound = {name: given[name] for name in names if name in given}
        if self._aggregates and "aggregates" in names:
            bound["aggregates"] = SCHEMA.aggregates(self._aggregates, variables)
        for name in names:
            if name.startswith(("lists.", "countries.")):
                bound[name] = list_variable(name, _moment(variables))
        for name, variable in self._variables.items():
            if name in names:
                variable.bind(name, bound, self._env)
        return self._env.Activation(bound)

    def _needed(self, uses: frozenset[Path] | None) -> frozenset[str]:
        if uses is None:
            return frozenset((*self._names, "aggregates", *map(".".join, BY_FULL_NAME)))
        return _names_of(uses)

    def _compile(self, source: str, env: Any) -> Any:
        try:
            return env.compile(source)
        except RuntimeError as error:
            raise ExpressionInvalid(faults_in(str(error), self._names, self._aggregates)) from None


@lru_cache(maxsize=4_096)
def _names_of(uses: frozenset[Path]) -> frozenset[str]:
    """The variables of the engine that some paths start with, or that are bound under the whole of them."""
    whole = ("event", "findings", "aggregates")
    start = {path[0] if path[0] in whole else ".".join(path[:2]) for path in uses - BY_FULL_NAME}
    return frozenset({*start, *(".".join(path) for path in uses & BY_FULL_NAME)})


class _Variable:
    """An expression whose value others use."""

    def __init__(self, language: Language, source: str) -> None:
        self._expression = language.program(language.runnable(source))

    def bind(self, name: str, bound: dict[str, Any], env: Any) -> None:
        """Add the value; without one the variable stays unbound, which only those notice that use it."""
        result = evaluated(self._expression, env.Activation(bound))
        if isinstance(result, Unclear) or result.type() in (cel.Type.ERROR, cel.Type.NULL):
            return
        value = result.plain_value()
        if not isinstance(value, str | list) or _extent(value) <= MAX_VALUE:
            bound[name] = value


def _extent(value: str | list[Any]) -> int:
    return len(value) + sum(len(item) for item in value if isinstance(item, str)) * isinstance(value, list)


@lru_cache(maxsize=8_192)
def _tree(source: str) -> Node:
    from paycordon.policy.grammar import tree_of  # here, because it loads the parser

    return tree_of(source)


def _scalar(path: Path) -> Path:
    """Of a scalar, to ask whether it is there is to use it."""
    return path[:-1] if path[-1] == PRESENCE and path[:-1] in BY_FULL_NAME else path


def _moment(variables: Mapping[str, Any]) -> int:
    """The event's time in microseconds since 1970."""
    at = variables.get("event.occurred_at")
    return micros(at) if at is not None else 0


def _kinds(aggregates: Iterable[str] | Mapping[str, Any]) -> dict[str, str]:
    if isinstance(aggregates, Mapping):
        return {name: str(getattr(each, "kind", each)) for name, each in aggregates.items()}
    return dict.fromkeys(aggregates, "integer")


def _kept(type_: Any) -> Any:
    """The type of a variable, if one can have it."""
    if any(type_ == known for known in (*_KEPT, *(cel.Type.List(each) for each in _KEPT))):
        return type_
    hint = "a variable is a truth value, number, text, time or amount, or a list of these"
    raise ExpressionInvalid([Fault(1, 1, f"yields {type_.name().lower()}", hint)])


_KEPT = (
    *(cel.Type.BOOL, cel.Type.INT, cel.Type.UINT, cel.Type.DOUBLE, cel.Type.STRING, cel.Type.DYN),
    *(cel.Type.TIMESTAMP, cel.Type.DURATION, cel.Type(type_name(Money))),
)


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
