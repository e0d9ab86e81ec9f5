"""Check `payout_velocity`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from paycordon.aggregates import Aggregate, Function
from paycordon.aggregates.definition import MAX_WINDOW
from paycordon.checks.base import Check, CheckSettings
from paycordon.context import Context
from paycordon.decisions import Finding
from paycordon.events import Event, EventType
from paycordon.hookspecs import hookimpl


class PayoutVelocitySettings(CheckSettings):
    """How many payouts in what time are too many."""

    max_count: Annotated[int, Field(ge=1, description="this many payouts are still ordinary")] = 5
    window_hours: Annotated[int, Field(ge=1, le=int(MAX_WINDOW / timedelta(hours=1)))] = 24


class PayoutVelocity(Check[PayoutVelocitySettings]):
    """The merchant asks for more payouts in a short time than is ordinary, this one included."""

    id: ClassVar[str] = "payout_velocity"
    emits: ClassVar[Mapping[str, str]] = {"payout.velocity": "more payouts in the window than the settings allow"}
    settings_type = PayoutVelocitySettings
    bounded: ClassVar[bool] = True

    def aggregates(self) -> Mapping[str, Aggregate]:
        """Count the merchant's payouts of the window."""
        window = timedelta(hours=self.settings.window_hours)
        return {"payouts": Aggregate(function=Function.COUNT, of=EventType.PAYOUT_REQUESTED, window=window)}

    @hookimpl
    def screen_payout(self, event: Event, context: Context) -> Iterable[Finding]:
        """Compare the count with the limit; only a request counts, not what later becomes of it."""
        count = context.number("payouts")
        if event.type == EventType.PAYOUT_REQUESTED and count > self.settings.max_count:
            yield Finding(
                check=self.id,
                code="payout.velocity",
                evidence={
                    "payouts": count,
                    "max_count": self.settings.max_count,
                    "window_hours": self.settings.window_hours,
                },
            )
