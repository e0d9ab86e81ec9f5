"""Check `indicator_match`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from paycordon.checks.base import Check, CheckSettings
from paycordon.coalition.confidence import REFUTED, effective_confidence, strongest
from paycordon.context import Context, IndicatorHit
from paycordon.decisions import Finding
from paycordon.hookspecs import hookimpl

_MOST_FINDINGS = 50
"""So many sources on one event are evidence enough; the strongest are kept."""


class IndicatorMatchSettings(CheckSettings):
    """Which matches are worth a finding."""

    min_confidence: Annotated[int, Field(ge=0, le=100, description="ignore what comes to less than this, 0 to 100")] = 1


class IndicatorMatch(Check[IndicatorMatchSettings]):
    """An identifier that the event carries, or that its merchant is known by, is one the coalition knows.

    A match is a lead, never a proof: its confidence is what the source states, weighed by the trust in the source, by
    the indicator's age and by what other sources say to the contrary, and the policy decides. Only indicators that are
    valid now and not withdrawn are compared. One on what very many share (a mailbox provider's domain, an address of a
    content delivery network, an identifier of more merchants than the deployment allows) is told under another code.
    Where the event itself does not carry it, the evidence says so (`relation: known`), and when the merchant was last
    seen with it (`last_seen`).
    What people have released a hold of this merchant's in spite of is passed over for a while (`review.cleared`),
    unless its source states it anew.
    """

    id: ClassVar[str] = "indicator_match"
    emits: ClassVar[Mapping[str, str]] = {
        "indicator.match": "an identifier is known to the coalition",
        "indicator.common": "an indicator is on something that very many share, and names nobody",
    }
    settings_type = IndicatorMatchSettings
    bounded: ClassVar[bool] = True

    def _screen(self, context: Context) -> Iterable[Finding]:
        objections = _objections(context)
        weighed = [
            (_weighed(hit, context, objections.get(hit.of or hit.digest, 0)), hit)
            for hit in context.indicators
            if hit.status != REFUTED and hit.clearance not in context.cleared
        ]
        weighed.sort(key=lambda each: -each[0])
        for confidence, hit in weighed[:_MOST_FINDINGS]:
            if confidence >= self.settings.min_confidence:
                yield self._finding(hit, confidence, objections.get(hit.of or hit.digest, 0))

    def _finding(self, hit: IndicatorHit, confidence: int, refuted: int) -> Finding:
        evidence: dict[str, str | int] = {
            "kind": hit.kind,
            "digest": hit.digest,
            "source": hit.source,
            "status": hit.status,
            "reference": hit.reference,
            "stated": hit.confidence,
            "trust": hit.trust,
            "relation": hit.relation,
        }
        optional: dict[str, str | int] = {
            "last_seen": hit.last_seen.isoformat() if hit.last_seen else "",
            "category": hit.category,
            "tlp": hit.tlp,
            "of": hit.of,
            "common": hit.common,
            "refuted": refuted,
        }
        evidence |= {name: value for name, value in optional.items() if value}
        code = "indicator.common" if hit.common else "indicator.match"
        return Finding(check=self.id, code=code, confidence=confidence / 100, evidence=evidence)

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


def _weighed(hit: IndicatorHit, context: Context, refuted: int = 0) -> int:
    return effective_confidence(
        hit.confidence,
        trust=hit.trust,
        half_life_days=hit.half_life_days,
        fresh_at=hit.fresh_at,
        now=context.now,
        refuted=refuted,
    )


def _objections(context: Context) -> dict[str, int]:
    """By identifier of the event, how sure the surest source is that it is not what others take it for."""
    said: dict[str, list[int]] = {}
    for hit in context.indicators:
        if hit.status == REFUTED:
            said.setdefault(hit.of or hit.digest, []).append(_weighed(hit, context))
    return {identifier: strongest(weights) for identifier, weights in said.items()}
