"""What an aggregate is. `paycordon.store.windows` computes it online, `paycordon.aggregates.offline` in a backtest.

Both read the same facts (`paycordon.aggregates.facts`) and agree bit for bit; a property-based test proves it.

What is counted for an event e, judged when the log ended at `seen`: the events x with `position` at most `seen` and
`occurred_at` in (e - window, e], and e itself if `include_current` is set and it qualifies. The position of an event is
its place in the order in which the store took all events in. So an event that comes late counts for whatever is judged
after it came, and for nothing before, online and in a backtest. A redelivered event counts once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StrictInt, model_validator

from paycordon.events import EventType, Record, Stage

MIN_WINDOW = timedelta(minutes=10)
MAX_WINDOW = timedelta(days=180)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
IDENTIFIER = "identifier."

Number = int | float | None
"""The value of an aggregate. None: there is none, because the window holds nothing to compare or divide, or because
the current event lacks what the aggregate asks for (the payer, the identifier, an amount)."""


class Function(StrEnum):
    """How the events of a window become one value."""

    COUNT = "count"
    SUM = "sum"
    DISTINCT = "distinct"
    MIN = "min"
    MAX = "max"
    FIRST = "first"
    LAST = "last"
    GAP_MIN = "gap_min"
    GAP_MEAN = "gap_mean"
    GAP_MAX = "gap_max"
    RATIO = "ratio"
    SHARE = "share"


class Kind(StrEnum):
    """What an aggregate's value is: a whole number, a fraction, or microseconds since 1970 or between two events."""

    INTEGER = "integer"
    FRACTION = "fraction"
    TIME = "time"
    DURATION = "duration"


class By(StrEnum):
    """Whose history is looked at, beside the kinds of identifiers (`identifier.iban`)."""

    MERCHANT = "merchant"
    ACCOUNT = "account"
    PAYER = "payer"
    DESTINATION = "destination"


class Column(StrEnum):
    """What is kept of every event, to filter by or to tell apart."""

    MERCHANT = "merchant"
    ACCOUNT = "account"
    AMOUNT = "amount"
    CURRENCY = "currency"
    PAYER = "payer"
    DESTINATION = "destination"
    COUNTERPARTY = "counterparty"
    METHOD = "method"
    STATUS = "status"
    REASON = "reason"
    PAYER_COUNTRY = "payer_country"
    COUNTRY = "country"
    MCC = "mcc"
    PAYER_HOUR = "payer_hour"
    PAYER_WEEKDAY = "payer_weekday"


_MONEY = frozenset({Column.AMOUNT, Column.CURRENCY})
_ALWAYS = frozenset({Column.MERCHANT, Column.ACCOUNT, Column.COUNTRY, Column.MCC})
_PAYER = frozenset({Column.PAYER, Column.COUNTERPARTY, Column.PAYER_COUNTRY, Column.PAYER_HOUR, Column.PAYER_WEEKDAY})
_OF_STAGE: Mapping[str, frozenset[Column]] = {
    Stage.MERCHANT: _ALWAYS,
    Stage.PAYOUT: _ALWAYS | _MONEY | {Column.METHOD, Column.STATUS, Column.DESTINATION, Column.COUNTERPARTY},
    Stage.DISPUTE: _ALWAYS | _MONEY | _PAYER | {Column.REASON, Column.STATUS},
    Stage.PAYMENT: _ALWAYS | _MONEY | _PAYER,
}
NUMERIC = frozenset({Column.AMOUNT, Column.MCC, Column.PAYER_HOUR, Column.PAYER_WEEKDAY})
FILTERS = (
    Column.AMOUNT,
    Column.CURRENCY,
    Column.METHOD,
    Column.STATUS,
    Column.REASON,
    Column.PAYER_COUNTRY,
    Column.COUNTRY,
    Column.MCC,
    Column.PAYER_HOUR,
    Column.PAYER_WEEKDAY,
)
"""The columns of `where`."""
VALUES = tuple(c for c in Column if c not in {Column.AMOUNT, Column.PAYER_HOUR, Column.PAYER_WEEKDAY})
"""The columns of `value`, for `distinct`."""

_AMOUNTS = frozenset({Function.SUM, Function.MIN, Function.MAX})
_KINDS = {
    Function.RATIO: Kind.FRACTION,
    Function.SHARE: Kind.FRACTION,
    Function.FIRST: Kind.TIME,
    Function.LAST: Kind.TIME,
    Function.GAP_MIN: Kind.DURATION,
    Function.GAP_MEAN: Kind.DURATION,
    Function.GAP_MAX: Kind.DURATION,
}


class Condition(Record):
    """What one column must be: one of some values, or within bounds. What is missing matches nothing.

    Amounts are minor units; a condition on the currency belongs beside them. `below` is not included; `multiple_of`
    is what whole multiples are asked for, such as even amounts.
    """

    column: Column
    any_of: tuple[StrictInt | str, ...] | None = None
    at_least: StrictInt | None = None
    below: StrictInt | None = None
    multiple_of: Annotated[StrictInt, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        has_bounds = any(each is not None for each in (self.at_least, self.below, self.multiple_of))
        if has_bounds == bool(self.any_of):
            raise ValueError("a condition has either `any_of` or bounds")
        type_ = int if self.column in NUMERIC else str
        if (has_bounds and type_ is str) or not all(isinstance(value, type_) for value in self.any_of or ()):
            raise ValueError(f"`{self.column}` is not compared with that")
        return self


class Aggregate(Record):
    """One value over the events of one type in the window that ends with the current event.

    Attributes:
        function: see the table in `AggregateDocument`.
        of: the type of the events.
        per: only for `ratio`: the type of the events whose number the number of the others is divided by.
        value: only for `distinct`: which column's different values are counted.
        by: whose events: those of the current event's merchant, account (of that merchant), payer or destination, or
            those that carry its first identifier of a kind, at whatever merchant.
        where: conditions that all have to hold; a `share` is the share of events that satisfy them.
        window: between ten minutes and 180 days.
        include_current: whether the current event counts, if it is of that type and satisfies the conditions.

    Raises:
        pydantic.ValidationError: events of that type do not have what is asked for.
    """

    function: Function
    of: EventType
    per: EventType | None = None
    value: Column = Column.COUNTERPARTY
    by: By | Annotated[str, Field(pattern=r"^identifier\.[a-z][a-z0-9_]{0,62}$")] = By.MERCHANT
    where: tuple[Condition, ...] = ()
    window: Annotated[timedelta, Field(ge=MIN_WINDOW, le=MAX_WINDOW)]
    include_current: bool = True

    @property
    def kind(self) -> Kind:
        """What the value is."""
        return _KINDS.get(self.function, Kind.INTEGER)

    @property
    def types(self) -> Sequence[EventType]:
        """The types of the events that are looked at."""
        return (self.of,) if self.per is None else (self.of, self.per)

    @property
    def needs_currency(self) -> bool:
        """Whether amounts are computed with: then only those in the current event's currency are."""
        return self.function in _AMOUNTS

    @model_validator(mode="after")
    def _fits_function(self) -> Self:
        if (self.per is not None) != (self.function is Function.RATIO):
            raise ValueError("`ratio`, and nothing else, is over two types of events")
        if self.per == self.of:
            raise ValueError("`ratio` needs two different types of events")
        if self.function is Function.SHARE and not self.where:
            raise ValueError("`share` needs a `where`: the share of what?")
        if self.function is not Function.DISTINCT and self.value is not Column.COUNTERPARTY:
            raise ValueError("`value` is only for `distinct`")
        if self.value not in VALUES:
            raise ValueError(f"`distinct` does not count `{self.value}`")
        columns = [condition.column for condition in self.where]
        if not_filters := [column for column in columns if column not in FILTERS]:
            raise ValueError(f"`where` does not know `{not_filters[0]}`")
        return self

    @model_validator(mode="after")
    def _fits_types(self) -> Self:
        for type_ in self.types:
            has = columns_of(type_)
            if missing := [column for column in self._columns() if column not in has]:
                raise ValueError(f"`{type_}` has no `{missing[0]}`")
        return self

    def _columns(self) -> Sequence[Column]:
        by = [Column(self.by)] if isinstance(self.by, By) else []
        amounts = [Column.AMOUNT] if self.needs_currency else []
        distinct = [self.value] if self.function is Function.DISTINCT else []
        return [*amounts, *distinct, *by, *(condition.column for condition in self.where)]


def columns_of(type_: str) -> frozenset[Column]:
    """The columns that events of a type may have."""
    return _OF_STAGE.get(type_.split(".", 1)[0], _ALWAYS)


def parse_window(text: str) -> timedelta:
    """Read `10m`, `24h` or `30d`.

    Raises:
        ValueError: when the text is not of that form, or the window lies outside ten minutes to 180 days.
    """
    found = re.fullmatch(r"(\d{1,5})([mhd])", text.strip())
    if not found:
        raise ValueError(f"`{text}` is not a window; write it as `10m`, `24h` or `30d`")
    window = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if not MIN_WINDOW <= window <= MAX_WINDOW:
        raise ValueError(f"a window lies between 10m and 180d, not `{text}`")
    return window
