"""Bank accounts and debit cards that payouts go to, as the simulated API treats them."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

from paycordon_stripe.simulator import shapes
from paycordon_stripe.simulator.calls import Call, merged_metadata, page
from paycordon_stripe.simulator.ledger import Json, Ledger
from paycordon_stripe.simulator.problems import Problem, bad, missing, unknown

FAILING = {
    "000111111113": "account_closed",
    "000111111116": "no_account",
    "000222222227": "insufficient_funds",
    "000333333335": "debit_not_authorized",
    "000444444440": "invalid_currency",
}
"""Stripe's test account numbers whose payouts fail: https://docs.stripe.com/connect/testing."""


def listed(call: Call) -> Json:
    """Return one page of an account's external accounts, of one kind if asked for."""
    held = call.ledger.account(call.id)["external_accounts"]["data"]
    kind = call.params.get("object")
    return page(call, [each for each in held if kind in (None, each["object"])], _url(call.id))


def retrieve(call: Call) -> Json:
    """Return one external account."""
    return _find(call.ledger, *call.ids)


def create(call: Call) -> Json:
    """Add an external account; the first of a currency becomes its default."""
    ledger, id_ = call.ledger, call.id
    after = copy.deepcopy(ledger.account(id_))
    if not call.params.get("external_account"):
        raise missing("external_account")
    new = made(ledger, after, call.params["external_account"])
    new["metadata"] = merged_metadata(new["metadata"], call.params.get("metadata"))
    others = after["external_accounts"]["data"]
    if any(each["id"] == new["id"] for each in others):
        raise Problem(400, "A bank account with that token already exists.", code="bank_account_exists")
    first = not any(each["currency"] == new["currency"] for each in others)
    new["default_for_currency"] = first or call.params.get("default_for_currency", False)
    _save(ledger, after, [*others, new], new)
    ledger.emit("account.external_account.created", id_, new)
    return new


def update(call: Call) -> Json:
    """Change an external account's holder, metadata, or make it the default."""
    ledger, (account, id_) = call.ledger, call.ids
    before = _find(ledger, account, id_)
    changes = {name: value for name, value in call.params.items() if name not in ("expand", "metadata", "documents")}
    new = {**before, **changes, "metadata": merged_metadata(before["metadata"], call.params.get("metadata"))}
    after = copy.deepcopy(ledger.account(account))
    data = [new if each["id"] == id_ else each for each in after["external_accounts"]["data"]]
    _save(ledger, after, data, new)
    previous = {name: before.get(name) for name in new if before.get(name) != new[name]}
    if previous:
        ledger.emit("account.external_account.updated", account, new, previous)
    return new


def delete(call: Call) -> Json:
    """Delete an external account; not the default of a currency while there are others."""
    ledger, (account, id_) = call.ledger, call.ids
    held = _find(ledger, account, id_)
    after = copy.deepcopy(ledger.account(account))
    others = [each for each in after["external_accounts"]["data"] if each["id"] != id_]
    if held.get("default_for_currency") and any(each["currency"] == held["currency"] for each in others):
        raise bad("id", "You cannot delete the default external account for a currency that has others.")
    _save(ledger, after, others, None)
    ledger.emit("account.external_account.deleted", account, held)
    return {"id": id_, "object": held["object"], "deleted": True}


def made(ledger: Ledger, account: Json, given: Any) -> Json:
    """Return a new external account from a token or from its details.

    Raises:
        Problem: details are missing.
    """
    if isinstance(given, str):
        id_ = given.replace("btok", "ba").replace("tok", "card", 1 if not given.startswith("btok") else 0)
        kind = "bank_account" if given.startswith(("btok", "ba")) else "card"
        fields: Json = {"id": id_, "fingerprint": f"fp{given}", "currency": account["default_currency"]}
        return shapes.made(kind, account=account["id"], **fields)
    for name in ("account_number", "country"):
        if given.get("object", "bank_account") == "bank_account" and not given.get(name):
            raise missing(f"external_account[{name}]")
    if given.get("object") == "card":
        return _card(ledger, account, given)
    number, routing = given["account_number"], given.get("routing_number", "")
    fields = {name: value for name, value in given.items() if name not in ("account_number", "object")}
    fields |= {"fingerprint": _fingerprint(number, routing), "last4": number[-4:]}
    new = shapes.made("bank_account", account=account["id"], id=ledger.new_id("ba"), **fields)
    if number in FAILING:
        ledger.shelf("failing", account["id"])[new["id"]] = {"id": new["id"], "code": FAILING[number]}
    return new


def default_of(account: Json, currency: str) -> Json | None:
    """Return where payouts in a currency go, if anywhere."""
    held = [each for each in account["external_accounts"]["data"] if each.get("currency") == currency]
    return next((each for each in held if each.get("default_for_currency")), held[0] if held else None)


def _card(ledger: Ledger, account: Json, given: Json) -> Json:
    number = str(given.get("number", ""))
    shown: Json = {name: given[name] for name in ("exp_month", "exp_year", "currency", "name") if name in given}
    shown |= {"fingerprint": _fingerprint(number, "card"), "last4": number[-4:]}
    return shapes.made("card", account=account["id"], id=ledger.new_id("card"), **shown)


def _fingerprint(*parts: str) -> str:
    return "fp" + hashlib.sha256("/".join(parts).encode()).hexdigest()[:14]


def _save(ledger: Ledger, after: Json, data: list[Json], chosen: Json | None) -> None:
    if chosen is not None and chosen["default_for_currency"]:
        for each in data:
            if each["currency"] == chosen["currency"]:
                each["default_for_currency"] = each["id"] == chosen["id"]
    after["external_accounts"] = shapes.listing(data, _url(after["id"]))
    ledger.replace_account(after)


def _find(ledger: Ledger, account: str, id_: str) -> Json:
    for each in ledger.account(account)["external_accounts"]["data"]:
        if each["id"] == id_:
            found: Json = each
            return found
    raise unknown("external account", id_)


def _url(account: str) -> str:
    return f"/v1/accounts/{account}/external_accounts"
