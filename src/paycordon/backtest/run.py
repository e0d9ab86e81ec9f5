"""A backtest from its history to what the policies made of each event; killed anywhere, it goes on from there.

Three steps. Reading: each chunk of the history is checked and written as columns, in several processes. Aggregates:
DuckDB resolves merchants and computes every window at once. Judging: each chunk is judged, in several processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from paycordon.aggregates import Aggregate
from paycordon.backtest.columns import notes_of
from paycordon.backtest.history import Chunk, History, HistoryInvalid
from paycordon.backtest.judge import MakeJudge, Selection, Task
from paycordon.backtest.lines import FORMAT, Bad, Intake, Taken
from paycordon.backtest.pool import in_order
from paycordon.backtest.staging import add_aggregates, listed, stage
from paycordon.backtest.state import State, key_of, room_for
from paycordon.coalition.identifiers import Digester
from paycordon.events import Identifier
from paycordon.judging import SCREENED_STAGES
from paycordon.policy import PolicySet

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Progress = Callable[[str, int, int], None]
"""Told the step, how much of it is done, and of how much."""

MAX_BAD_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Settings:
    """How a backtest runs.

    Attributes:
        processes: how many processes read and judge; DuckDB has as many threads.
        memory: what DuckDB may use, such as `1GB`; each process takes about 0.2 GB besides.
        with_standing: whether holds that stood then count, as recorded.
        strict: whether a line that cannot be used ends it.
    """

    processes: int = 2
    memory: str = "1GB"
    with_standing: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Keys:
    """What makes digests of identifiers: see `Digester`, which cannot be sent to another process."""

    secrets: Mapping[str, bytes] = field(repr=False)
    current: str

    def digester(self) -> Digester:
        """Make it."""
        return Digester(self.secrets, self.current)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished backtest; usable as long as its directory is there.

    Attributes:
        duck: has the tables `events` (those that count) and `judged` (what became of each), and the aggregates.
        sides: the policy sets, by the name of their side.
        columns: the column of each aggregate, in the table `aggregates_used`.
        taken: the files with the events, by the lowest and highest position in each.
        history, unit: the name of the history, and what its positions are.
        history_digest: the SHA-256 over all that was read.
        events: how many events were read, duplicates included.
        bad, more_bad: lines that could not be used, and how many others there are.
    """

    duck: DuckDBPyConnection = field(repr=False)
    sides: Mapping[str, PolicySet]
    names: Mapping[str, str]
    columns: Mapping[Aggregate, str]
    taken: Sequence[tuple[int, int, Path]] = field(repr=False)
    history: str
    unit: str
    history_digest: str
    events: int
    bad: tuple[Bad, ...]
    more_bad: int


@dataclass(slots=True)
class _Read:
    """What was read of a history so far."""

    files: list[tuple[int, int, Path]] = field(default_factory=list)
    events: int = 0
    bad: list[Bad] = field(default_factory=list)
    more_bad: int = 0
    digests: list[str] = field(default_factory=list)

    def add(self, path: Path, taken: Taken, digest: str) -> None:
        """Count a chunk."""
        self.digests.append(digest)
        self.files.append((taken.low, taken.high, path))
        self.events += taken.events
        room = MAX_BAD_KEPT - len(self.bad)
        self.bad += taken.bad[:room]
        self.more_bad += max(0, len(taken.bad) - room)


def run(
    history: History,
    sides: Mapping[str, Selection],
    state: State,
    keys: Keys,
    settings: Settings,
    progress: Progress,
) -> Run:
    """Run a backtest, or what is missing of one that was interrupted.

    Args:
        history: what happened.
        sides: the policy sets, by the name of their side.
        state: where everything in between is kept.
        keys: what turns plain identifiers of the history into digests.
        settings: how.
        progress: told how far it is.

    Raises:
        PolicyError: a policy set cannot be loaded.
        HistoryInvalid: the history cannot be read, holds no event, or holds what is none and that is not allowed.
        WorkerLost: a process ended; the same call goes on from there.
    """
    policies = {side: selection.load() for side, selection in sides.items()}
    intake = _intake_key(history, keys)
    read = _read(history, state, keys, settings, progress)
    if not read.events:
        problem = f"; the first {history.unit}: {read.bad[0].problem}" if read.bad else ""
        raise HistoryInvalid(f"`{history.name}` holds no event{problem}")
    digest = hashlib.sha256("".join(read.digests).encode()).hexdigest()
    with room_for(settings.memory):
        duck = state.database(f"history-{key_of(digest, *intake)}", settings.memory, settings.processes)
        try:
            progress("aggregates", 0, 2)
            stage(duck, [path for _, _, path in read.files])
            progress("aggregates", 1, 2)
            columns = _columns(policies.values())
            table = _add_aggregates(duck, policies.values(), columns)
            progress("aggregates", 2, 2)
            judged = state.directory(_judged_name((digest, *intake), policies, settings))
            make = MakeJudge(sides, columns, settings.with_standing)
            files = _judge(duck, table, read, judged, make, settings, progress)
            duck.execute(f"CREATE OR REPLACE TEMP VIEW judged AS FROM read_parquet({listed(files)})")
            duck.execute(f"CREATE OR REPLACE TEMP VIEW aggregates_used AS FROM {table}")  # named by a digest
        except BaseException:
            duck.close()
            raise
    return Run(
        duck,
        policies,
        {side: selection.name for side, selection in sides.items()},
        columns,
        read.files,
        history.name,
        history.unit,
        digest,
        read.events,
        tuple(read.bad),
        read.more_bad,
    )


def _intake_key(history: History, keys: Keys) -> tuple[str, ...]:
    """What the columns depend on beside the lines; the key of identifiers shows only by what it makes of a text."""
    sample = keys.digester().digest(Identifier(kind="handle", value="backtest"))
    return version("paycordon"), str(FORMAT), history.unit, sample


def _read(history: History, state: State, keys: Keys, settings: Settings, progress: Progress) -> _Read:
    directory = state.directory(f"taken-{key_of(*_intake_key(history, keys))}")
    make = _MakeIntake(keys, frozenset(map(str, SCREENED_STAGES)), history.unit == "entry")
    done: dict[int, tuple[str, int]] = {}

    def tasks() -> Iterator[_Reading]:
        for chunk, read in history.chunks():
            done[chunk.index] = chunk.digest, read
            yield _Reading(directory / f"{chunk.index:06}-{chunk.digest[:24]}.parquet", chunk)

    found = _Read()
    progress("reading", 0, history.size)
    for index, (path, taken) in enumerate(in_order(make, tasks(), settings.processes)):
        digest, read = done.pop(index)
        found.add(path, taken, digest)
        if settings.strict and found.bad:
            bad = found.bad[0]
            raise HistoryInvalid(f"{history.unit} {bad.position} of `{history.name}` cannot be used: {bad.problem}")
        progress("reading", read, history.size)
    return found


@dataclass(frozen=True, slots=True)
class _Reading:
    path: Path
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class _MakeIntake:
    keys: Keys
    stages: frozenset[str]
    from_store: bool

    def __call__(self) -> Callable[[_Reading], tuple[Path, Taken]]:
        intake = Intake(self.keys.digester(), self.stages, self.from_store)
        return partial(_take, intake)


def _take(intake: Intake, task: _Reading) -> tuple[Path, Taken]:
    """Read a chunk, unless its file is there already."""
    if task.path.exists():
        low, high, events, bad = notes_of(task.path)["taken"]
        return task.path, Taken(low, high, events, tuple(Bad(*each) for each in bad))
    return task.path, intake.take(task.path, task.chunk.first, task.chunk.lines)


def _columns(policies: Iterable[PolicySet]) -> dict[Aggregate, str]:
    every = dict.fromkeys(each for one in policies for each in one.aggregates.values())
    return {each: f"a{number}" for number, each in enumerate(every)}


def _add_aggregates(duck: DuckDBPyConnection, policies: Iterable[PolicySet], columns: Mapping[Aggregate, str]) -> str:
    rules = [rule for each in policies for rule in each.rules]
    types = sorted({str(type_) for rule in rules for type_ in rule.on})
    written = [f"{name} {each.model_dump_json()}" for each, name in columns.items()]
    table = f"aggregates_{key_of(*written, *types)}"
    add_aggregates(duck, table, {name: each for each, name in columns.items()}, types)
    return table


def _judged_name(about: Iterable[str], policies: Mapping[str, PolicySet], settings: Settings) -> str:
    sets = [f"{side} {ref.name} {ref.digest}" for side, each in policies.items() for ref in each.refs]
    return f"judged-{key_of(*about, *sets, str(settings.with_standing))}"


def _judge(
    duck: DuckDBPyConnection,
    table: str,
    read: _Read,
    directory: Path,
    make: MakeJudge,
    settings: Settings,
    progress: Progress,
) -> list[Path]:
    every = [(low, high, taken, directory / taken.name) for low, high, taken in read.files]
    missing = [each for each in every if not each[3].exists()]
    total = len(every)
    progress("judging", total - len(missing), total)
    query = (
        f"SELECT e.position, e.merchant, a.* EXCLUDE (position) FROM events AS e LEFT JOIN {table} AS a "  # noqa: S608
        "USING (position) WHERE e.is_judged AND e.position BETWEEN {low} AND {high} ORDER BY e.position"
    )

    def tasks() -> Iterator[Task]:
        for low, high, taken, judged in missing:
            yield Task(taken, judged, duck.sql(query.format(low=low, high=high)).to_arrow_table())

    for number, _ in enumerate(in_order(make, tasks(), settings.processes), start=1):
        progress("judging", total - len(missing) + number, total)
    return [judged for *_, judged in every]
