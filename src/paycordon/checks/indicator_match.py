"""Check `indicator_match`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from paycordon.checks.base import Check, CheckSettings
from paycordon.context import Context
from paycordon.decisions import Finding
from paycordon.hookspecs import hookimpl


class IndicatorMatchSettings(CheckSettings):
    """Which matches are worth a finding."""

    min_confidence: Annotated[int, Field(ge=0, le=100, description="ignore indicators below this, 0 to 100")] = 1


class IndicatorMatch(Check[IndicatorMatchSettings]):
    """An identifier of the event is one the coalition shares knowledge about.

    A match is a lead, never a proof: the finding's confidence is the indicator's own, and the policy decides. Only
    indicators that are valid now and not withdrawn are compared. What people have released a hold of this merchant's in
    spite of is passed over for a while (`review.cleared`), unless its source states it anew.
    """

    id: ClassVar[str] = "indicator_match"
    emits: ClassVar[Mapping[str, str]] = {"indicator.match": "an identifier is known to the coalition"}
    settings_type = IndicatorMatchSettings
    bounded: ClassVar[bool] = True

    def _screen(self, context: Context) -> Iterable[Finding]:
        for hit in context.indicators:
            if hit.confidence >= self.settings.min_confidence and hit.clearance not in context.cleared:
                yield Finding(
                    check=self.id,
                    code="indicator.match",
                    confidence=hit.confidence / 100,
                    evidence={
                        "kind": hit.kind,
                        "digest": hit.digest,
                        "source": hit.source,
                        "status": hit.status,
                        "reference": hit.reference,
                    },
                )

    @hookimpl
    def screen_merchant(self, context: Context) -> Iterable[Finding]:
        """Compare the identifiers of an application or a change."""
        return self._screen(context)

    @hookimpl
    def screen_payout(self, context: Context) -> Iterable[Finding]:
        """Compare the identifiers of a payout."""
        return self._screen(context)

    @hookimpl
    def screen_dispute(self, context: Context) -> Iterable[Finding]:
        """Compare the identifiers of a dispute."""
        return self._screen(context)
