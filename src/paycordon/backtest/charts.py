"""The geometry of the report's charts, so that the template only draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paycordon.backtest.report import FATES, Effect, Group, Side
from paycordon.decisions import Outcome

WIDTH = 640
LABEL = 150
ROW = 26
_BAR = WIDTH - LABEL - 100
MOST_GROUPS = 25


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: where it begins, how wide it is, its CSS class, and what it says."""

    x: float
    width: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a chart."""

    label: str
    y: int
    segments: tuple[Segment, ...]
    note: str
    faint: bool = False

    @property
    def end(self) -> float:
        """Where the last segment ends."""
        return max((segment.x + segment.width for segment in self.segments), default=float(LABEL))


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of horizontal bars; `mark` is where a vertical line stands, if one does."""

    title: str
    bars: tuple[Bar, ...]
    mark: float | None = None

    @property
    def height(self) -> int:
        """How high it is."""
        return ROW * len(self.bars) + 8


def of_outcomes(sides: Sequence[Side]) -> Chart:
    """The share of each outcome, one bar a side."""
    bars = []
    for row, side in enumerate(sides):
        total = sum(tally.events for tally in side.outcomes.values()) or 1
        parts = [(outcome.value, side.outcomes[outcome].events) for outcome in Outcome if outcome in side.outcomes]
        stopped = sum(events for name, events in parts if Outcome(name).stops)
        note = f"{100 * stopped / total:.2f}% stopped"
        bars.append(Bar(side.side, row * ROW, _segments(parts, total), note))
    return Chart("Share of events by outcome", tuple(bars))


def of_effects(effects: Sequence[Effect]) -> Chart:
    """Events of each kind, by what became of their merchants."""
    most = max((effect.total.events for effect in effects), default=0) or 1
    bars = tuple(
        Bar(
            effect.kind.replace("_", " "),
            row * ROW,
            _segments([(fate, getattr(effect, fate).events) for fate in FATES], most),
            f"{effect.total.events:,}",
        )
        for row, effect in enumerate(effects)
    )
    return Chart("Events of each kind, by what their merchants' payers did afterwards", bars)


def of_groups(title: str, groups: Sequence[Group], overall: float) -> Chart:
    """The rate of each group beside the rate of all."""
    shown = groups[:MOST_GROUPS]
    most = max([overall, *(group.rate for group in shown)]) or 1.0
    bars = tuple(
        Bar(
            group.group,
            row * ROW,
            (Segment(LABEL, _BAR * group.rate / most, "rate", f"{group.affected:,} of {group.merchants:,} merchants"),),
            f"{100 * group.rate:.1f}%" + (f" (x{group.ratio:.1f})" if group.ratio is not None else ""),
            group.is_small,
        )
        for row, group in enumerate(shown)
    )
    return Chart(title, bars, LABEL + _BAR * overall / most)


def _segments(parts: Sequence[tuple[str, int]], total: int) -> tuple[Segment, ...]:
    segments = []
    x = float(LABEL)
    for name, events in parts:
        if events:
            width = _BAR * events / total
            segments.append(Segment(x, width, name, f"{name}: {events:,}"))
            x += width
    return tuple(segments)
