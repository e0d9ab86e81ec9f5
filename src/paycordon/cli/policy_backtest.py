"""`paycordon policy backtest` and `paycordon policy diff`."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import console, print_json, print_line, print_note, print_table
from paycordon.cli.root import FINDINGS
from paycordon.errors import ConfigError

if TYPE_CHECKING:
    from paycordon.backtest.history import History
    from paycordon.backtest.judge import Selection
    from paycordon.backtest.report import Report, Tally
    from paycordon.backtest.run import Keys
    from paycordon.config import Config
    from paycordon.policy.lists import Items

STORE = "store"
_MEMORY = re.compile(r"\d+(\.\d+)?(MB|GB)")
_BAD_SHOWN = 10

HistoryOption = Annotated[
    str,
    typer.Option(
        "--history",
        metavar="SOURCE",
        help="`store` for the configuration's own history, or a `.jsonl`, `.jsonl.gz` or `.parquet` file of events.",
    ),
]
StateOption = Annotated[
    Path | None,
    typer.Option("--state", help="Keep what was done in this directory: an interrupted run goes on from there."),
]
FailIfOption = Annotated[
    list[str] | None,
    typer.Option("--fail-if", metavar="THRESHOLD", help="Exit with 1 if this holds, such as `METRIC > 5` or `> 2%`."),
]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write a report with charts to this file as well.")]
WithinOption = Annotated[
    int, typer.Option("--within-days", min=1, max=365, help="How long a dispute or refund counts for an event.")
]
SamplesOption = Annotated[int, typer.Option("--samples", min=0, max=100, help="How many events of each kind to show.")]
SeedOption = Annotated[str, typer.Option("--seed", help="Which events are shown; the same seed shows the same ones.")]
JobsOption = Annotated[int | None, typer.Option("--jobs", min=1, max=64, help="Processes; by default one a processor.")]
MemoryOption = Annotated[
    str, typer.Option("--memory", help="What the database may use; each process takes about 0.3 GB besides.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Fail on the first line that cannot be used.")]
StandingOption = Annotated[
    bool, typer.Option("--standing", help="Let holds count that stood then; by default the policies alone judge.")
]


@dataclass(frozen=True, slots=True)
class _Options:
    history: str
    state: Path | None
    fail_if: tuple[str, ...]
    html: Path | None
    within: timedelta
    samples: int
    seed: str
    jobs: int
    memory: str
    strict: bool
    standing: bool
    config: Path
    as_json: bool


def backtest(
    policies: Annotated[
        list[str], typer.Argument(metavar="POLICY...", help="Policy files, a directory, or `REVISION:PATH` of git.")
    ],
    history: HistoryOption = STORE,
    state: StateOption = None,
    fail_if: FailIfOption = None,
    html: HtmlOption = None,
    within_days: WithinOption = 90,
    samples: SamplesOption = 3,
    seed: SeedOption = "1",
    jobs: JobsOption = None,
    memory: MemoryOption = "1GB",
    strict: StrictOption = False,
    standing: StandingOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Show what a policy would have made of a history: merchants and money it stops, and what became of them.

    Findings are taken as recorded: checks are not run again. Caps of bindings are not applied. Lists in the store are
    those of today.
    """
    within = timedelta(days=within_days)
    options = _Options(
        *(history, state, tuple(fail_if or ()), html, within, samples, seed),
        *(jobs or os.cpu_count() or 1, memory, strict, standing, config, as_json),
    )
    return _run(options, {"new": policies})


def diff(
    old: Annotated[str, typer.Argument(help="A policy file, a directory, or `REVISION:PATH` of git.")],
    new: Annotated[str, typer.Argument(help="The same, as it is to become.")],
    history: HistoryOption = STORE,
    state: StateOption = None,
    fail_if: FailIfOption = None,
    html: HtmlOption = None,
    within_days: WithinOption = 90,
    samples: SamplesOption = 3,
    seed: SeedOption = "1",
    jobs: JobsOption = None,
    memory: MemoryOption = "1GB",
    strict: StrictOption = False,
    standing: StandingOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Show whose outcome changes between two policies over a history: newly held, newly released, and so on.

    Findings are taken as recorded: checks are not run again. Caps of bindings are not applied. Lists in the store are
    those of today.
    """
    within = timedelta(days=within_days)
    options = _Options(
        *(history, state, tuple(fail_if or ()), html, within, samples, seed),
        *(jobs or os.cpu_count() or 1, memory, strict, standing, config, as_json),
    )
    return _run(options, {"old": [old], "new": [new]})


def _run(options: _Options, given: Mapping[str, list[str]]) -> int:
    from paycordon.backtest import require_extra

    require_extra()
    from paycordon.backtest.html import render, write
    from paycordon.backtest.report import metric_names
    from paycordon.backtest.selection import select
    from paycordon.backtest.thresholds import parse

    if _MEMORY.fullmatch(options.memory) is None:
        raise ConfigError(f"`{options.memory}` is no amount of memory", hint="write it as `800MB` or `4GB`")
    # Whatever may be wrong with what was asked for is found before an hour of work.
    metrics = metric_names(is_diff="old" in given)
    thresholds = [parse(text, metrics) for text in options.fail_if]
    config = read_config(options.config) if options.history == STORE or options.config.exists() else None
    stored = _stored(config, {side: select(paths) for side, paths in given.items()})
    sides = {side: select(paths, stored) for side, paths in given.items()}
    report = _reported(options, sides, config)
    crossed = tuple(text for each in thresholds if (text := each.crossed(report)))
    if options.html is not None:
        write(options.html, render(report, crossed))
    if options.as_json:
        print_json({"report": report.model_dump(mode="json"), "crossed": list(crossed)})
    else:
        _show(report, crossed)
        if options.html is not None:
            print_line(f"wrote {options.html}; it names merchants, so keep it inside")
    return FINDINGS if crossed else 0


def _reported(options: _Options, sides: Mapping[str, Selection], config: Config | None) -> Report:
    from paycordon.backtest import run as running
    from paycordon.backtest.compare import report
    from paycordon.backtest.state import opened, room_for

    settings = running.Settings(
        processes=options.jobs, memory=options.memory, with_standing=options.standing, strict=options.strict
    )
    with (
        _history(options.history, config) as history,
        opened(options.state) as state,
        shown_progress() as progress,
    ):
        run = running.run(history, sides, state, _keys(config), settings, progress)
        try:
            with room_for(options.memory):
                return report(
                    run,
                    within=options.within,
                    with_standing=options.standing,
                    sample=options.samples,
                    seed=options.seed,
                )
        finally:
            run.duck.close()


def _stored(config: Config | None, sides: Mapping[str, Selection]) -> Mapping[str, Items]:
    """Read the lists in the store that policies name, as they are now."""
    policies = [policy for selection in sides.values() for policy in selection.load().policies]
    names = sorted({name for policy in policies for name in policy.stores.values()})
    if not names:
        return {}
    if config is None:
        print_note(f"without a configuration these lists of the store are empty: {', '.join(names)}")
        return {}
    from paycordon.store import Store
    from paycordon.store.lists import items_of

    store = Store.open(config.store)
    try:
        with store.read() as connection:
            return {name: items_of(connection, name) for name in names}
    finally:
        store.close()


@contextmanager
def _history(source: str, config: Config | None) -> Iterator[History]:
    from paycordon.backtest.history import open_file
    from paycordon.backtest.recorded import RecordedHistory
    from paycordon.store import Store

    if source != STORE or config is None:
        yield open_file(Path(source))
        return
    store = Store.open(config.store)
    try:
        yield RecordedHistory(store)
    finally:
        store.close()


def _keys(config: Config | None) -> Keys:
    """The deployment's keys, so that plain identifiers get the digests they have there; else one that is no secret."""
    from paycordon.backtest.run import Keys

    if config is None:
        return Keys({"backtest": hashlib.sha256(b"paycordon backtest").digest()}, "backtest")
    keys = config.identifier_keys
    return Keys({name: secret.encode() for name, secret in keys.keys.items()}, keys.current)


@contextmanager
def shown_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far a backtest is; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        with nullcontext():
            yield lambda _step, _done, _total: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        tasks = {step: bar.add_task(step, total=None, start=False) for step in ("reading", "aggregates", "judging")}

        def tell(step: str, done: int, total: int) -> None:
            bar.start_task(tasks[step])
            bar.update(tasks[step], completed=done, total=total)

        yield tell


def _show(report: Report, crossed: tuple[str, ...]) -> None:
    history = report.history
    span = f", {history.first:%Y-%m-%d} to {history.last:%Y-%m-%d}" if history.first and history.last else ""
    print_line(
        f"{history.name}{span}: {history.judged:,} events of {history.merchants:,} merchants judged, "
        f"{history.read:,} read, {history.repeated:,} repeated"
    )
    rows = [
        (side.side if index == 0 else "", *_cells(outcome.value, tally))
        for side in report.sides
        for index, (outcome, tally) in enumerate(side.outcomes.items())
    ]
    print_table(("", "outcome", "events", "merchants", "money"), rows, title="outcomes")
    _show_effects(report)
    for title, groups in (("by country", report.countries), ("by merchant category", report.mccs)):
        found = [group for group in groups if group.affected][:_BAD_SHOWN]
        rows = [
            (g.group, f"{g.affected:,} of {g.merchants:,}", f"{100 * g.rate:.2f}%", _ratio(g.ratio), _few(g.is_small))
            for g in found
        ]
        if rows:
            print_table(("", "merchants affected", "rate", "to all", ""), rows, title=title)
    _show_rules(report)
    for line, problem in history.bad_lines[:_BAD_SHOWN]:
        print_note(f"{history.unit} {line}: {problem}")
    if history.bad:
        print_note(f"{history.bad:,} {history.unit}s could not be used")
    for text in crossed:
        print_line(f"crossed: {text}")


def _show_effects(report: Report) -> None:
    rows = []
    for effect in (*report.effects, report.unaffected):
        if effect.total.events:
            rows.append(
                _cells(effect.kind.replace("_", " ") or ("unchanged" if report.is_diff else "allowed"), effect.total)
            )
            rows += [_cells(f"  {fate}", getattr(effect, fate)) for fate in ("disputed", "refunded", "clean")]
            if effect.not_known_yet:
                rows.append(("    not known yet", f"{effect.not_known_yet:,}", "", ""))
    title = f"{'changes' if report.is_diff else 'stopped'}; and what happened within {report.within_days} days"
    print_table(("", "events", "merchants", "money"), rows, title=title)


def _show_rules(report: Report) -> None:
    rows = []
    for rule in report.rules:
        if rule.new.events or (rule.old and rule.old.events):
            before = (f"{rule.old.events:,}",) if rule.old else ()
            rows.append((rule.rule, *before, *_cells("", rule.new)[1:]))
    if rows:
        before = ("events before",) if report.is_diff else ()
        print_table(("rule", *before, "events", "merchants", "money"), rows, title="rules that match")


def _cells(name: str, tally: Tally) -> tuple[str, str, str, str]:
    from paycordon.backtest.html import money_text

    return name, f"{tally.events:,}", f"{tally.merchants:,}", money_text(tally.money)


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"x{ratio:.2f}"


def _few(is_small: bool) -> str:
    return "few" if is_small else ""
