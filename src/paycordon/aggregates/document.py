"""Aggregates as people write them in a policy file, under `aggregates:`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, Self

from iso4217 import Currency
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from paycordon.aggregates.definition import IDENTIFIER, VALUES, Aggregate, By, Column, Condition, Function, parse_window
from paycordon.aggregates.facts import MAX_TEXT
from paycordon.events import EventType, IdentifierKind, Money, minor_unit_exponent

_MONEY = re.compile(r"^(-?\d{1,12})(?:\.(\d{1,4}))? ([A-Z]{3})$")
_BOUNDS = ("at_least", "below")
_AMOUNT_BOUNDS = (*_BOUNDS, "multiple_of")
_MAX_VALUES = 1_000


def parse_money(text: str) -> Money:
    """Read `200 EUR` or `-12.50 EUR`.

    Raises:
        ValueError: it is not of that form, the currency is unknown, or it has fewer decimals.
    """
    found = _MONEY.fullmatch(text)
    if found is None:
        raise ValueError("an amount is written with its currency, such as `200 EUR`")
    whole, decimals, code = found[1], found[2] or "", found[3]
    _known_currency(code)
    exponent = minor_unit_exponent(code)
    if len(decimals) > exponent:
        raise ValueError(f"{code} has {exponent} decimals, not {len(decimals)}")
    minor = int(Decimal(f"{whole}.{decimals or 0}").scaleb(exponent))
    return Money(minor=minor, currency=code)


def _known_currency(code: str) -> str:
    try:
        Currency(code)
    except ValueError:
        raise ValueError(f"`{code}` is not a currency of ISO 4217") from None
    return code


def _known(name: str, known: Iterable[str], what: str) -> str:
    names = [str(each) for each in known]
    if name in names:
        return name
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean `{near[0]}`?" if near else "known are " + ", ".join(f"`{each}`" for each in names)
    raise ValueError(f"there is no {what} `{name}`; {hint}")


def _event_type(name: str) -> EventType:
    return EventType(_known(name, EventType, "event type"))


def _by(name: str) -> str:
    if name.startswith(IDENTIFIER):  # the kinds of identifiers are open
        if re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name.removeprefix(IDENTIFIER)) is None:
            raise ValueError("a kind of identifier is written in small letters, such as `identifier.iban`")
        return name
    return _known(name, [*By, *(f"{IDENTIFIER}{kind}" for kind in IdentifierKind)], "history by")


def _value(name: str) -> Column:
    return Column(_known(name, VALUES, "value"))


def _window(text: str) -> str:
    parse_window(text)
    return text


def _as_list(value: object) -> list[object]:
    values = value if isinstance(value, list) else [value]
    if not 0 < len(values) <= _MAX_VALUES:
        raise ValueError(f"a list has between 1 and {_MAX_VALUES} values")
    return values


def _bounds(value: object, known: tuple[str, ...] = _BOUNDS) -> dict[str, object] | None:
    """The bounds, if the value is a mapping."""
    if not isinstance(value, dict):
        return None
    if not value or not set(value) <= set(known):
        several = "both" if len(known) == 2 else "several of them"
        raise ValueError(f"bounds are {', '.join(f'`{each}`' for each in known)} or {several}")
    return value


def _texts(column: Column, pattern: str, what: str) -> Callable[[object], tuple[Condition, ...]]:
    def read(value: object) -> tuple[Condition, ...]:
        if _bounds(value) is not None:
            raise ValueError(f"`{column}` is compared with {what}, or a list of these; it has no bounds")
        values = _as_list(value)
        if not all(isinstance(each, str) and re.fullmatch(pattern, each, re.DOTALL) for each in values):
            raise ValueError(f"`{column}` is compared with {what}, or a list of these")
        return (Condition(column=column, any_of=tuple(str(each) for each in values)),)

    return read


def _integers(column: Column, least: int, most: int) -> Callable[[object], tuple[Condition, ...]]:
    def read_one(value: object) -> int:
        if column is Column.MCC and isinstance(value, str) and re.fullmatch(r"[0-9]{4}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"`{column}` is a whole number from {least} to {most}")
        return value

    def read(value: object) -> tuple[Condition, ...]:
        if (bounds := _bounds(value)) is not None:
            return (Condition(column=column, **{name: read_one(bound) for name, bound in bounds.items()}),)
        return (Condition(column=column, any_of=tuple(map(read_one, _as_list(value)))),)

    return read


def _amounts(value: object) -> tuple[Condition, ...]:
    bounds = _bounds(value, _AMOUNT_BOUNDS)
    amounts = [_amount(each) for each in (_as_list(value) if bounds is None else bounds.values())]
    if len({amount.currency for amount in amounts}) > 1:
        raise ValueError("amounts of different currencies are not compared; write one aggregate for each")
    minors = [amount.minor for amount in amounts]
    condition = (
        Condition(column=Column.AMOUNT, any_of=tuple(minors))
        if bounds is None
        else Condition(column=Column.AMOUNT, **dict(zip(bounds, minors, strict=True)))
    )
    return condition, Condition(column=Column.CURRENCY, any_of=(amounts[0].currency,))


def _amount(value: object) -> Money:
    return parse_money(value if isinstance(value, str) else "")


PARAM = re.compile(r"params\.([a-z][a-z0-9_]{0,62})")
"""How a parameter of the policy is named where an aggregate takes a value; replaced before the aggregate is read."""
_PARAM_SCHEMA = {"type": "string", "pattern": f"^{PARAM.pattern}$"}


def _schema(one: dict[str, Any], *, bounds: tuple[str, ...] = ()) -> WithJsonSchema:
    one = {"anyOf": [one, _PARAM_SCHEMA]}
    forms: list[dict[str, Any]] = [one, {"type": "array", "items": one, "minItems": 1, "maxItems": _MAX_VALUES}]
    if bounds:
        limits = dict.fromkeys(bounds, one)
        forms.append({"type": "object", "properties": limits, "additionalProperties": False, "minProperties": 1})
    return WithJsonSchema({"anyOf": forms})


def _text_field(column: Column, pattern: str, what: str) -> Any:
    schema = _schema({"type": "string", "pattern": f"^{pattern}$"})
    return Annotated[tuple[Condition, ...], BeforeValidator(_texts(column, pattern, what)), schema]


def _integer_field(column: Column, least: int, most: int) -> Any:
    schema = _schema({"type": "integer", "minimum": least, "maximum": most}, bounds=_BOUNDS)
    return Annotated[tuple[Condition, ...], BeforeValidator(_integers(column, least, most)), schema]


_ANY_TEXT = f".{{1,{MAX_TEXT}}}"
_COUNTRY = ("[A-Z]{2}", "a country code such as `NL`")
_MONEY_SCHEMA = _schema({"type": "string", "pattern": _MONEY.pattern}, bounds=_AMOUNT_BOUNDS)
_MCC_SCHEMA = _schema(
    {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 9999}, {"type": "string", "pattern": "^[0-9]{4}$"}]},
    bounds=_BOUNDS,
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class WhereDocument(_Part):
    """Which events count: all conditions must hold, and what an event lacks matches nothing.

    A condition is a value, a list of values (any of them), or for amounts, categories and times bounds:
    `{at_least: 200 EUR, below: 1000 EUR}`, and for amounts `multiple_of: 10 EUR`. An amount implies its currency;
    with `currency: [EUR, USD, GBP]` beside it, its number counts alike in each of these.
    """

    amount: Annotated[tuple[Condition, ...], BeforeValidator(_amounts), _MONEY_SCHEMA] = ()
    currency: _text_field(Column.CURRENCY, "[A-Z]{3}", "a currency code such as `EUR`") = ()  # type: ignore[valid-type]
    method: _text_field(Column.METHOD, _ANY_TEXT, "a text") = ()  # type: ignore[valid-type]
    status: _text_field(Column.STATUS, _ANY_TEXT, "a text") = ()  # type: ignore[valid-type]
    reason: _text_field(Column.REASON, _ANY_TEXT, "a text") = ()  # type: ignore[valid-type]
    payer_country: _text_field(Column.PAYER_COUNTRY, *_COUNTRY) = ()  # type: ignore[valid-type]
    country: _text_field(Column.COUNTRY, *_COUNTRY) = ()  # type: ignore[valid-type]
    mcc: Annotated[tuple[Condition, ...], BeforeValidator(_integers(Column.MCC, 0, 9999)), _MCC_SCHEMA] = ()
    payer_hour: _integer_field(Column.PAYER_HOUR, 0, 23) = ()  # type: ignore[valid-type]
    payer_weekday: _integer_field(Column.PAYER_WEEKDAY, 1, 7) = ()  # type: ignore[valid-type]

    def conditions(self) -> tuple[Condition, ...]:
        """What the store and the backtest filter by."""
        found = (condition for name in type(self).model_fields for condition in getattr(self, name))
        implied = self.amount[1:] if self.currency else ()
        return tuple(condition for condition in found if not any(condition is each for each in implied))

    @model_validator(mode="after")
    def _on_one_scale(self) -> Self:
        if self.amount and self.currency:
            codes = [str(code) for each in (*self.amount[1:], *self.currency) for code in each.any_of or ()]
            if len({minor_unit_exponent(code) for code in codes}) > 1:
                raise ValueError("amounts count alike only in currencies with as many decimals")
        return self


AnyEventType = Annotated[StrictStr, AfterValidator(_event_type)]


class AggregateDocument(_Part):
    """One value over past events: exactly one function and the type of the events it looks at.

    | function | value |
    |---|---|
    | `count` | how many there are |
    | `sum`, `min`, `max` | of their amounts, in minor units; only those in the current event's currency |
    | `distinct` | how many different values of `value` they have |
    | `first`, `last` | when the earliest or latest of the window happened |
    | `gap_min`, `gap_mean`, `gap_max` | the times between one and the next |
    | `ratio: [a, b]` | the number of `a` divided by the number of `b` |
    | `share` | the fraction of them that satisfies `where` |
    """

    count: AnyEventType | None = None
    sum: AnyEventType | None = None
    distinct: AnyEventType | None = None
    min: AnyEventType | None = None
    max: AnyEventType | None = None
    first: AnyEventType | None = None
    last: AnyEventType | None = None
    gap_min: AnyEventType | None = None
    gap_mean: AnyEventType | None = None
    gap_max: AnyEventType | None = None
    ratio: Annotated[tuple[AnyEventType, ...] | None, Field(min_length=2, max_length=2)] = None
    share: AnyEventType | None = None
    value: Annotated[StrictStr, AfterValidator(_value)] = Column.COUNTERPARTY
    by: Annotated[StrictStr, AfterValidator(_by)] = By.MERCHANT
    where: WhereDocument = WhereDocument()
    window: Annotated[StrictStr, AfterValidator(_window)]
    include_current: StrictBool = True

    @model_validator(mode="after")
    def _one_function(self) -> Self:
        given = [function for function in Function if getattr(self, function.value) is not None]
        if len(given) != 1:
            listed = ", ".join(f"`{function}`" for function in Function)
            raise ValueError(f"exactly one function is needed, of {listed}")
        if self.value is not Column.COUNTERPARTY and given != [Function.DISTINCT]:
            raise ValueError("`value` says what `distinct` counts; no other function takes it")
        self.aggregate()
        return self

    def aggregate(self) -> Aggregate:
        """What the store and the backtest compute.

        Raises:
            ValueError: events of that type do not have what is asked for.
        """
        function, of = next((f, of) for f in Function if (of := getattr(self, f.value)) is not None)
        types = of if isinstance(of, tuple) else (of, None)
        try:
            return Aggregate(
                function=function,
                of=types[0],
                per=types[1],
                value=self.value,
                by=self.by,
                where=self.where.conditions(),
                window=parse_window(self.window),
                include_current=self.include_current,
            )
        except ValidationError as invalid:
            raise ValueError(invalid.errors()[0]["msg"].removeprefix("Value error, ")) from None
