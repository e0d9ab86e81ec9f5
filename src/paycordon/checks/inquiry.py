"""Check `inquiry`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from paycordon.checks.base import Check, CheckSettings
from paycordon.context import Context
from paycordon.decisions import Finding
from paycordon.hookspecs import hookimpl


class InquirySettings(CheckSettings):
    """How old an answer may be; without it nothing is asked for."""

    max_age_days: Annotated[
        int | None,
        Field(ge=1, le=3660, description="a list must have answered within so many days"),
    ] = None


class InquiryMade(Check[InquirySettings]):
    """No list of terminated merchants has answered about the merchant, or not lately enough (`paycordon inquiry ask`).

    Card networks want acquirers to ask before they agree with a merchant. This says that it was not done, and nothing
    of the merchant: what a list says is an indicator, and another finding.
    """

    id: ClassVar[str] = "inquiry"
    emits: ClassVar[Mapping[str, str]] = {
        "inquiry.missing": "no list of terminated merchants has answered about the merchant lately enough"
    }
    settings_type = InquirySettings
    bounded: ClassVar[bool] = True

    @hookimpl
    def screen_merchant(self, context: Context) -> Iterable[Finding]:
        """Look when a list last answered."""
        return self._missing(context)

    @hookimpl
    def screen_payout(self, context: Context) -> Iterable[Finding]:
        """Look when a list last answered."""
        return self._missing(context)

    def _missing(self, context: Context) -> Iterable[Finding]:
        days, answered = self.settings.max_age_days, context.inquired_at
        if days is None or (answered is not None and context.now - answered <= timedelta(days=days)):
            return
        evidence: dict[str, str | int] = {"max_age_days": days}
        if answered is not None:
            evidence["answered_at"] = answered.isoformat()
        yield Finding(check=self.id, code="inquiry.missing", evidence=evidence)
