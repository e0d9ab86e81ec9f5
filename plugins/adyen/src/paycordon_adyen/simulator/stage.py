"""Scenarios that all gateways share, played at the simulated Adyen with Adyen's own SDK."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from paycordon.events import Mode, Money
from paycordon.gateways import Restriction
from paycordon.simulators import STAGE_BEGINS_BEFORE, Applicant, Stage
from paycordon_adyen.accounts import PAYING_OUT, TAKING_IN
from paycordon_adyen.client import connect
from paycordon_adyen.gateway import AdyenSettings
from paycordon_adyen.guarded_client import guard
from paycordon_adyen.simulator.ledger import CLASSIC, PLATFORM
from paycordon_adyen.simulator.server import AdyenSimulator
from paycordon_adyen.simulator.synthetic import CAPABILITIES

_RICH = 100_000_000
_TO_BANK = "sendToTransferInstrument"


class AdyenStage(Stage):
    """Account holders of a balance platform in the test environment; a sweep pays them out daily."""

    def __init__(self) -> None:
        self.simulator = AdyenSimulator(livemode=False)
        self._instance = ""

    def __enter__(self) -> Self:
        """Start the simulator."""
        self.simulator.shift(-STAGE_BEGINS_BEFORE)
        self.simulator.start()
        settings = AdyenSettings(adapter="adyen", mode=Mode.TEST, **self.settings())
        self._sdk = connect(settings, self.simulator.api_key)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the simulator."""
        self.simulator.stop()

    def settings(self) -> Mapping[str, Any]:
        """Return the settings of an instance that speaks to the simulator."""
        key = self.simulator.api_key
        return {
            "api_key": key,
            "legal_entity_api_key": key,
            "disputes_api_key": key,
            "hmac_keys": [self.simulator.hmac_key],
            "base_url": self.simulator.base_url,
            "balance_platform": self.simulator.ledger.platform,
        }

    def deliver_to(self, url: str) -> None:
        """Deliver webhooks of both families."""
        self._instance = url.rpartition("/")[2]
        for family in (PLATFORM, CLASSIC):
            self.simulator.add_webhook(url, family=family)

    def open_account(self, applicant: Applicant) -> str:
        """Make all of an account holder over the API, then let Adyen verify it."""
        address = {"country": "DE", "city": "Berlin", "street": "Am Markt", "houseNumberOrName": "1"}
        address |= {"postalCode": "10115"}
        phone = {"number": "+4930123456", "type": "landline"}
        entity = self._made(
            self._sdk.legalEntityManagement.legal_entities_api.create_legal_entity,
            type="organization",
            organization={
                "legalName": applicant.name,
                "email": applicant.email,
                "registeredAddress": {"country": "DE", "city": "Berlin", "street": "Am Markt 1", "postalCode": "10115"},
            },
        )
        platform = self._sdk.balancePlatform
        holder = self._made(
            platform.account_holders_api.create_account_holder,
            legalEntityId=entity,
            description=applicant.name,
            contactDetails={"email": applicant.email, "phone": phone, "address": address},
            metadata={"paycordon_merchant": applicant.merchant},
            capabilities={name: {"requested": True} for name in CAPABILITIES},
        )
        account = self._made(
            platform.balance_accounts_api.create_balance_account, accountHolderId=holder, defaultCurrencyCode="EUR"
        )
        instrument = self._instrument(entity, applicant.bank_account)
        self._sweep(account, instrument)
        self.simulator.onboard(holder)
        self.simulator.fund(holder, _RICH, "EUR")
        return holder

    def change_bank_account(self, account: str, number: str) -> None:
        """Add a transfer instrument, and have the sweep go there."""
        entity = self.simulator.account_holder(account)["legalEntityId"]
        instrument = self._instrument(entity, number)
        sweeps = self._sdk.balancePlatform.custom_payout_schedules_sweeps_api
        for sweep in self.simulator.settings(account)["sweeps"]:
            changed = {"counterparty": {"transferInstrumentId": instrument}}
            sweeps.update_sweep(changed, self.simulator.balance_account_of(account), sweep)

    def pay(self, account: str, amount: Money, payer: str) -> str:
        """Take a payment for the account holder."""
        return self.simulator.pay(account, amount.minor, amount.currency, shopperReference=payer)

    def dispute(self, account: str, payment: str) -> None:  # noqa: ARG002  # the payment says whose it is
        """Let the payer's bank charge a payment back."""
        self.simulator.open_dispute(payment)

    def pay_out(self, account: str, amount: Money, key: str, *, guarded: Any = None) -> str:
        """Transfer from the balance account to where the sweep goes."""
        sdk = guard(self._sdk, guarded, self._instance) if guarded is not None else self._sdk
        (sweep, *_) = self.simulator.settings(account)["sweeps"].values()
        asked = {
            "amount": {"value": amount.minor, "currency": amount.currency},
            "balanceAccountId": self.simulator.balance_account_of(account),
            "category": "bank",
            "counterparty": {"transferInstrumentId": sweep["counterparty"]["transferInstrumentId"]},
        }
        return str(sdk.transfers.transfers_api.transfer_funds(asked, idempotency_key=key).message["id"])

    def lift_by_hand(self, account: str) -> None:
        """Switch everything on again at Adyen's website that pays out."""
        on = {name: {"enabled": True} for name in (*PAYING_OUT, *TAKING_IN)}
        held = self.simulator.account_holder(account)["capabilities"]
        changes = {"status": "active", "capabilities": {name: on[name] for name in on if name in held}}
        self.simulator.set_by_hand("accountHolders", account, changes)
        for sweep in self.simulator.settings(account)["sweeps"]:
            self.simulator.set_by_hand("sweeps", sweep, {"status": "active"})

    def settings_of(self, account: str) -> Mapping[str, Any]:
        """Return status, capabilities, sweeps and payout schedules."""
        found = self.simulator.settings(account)
        holder = found["account_holder"]
        enabled = {name: each.get("enabled") for name, each in holder["capabilities"].items()}
        return {
            "status": holder["status"],
            "enabled": enabled,
            "sweeps": {id_: each["status"] for id_, each in found["sweeps"].items()},
            "schedules": {id_: each["enabled"] for id_, each in found["payout_schedules"].items()},
        }

    def restriction(self, account: str) -> Restriction:
        """Say whether money leaves: by the status, by the capability to pay out, and by sweeps."""
        found = self.settings_of(account)
        if found["status"] != "active":
            return Restriction.BLOCKED
        pays = found["enabled"].get(_TO_BANK) and "active" in found["sweeps"].values()
        return Restriction.NONE if pays else Restriction.PAYOUTS_HELD

    def later(self, by: timedelta) -> None:
        """Let time pass at Adyen."""
        self.simulator.advance(by)

    def told(self) -> None:
        """Wait for the webhooks."""
        if not self.simulator.settle(30):
            raise TimeoutError("the simulator's webhooks were not delivered in time")

    def _made(self, create: Any, **fields: Any) -> str:
        return str(create(fields).message["id"])

    def _instrument(self, entity: str, number: str) -> str:
        bank = {"accountIdentification": {"type": "iban", "iban": number}, "countryCode": number[:2]}
        create = self._sdk.legalEntityManagement.transfer_instruments_api.create_transfer_instrument
        return self._made(create, legalEntityId=entity, type="bankAccount", bankAccount=bank)

    def _sweep(self, account: str, instrument: str) -> None:
        asked = {"counterparty": {"transferInstrumentId": instrument}, "currency": "EUR", "category": "bank"}
        asked |= {"type": "push", "schedule": {"type": "daily"}, "priorities": ["regular"]}
        self._sdk.balancePlatform.custom_payout_schedules_sweeps_api.create_sweep(asked, account)
