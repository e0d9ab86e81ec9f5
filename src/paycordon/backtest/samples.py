"""Events that show what a policy does: the same ones every time, with all that they were judged on."""

# ruff: noqa: S608  # statements are put together from names of columns, sides and tables, never from what was read

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import from_json

from paycordon.backtest.columns import read
from paycordon.backtest.lines import findings_from
from paycordon.backtest.report import Sample, SideOfSample
from paycordon.backtest.run import Run
from paycordon.decisions import Evaluation


def samples(run: Run, kinds: Iterable[str], number: int, seed: str) -> tuple[Sample, ...]:
    """Choose events of each kind by a digest over the seed and their id, so that neither order nor luck matters."""
    chosen: list[tuple[str, int, str, str]] = []
    for kind in kinds:
        query = (
            "SELECT kind, position, merchant, fate FROM compared WHERE kind = ? "
            "ORDER BY md5(concat_ws(chr(31), ?, instance, id)), position LIMIT ?"
        )
        chosen += run.duck.execute(query, [kind, seed, number]).fetchall()
    return tuple(_sample(run, *each) for each in chosen)


def evaluation(run: Run, side: str, position: int) -> Evaluation:
    """Return what one side made of an event."""
    query = f"SELECT {side}_evaluation FROM judged WHERE position = ?"
    row = run.duck.execute(query, [position]).fetchone()
    if row is None:
        raise LookupError(f"the event at {position} was not judged")
    return Evaluation.model_validate_json(row[0])


def aggregates(run: Run, side: str, type_: str, position: int) -> dict[str, int | float | None]:
    """Return the aggregates that one side's policies had for an event, by `policy.name`."""
    wanted = run.sides[side].aggregates_for(type_)
    if not wanted:
        return {}
    listed = ", ".join(run.columns[each] for each in wanted.values())
    row = run.duck.execute(f"SELECT {listed} FROM aggregates_used WHERE position = ?", [position]).fetchone()
    return dict(zip(wanted, row or [None] * len(wanted), strict=True))


def _sample(run: Run, kind: str, position: int, merchant: str, fate: str) -> Sample:
    body, findings = _recorded(run, position)
    event: Mapping[str, Any] = from_json(body)
    sides = {}
    for side in run.sides:
        found = evaluation(run, side, position)
        sides[side] = SideOfSample(
            outcome=found.outcome,
            shadow=found.shadow.outcome if found.shadow else None,
            matches=found.matches,
            errors=found.errors,
            scores=found.scores,
            aggregates=aggregates(run, side, event["type"], position),
        )
    return Sample(
        kind=kind,
        position=position,
        event=dict(event),
        merchant=merchant,
        fate=fate,
        findings=findings_from(findings),
        sides=sides,
    )


def _recorded(run: Run, position: int) -> tuple[str, str | None]:
    """Read an event and its findings from the file that holds it."""
    index = bisect_right(run.taken, position, key=lambda each: each[0]) - 1
    columns = ("position", "event", "findings")
    return next((body, findings) for at, body, findings in read(run.taken[index][2], columns) if at == position)
