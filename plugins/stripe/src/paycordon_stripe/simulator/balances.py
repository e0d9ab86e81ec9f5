"""Balances and their settings, as the simulated API treats them."""

from __future__ import annotations

import copy
from typing import Any

from paycordon_stripe.simulator import schedules
from paycordon_stripe.simulator.books import Books
from paycordon_stripe.simulator.calls import Call
from paycordon_stripe.simulator.ledger import PLATFORM, Json, Ledger
from paycordon_stripe.simulator.problems import bad

MAX_DELAY = 31


def retrieve(call: Call) -> Json:
    """Return the balance of an account or the platform."""
    return balance(call.ledger, call.owner)


def balance(ledger: Ledger, owner: str) -> Json:
    """Return a balance; nothing in it for an account whose money is not kept account of."""
    books = ledger.books.get(owner) or Books()
    default = ledger.accounts[owner]["default_currency"] if owner in ledger.accounts else "usd"
    currencies = list(books.currencies()) or [default]
    return {
        "object": "balance",
        "available": [_part(currency, books.available(currency)) for currency in currencies],
        "connect_reserved": [{"amount": 0, "currency": currency} for currency in currencies],
        "livemode": ledger.livemode,
        "pending": [_part(currency, books.pending(currency)) for currency in currencies],
        "refund_and_dispute_prefunding": None,
    }


def _part(currency: str, amount: int) -> Json:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}


def settings(call: Call) -> Json:
    """Return the balance settings of an account or the platform."""
    return _settings(call.ledger, call.owner)


def change_settings(call: Call) -> Json:
    """Change balance settings; the payout schedule is the one that accounts of v1 show too."""
    ledger, owner = call.ledger, call.owner
    before = _settings(ledger, owner)
    asked = call.params.get("payments", {})
    own = copy.deepcopy(_own(ledger, owner))
    payouts, timing = asked.get("payouts", {}), asked.get("settlement_timing", {})
    own |= {name: payouts[name] or None for name in ("automatic_transfer_rules_by_currency",) if name in payouts}
    if "minimum_balance_by_currency" in payouts:
        own["minimum_balance_by_currency"] = _minimum(own, payouts["minimum_balance_by_currency"])
    if "delay_days_override" in timing:
        own["delay_days_override"] = _delay(timing["delay_days_override"])
    own["start_of_day"] = (timing.get("start_of_day") or None) if "start_of_day" in timing else own["start_of_day"]
    _write(ledger, owner, own, asked)
    after = _settings(ledger, owner)
    if after != before:
        ledger.emit("balance_settings.updated", owner, after, {"payments": before["payments"]})
    return after


def schedule_of(ledger: Ledger, owner: str) -> Json:
    """Return a payout schedule, with `delay_days`."""
    found: Json = _account_settings(ledger, owner)["payouts"]["schedule"]
    return found


def minimum_of(ledger: Ledger, owner: str) -> dict[str, int]:
    """Return what automatic payouts leave in the balance, per currency."""
    return _own(ledger, owner)["minimum_balance_by_currency"] or {}


def _account_settings(ledger: Ledger, owner: str) -> Json:
    if owner == PLATFORM:
        blank = {"schedule": {"delay_days": schedules.MINIMUM_DELAY, "interval": "manual"}}
        payouts = {"debit_negative_balances": False, "statement_descriptor": None, **blank}
        return ledger.balance_settings.setdefault("settings of the platform", {"payouts": payouts})
    found: Json = ledger.account(owner)["settings"]
    return found


def _own(ledger: Ledger, owner: str) -> Json:
    """Return the settings that accounts of v1 do not show."""
    blank = ("automatic_transfer_rules_by_currency", "delay_days_override", "minimum_balance_by_currency")
    return ledger.balance_settings.get(owner) or dict.fromkeys((*blank, "start_of_day"))


def _settings(ledger: Ledger, owner: str) -> Json:
    payouts, own = _account_settings(ledger, owner)["payouts"], _own(ledger, owner)
    shown = ("interval", "monthly_payout_days", "weekly_payout_days")
    enabled = owner == PLATFORM or ledger.account(owner)["payouts_enabled"]
    timing = {"delay_days": payouts["schedule"]["delay_days"], "start_of_day": own["start_of_day"]}
    return {
        "object": "balance_settings",
        "payments": {
            "debit_negative_balances": payouts.get("debit_negative_balances", True),
            "payouts": {
                "automatic_transfer_rules_by_currency": own["automatic_transfer_rules_by_currency"],
                "minimum_balance_by_currency": own["minimum_balance_by_currency"],
                "schedule": {name: payouts["schedule"][name] for name in shown if name in payouts["schedule"]},
                "statement_descriptor": payouts.get("statement_descriptor"),
                "status": "enabled" if enabled else "disabled",
            },
            "settlement_timing": timing | {"delay_days_override": own["delay_days_override"]},
        },
    }


def _write(ledger: Ledger, owner: str, own: Json, asked: Json) -> None:
    changed = copy.deepcopy(_account_settings(ledger, owner))
    payouts, given = changed["payouts"], asked.get("payouts", {})
    schedule = given.get("schedule", {})
    if "delay_days_override" in asked.get("settlement_timing", {}):
        schedule = {**schedule, "delay_days": own["delay_days_override"] or "minimum"}
    payouts["schedule"] = schedules.changed(payouts["schedule"], schedule)
    if "statement_descriptor" in given:
        payouts["statement_descriptor"] = given["statement_descriptor"]
    if "debit_negative_balances" in asked:
        payouts["debit_negative_balances"] = asked["debit_negative_balances"]
    ledger.balance_settings[owner] = own
    if owner == PLATFORM:
        ledger.balance_settings["settings of the platform"] = changed
    else:
        ledger.replace_account({**copy.deepcopy(ledger.account(owner)), "settings": changed})


def _minimum(own: Json, asked: Any) -> Json | None:
    if asked == "":
        return None
    merged = {**(own["minimum_balance_by_currency"] or {}), **asked}
    return {currency: amount for currency, amount in merged.items() if amount != ""} or None


def _delay(asked: Any) -> int | None:
    if asked == "":
        return None
    if not schedules.MINIMUM_DELAY <= asked <= MAX_DELAY:
        name = "payments[settlement_timing][delay_days_override]"
        raise bad(name, f"delay_days_override must be between {schedules.MINIMUM_DELAY} and {MAX_DELAY}")
    return int(asked)
