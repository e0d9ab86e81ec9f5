"""What happens at midnight, UTC: money becomes available, and payouts are made by schedule."""

from __future__ import annotations

from datetime import timedelta

from paycordon_stripe.simulator import balances, payouts, schedules
from paycordon_stripe.simulator.books import Books
from paycordon_stripe.simulator.ledger import PLATFORM, Ledger

HELD_AT_MOST = timedelta(days=90)
HELD_AT_MOST_IN = {"TH": timedelta(days=10), "US": timedelta(days=730)}
"""How long Stripe keeps money with a manual schedule: https://docs.stripe.com/connect/manual-payouts."""


def midnight(ledger: Ledger) -> None:
    """Let one midnight pass over every account whose money is kept account of."""
    for owner, books in list(ledger.books.items()):
        if list(books.ripen(ledger.clock())):
            ledger.emit("balance.available", owner, balances.balance(ledger, owner))
        if owner == PLATFORM or ledger.accounts[owner]["payouts_enabled"]:
            _pay_out(ledger, owner, books)


def _pay_out(ledger: Ledger, owner: str, books: Books) -> None:
    schedule = balances.schedule_of(ledger, owner)
    kept = balances.minimum_of(ledger, owner)
    for currency in list(books.currencies()):
        if schedule["interval"] == "manual":
            country = ledger.accounts[owner]["country"] if owner != PLATFORM else "US"
            limit = HELD_AT_MOST_IN.get(country, HELD_AT_MOST)
            amount = books.available_since(currency, ledger.clock() - limit)
        elif schedules.due(schedule, ledger.clock().date()):
            amount = books.available(currency) - kept.get(currency, 0)
        else:
            amount = 0
        if amount > 0:
            payouts.start(ledger, owner, amount, currency, automatic=True, description="STRIPE PAYOUT")
