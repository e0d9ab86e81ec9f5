"""Whatever is done in whatever order, a balance is exactly what the objects say, and every state is one Stripe has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from paycordon_stripe.simulator import StripeSimulator
from paycordon_stripe.simulator.problems import Problem
from paycordon_stripe.simulator.routes import carry_out

AMOUNT = st.integers(1, 5_000)
PICK = st.integers(0, 5)
TAKEN = ("needs_response", "under_review", "lost")
STEPS = {
    "payout": ("pending", "in_transit", "paid", "failed", "canceled"),
    "dispute": ("needs_response", "under_review", "won", "lost"),
}


class Money(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.simulator = StripeSimulator(clock=lambda: datetime(2026, 3, 2, 12, tzinfo=UTC))
        self.account = self.simulator.create_account(balance={"usd": 10_000})
        self.funded = 10_000
        self.events = 0

    def ask(self, method, path, **params):
        """Ask the API as a request would, without the network; refusals change nothing."""
        before = self.seen()
        try:
            carry_out(self.simulator.ledger, method, path, self.account, params, "2026-10-28.endive")
        except Problem:
            assert self.seen() == before

    def seen(self):
        return (self.balance(), [self.simulator.objects(kind, self.account) for kind in ("payouts", "disputes")])

    def balance(self):
        books = self.simulator.ledger.books[self.account]
        return books.available("usd") + books.pending("usd")

    def one_of(self, kind, number):
        held = self.simulator.objects(kind, None if kind == "transfers" else self.account)
        return held[number % len(held)]["id"] if held else "none"

    @rule(amount=AMOUNT)
    def pay_out(self, amount):
        self.ask("POST", "/v1/payouts", amount=amount, currency="usd")

    @rule(number=PICK)
    def cancel(self, number):
        self.ask("POST", f"/v1/payouts/{self.one_of('payouts', number)}/cancel")

    @rule(number=PICK)
    def pull_back(self, number):
        self.ask("POST", f"/v1/payouts/{self.one_of('payouts', number)}/reverse")

    @rule(number=PICK)
    def send_back(self, number):
        payout = self.one_of("payouts", number)
        if payout != "none":
            self.simulator.fail_payout(self.account, payout)

    @rule(amount=AMOUNT)
    def charge(self, amount):
        self.simulator.charge(self.account, amount)

    @rule(number=PICK, amount=AMOUNT)
    def refund(self, number, amount):
        self.ask("POST", "/v1/refunds", charge=self.one_of("charges", number), amount=amount)

    @rule(number=PICK, status=st.sampled_from(["needs_response", "warning_needs_response"]))
    def dispute(self, number, status):
        charge = self.one_of("charges", number)
        if charge != "none":
            self.simulator.open_dispute(self.account, charge, status=status)

    @rule(number=PICK, verb=st.sampled_from(["", "/close"]))
    def answer(self, number, verb):
        evidence = {} if verb else {"evidence": {"customer_name": "Ada"}}
        self.ask("POST", f"/v1/disputes/{self.one_of('disputes', number)}{verb}", **evidence)

    @rule(number=PICK, status=st.sampled_from(["won", "lost"]))
    def decide(self, number, status):
        dispute = self.one_of("disputes", number)
        if dispute != "none":
            self.simulator.decide_dispute(self.account, dispute, status)

    @rule(amount=AMOUNT)
    def transfer(self, amount):
        self.ask("POST", "/v1/transfers", amount=amount, currency="usd", destination=self.account)

    @rule(number=PICK, amount=AMOUNT)
    def take_back(self, number, amount):
        self.ask("POST", f"/v1/transfers/{self.one_of('transfers', number)}/reversals", amount=amount)

    @rule(interval=st.sampled_from(["manual", "daily"]))
    def schedule(self, interval):
        self.simulator.set_by_hand(self.account, "settings.payouts.schedule.interval", interval)

    @rule(hours=st.sampled_from([1, 24, 24 * 40]))
    def wait(self, hours):
        self.simulator.advance(timedelta(hours=hours))

    @invariant()
    def the_balance_is_what_the_objects_say(self):
        def held(kind, account=self.account):
            return self.simulator.objects(kind, account)

        expected = self.funded + sum(each["amount"] for each in held("charges"))
        expected -= sum(each["amount"] for each in held("refunds"))
        expected -= sum(each["amount"] for each in held("disputes") if each["status"] in TAKEN)
        expected += sum(each["amount"] - each["amount_reversed"] for each in held("transfers", None))
        gone = [each for each in held("payouts") if each["status"] not in ("failed", "canceled")]
        expected -= sum(each["amount"] for each in gone)
        assert self.balance() == expected
        assert not [each for each in held("payouts") if each["status"] == "failed" and each["reversed_by"]]

    @invariant()
    def every_status_is_one_of_stripes_and_every_step_was_told(self):
        for kind, known in STEPS.items():
            for each in self.simulator.objects(f"{kind}s", self.account):
                assert each["status"].removeprefix("warning_") in (*known, "closed")
        told = self.simulator.events(self.account)
        last = {e["data"]["object"]["id"]: e["data"]["object"] for e in told if e["type"].startswith("payout.")}
        recent = self.simulator.clock() - timedelta(days=29)
        for payout in self.simulator.payouts(self.account):
            if payout["created"] > recent.timestamp():
                assert last[payout["id"]] == payout


Money.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestMoneyIsConserved = Money.TestCase
