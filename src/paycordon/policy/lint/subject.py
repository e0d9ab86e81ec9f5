"""What is linted: a loaded policy with its document, and its expressions as trees that know their places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from paycordon.decisions import Outcome
from paycordon.documents import Document
from paycordon.errors import Position
from paycordon.policy.bindings import Binding, BindingMode, Bindings
from paycordon.policy.lint.formula import All, Bound, Formula, Reader, rewritten
from paycordon.policy.lint.issues import Issue
from paycordon.policy.model import Policy, Rule
from paycordon.policy.syntax import Node, SyntaxInvalid, line_column, parse, path_of, paths
from paycordon.policy.where import WhereInvalid, key_at

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression of a file: where it is, what was written, and its tree.

    `written` is false for what `where` stands for, which is nowhere in the file.
    """

    loc: Loc
    source: str
    tree: Node
    document: Document
    written: bool = True

    def position(self, node: Node) -> Position:
        """Where a node stands in the file."""
        if not self.written:
            return self.document.position((*self.loc, *self._entry(node)), key=True)
        return self.document.position_in(self.loc, *line_column(self.source, node.start))

    def _entry(self, node: Node) -> tuple[str, ...]:
        """The entry of a `where` that a node comes from."""
        at: Any = self.document.data
        for step in self.loc:
            at = at[step]
        try:
            return (key_at(at, node.start),)
        except WhereInvalid:
            return ()

    def issue(self, id_: str, node: Node, message: str, hint: str | None = None) -> Issue:
        """A complaint about a node."""
        anchor = self.document.position(self.loc, key=True).line
        return Issue(id_, self.position(node), message, hint, self.loc, anchor, (node.start, node.end))


def expression(loc: Loc, source: str | None, document: Document, *, written: bool = True) -> Expression | None:
    """Read an expression; None if there is none, or if only the engine can read it."""
    if source is None:
        return None
    try:
        return Expression(loc, source, parse(source), document, written)
    except SyntaxInvalid:
        return None


@dataclass(frozen=True)
class RuleSubject:
    """A rule with its expressions."""

    rule: Rule
    loc: Loc
    policy: PolicySubject = field(repr=False, compare=False)

    @cached_property
    def parts(self) -> tuple[Expression, ...]:
        """`when`, `where` and `unless`, as far as they are given."""
        document = self.policy.document
        given = (
            expression((*self.loc, "when"), self.rule.when, document),
            expression((*self.loc, "where"), self.rule.where, document, written=False),
            expression((*self.loc, "unless"), self.rule.unless, document),
        )
        return tuple(part for part in given if part is not None)

    @property
    def complete(self) -> bool:
        """Whether all of its expressions could be read."""
        given = (self.rule.when, self.rule.where, self.rule.unless)
        return len(self.parts) == sum(source is not None for source in given)

    @cached_property
    def trees(self) -> tuple[tuple[Expression, Node], ...]:
        """Each part with its tree, in which variables are replaced by what they stand for."""
        return tuple((part, self.policy.without_variables(part.tree)) for part in self.parts)

    @cached_property
    def formula(self) -> Formula:
        """What has to hold for the rule to match."""
        return All(tuple(self.policy.reader.read(tree, positive=not _excludes(part)) for part, tree in self.trees))

    @cached_property
    def negations(self) -> tuple[Formula, ...]:
        """What has to hold for each of its parts to prevent a match."""
        return tuple(self.policy.reader.read(tree, positive=_excludes(part)) for part, tree in self.trees)

    @cached_property
    def paths(self) -> frozenset[tuple[str, ...]]:
        """Everything it reads."""
        return frozenset().union(*(paths(tree) for _, tree in self.trees))

    @property
    def name(self) -> str:
        """The rule for a message."""
        return f"rule `{self.rule.id}`"

    @cached_property
    def outcome(self) -> Outcome:
        """What the rule alone leads to: what it states, and what its own points reach."""
        reached = (self.policy.policy.typologies[name].outcome(points) for name, points in self.rule.adds.items())
        return Outcome.most_severe(self.rule.then or Outcome.ALLOW, *reached)

    def issue(self, id_: str, message: str, hint: str | None = None, *, key: str | None = None) -> Issue:
        """A complaint about the rule, or about one of its keys."""
        loc = (*self.loc, key or "id")
        position = self.policy.document.position(loc, key=key is not None)
        return Issue(id_, position, message, hint, loc, position.line)


def _excludes(part: Expression) -> bool:
    return part.loc[-1] == "unless"


@dataclass(frozen=True)
class PolicySubject:
    """A loaded policy with its document; `bound` are its bindings, none at all if there are no bindings."""

    policy: Policy
    document: Document
    text: str = field(repr=False)
    bound: tuple[Binding, ...] | None = None

    @cached_property
    def rules(self) -> tuple[RuleSubject, ...]:
        """Its rules, in the order of the file."""
        return tuple(RuleSubject(rule, ("rules", index), self) for index, rule in enumerate(self.policy.rules))

    @cached_property
    def variables(self) -> Mapping[str, Expression]:
        """Its variables that could be read."""
        read = ((n, expression(("variables", n), s, self.document)) for n, s in self.policy.variables.items())
        return {name: each for name, each in read if each is not None}

    @property
    def expressions(self) -> Iterator[tuple[str, Expression]]:
        """Every expression, with what it belongs to."""
        for rule in self.rules:
            for part in rule.parts:
                yield rule.name, part
        for name, each in self.variables.items():
            yield f"variable `{name}`", each

    @cached_property
    def reader(self) -> Reader:
        """Makes formulas, knowing what those parameters are worth that no binding overrides."""
        overridden = {name for binding in self.bound or () for name in binding.written.params}
        return Reader({n: value for n, value in self.policy.params.items() if n not in overridden})

    def values_of(self, bound: Bound) -> tuple[Any, ...]:
        """What a bound may be worth: as the policy states it, and as bindings set it; none if that is not known."""
        if bound.worth is not None:
            return (bound.worth,)
        path = path_of(bound.written)
        if path is None or len(path) != 2 or path[0] != "params" or path[1] not in self.policy.params:
            return ()
        set_by = (binding.written.params for binding in self.bound or () if path[1] in binding.written.params)
        return (self.policy.params[path[1]], *(params[path[1]] for params in set_by))

    def without_variables(self, node: Node) -> Node:
        """Return the tree with what variables stand for in their place; it stands where the variable did."""
        return self._without(node, frozenset()) if self.variables else node

    def _without(self, node: Node, within: frozenset[str]) -> Node:
        def change(inner: Node) -> Node | None:
            path = path_of(inner)
            if path is None or len(path) != 2 or path[0] != "variables":
                return None
            if path[1] in within or path[1] not in self.variables:
                return inner
            expanded = self._without(self.variables[path[1]].tree, within | {path[1]})
            return _moved(expanded, inner.start, inner.end)

        return rewritten(node, change)

    @cached_property
    def data(self) -> Mapping[str, Any]:
        """The file's content."""
        return self.document.data if isinstance(self.document.data, dict) else {}

    def issue(self, id_: str, loc: Loc, message: str, hint: str | None = None, *, key: bool = True) -> Issue:
        """A complaint about what stands at `loc`, or about its key."""
        position = self.document.position(loc, key=key)
        return Issue(id_, position, message, hint, loc, position.line)

    def mode_of(self, rule: Rule) -> BindingMode:
        """How hard a rule applies at most."""
        if self.bound is None:
            return BindingMode.ENFORCE
        modes = {binding.written.rules.get(rule.id, binding.mode) for binding in self.bound if _on(binding)}
        return next((mode for mode in BindingMode if mode in modes), BindingMode.OFF)

    def always_with(self, rule: Rule, other: Rule) -> bool:
        """Tell whether `other` applies as hard as `rule` wherever `rule` applies."""
        return all(
            binding.written.rules.get(other.id) in (None, binding.written.rules.get(rule.id))
            for binding in self.bound or ()
        )


def _moved(node: Node, start: int, end: int) -> Node:
    moved = rewritten(node, lambda inner: None if inner is node else _moved(inner, start, end))
    return replace(moved, start=start, end=end)


def _on(binding: Binding) -> bool:
    return binding.mode is not BindingMode.OFF


@dataclass(frozen=True)
class BindingsSubject:
    """Loaded bindings with their document."""

    bindings: Bindings
    document: Document
    text: str = field(repr=False)
    policies: Mapping[str, Policy] = field(repr=False)

    @property
    def data(self) -> Mapping[str, Any]:
        """The file's content."""
        return self.document.data if isinstance(self.document.data, dict) else {}

    @property
    def entries(self) -> Sequence[tuple[int, Binding]]:
        """Each binding with its index in the file."""
        return list(enumerate(self.bindings))

    def issue(self, id_: str, loc: Loc, message: str, hint: str | None = None, *, key: bool = True) -> Issue:
        """A complaint about what stands at `loc`, or about its key."""
        position = self.document.position(loc, key=key)
        return Issue(id_, position, message, hint, loc, position.line)


@dataclass(frozen=True, slots=True)
class Known:
    """What lint is told about the deployment; what is none is not looked for.

    Attributes:
        codes: finding codes that the installed checks emit.
        gateways: the names of the installed adapters.
        now: the time by which items and bindings have expired.
    """

    codes: frozenset[str] | None = None
    gateways: frozenset[str] | None = None
    now: datetime | None = None
