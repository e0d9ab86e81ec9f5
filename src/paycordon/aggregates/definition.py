"""What an aggregate is; `paycordon.store` computes it online."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from paycordon.events import EventType, Record

MIN_WINDOW = timedelta(minutes=10)
MAX_WINDOW = timedelta(days=180)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Function(StrEnum):
    """How the events of a window become one number."""

    COUNT = "count"
    SUM = "sum"
    DISTINCT = "distinct"


class By(StrEnum):
    """Whose history is looked at."""

    MERCHANT = "merchant"
    ACCOUNT = "account"


class Aggregate(Record):
    """A number over the events of one type in the window that ends with the current event.

    The window holds the events before the current one in the order (time, sequence), those at most `window` older;
    the current event counts too when it is of that type and `include_current` is set.
    `sum` adds minor units of events in the current event's currency only; `distinct` counts different counterparties
    (the payer of a payment, the destination of a payout).
    """

    function: Function
    of: EventType
    by: By = By.MERCHANT
    window: Annotated[timedelta, Field(ge=MIN_WINDOW, le=MAX_WINDOW)]
    include_current: bool = True

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        if self.function is not Function.COUNT and self.of.startswith("merchant."):
            raise ValueError(f"`{self.of}` has no amount and no counterparty; only `count` works on it")
        return self


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
