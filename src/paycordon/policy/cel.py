"""The expression language of rules: CEL (https://cel.dev), by Google's implementation.

Every expression is checked against the schema when a policy is loaded. At run time an error is a value in CEL, and a
truthy one at that; here it becomes an `Unclear`, so nobody can take it for an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

from cel_expr_python import cel

from paycordon.decisions import Finding
from paycordon.events import Event, Money
from paycordon.policy.answers import Unclear, answer, evaluated
from paycordon.policy.faults import ExpressionInvalid, Fault, fault_at, faults_in
from paycordon.policy.functions import Lists, functions, list_types, list_variable
from paycordon.policy.limits import MAX_VALUE, excesses
from paycordon.policy.rates import RateTable
from paycordon.policy.schema import SCHEMA, Path, type_name
from paycordon.policy.syntax import (
    MAX_SOURCE,
    Node,
    SyntaxInvalid,
    codes_needed,
    parse,
    paths,
    refuse_excess,
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

TOGETHER = 64
_PART = 8
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
        self._env = self._environment(types)
        self.variable_faults: dict[str, Sequence[Fault]] = {}
        self._sources: dict[str, str] = {}
        for name, source in variables.items():
            self._add_variable(name, source, types)
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
        self._env = self._environment(types)

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
        expression = self._compile(source)
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
        """The paths that an expression uses, with those that its variables use; everything where that is unclear."""
        tree = _tree(source)
        if tree is None:
            return frozenset(tuple(name.split(".")) for name in ("event", "findings", *self._names))
        found: set[Path] = set()
        for path in paths(tree):
            found.add(path)
            variable = self._sources.get(".".join(path[:2]))
            if variable is not None:
                found |= self.uses(variable)
        return frozenset(found)

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
            return frozenset((*self._names, "aggregates"))
        return _names_of(uses)

    def _compile(self, source: str) -> Any:
        try:
            return self._env.compile(source)
        except RuntimeError as error:
            raise ExpressionInvalid(faults_in(str(error), self._names, self._aggregates)) from None


@lru_cache(maxsize=4_096)
def _names_of(uses: frozenset[Path]) -> frozenset[str]:
    """The variables of the engine that some paths start with."""
    whole = ("event", "findings", "aggregates")
    return frozenset(path[0] if path[0] in whole else ".".join(path[:2]) for path in uses)


class _Variable:
    """An expression whose value others use."""

    def __init__(self, language: Language, source: str) -> None:
        self._expression = language._compile(source)

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


class _Group:
    """Expressions compiled as one list, which costs half; in smaller lists once one of them has no answer."""

    def __init__(self, language: Language, sources: Sequence[str], at: Sequence[int]) -> None:
        self._language = language
        self.at = at
        self._sources = sources
        self._together = self._compiled()

    def _compiled(self) -> Any:
        # The line break ends a `//` comment, which would swallow the bracket otherwise.
        listed = ",".join(f"({source}\n)" for source in self._sources)
        try:
            return self._language._compile(f"[{listed}]")
        except ExpressionInvalid:  # the brackets around may be one too many for the engine
            return None

    @cached_property
    def _parts(self) -> Sequence[_Group]:
        size = _PART if len(self._sources) > _PART else 1
        starts = range(0, len(self._sources), size)
        return [_Group(self._language, self._sources[n : n + size], self.at[n : n + size]) for n in starts]

    @cached_property
    def _single(self) -> Any:
        return self._language._compile(self._sources[0])

    def evaluate(self, activation: Any, answers: list[bool | Unclear]) -> None:
        """Answer each expression in its place of `answers`."""
        if len(self.at) == 1:
            answers[self.at[0]] = answer(evaluated(self._single, activation))
            return
        result = evaluated(self._together, activation) if self._together else Unclear("")
        if not isinstance(result, Unclear) and result.type() is not cel.Type.ERROR:
            values: list[Any] = result.plain_value()
            if all(value is True or value is False for value in values):
                for index, value in zip(self.at, values, strict=True):
                    answers[index] = value
                return
        for part in self._parts:
            part.evaluate(activation, answers)


class Conditions:
    """Several prepared expressions of one policy.

    Those that need certain findings are kept apart, by what they need, and are not evaluated without them: then they
    are false, see `paycordon.policy.syntax.codes_needed`.

    Attributes:
        language: of the policy.
        uses: the paths that the expressions use, for `paycordon.policy.schema.bind`.
    """

    def __init__(self, language: Language, sources: Sequence[str]) -> None:
        self.language = language
        self._count = len(sources)
        by_need: dict[frozenset[str] | None, list[int]] = {}
        for index, source in enumerate(sources):
            tree = _tree(source)
            by_need.setdefault(None if tree is None else codes_needed(tree), []).append(index)
        self._batches = [_Batch(language, sources, indices) for indices in by_need.values()]
        self._always = [n for n, need in enumerate(by_need) if need is None]
        self._by_code: dict[str, list[int]] = {}
        for n, need in enumerate(by_need):
            for code in need or ():
                self._by_code.setdefault(code, []).append(n)
        self.uses: frozenset[Path] = frozenset().union(*(batch.uses for batch in self._batches))

    def evaluate(self, variables: Mapping[str, Any], codes: frozenset[str] | None = None) -> list[bool | Unclear]:
        """Answer each expression, in order; an error in one does not touch the others.

        Args:
            variables: what `paycordon.policy.schema.bind` returns, `params.…` that differ from the policy's, and
                `aggregates.…` as numbers, those of times and durations in microseconds.
            codes: those of the findings; by default they are read from the variables.
        """
        if codes is None:
            codes = frozenset(finding.code.value for finding in variables.get("findings", ()))
        answers: list[bool | Unclear] = [False] * self._count
        chosen = {*self._always, *(n for code in codes for n in self._by_code.get(code, ()))}
        if not chosen:
            return answers
        batches = [self._batches[n] for n in sorted(chosen)]
        uses = batches[0].uses if len(batches) == 1 else frozenset().union(*(batch.uses for batch in batches))
        activation = self.language.activation(variables, uses)
        for batch in batches:
            for group in batch.groups:
                group.evaluate(activation, answers)
        return answers


class _Batch:
    """Expressions that need the same findings."""

    def __init__(self, language: Language, sources: Sequence[str], indices: Sequence[int]) -> None:
        chunks: list[list[int]] = [[]]
        size = 0
        for index in indices:
            size += len(sources[index])
            if len(chunks[-1]) >= TOGETHER or (size > MAX_TOGETHER and chunks[-1]):
                chunks.append([])
                size = len(sources[index])
            chunks[-1].append(index)
        self.groups = [_Group(language, [sources[index] for index in chunk], chunk) for chunk in chunks]
        self.uses: frozenset[Path] = frozenset().union(*(language.uses(sources[index]) for index in indices))


def _tree(source: str) -> Node | None:
    """The tree of an expression that the engine takes, which may be several checked ones put together."""
    from paycordon.policy.grammar import tree_of  # here, because it loads the parser

    try:
        return tree_of(source)
    except SyntaxInvalid:
        return None


def _moment(variables: Mapping[str, Any]) -> int:
    """The event's time in microseconds since 1970."""
    event = variables.get("event")
    return event.occurred_at.ToMicroseconds() if event is not None else 0


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
