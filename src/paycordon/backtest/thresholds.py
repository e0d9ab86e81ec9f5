"""Thresholds for pipelines: `newly_held_merchants > 5`, `stopped_events >= 2%`, `newly_blocked_money > 1000 EUR`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt

from paycordon.aggregates.document import parse_money
from paycordon.backtest.report import Report
from paycordon.documents import did_you_mean
from paycordon.errors import ConfigError
from paycordon.events import Money

_FORM = re.compile(r"\s*([a-z_]+)\s*(>=|<=|>|<)\s*(.+?)\s*")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(\s*%)?")
_COMPARE: dict[str, Callable[[float, float], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}
_HINT = "write it as `newly_held_merchants > 5`, `changed_events >= 2%` or `newly_held_money > 1000 EUR`"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A metric, how it is compared, and with what: a number, a percentage of its base, or an amount."""

    text: str
    metric: str
    comparator: str
    limit: float | Money
    is_percent: bool = False

    def crossed(self, report: Report) -> str | None:
        """Say by how much a report crosses it; none if it does not."""
        value, base = report.metrics()[self.metric]
        if isinstance(value, dict):
            assert isinstance(self.limit, Money)  # noqa: S101  # made sure by `parse`
            amount = Money(minor=value.get(self.limit.currency, 0), currency=self.limit.currency)
            crossed = _COMPARE[self.comparator](amount.minor, self.limit.minor)
            return f"{self.text}: it is {amount}" if crossed else None
        assert not isinstance(self.limit, Money)  # noqa: S101  # made sure by `parse`
        compared = value
        if self.is_percent:
            compared = 100 * value / base if base else 0.0
        shown = f"{compared:.2f}%" if self.is_percent else f"{compared:g}"
        return f"{self.text}: it is {shown}" if _COMPARE[self.comparator](compared, self.limit) else None


def parse(text: str, metrics: Mapping[str, bool]) -> Threshold:
    """Read a threshold.

    Args:
        text: as a person writes it.
        metrics: the names there are, each with whether a percentage of it can be taken.

    Raises:
        ConfigError: it is not of that form, or there is no such metric.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ConfigError(f"`{text}` is not a threshold", hint=_HINT)
    metric, comparator, limit = found[1], found[2], found[3]
    if metric not in metrics:
        hint = did_you_mean(metric, sorted(metrics)) or f"known are {', '.join(sorted(metrics))}"
        raise ConfigError(f"there is no metric `{metric}`", hint=hint)
    if metric.endswith("_money"):
        try:
            return Threshold(text, metric, comparator, parse_money(limit))
        except ValueError as error:
            raise ConfigError(f"`{text}` is not a threshold: {error}", hint=_HINT) from None
    number = _NUMBER.fullmatch(limit)
    if number is None:
        raise ConfigError(f"`{text}` is not a threshold: `{limit}` is no number", hint=_HINT)
    if number[2] and not metrics[metric]:
        raise ConfigError(f"`{text}` is not a threshold: `{metric}` has no percentage", hint=_HINT)
    return Threshold(text, metric, comparator, float(number[1]), bool(number[2]))
