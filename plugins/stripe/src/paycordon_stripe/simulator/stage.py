"""Scenarios that all gateways share, played at the simulated Stripe with Stripe's own SDK."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

import stripe

from paycordon.events import Money
from paycordon.gateways import Restriction
from paycordon.simulators import STAGE_BEGINS_BEFORE, Applicant, Stage
from paycordon_stripe.guarded_client import guard
from paycordon_stripe.simulator.server import StripeSimulator

_CAPABILITIES = ("card_payments", "transfers")
_RICH = 100_000_000


class StripeStage(Stage):
    """Connected accounts of a platform in test mode; payouts daily."""

    def __init__(self) -> None:
        self.simulator = StripeSimulator(livemode=False, api_key="sk_test_simulated")
        self._instance = ""

    def __enter__(self) -> Self:
        """Start the simulator."""
        self.simulator.shift(-STAGE_BEGINS_BEFORE)
        self.simulator.start()
        address = self.simulator.base_url
        self._client = stripe.StripeClient(
            self.simulator.api_key, base_addresses={"api": address}, max_network_retries=0
        )
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the simulator."""
        self.simulator.stop()

    def settings(self) -> Mapping[str, Any]:
        """Return the settings of an instance that speaks to the simulator."""
        secrets = [self.simulator.webhook_secret]
        return {"api_key": self.simulator.api_key, "webhook_secrets": secrets, "base_url": self.simulator.base_url}

    def deliver_to(self, url: str) -> None:
        """Deliver the events of connected accounts."""
        self._instance = url.rpartition("/")[2]
        self.simulator.add_webhook(url, connect=True)

    def open_account(self, applicant: Applicant) -> str:
        """Make an account over the API, then let Stripe accept what was submitted."""
        params: Any = {
            "country": "DE",
            "email": applicant.email,
            "business_profile": {"name": applicant.name, "mcc": "5734"},
            "company": {"name": applicant.name},
            "external_account": self._bank_account(applicant.bank_account),
            "capabilities": {name: {"requested": True} for name in _CAPABILITIES},
            "metadata": {"paycordon_merchant": applicant.merchant},
        }
        account = self._client.v1.accounts.create(params).id
        self.simulator.onboard(account)
        self.simulator.fund(account, _RICH, "eur")
        return account

    def change_bank_account(self, account: str, number: str) -> None:
        """Add a bank account and make it the default of its currency."""
        params: Any = {"external_account": self._bank_account(number), "default_for_currency": True}
        self._client.v1.accounts.external_accounts.create(account, params)

    def pay(self, account: str, amount: Money, payer: str) -> str:
        """Take a direct charge."""
        return self.simulator.charge(account, amount.minor, amount.currency.lower(), source=f"tok_{payer}")

    def dispute(self, account: str, payment: str) -> None:
        """Let the payer's bank dispute a charge."""
        self.simulator.open_dispute(account, payment)

    def pay_out(self, account: str, amount: Money, key: str, *, guarded: Any = None) -> str:
        """Create a payout on the account's behalf."""
        client = guard(self._client, guarded, self._instance) if guarded is not None else self._client
        params: Any = {"amount": amount.minor, "currency": amount.currency.lower()}
        options: Any = {"stripe_account": account, "idempotency_key": key}
        return str(client.v1.payouts.create(params, options).id)

    def lift_by_hand(self, account: str) -> None:
        """Set the payout schedule to daily in the dashboard."""
        self.simulator.set_by_hand(account, "settings.payouts.schedule.interval", "daily")

    def settings_of(self, account: str) -> Mapping[str, Any]:
        """Return the payout schedule and what capabilities are requested."""
        return {"schedule": self.simulator.schedule(account), "requested": self.simulator.account(account)["requested"]}

    def restriction(self, account: str) -> Restriction:
        """Say what the payout schedule and the requested capabilities amount to."""
        found = self.settings_of(account)
        if found["schedule"]["interval"] != "manual":
            return Restriction.NONE
        takes = any(found["requested"].get(name) for name in _CAPABILITIES)
        return Restriction.PAYOUTS_HELD if takes else Restriction.BLOCKED

    def later(self, by: timedelta) -> None:
        """Let time pass at Stripe."""
        self.simulator.advance(by)

    def told(self) -> None:
        """Wait for the webhooks."""
        if not self.simulator.settle(30):
            raise TimeoutError("the simulator's webhooks were not delivered in time")

    def _bank_account(self, number: str) -> dict[str, str]:
        return {"object": "bank_account", "country": number[:2], "currency": "eur", "account_number": number}
