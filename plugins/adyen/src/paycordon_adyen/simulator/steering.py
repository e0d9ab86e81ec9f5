"""What a test does to the simulated world: money, time, payers and their banks, Adyen itself, people at its website."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from paycordon.simulation import Changed, SimulatedServer
from paycordon_adyen.simulator import (
    account_holders,
    balance_accounts,
    described,
    disputes,
    instruments,
    limits,
    moving,
    payments,
    rules,
    schedules,
    sweeps,
    synthetic,
    transfers,
    webhooks,
)
from paycordon_adyen.simulator.books import Books
from paycordon_adyen.simulator.calls import merged
from paycordon_adyen.simulator.courier import AdyenCourier, endpoint_from
from paycordon_adyen.simulator.ledger import CLASSIC, Json, Ledger, Told

_CHANGED = {
    "accountHolders": account_holders.change,
    "balanceAccounts": balance_accounts.change,
    "sweeps": sweeps.change,
    "payoutSchedules": schedules.change,
}


class Steering(SimulatedServer):
    """The part of the simulator that stands for everybody but the platform under test."""

    ledger: Ledger
    courier: AdyenCourier
    hmac_key: str

    def create_account_holder(
        self,
        *,
        verified: bool = True,
        balance: Mapping[str, int] | None = None,
        capabilities: Iterable[str] = synthetic.CAPABILITIES,
        country: str = "NL",
        **fields: Any,
    ) -> str:
        """Put an account holder there with a legal entity, a transfer instrument and a balance account; its id.

        Args:
            verified: whether Adyen has verified it, so that it may do what its capabilities say.
            balance: what is there, in minor units per currency. Without it the money of this account holder is not
                kept account of: transfers always find enough, and none are made by schedule.
            capabilities: the ones it has requested.
            country: of the company.
            fields: replace fields of Adyen's account holder; `id` as well.

        Raises:
            Problem: Adyen has no such field.
        """
        with self.step():
            given_id = fields.pop("id", None)
            described.check_fields("bcl.AccountHolderUpdateRequest", fields)
            number = self.ledger.next_number("company")
            entity = self._put("legalEntities", {**synthetic.company(number, country), "transferInstruments": []})
            id_ = str(given_id or self.ledger.new_id("accountHolders"))
            asked = {name: account_holders.capability({}, allowed=verified) for name in capabilities}
            holder = {"balancePlatform": self.ledger.platform, "description": f"Synthetic Goods {number}", "id": id_}
            holder |= {"legalEntityId": entity["id"], "reference": f"merchant-{number}", "status": "active"}
            self.ledger.put("accountHolders", {**holder, "capabilities": asked, **fields})
            instrument = {"legalEntityId": entity["id"], "type": "bankAccount", "problems": []}
            self._put("transferInstruments", {**instrument, "bankAccount": synthetic.bank_account(number)})
            instruments.relist(self.ledger, entity["id"])
            account_holders.relist(self.ledger, id_)
            account = balance_accounts.put(self.ledger, self.ledger.find("accountHolders", id_), {})
            if balance is not None:
                self.ledger.books[account["id"]] = Books(dict(balance))
            self.ledger.changes = [change for change in self.ledger.changes if change.account != id_]
            self.ledger.event("accountHolder.created", id_, {"accountHolder": account_holders.shown(self.ledger, id_)})
        return id_

    def add_balance_account(self, holder: str, *, balance: Mapping[str, int] | None = None, **fields: Any) -> str:
        """Put a further balance account of an account holder there, and return its id."""
        with self.step():
            described.check_fields("bcl.BalanceAccountInfo", fields)
            made = balance_accounts.put(self.ledger, self.ledger.find("accountHolders", holder), fields)
            if balance is not None:
                self.ledger.books[made["id"]] = Books(dict(balance))
        return str(made["id"])

    def add_sweep(self, holder: str, **fields: Any) -> str:
        """Put a sweep of an account holder there, and return its id: daily, to its bank account, unless told otherwise.

        Args:
            holder: whose.
            fields: of Adyen's sweep; `balance_account` to name another than its primary one.
        """
        with self.step():
            account = fields.pop("balance_account", None) or self.balance_account_of(holder)
            given = {"counterparty": {"transferInstrumentId": self.transfer_instrument_of(holder)}, "currency": "EUR"}
            described.check_fields("bcl.CreateSweepConfigurationV2", fields)
            made = sweeps.put(self.ledger, account, {**given, "schedule": {"type": "daily"}, **fields})
        return str(made["id"])

    def add_payout_schedule(self, holder: str, **fields: Any) -> str:
        """Put a managed payout schedule of an account holder there, and return its id: on working days by default."""
        with self.step():
            account = fields.pop("balance_account", None) or self.balance_account_of(holder)
            (platforms, *_) = self.ledger.shelf("platformSchedules")
            given = {"balancePlatformPayoutScheduleId": platforms, "frequency": "weekdays"}
            given |= {"transferInstrumentId": self.transfer_instrument_of(holder)}
            described.check_fields("bcl.BalanceAccountConfigurationRequest", fields)
            made = schedules.put(self.ledger, account, {**given, **fields})
        return str(made["id"])

    def onboard(self, holder: str) -> None:
        """End the verification of an account holder well."""
        with self.step():
            account_holders.verify(self.ledger, holder)

    def fail_verification(
        self, holder: str, *capabilities: str, code: str = "2_8037", message: str = "'bankStatement' was missing."
    ) -> None:
        """End the verification of capabilities, of all if none are named, with a problem."""
        problem = {"code": code, "message": message, "type": "dataMissing"}
        with self.step():
            account_holders.verify(self.ledger, holder, names=capabilities, problem=problem)

    def fund(self, holder: str, amount: int, currency: str = "EUR", *, balance_account: str | None = None) -> None:
        """Put money into a balance account, the primary one if none is named; sweeps that wait for it run."""
        with self.step():
            account = balance_account or self.balance_account_of(holder)
            self.ledger.books.setdefault(account, Books()).add(currency, amount)
            self.ledger.arrived(account)

    def receive(self, holder: str, amount: int, currency: str = "EUR", **fields: Any) -> str:
        """Let a bank transfer come in, and return its id."""
        with self.step():
            account = self.balance_account_of(holder)
            sender = {"accountHolder": {"fullName": "Ada Synthetic"}}
            sender |= {"accountIdentification": synthetic.bank_account(0)["accountIdentification"]}
            given = {"currency": currency, "value": amount}
            transfer = moving.make(
                self.ledger, account, given, "bank", "incoming", "bankTransfer", {"bankAccount": sender}, **fields
            )
            moving.add_event(self.ledger, transfer, "received", "pending", received=amount)
            moving.finish(self.ledger, transfer)
            self.ledger.arrived(account)
        return str(transfer["id"])

    def pay(self, holder: str, amount: int, currency: str = "EUR", **options: Any) -> str:
        """Let a payer pay an account holder, and return the payment's reference; `options` as `payments.pay` has."""
        with self.step():
            account = options.pop("balance_account", None) or self.balance_account_of(holder)
            made = payments.pay(self.ledger, account, {"currency": currency, "value": amount}, **options)
        return str(made["id"])

    def refund(self, payment: str, amount: int) -> str:
        """Refund a payment or a part of it, and return the refund's reference."""
        with self.step():
            return payments.refund(self.ledger, self.ledger.find("payments", payment), amount)

    def open_dispute(self, payment: str, code: str = "CHARGEBACK", **options: str) -> str:
        """Let a payer dispute a payment, and return the dispute's reference; `options`: `reason` and `network` code."""
        with self.step():
            made = disputes.open_(self.ledger, self.ledger.find("payments", payment), code, **options)
        return str(made["id"])

    def go_on(self, dispute: str, code: str) -> None:
        """Let something happen to a dispute, by the event code of its notification: `CHARGEBACK_REVERSED`."""
        with self.step():
            disputes.go_on(self.ledger, self.ledger.find("disputes", dispute), code)

    def report_fraud(self, payment: str) -> str:
        """Tell of a fraud report of a card scheme, and return its reference."""
        with self.step():
            return disputes.report_fraud(self.ledger, self.ledger.find("payments", payment))

    def fail_transfer(self, transfer: str, reason: str = "counterpartyAccountClosed") -> None:
        """Let the bank send a transfer back, also one that has been booked."""
        with self.step():
            transfers.fail(self.ledger, transfer, reason)

    def disable_sweep(self, sweep: str, reason: str = "transferInstrumentDoesNotExist") -> None:
        """Set a sweep to inactive with a reason, as Adyen itself does."""
        with self.step():
            held = self.ledger.find("sweeps", sweep)
            sweeps.change(self.ledger, {**held, "status": "inactive", "reason": reason, "reasonDetail": reason})

    def score(self, holder: str, risk: int, *signals: str) -> None:
        """Tell of a risk score of an account holder, as the Score product does."""
        with self.step():
            found = self.ledger.find("accountHolders", holder)
            data = {
                "accountHolder": {name: found[name] for name in ("description", "id", "reference") if name in found},
                "accountHolderStatus": found["status"],
                "creationDate": self.ledger.stamp(),
                "id": f"SCSIM{self.ledger.next_number('score'):010d}",
                "riskScore": risk,
                "scoreSignalsTriggered": list(signals),
            }
            self.ledger.event("score.triggered", holder, data)

    def warn_of_negative_balance(self, holder: str, amount: int, currency: str = "EUR", days: int = 3) -> None:
        """Tell that a negative balance will be taken from the platform's own account in some days."""
        with self.step():
            found = self.ledger.find("accountHolders", holder)
            now = self.ledger.clock()
            data = {
                "accountHolder": {name: found[name] for name in ("description", "id", "reference") if name in found},
                "amount": {"currency": currency, "value": amount},
                "creationDate": self.ledger.stamp(),
                "id": self.balance_account_of(holder),
                "liableBalanceAccountId": "BA00000000SIMLIABLE",
                "negativeBalanceSince": self.ledger.stamp(now - timedelta(days=27)),
                "scheduledCompensationAt": self.ledger.stamp(now + timedelta(days=days)),
            }
            self.ledger.event("negativeBalanceCompensationWarning.scheduled", holder, data)

    def set_by_hand(self, kind: str, id_: str, changes: Json) -> None:
        """Change something as a person at Adyen's website would, merged as a PATCH is.

        Args:
            kind: `accountHolders`, `balanceAccounts`, `sweeps` or `payoutSchedules`.
            id_: of what is changed.
            changes: fields with their new values.

        Raises:
            Problem: there is none.
            KeyError: nothing of that kind is changed by hand.
        """
        with self.step():
            _CHANGED[kind](self.ledger, merged(self.ledger.find(kind, id_), changes))

    def balance_account_of(self, holder: str) -> str:
        """Return the primary balance account of an account holder."""
        return str(self.ledger.find("accountHolders", holder)["primaryBalanceAccount"])

    def transfer_instrument_of(self, holder: str) -> str:
        """Return the first transfer instrument of an account holder's legal entity."""
        entity = self.ledger.find("accountHolders", holder)["legalEntityId"]
        (found, *_) = self.ledger.of("transferInstruments", legalEntityId=entity)
        return str(found["id"])

    def account_holder(self, id_: str) -> Json:
        """Return a copy of an account holder as it is now."""
        with self.ledger.lock:
            return account_holders.shown(self.ledger, id_)

    def settings(self, holder: str) -> Json:
        """Return copies of everything that decides what an account holder may do and when it is paid out, by id."""
        with self.ledger.lock:
            accounts = self.ledger.of("balanceAccounts", accountHolderId=holder)
            ids = [account["id"] for account in accounts]
            held = [each for id_ in ids for each in self.ledger.of("sweeps", balance_account=id_)]
            managed = [each for id_ in ids for each in self.ledger.of("payoutSchedules", balanceAccountId=id_)]
            return {
                "account_holder": account_holders.shown(self.ledger, holder),
                "balance_accounts": {each["id"]: copy.deepcopy(each) for each in accounts},
                "sweeps": {each["id"]: sweeps.shown(each) for each in held},
                "payout_schedules": {each["id"]: _without_time(schedules.shown(each)) for each in managed},
                "transaction_rules": {each["id"]: each for each in rules.owned(self.ledger, holder)},
                "transfer_limits": {e["id"]: e for id_ in ids for e in limits.owned(self.ledger, id_)},
            }

    def transfers(self, holder: str) -> list[Json]:
        """Return copies of an account holder's transfers, oldest first."""
        with self.ledger.lock:
            return transfers.copied(self.ledger, holder)

    def balance(self, holder: str, currency: str = "EUR") -> int:
        """Return what is available in the primary balance account, if its money is kept account of."""
        with self.ledger.lock:
            return self.ledger.books[self.balance_account_of(holder)].available(currency)

    def changes(self, holder: str) -> list[Changed]:
        """Return every effective change of an account holder and what belongs to it since it was put there."""
        with self.ledger.lock:
            return [change for change in self.ledger.changes if change.account == holder]

    def told(self, holder: str | None = None) -> list[Told]:
        """Return what has been told of an account holder, or of all, oldest first; endpoints get it if they want it."""
        with self.ledger.lock:
            return [copy.deepcopy(each) for each in self.ledger.told if holder in (None, each.account)]

    def signed_delivery(self, *told: Told, key: str | None = None) -> tuple[dict[str, str], bytes]:
        """Return headers and body of a delivery: one webhook of the platform, or one or several notifications."""
        if told[0].family == CLASSIC:
            items = [webhooks.signed_item(each.body, key or self.hmac_key) for each in told]
            body = webhooks.classic_body(items, livemode=self.ledger.livemode)
            return webhooks.headers_of(body), body
        (only,) = told
        body = json.dumps(only.body).encode()
        return webhooks.headers_of(body, key or self.hmac_key), body

    def add_webhook(self, url: str, secret: str | None = None, **options: Any) -> str:
        """Deliver to an endpoint on this machine from now on, and return its id.

        Args:
            url: where to.
            secret: the HMAC key, in hexadecimal digits; `hmac_key` by default.
            options: fields of `Endpoint` and shares of `Disorder`: `family`, `batch`, `login`, `events`, `duplicated`,
                `reordered`, `delayed`, `dropped`, `delay_seconds`.

        Raises:
            ValueError: the address is not on this machine, or the key is not written in hexadecimal digits.
            TypeError: there is no such option.
        """
        with self.step():
            id_ = f"WHSIM{self.ledger.next_number('webhook'):010d}"
        self.courier.add(endpoint_from(id_, {"url": url, "secret": secret or self.hmac_key, **options}))
        self.wake()
        return id_

    def _put(self, kind: str, fields: Json) -> Json:
        return self.ledger.put(kind, {**fields, "id": self.ledger.new_id(kind)})


def _without_time(schedule: Json) -> Json:
    return {name: value for name, value in schedule.items() if name != "updatedAt"}
