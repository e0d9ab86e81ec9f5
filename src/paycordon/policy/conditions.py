"""Many expressions of one policy, evaluated together on one event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cel_expr_python import cel

from paycordon.policy.answers import Unclear, answer, evaluated
from paycordon.policy.faults import ExpressionInvalid
from paycordon.policy.schema import Path
from paycordon.policy.syntax import codes_needed

if TYPE_CHECKING:
    from paycordon.policy.cel import Language

TOGETHER = 64
_PART = 8
MAX_TOGETHER = 50_000  # characters; the compiler takes 100,000 code points


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
            return self._language.program(f"[{listed}]")
        except ExpressionInvalid:  # the brackets around may be one too many for the engine
            return None

    @cached_property
    def _parts(self) -> Sequence[_Group]:
        size = _PART if len(self._sources) > _PART else 1
        starts = range(0, len(self._sources), size)
        return [_Group(self._language, self._sources[n : n + size], self.at[n : n + size]) for n in starts]

    @cached_property
    def _single(self) -> Any:
        return self._language.program(self._sources[0])

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
            by_need.setdefault(codes_needed(language.tree(source)), []).append(index)
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
        self.groups = [
            _Group(language, [language.runnable(sources[index]) for index in chunk], chunk) for chunk in chunks
        ]
        self.uses: frozenset[Path] = frozenset().union(*(language.uses(sources[index]) for index in indices))
