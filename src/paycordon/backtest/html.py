"""The report as one HTML file: no script, no network, readable on paper and in the dark."""

from __future__ import annotations

import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from paycordon.backtest import charts
from paycordon.backtest.report import SMALL, Report
from paycordon.errors import ConfigError, Position
from paycordon.events import Money


def render(report: Report, crossed: tuple[str, ...] = ()) -> str:
    """Return the report as HTML; everything in it is escaped, wherever it came from."""
    merchants = report.history.merchants
    overall = report.affected.merchants / merchants if merchants else 0.0
    return _template().render(
        report=report,
        crossed=crossed,
        overall=overall,
        small=SMALL,
        outcomes=charts.of_outcomes(report.sides),
        effects=charts.of_effects(report.effects),
        groups=[
            ("country", report.countries, charts.of_groups("Rate by country", report.countries, overall)),
            ("merchant category", report.mccs, charts.of_groups("Rate by merchant category", report.mccs, overall)),
        ],
        chart=charts,
    )


def write(path: Path, content: str) -> None:
    """Write the report for its owner's eyes only; it is whole or not there.

    Raises:
        ConfigError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
        temporary.replace(path)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"cannot be written: {reason}", position=Position(path)) from None


def money_text(money: dict[str, int]) -> str:
    """Write amounts of several currencies beside each other."""
    # Sums may be larger than any one amount may.
    return ", ".join(str(Money.model_construct(minor=minor, currency=code)) for code, minor in sorted(money.items()))


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"money": money_text, "number": _number, "percent": _percent, "value": _value}
    return environment.from_string(files(__package__).joinpath("report.html.jinja").read_text(encoding="utf-8"))


def _number(value: int) -> str:
    return f"{value:,}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}%"


def _value(value: Any) -> str:
    return "none" if value is None else str(value)
