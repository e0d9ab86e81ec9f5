"""What a test does to the simulated world: money, time, the payers' banks, Stripe itself, people at the Dashboard."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from paycordon.simulation import Changed, SimulatedServer, next_midnight
from paycordon_stripe.simulator import accounts, charges, disputes, payouts, radar, rejections, shapes
from paycordon_stripe.simulator.courier import StripeCourier, endpoint_from
from paycordon_stripe.simulator.ledger import PLATFORM, Json, Ledger


class Steering(SimulatedServer):
    """The part of the simulator that stands for everybody but the platform under test."""

    ledger: Ledger
    courier: StripeCourier
    webhook_secret: str

    def create_account(self, *, enabled: bool = True, balance: Mapping[str, int] | None = None, **fields: Any) -> str:
        """Put an account there, as if it had been onboarded, and return its id.

        Args:
            enabled: whether it may take payments and be paid out, with `card_payments` and `transfers` active.
            balance: what is available, in minor units per currency. Without it the money of this account is not
                kept account of: payouts by hand always find enough, and none are made by schedule.
            fields: replace fields of Stripe's account object; `id` as well.
        """
        with self.step():
            id_ = str(fields.pop("id", None) or self.ledger.new_id("acct"))
            new = shapes.account(id_, self.ledger.now(), fields.get("country", "US"))
            new |= {"details_submitted": enabled, "payouts_enabled": enabled, **fields}
            accounts.put(self.ledger, new)
            for name in ("card_payments", "transfers") if enabled else ():
                self.ledger.request_capability(id_, name, True)
            self.ledger.changes = [change for change in self.ledger.changes if change.account != id_]
            for currency, amount in (balance or {}).items():
                self.fund(id_, amount, currency)
        return id_

    def onboard(self, account: str) -> None:
        """Submit synthetic details for an account made over the API, so that Stripe enables it."""
        with self.step():
            after = copy.deepcopy(self.ledger.account(account))
            after["business_type"] = after["business_type"] or "company"
            after["business_profile"]["url"] = after["business_profile"]["url"] or "https://www.shop.example/"
            after["tos_acceptance"] = {"date": self.ledger.now(), "ip": "192.0.2.7", "user_agent": None}
            if not after["external_accounts"]["data"]:
                bank = shapes.made("bank_account", id=self.ledger.new_id("ba"), account=account)
                bank |= {"currency": after["default_currency"], "fingerprint": f"fp{bank['id']}"}
                after["external_accounts"] = shapes.listing([bank], after["external_accounts"]["url"])
            self.ledger.replace_account(after)
            accounts.complete(self.ledger, account)

    def fund(self, account: str | None, amount: int, currency: str = "usd", *, pending_days: int = 0) -> None:
        """Put money into a balance, the platform's without an account, available now or at a midnight to come."""
        with self.step():
            books, now = self.ledger.keep_books(account or PLATFORM), self.ledger.clock()
            if pending_days:
                books.expect(currency, amount, next_midnight(now) + timedelta(days=pending_days - 1))
            else:
                books.add(currency, amount, now)

    def charge(
        self, account: str | None, amount: int, currency: str = "usd", *, source: str = "tok_visa", **fields: Any
    ) -> str:
        """Let a payer pay, at an account or at the platform, and return the charge's id."""
        with self.step():
            made = charges.take(self.ledger, account or PLATFORM, amount, currency, source, **fields)
        return str(made["id"])

    def open_dispute(self, account: str | None, charge: str, **fields: Any) -> str:
        """Let a payer dispute a charge, and return the dispute's id; `fields` (`reason`, `status`) replace its own."""
        owner = account or PLATFORM
        with self.step():
            made = disputes.open_(self.ledger, owner, self.ledger.find("charges", owner, charge), **fields)
        return str(made["id"])

    def decide_dispute(self, account: str | None, dispute: str, status: str) -> None:
        """End a dispute, as the payer's bank does: `won`, `lost` or `prevented`."""
        owner = account or PLATFORM
        with self.step():
            disputes.decide(self.ledger, owner, self.ledger.find("disputes", owner, dispute), status)

    def warn_of_fraud(self, account: str | None, charge: str, fraud_type: str = "misc") -> str:
        """Send an early fraud warning of a charge, as card schemes do, and return its id."""
        owner = account or PLATFORM
        with self.step():
            made = radar.warn(self.ledger, owner, self.ledger.find("charges", owner, charge), fraud_type)
        return str(made["id"])

    def open_review(self, account: str | None, charge: str, reason: str = "rule") -> str:
        """Put a charge under review, as Radar does, and return the review's id."""
        owner = account or PLATFORM
        with self.step():
            made = radar.open_review(self.ledger, owner, self.ledger.find("charges", owner, charge), reason)
        return str(made["id"])

    def fail_payout(self, account: str | None, payout: str, code: str = "account_closed") -> None:
        """Let the bank send a payout back, also one that has been paid."""
        owner = account or PLATFORM
        with self.step():
            payouts.fail(self.ledger, owner, self.ledger.find("payouts", owner, payout), code)

    def reject_as_stripe(self, account: str, reason: str = "fraud") -> None:
        """Reject an account as Stripe itself does; the platform cannot take that back."""
        with self.step():
            rejections.reject_as_stripe(self.ledger, account, reason)

    def deauthorize(self, account: str) -> None:
        """End the platform's access to an account, as its owner may."""
        with self.step():
            accounts.deauthorize(self.ledger, account)

    def set_by_hand(self, id_: str, path: str, value: Any) -> None:
        """Change a setting as a person in the dashboard would: `settings.payouts.schedule.interval`."""
        with self.step():
            self.ledger.set_by_hand(id_, path, value)

    def put(self, kind: str, account: str, object_: Json) -> None:
        """Put an object there (`payouts`, `disputes`, `charges` …), in Stripe's own shape; nobody is told."""
        with self.ledger.lock:
            self.ledger.shelf(kind, account)[object_["id"]] = copy.deepcopy(object_)

    def account(self, id_: str) -> Json:
        """Return a copy of an account as it is now, with its capabilities' requests under `requested`."""
        with self.ledger.lock:
            found = copy.deepcopy(self.ledger.account(id_))
            found["requested"] = {name: c["requested"] for name, c in self.ledger.capabilities[id_].items()}
            return found

    def schedule(self, id_: str) -> Json:
        """Return a copy of an account's payout schedule."""
        found: Json = self.account(id_)["settings"]["payouts"]["schedule"]
        return found

    def payouts(self, id_: str) -> list[Json]:
        """Return copies of an account's payouts, oldest first."""
        return self.objects("payouts", id_)

    def objects(self, kind: str, account: str | None) -> list[Json]:
        """Return copies of the objects of a kind that an account or the platform has, oldest first."""
        with self.ledger.lock:
            return copy.deepcopy(list(self.ledger.shelf(kind, account or PLATFORM).values()))

    def changes(self, id_: str) -> list[Changed]:
        """Return every effective change of an account since it was put there."""
        with self.ledger.lock:
            return [change for change in self.ledger.changes if change.account == id_]

    def events(self, account: str | None) -> list[Json]:
        """Return copies of the events of an account or the platform, as snapshots, oldest first."""
        with self.ledger.lock:
            found = [each.as_snapshot() for each in self.ledger.log.of(account or PLATFORM, self.clock())]
            return copy.deepcopy([each for each in found[::-1] if each is not None])

    def add_webhook(self, url: str, secret: str | None = None, **options: Any) -> str:
        """Deliver events to an endpoint on this machine from now on, and return its id.

        Args:
            url: where to.
            secret: what to sign with, `webhook_secret` by default.
            options: fields of `Endpoint` and shares of `Disorder`: `connect`, `thin`, `events`, `duplicated`,
                `reordered`, `delayed`, `dropped`, `delay_seconds`.

        Raises:
            ValueError: the address is not on this machine.
            TypeError: there is no such option.
        """
        with self.step():
            id_ = self.ledger.new_id("we")
        self.courier.add(endpoint_from(id_, {"url": url, "secret": secret or self.webhook_secret, **options}))
        return id_
