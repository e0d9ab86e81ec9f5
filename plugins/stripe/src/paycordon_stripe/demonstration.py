"""What `paycordon demo` plays: two synthetic merchants at a simulated Stripe, one of them known to the coalition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from paycordon.demonstration import Demonstration, ShownDelivery
from paycordon.events import Identifier, IdentifierKind
from paycordon_stripe.simulator import StripeSimulator, signed_delivery
from paycordon_stripe.simulator import events as stripe

_KNOWN_FINGERPRINT = "fpSyntheticKnown"


class StripeDemonstration(Demonstration):
    """Deliveries of a simulated Stripe in test mode."""

    adapter: ClassVar[str] = "stripe"

    def __init__(self) -> None:
        self._simulator = StripeSimulator(livemode=False)

    def __enter__(self) -> Self:
        """Start the simulator with the two merchants' accounts."""
        self._simulator.start()
        last_year = self._simulator.clock() - timedelta(days=365)
        self._shop = self._simulator.create_account(country="DE", created=int(last_year.timestamp()))
        self._applicant = self._simulator.create_account(country="NL")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the simulator."""
        self._simulator.stop()

    def settings(self) -> Mapping[str, str | list[str]]:
        """Return the settings of an instance that speaks to the simulator."""
        return {
            "api_key": self._simulator.api_key,
            "webhook_secrets": [self._simulator.webhook_secret],
            "base_url": self._simulator.base_url,
        }

    def indicators(self) -> Sequence[Identifier]:
        """Return the bank account that the second merchant applies with."""
        return [Identifier(kind=IdentifierKind.BANK_ACCOUNT, value=_KNOWN_FINGERPRINT)]

    def deliveries(self, now: datetime) -> Sequence[ShownDelivery]:
        """Return the story in nine deliveries."""
        shop, applicant = self._shop, self._applicant
        ago = {days: now - timedelta(days=days) for days in (20, 10, 2)}
        application = self._event("account.updated", self._account(applicant, now, _KNOWN_FINGERPRINT), now, applicant)
        forged = stripe.event("payout.created", stripe.payout("po_forged", now), now, account=shop, livemode=False)
        new_bank = stripe.bank_account("ba_1SimNew", shop, "fpSyntheticShopNew")
        return [
            self._shown(
                "a bookshop is onboarded",
                shop,
                self._event("account.updated", self._account(shop, ago[20], "fpSyntheticShop"), ago[20], shop),
            ),
            self._shown(
                "a payout of the bookshop",
                shop,
                self._event("payout.created", stripe.payout("po_1Shop", ago[10], livemode=False), ago[10], shop),
            ),
            self._shown("an applicant with a bank account the coalition knows", applicant, application),
            self._shown("the same delivery once more", applicant, application),
            self._shown(
                "the applicant's first payout",
                applicant,
                self._event("payout.created", stripe.payout("po_1Applicant", now), now, applicant),
            ),
            self._signed("a forged delivery", shop, forged, "whsec_of_somebody_else", event_id=None),
            self._shown(
                "a dispute against the bookshop",
                shop,
                self._event("charge.dispute.created", stripe.dispute("dp_1Shop", ago[2]), ago[2], shop),
            ),
            self._shown(
                "the bookshop changes its bank account",
                shop,
                self._event("account.external_account.created", new_bank, now - timedelta(hours=1), shop),
            ),
            self._shown(
                "a payout an hour after the change",
                shop,
                self._event("payout.created", stripe.payout("po_2Shop", now), now, shop),
            ),
        ]

    def at_gateway(self, account: str) -> str:
        """Say how payouts and card payments stand at the simulator."""
        found = self._simulator.account(account)
        interval = found["settings"]["payouts"]["schedule"]["interval"]
        payouts = "payouts held (manual)" if interval == "manual" else f"payouts {interval}"
        return f"{payouts}, cards {'on' if found['requested'].get('card_payments') else 'off'}"

    def _account(self, id_: str, at: datetime, fingerprint: str) -> dict[str, Any]:
        name = "Synthetic Books" if id_ == self._shop else "Synthetic Media"
        host = f"{name.split()[1].lower()}.example"
        return stripe.account(
            id_,
            at,
            charges_enabled=False,
            payouts_enabled=False,
            email=f"owner@{host}",
            business_profile={"mcc": "5942", "name": name, "url": f"https://www.{host}/"},
            company={"name": f"{name} Ltd"},
            country="DE" if id_ == self._shop else "NL",
            external_accounts={
                "object": "list",
                "data": [stripe.bank_account("ba_1Sim1", id_, fingerprint)],
                "has_more": False,
            },
        )

    def _event(self, type_: str, object_: dict[str, Any], at: datetime, account: str) -> dict[str, Any]:
        # What a delivery is about can be read at Stripe, and the adapter does read it.
        if object_["object"] in ("payout", "dispute"):
            self._simulator.put(f"{object_['object']}s", account, object_)
        return stripe.event(type_, object_, at, account=account, livemode=False)

    def _shown(self, title: str, account: str, event: dict[str, Any]) -> ShownDelivery:
        return self._signed(title, account, event, self._simulator.webhook_secret, event_id=event["id"])

    def _signed(
        self, title: str, account: str, event: dict[str, Any], secret: str, *, event_id: str | None
    ) -> ShownDelivery:
        headers, body = signed_delivery(event, secret, self._simulator.clock())
        return ShownDelivery(title, account, headers, body, event_id)
