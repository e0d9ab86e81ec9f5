"""Check `payout_destination_changed`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from paycordon.checks.base import Check, CheckSettings
from paycordon.context import Context, KnownIdentifier
from paycordon.decisions import Finding
from paycordon.events import Event, IdentifierKind
from paycordon.hookspecs import hookimpl

_DESTINATIONS = frozenset(
    {
        IdentifierKind.BANK_ACCOUNT,
        IdentifierKind.IBAN,
        IdentifierKind.CARD_FINGERPRINT,
        IdentifierKind.WALLET,
    }
)


class PayoutDestinationChangedSettings(CheckSettings):
    """How recent a change must be."""

    within_hours: Annotated[int, Field(ge=1, le=24 * 90, description="look back this many hours")] = 72


class PayoutDestinationChanged(Check[PayoutDestinationChangedSettings]):
    """The merchant's bank account, card or wallet changed shortly before this payout.

    The first destination a merchant ever has is not a change. Redirecting payouts of a known merchant is how stolen
    accounts are emptied, and how a terminated merchant goes on under another's name.
    """

    id: ClassVar[str] = "payout_destination_changed"
    emits: ClassVar[Mapping[str, str]] = {
        "payout.destination_changed": "the payout destination is new for a merchant that had another before"
    }
    settings_type = PayoutDestinationChangedSettings
    bounded: ClassVar[bool] = True

    @hookimpl
    def screen_payout(self, event: Event, context: Context) -> Iterable[Finding]:
        """Compare when each of the merchant's destinations was first seen."""
        known = [i for i in context.known if i.kind in _DESTINATIONS and i.first_seen <= event.occurred_at]
        if not known:
            return
        newest = self._newest(event, known)
        hours = (event.occurred_at - newest.first_seen) / timedelta(hours=1)
        older = [i for i in known if i.first_seen < newest.first_seen and i.digest != newest.digest]
        if older and hours <= self.settings.within_hours:
            yield Finding(
                check=self.id,
                code="payout.destination_changed",
                evidence={
                    "kind": newest.kind,
                    "new_destination": newest.digest,
                    "previous_destination": max(older, key=lambda i: i.first_seen).digest,
                    "hours_since_change": round(hours, 2),
                    "within_hours": self.settings.within_hours,
                },
            )

    def _newest(self, event: Event, known: list[KnownIdentifier]) -> KnownIdentifier:
        """The newest destination, or one that this payout itself is the first to name."""
        seen = {i.digest for i in known}
        for identifier in event.identifiers:
            if identifier.kind in _DESTINATIONS and identifier.digest and identifier.digest not in seen:
                now = event.occurred_at
                return KnownIdentifier(str(identifier.kind), identifier.digest, first_seen=now, last_seen=now)
        return max(known, key=lambda i: (i.first_seen, i.digest))
