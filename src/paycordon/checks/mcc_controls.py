"""Check `mcc_controls`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from paycordon.checks.base import Check, CheckSettings
from paycordon.decisions import Finding
from paycordon.events import Event, EventType
from paycordon.hookspecs import hookimpl

Mcc = Annotated[str, Field(pattern=r"^\d{4}$")]

# Visa Integrity Risk Program (from 1 May 2023), tiers 1 to 3: registration and controls before the contract.
VIRP_CODES = frozenset(
    {"5967", "7273", "7995", "5122", "5912", "6051", "6012", "4816", "5816", "6211", "5966", "5968", "5993"}
)


class MccControlsSettings(CheckSettings):
    """Which merchant category codes (ISO 18245) need what."""

    blocked: Annotated[frozenset[Mcc], Field(description="codes this facilitator does not serve")] = frozenset()
    high_integrity_risk: Annotated[frozenset[Mcc], Field(description="codes that need registration first")] = VIRP_CODES
    registered: Annotated[frozenset[str], Field(description="merchant ids whose registration is on file")] = frozenset()


class MccControls(Check[MccControlsSettings]):
    """The merchant's category is one that is not served, or that card networks want registered first, or is missing.

    A category says what a merchant sells, not that it does wrong: most merchants of these codes are lawful.
    """

    id: ClassVar[str] = "mcc_controls"
    emits: ClassVar[Mapping[str, str]] = {
        "mcc.blocked": "the category is one this facilitator does not serve",
        "mcc.high_integrity_risk": "the category needs registration with the card networks, and none is on file",
        "mcc.missing": "the application names no category",
    }
    settings_type = MccControlsSettings
    bounded: ClassVar[bool] = True

    @hookimpl
    def screen_merchant(self, event: Event) -> Iterable[Finding]:
        """Look the merchant's category up."""
        mcc = event.merchant.mcc
        if mcc is None:
            # A change states only what changed, so that a missing category says nothing there.
            if event.type == EventType.MERCHANT_ONBOARDING:
                yield Finding(check=self.id, code="mcc.missing", confidence=0.5)
        elif mcc in self.settings.blocked:
            yield Finding(check=self.id, code="mcc.blocked", evidence={"mcc": mcc})
        elif mcc in self.settings.high_integrity_risk and event.merchant.id not in self.settings.registered:
            yield Finding(check=self.id, code="mcc.high_integrity_risk", evidence={"mcc": mcc})
