"""Payouts and transfers, as the simulated API treats them."""

from __future__ import annotations

from typing import Any

from paycordon_stripe.simulator.ledger import PLATFORM, Json, Ledger
from paycordon_stripe.simulator.problems import bad, missing

_PAYOUT_PARAMS = {"amount", "currency", "description", "destination", "expand", "metadata", "method", "source_type"}
_TRANSFER_PARAMS = {
    "amount",
    "currency",
    "description",
    "destination",
    "expand",
    "metadata",
    "source_transaction",
    "source_type",
    "transfer_group",
}


def create(ledger: Ledger, owner: str, params: Json) -> Json:
    """Create a payout of an account, or of the platform.

    Raises:
        Problem: Stripe would not take the parameters.
    """
    _check(params, _PAYOUT_PARAMS, ("amount", "currency"))
    id_ = ledger.new_id("po")
    payout = {
        "id": id_,
        "object": "payout",
        "amount": _amount(params["amount"]),
        "arrival_date": ledger.now() + 86_400,
        "automatic": False,
        "created": ledger.now(),
        "currency": params["currency"].lower(),
        "description": params.get("description"),
        "destination": params.get("destination"),
        "livemode": ledger.livemode,
        "metadata": params.get("metadata", {}),
        "method": params.get("method", "standard"),
        "source_type": params.get("source_type", "card"),
        "status": "pending",
        "type": "bank_account",
    }
    ledger.payouts.setdefault(owner, {})[id_] = payout
    ledger.changed(owner, f"payouts.{id_}.status", None, "pending")
    return payout


def cancel(ledger: Ledger, owner: str, id_: str) -> Json:
    """Cancel a payout, which Stripe does for pending ones that were made by hand.

    Raises:
        Problem: there is no such payout, or it cannot be cancelled any more.
    """
    payout = ledger.payout(owner, id_)
    if payout["automatic"] or payout["status"] != "pending":
        raise bad("id", "Payouts can only be canceled while they are pending and not automatic.", "payout_not_allowed")
    ledger.changed(owner, f"payouts.{id_}.status", payout["status"], "canceled")
    payout["status"] = "canceled"
    return payout


def listed(ledger: Ledger, owner: str) -> Json:
    """Return the list of an account's payouts, newest first."""
    held = list(reversed(ledger.payouts.get(owner, {}).values()))
    return {"object": "list", "data": held, "has_more": False, "url": "/v1/payouts"}


def transfer(ledger: Ledger, params: Json) -> Json:
    """Send money of the platform to a connected account.

    Raises:
        Problem: Stripe would not take the parameters.
    """
    _check(params, _TRANSFER_PARAMS, ("currency", "destination"))
    ledger.account(params["destination"])
    id_ = ledger.new_id("tr")
    made = {
        "id": id_,
        "object": "transfer",
        "amount": _amount(params.get("amount", "")),
        "amount_reversed": 0,
        "created": ledger.now(),
        "currency": params["currency"].lower(),
        "description": params.get("description"),
        "destination": params["destination"],
        "livemode": ledger.livemode,
        "metadata": params.get("metadata", {}),
        "reversed": False,
        "transfer_group": params.get("transfer_group"),
    }
    ledger.transfers[id_] = made
    ledger.changed(params["destination"], f"transfers.{id_}", None, made["amount"])
    return made


def owner_of(ledger: Ledger, account: str | None) -> str:
    """Say whose payouts a request with this `Stripe-Account` header is about.

    Raises:
        Problem: there is no such account.
    """
    if account is None:
        return PLATFORM
    ledger.account(account)
    return account


def _check(params: Json, known: set[str], needed: tuple[str, ...]) -> None:
    for name in params.keys() - known:
        raise bad(name, f"Received unknown parameter: {name}", "parameter_unknown")
    for name in needed:
        if not params.get(name):
            raise missing(name)


def _amount(value: Any) -> int:
    if not str(value).isdigit() or int(value) < 1:
        raise bad("amount", "Invalid positive integer", "parameter_invalid_integer")
    return int(value)
