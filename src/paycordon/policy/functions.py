"""What expressions can call beyond CEL's own functions. All are pure: no clock, network, file or randomness.

| function | yields |
|---|---|
| `listed(value, lists.name)` | whether a list, or a set of countries such as `countries.EEA`, holds a text |
| `money(minor, "EUR")` | an amount, for example of the sum of an aggregate |
| `amount.in_currency("EUR", at)` | the amount in another currency, rounded half to even to its minor unit |
| `amount.at_least(other, at)` | whether it is as much or more, compared without rounding |
| `amount.below(other, at)` | whether it is less, compared without rounding |

`at` is the moment whose exchange rate counts, mostly `event.occurred_at`. Amounts in one currency need no rate. Without
a rate the expression has no answer, and the policy's `on_error` says what that means. An item of a list that has
expired at the time of the event does not count. CEL itself brings time zones:
`event.occurred_at.getHours("Europe/Amsterdam")`.

A call costs 4 to 8 microseconds. What a function raises becomes an error of the expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from cel_expr_python import cel

from paycordon.events import Money
from paycordon.policy.rates import RateMissing, RateTable
from paycordon.policy.schema import SCHEMA, VALUE_LIST, type_name, value_list

Lists = Mapping[str, Mapping[str, datetime | None]]
"""The lists of a policy by name: their values, each with the moment from which it no longer counts."""

# https://european-union.europa.eu/principles-countries-history/eu-countries_en, by ISO 3166-1 (Greece is GR)
_EU = frozenset(
    {
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU"),
        *("IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
    }
)
COUNTRIES: Mapping[str, frozenset[str]] = {
    "EU": _EU,
    "EEA": _EU | {"IS", "LI", "NO"},  # https://www.efta.int/eea: the EU and three of the four states of EFTA
}
"""The sets of countries that every policy can look up in, as of 2026."""

_CURRENCY = re.compile(r"[A-Z]{3}")
_LIST = cel.Type(VALUE_LIST)
_MONEY = cel.Type(type_name(Money))
_BOOL, _INT, _STRING, _TIME = cel.Type.BOOL, cel.Type.INT, cel.Type.STRING, cel.Type.TIMESTAMP


def list_types(lists: Lists) -> dict[str, Any]:
    """The variables that stand for lists, with their type."""
    return dict.fromkeys([f"countries.{name}" for name in COUNTRIES] + [f"lists.{name}" for name in lists], _LIST)


def list_variable(name: str, at_us: int) -> Any:
    """What a variable of `list_types` is bound to when the event was at `at_us`, in microseconds since 1970."""
    return value_list(name, at_us)


def functions(lists: Lists, rates: RateTable | None) -> list[Any]:
    """Declare the functions for one policy, over its lists and exchange rates."""
    money = _Amounts(rates)
    return [
        _declare("listed", _BOOL, [_STRING, _LIST], _lookup(lists), member=False),
        _declare("money", _MONEY, [_INT, _STRING], _money, member=False),
        _declare("in_currency", _MONEY, [_MONEY, _STRING, _TIME], money.in_currency),
        _declare("at_least", _BOOL, [_MONEY, _MONEY, _TIME], money.at_least),
        _declare("below", _BOOL, [_MONEY, _MONEY, _TIME], money.below),
    ]


def _declare(name: str, yields: Any, parameters: list[Any], call: Callable[..., Any], *, member: bool = True) -> Any:
    return cel.FunctionDecl(name, [cel.Overload(f"paycordon_{name}", yields, parameters, member, call)])


def _lookup(lists: Lists) -> Callable[[str, Any], bool]:
    sets: dict[str, Mapping[str, int | None]] = {
        f"countries.{name}": dict.fromkeys(codes) for name, codes in COUNTRIES.items()
    }
    for name, items in lists.items():
        sets[f"lists.{name}"] = {value: None if until is None else micros(until) for value, until in items.items()}

    def listed(value: str, of: Any) -> bool:
        values = sets[of.name]
        if value not in values:
            return False
        until = values[value]
        return until is None or of.at < until

    return listed


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


class _Amounts:
    """Functions on amounts, as messages of the schema."""

    def __init__(self, rates: RateTable | None) -> None:
        self._rates = rates

    def in_currency(self, amount: Any, currency: str, at: datetime) -> Any:
        return _money(self._converted(amount, currency, at, rounded=True), currency)

    def at_least(self, amount: Any, other: Any, at: datetime) -> bool:
        return bool(self._converted(amount, other.currency.value, at) >= other.minor.value)

    def below(self, amount: Any, other: Any, at: datetime) -> bool:
        return not self.at_least(amount, other, at)

    def _converted(self, amount: Any, currency: str, at: datetime, *, rounded: bool = False) -> Any:
        source, minor = amount.currency.value, amount.minor.value
        if source == currency:
            return minor
        if self._rates is None:
            raise RateMissing(f"no exchange rates to convert {source} into {currency} are given")
        day = at.astimezone(UTC).date()
        convert = self._rates.convert if rounded else self._rates.exact
        return convert(minor, source, currency, day)


def _money(minor: int, currency: str) -> Any:
    if not _CURRENCY.fullmatch(currency):
        raise ValueError(f"`{currency[:32]}` is no ISO 4217 code")
    return SCHEMA.message(Money(minor=minor, currency=currency))
