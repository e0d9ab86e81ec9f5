"""Dated exchange rates that the user supplies, and exact conversion with them.

A rate is looked up by the day of the event in UTC. Where there is none for that day, as at weekends, the latest
earlier one counts if it is not older than a stated number of days; a later one never does. What cannot be looked up is
an error, never a guess. All rates are from one base currency, so that a conversion has one way to go:
into the base, and out of it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from paycordon.documents import document_from
from paycordon.errors import PolicyError, Position
from paycordon.events import minor_unit_exponent

MAX_AGE = timedelta(days=7)
"""How old a rate may be, if nothing else is said: it bridges weekends and holidays."""

MAX_RATES = 200_000
_COLUMNS = ("date", "base", "quote", "rate")
_CURRENCY = re.compile(r"[A-Z]{3}")
_RATE = re.compile(r"\d{1,12}(\.\d{1,12})?")
_LARGEST = 2**63 - 1


class RateMissing(ValueError):
    """There is no rate for a currency on a day, or the converted amount is beyond what an amount can be."""


@dataclass(frozen=True, slots=True)
class RateTable:
    """Exchange rates by day.

    Attributes:
        base: the currency that all rates are from.
        digest: the SHA-256 of the file's bytes, to be recorded beside the policy's.
        max_age: how old a rate may be.
        days: by currency, the days there is a rate for, in order.
        rates: by currency, on those days: how many units of it one unit of the base was worth.
    """

    base: str
    digest: str
    max_age: timedelta = MAX_AGE
    days: Mapping[str, tuple[date, ...]] = field(default_factory=dict, repr=False)
    rates: Mapping[str, tuple[Fraction, ...]] = field(default_factory=dict, repr=False)

    def factor(self, source: str, target: str, on: date) -> Fraction:
        """How many units of `target` one unit of `source` was worth on a day; units, not minor units.

        Raises:
            RateMissing: the table has no rate for one of them that is recent enough.
        """
        return Fraction(1) if source == target else self._of(target, on) / self._of(source, on)

    def _of(self, currency: str, on: date) -> Fraction:
        if currency == self.base:
            return Fraction(1)
        days = self.days.get(currency, ())
        index = bisect_right(days, on) - 1
        if index < 0 or on - days[index] > self.max_age:
            raise RateMissing(f"no exchange rate for {currency} on {on} or up to {self.max_age.days} days before")
        return self.rates[currency][index]

    def exact(self, minor: int, source: str, target: str, on: date) -> Fraction:
        """Convert minor units into minor units without rounding; otherwise as `factor`."""
        shift = minor_unit_exponent(target) - minor_unit_exponent(source)
        return minor * self.factor(source, target, on) * Fraction(10) ** shift

    def convert(self, minor: int, source: str, target: str, on: date) -> int:
        """Convert minor units into minor units, rounded half to even.

        Raises:
            RateMissing: as `factor`, or the result does not fit into 64 bits.
        """
        converted = round(self.exact(minor, source, target, on))  # Python rounds fractions half to even
        if abs(converted) > _LARGEST:
            raise RateMissing("the converted amount is too large")
        return converted


@dataclass(frozen=True, slots=True)
class _Row:
    position: Position
    day: str
    base: str
    quote: str
    rate: object


def rates_from(content: bytes, file: Path | str, *, max_age: timedelta = MAX_AGE) -> RateTable:
    """Read a rate table: CSV with the columns `date,base,quote,rate`, or YAML if the file is named so.

    In YAML: `base: EUR` and `rates: {2026-03-02: {USD: "1.0834"}}`, with the rates quoted, which keeps them exact.

    Raises:
        PolicyError: at the line of what is wrong: another shape, a day, currency or rate that cannot be read, a second
            base, or one rate given twice.
    """
    named_yaml = str(file).endswith((".yaml", ".yml"))
    rows = _yaml_rows(content, file) if named_yaml else _csv_rows(content, file)
    base, found = "", dict[str, dict[date, Fraction]]()
    for count, row in enumerate(rows, 1):
        if count > MAX_RATES:
            raise PolicyError(f"there are more than {MAX_RATES:,} rates", position=row.position)
        base = base or row.base
        if row.base != base:
            hint = f"all rates of a table are from one base, here `{base}`"
            raise PolicyError(f"the base is `{row.base}`", position=row.position, hint=hint)
        _add(row, found)
    if not base:
        raise PolicyError("there are no rates", position=Position(file))
    ordered = {currency: sorted(by_day.items()) for currency, by_day in found.items()}
    return RateTable(
        base=base,
        digest=hashlib.sha256(content).hexdigest(),
        max_age=max_age,
        days={currency: tuple(day for day, _ in pairs) for currency, pairs in ordered.items()},
        rates={currency: tuple(rate for _, rate in pairs) for currency, pairs in ordered.items()},
    )


def _add(row: _Row, found: dict[str, dict[date, Fraction]]) -> None:
    for currency in (row.base, row.quote):
        if not _CURRENCY.fullmatch(currency):
            message = f"`{currency}` is no ISO 4217 code"
            raise PolicyError(message, position=row.position, hint="three capital letters")
    if row.base == row.quote:
        raise PolicyError(f"`{row.quote}` is the base itself", position=row.position)
    try:
        day = date.fromisoformat(row.day)
    except ValueError:
        raise PolicyError(f"`{row.day}` is no day", position=row.position, hint="write it as `2026-03-02`") from None
    if not isinstance(row.rate, str) or not _RATE.fullmatch(row.rate) or not Decimal(row.rate):
        hint = "a decimal above zero, quoted in YAML, such as `1.0834`"
        raise PolicyError(f"`{row.rate}` is no rate", position=row.position, hint=hint)
    by_day = found.setdefault(row.quote, {})
    if day in by_day:
        raise PolicyError(f"the rate for `{row.quote}` on {day} is given twice", position=row.position)
    by_day[day] = Fraction(row.rate)


def _csv_rows(content: bytes, file: Path | str) -> Iterator[_Row]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PolicyError("the rates are not UTF-8", position=Position(file), hint="save them as UTF-8") from None
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        for index, cells in enumerate(reader):
            position = Position(file, reader.line_num)
            if index == 0:
                if tuple(cells) != _COLUMNS:
                    hint = f"the first line is `{','.join(_COLUMNS)}`"
                    raise PolicyError("the columns are not those of a rate table", position=position, hint=hint)
            elif len(cells) != len(_COLUMNS):
                raise PolicyError("the row has more or fewer columns than the header", position=position)
            else:
                yield _Row(position, *cells)
    except csv.Error as error:
        raise PolicyError(f"no CSV: {error}", position=Position(file, max(reader.line_num, 1))) from None


def _yaml_rows(content: bytes, file: Path | str) -> Iterator[_Row]:
    document = document_from(content, file, error=PolicyError)
    data = document.data
    if not isinstance(data, dict) or set(data) != {"base", "rates"} or not isinstance(data["rates"], dict):
        hint = 'write `base: EUR` and `rates: {2026-03-02: {USD: "1.0834"}}`'
        raise PolicyError("this is no rate table", position=document.position(), hint=hint)
    for day, by_currency in data["rates"].items():
        if not isinstance(by_currency, dict):
            hint = 'write `{USD: "1.0834"}`'
            raise PolicyError(f"`{day}` has no rates", position=document.position(("rates", day)), hint=hint)
        for currency, rate in by_currency.items():
            yield _Row(document.position(("rates", day, currency)), day, str(data["base"]), currency, rate)
