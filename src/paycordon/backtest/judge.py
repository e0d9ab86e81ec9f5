"""Judge the events of one chunk by one or two policy sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from paycordon.aggregates import Aggregate
from paycordon.backtest.columns import judged_schema, read, write
from paycordon.backtest.lines import check_errors_from, findings_from, trusted_event_from
from paycordon.decisions import Evaluation, Outcome
from paycordon.policy import PolicyFiles, PolicySet, evaluate, load_set
from paycordon.policy.lists import Items

if TYPE_CHECKING:
    import pyarrow as pa

_INPUTS = ("position", "type", "event", "findings", "check_errors", "standing")
_NOTHING: tuple[Any, ...] = ("allow", None, [], False, '{"outcome":"allow"}')


@dataclass(frozen=True, slots=True)
class Selection:
    """A policy set as bytes, so that every process judges by the same wording.

    Attributes:
        name: what to call it.
        files: which files it consists of.
        content: what they say, by path; with the files that these name in turn.
        stored: lists that are kept in the store.
    """

    name: str
    files: PolicyFiles
    content: Mapping[Path, bytes] = field(repr=False)
    stored: Mapping[str, Items] = field(default_factory=dict, repr=False)

    def load(self) -> PolicySet:
        """Compile it.

        Raises:
            PolicyError: something in it is wrong; says where.
        """
        return load_set(self.files, read=self.content.__getitem__, stored=self.stored)


@dataclass(frozen=True, slots=True)
class Task:
    """A chunk to be judged.

    Attributes:
        taken: the file with its events.
        judged: the file to be written.
        known: the events that count, with `position`, `merchant`, and the values of the aggregates.
    """

    taken: Path
    judged: Path
    known: pa.Table


@dataclass(frozen=True, slots=True)
class MakeJudge:
    """How to make a judge in another process.

    Attributes:
        sides: policy sets by the name of the side.
        columns: the columns of `Task.known`, by the definition of the aggregate.
        with_standing: whether holds that stood then count.
    """

    sides: Mapping[str, Selection]
    columns: Mapping[Aggregate, str]
    with_standing: bool

    def __call__(self) -> Judge:
        """Compile the policies."""
        return Judge({side: selection.load() for side, selection in self.sides.items()}, self)


class Judge:
    """Judges chunks."""

    def __init__(self, policies: Mapping[str, PolicySet], made_by: MakeJudge) -> None:
        self._policies = policies
        self._made_by = made_by
        self._schema = judged_schema(policies)
        self._names: dict[tuple[str, str], Mapping[str, str]] = {}

    def __call__(self, task: Task) -> int:
        """Judge a chunk, write its file, and return the number of events in it."""
        known = {row["position"]: row for row in task.known.to_pylist()}
        rows = [
            (position, *self._judged(known[position], type_, event, inputs))
            for position, type_, event, *inputs in read(task.taken, _INPUTS)
            if event is not None and position in known
        ]
        write(task.judged, self._schema, rows, {})
        return len(rows)

    def _judged(self, known: Mapping[str, Any], type_: str, body: str, inputs: Sequence[str | None]) -> list[Any]:
        standing = Outcome(inputs[2]) if inputs[2] and self._made_by.with_standing else Outcome.ALLOW
        row: list[Any] = []
        event = None
        for side, policies in self._policies.items():
            if not policies.programs_for(type_) and standing is Outcome.ALLOW:
                row += _NOTHING  # no rule looks at such events
                continue
            if event is None:
                event, findings, errors = (
                    trusted_event_from(body),
                    findings_from(inputs[0]),
                    check_errors_from(inputs[1]),
                )
            values = {name: known[column] for name, column in self._columns(side, type_).items()}
            found = evaluate(
                policies,
                event,
                findings,
                values,
                check_errors=errors,
                standing=standing,
                merchant=known["merchant"],
            )
            row += _row(found)
        return row

    def _columns(self, side: str, type_: str) -> Mapping[str, str]:
        """The columns of the aggregates that a side needs for a type, by their names."""
        key = side, type_
        if key not in self._names:
            wanted = self._policies[side].aggregates_for(type_)
            columns = self._made_by.columns
            self._names[key] = MappingProxyType({name: columns[each] for name, each in wanted.items()})
        return self._names[key]


def _row(found: Evaluation) -> tuple[Any, ...]:
    if not found.matches and not found.errors and found.shadow is None and not found.bindings and not found.scores:
        return _NOTHING
    return (
        found.outcome.value,
        found.shadow.outcome.value if found.shadow is not None else None,
        [f"{match.policy}/{match.rule}" for match in found.matches],
        bool(found.errors),
        found.model_dump_json(exclude_defaults=True),
    )
