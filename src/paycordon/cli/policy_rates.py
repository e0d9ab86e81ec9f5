"""`paycordon policy rates`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import JsonOption
from paycordon.cli.output import print_json, print_line, print_note, print_table
from paycordon.cli.policy_backtest import shown_progress

if TYPE_CHECKING:
    from paycordon.backtest.judge import Selection
    from paycordon.backtest.rates import Hits, Portrait, Rates

_SHOWN = 3


def rates(
    policies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PACK|POLICY...]", help="Packs by name, policy files or a directory; else all packs."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Which portfolio; the same seed gives the same one.")] = 1,
    scale: Annotated[float, typer.Option("--scale", help="How many times its usual size of 700 merchants.")] = 1.0,
    factor: Annotated[
        float, typer.Option("--factor", min=1, help="Name countries met more often than so many times the usual.")
    ] = 2.0,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, max=64, help="Processes; by default one each.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Show whom policies meet in a synthetic portfolio: the planted patterns, honest merchants by kind and country.

    Nobody in it exists: the rates say whether rules do what they are meant to, and nothing of real merchants. The rules
    judge as live; the built-in checks run with their default settings; no bindings apply.
    """
    from paycordon.backtest import require_extra

    require_extra()
    from paycordon.policy.packs import pack_names

    found = _portrait(_selected(policies or list(pack_names())), seed, scale, factor, jobs or os.cpu_count() or 1)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        _show(found)
    return 0


def _selected(given: Sequence[str]) -> Selection:
    """Packs by their names, everything else by its path."""
    from paycordon.backtest.judge import Selection
    from paycordon.backtest.selection import select
    from paycordon.policy.load import PolicyFiles
    from paycordon.policy.packs import pack_content, pack_file, pack_names

    packs = [each for each in given if each in pack_names() and not Path(each).exists()]
    paths = [each for each in given if each not in packs]
    content = {Path(pack_file(each)): pack_content(each) for each in packs}
    if not paths:
        return Selection(", ".join(packs), PolicyFiles(tuple(content)), content)
    chosen = select(paths)
    files = PolicyFiles((*content, *chosen.files.policies), None, chosen.files.rates)
    return Selection(", ".join(given), files, {**content, **chosen.content})


def _portrait(selection: Selection, seed: int, scale: float, factor: float, jobs: int) -> Portrait:
    from paycordon.backtest import run as running
    from paycordon.backtest.portfolio import PortfolioHistory
    from paycordon.backtest.rates import portrait
    from paycordon.backtest.state import opened
    from paycordon.portfolio import Portfolio

    portfolio = Portfolio(seed, scale)
    keys = running.Keys({"portfolio": b"of nobody, and therefore no secret"}, "portfolio")
    history = PortfolioHistory(portfolio, keys.digester())
    settings = running.Settings(processes=jobs, strict=True)
    with opened(None) as state, shown_progress() as progress:
        run = running.run(history, {"new": selection}, state, keys, settings, progress)
        try:
            return portrait(run, portfolio, factor)
        finally:
            run.duck.close()


def _show(found: Portrait) -> None:
    print_line(
        f"portfolio of seed {found.seed}: {found.events:,} events, {found.merchants:,} merchants, of which "
        f"{found.planted:,} planted; {found.judged:,} events judged"
    )
    columns = ("", "says", "planted", "honest", "most of honest kinds", f"countries over x{found.factor:g}")
    print_table(
        columns, [_row(each, each.says) for each in found.outcomes], title="merchants with this outcome, or more"
    )
    patterns = [(each.name, each.says, _patterns(each)) for each in found.outcomes]
    print_table(("", "says", "planted patterns met"), patterns, title="which patterns")
    for policy in dict.fromkeys(each.name for each in found.outcomes):
        rules = [each for each in found.rules if each.name.startswith(f"{policy}/")]
        shown = [each for each in rules if not each.name.endswith("/on_error") or each.planted.merchants]
        rows = [_row(each, f"{each.says}{f', {each.status}' if each.status else ''}") for each in shown]
        print_table(columns, rows, title=policy)
    print_note("synthetic: says whether rules do what they are meant to, nothing of real merchants")


def _row(rates: Rates, says: str) -> tuple[str, ...]:
    most = sorted(rates.kinds.items(), key=lambda each: (-each[1].rate, each[0]))[:_SHOWN]
    kinds = ", ".join(f"{kind} {_percent(hits)}" for kind, hits in most)
    unequal = ", ".join(f"{each.country} x{each.ratio:.1f}" for each in rates.unequal[:_SHOWN])
    return rates.name.rpartition("/")[2], says, _hits(rates.planted), _hits(rates.honest), kinds, unequal


def _patterns(rates: Rates) -> str:
    return ", ".join(f"{kind} {h.merchants}/{h.of}" for kind, h in rates.patterns.items())


def _hits(hits: Hits) -> str:
    return f"{hits.merchants} of {hits.of} ({_percent(hits)})"


def _percent(hits: Hits) -> str:
    return f"{100 * hits.rate:.1f}%"
