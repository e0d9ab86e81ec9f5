"""Check `dispute_ratio`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from paycordon.aggregates import Aggregate, Function
from paycordon.checks.base import Check, CheckSettings
from paycordon.context import Context
from paycordon.decisions import Finding
from paycordon.events import EventType
from paycordon.hookspecs import hookimpl


class DisputeRatioSettings(CheckSettings):
    """When disputes are too many for the payments they belong to.

    The default ratio is Visa's VAMP threshold for merchants from 1 April 2026 (1.5 %); the least number keeps a small
    merchant's single dispute from counting.
    """

    max_percent: Annotated[float, Field(gt=0, le=100, description="disputes per hundred payments")] = 1.5
    min_disputes: Annotated[int, Field(ge=1, description="fewer disputes than this never count")] = 5
    window_days: Annotated[int, Field(ge=1, le=180)] = 30


class DisputeRatio(Check[DisputeRatioSettings]):
    """The merchant's disputes, this one included, are more than the configured share of its payments.

    Counts are by number, over one sliding window for both. Card networks compare calendar months, and some compare
    with the payments of the month before: this is an early warning, not their arithmetic.
    """

    id: ClassVar[str] = "dispute_ratio"
    emits: ClassVar[Mapping[str, str]] = {"dispute.ratio_high": "more disputes than the configured share of payments"}
    settings_type = DisputeRatioSettings
    bounded: ClassVar[bool] = True

    def aggregates(self) -> Mapping[str, Aggregate]:
        """Count disputes and payments of the window."""
        window = timedelta(days=self.settings.window_days)
        return {
            "disputes": Aggregate(function=Function.COUNT, of=EventType.DISPUTE_OPENED, window=window),
            "payments": Aggregate(function=Function.COUNT, of=EventType.PAYMENT_SUCCEEDED, window=window),
        }

    @hookimpl
    def screen_dispute(self, context: Context) -> Iterable[Finding]:
        """Compare the two counts; without any payment on record every dispute counts as above the ratio."""
        disputes, payments = context.number("disputes"), context.number("payments")
        if disputes >= self.settings.min_disputes and disputes * 100 > payments * self.settings.max_percent:
            yield Finding(
                check=self.id,
                code="dispute.ratio_high",
                evidence={
                    "disputes": disputes,
                    "payments": payments,
                    "max_percent": self.settings.max_percent,
                    "window_days": self.settings.window_days,
                },
            )
