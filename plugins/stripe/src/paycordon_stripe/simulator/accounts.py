"""Accounts and capabilities, as the simulated API treats them."""

from __future__ import annotations

import copy
from typing import Any

from paycordon_stripe.simulator import schedules
from paycordon_stripe.simulator.ledger import Json, Ledger
from paycordon_stripe.simulator.problems import bad, missing

MERGED = {"business_profile", "company", "individual", "tos_acceptance"}
_ACCOUNT_PARAMS = {
    *MERGED,
    "business_type",
    "capabilities",
    "controller",
    "country",
    "default_currency",
    "email",
    "expand",
    "external_account",
    "metadata",
    "settings",
    "type",
}


def blank(ledger: Ledger, id_: str, country: str = "US") -> Json:
    """Return an account as it is right after its creation."""
    return {
        "id": id_,
        "object": "account",
        "type": "express",
        "business_type": None,
        "business_profile": {"mcc": None, "name": None, "support_email": None, "support_phone": None, "url": None},
        "capabilities": {},
        "charges_enabled": False,
        "country": country,
        "created": ledger.now(),
        "default_currency": "usd",
        "details_submitted": False,
        "email": None,
        "external_accounts": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/accounts/{id_}/external_accounts",
        },
        "metadata": {},
        "payouts_enabled": False,
        "requirements": {"currently_due": [], "disabled_reason": None, "past_due": []},
        "settings": {
            "payments": {"statement_descriptor": None},
            "payouts": {
                "debit_negative_balances": True,
                "schedule": {"delay_days": schedules.MINIMUM_DELAY, "interval": "daily"},
                "statement_descriptor": None,
            },
        },
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
    }


def create(ledger: Ledger, params: Json) -> Json:
    """Create an account.

    Raises:
        Problem: Stripe would not take the parameters.
    """
    id_ = ledger.new_id("acct")
    new = blank(ledger, id_, params.get("country", "US"))
    capabilities = _prepare(new, params)
    ledger.accounts[id_], ledger.capabilities[id_], ledger.payouts[id_] = new, {}, {}
    ledger.changed(id_, "account", None, "created")
    for name, requested in capabilities.items():
        ledger.request_capability(id_, name, requested)
    return new


def update(ledger: Ledger, id_: str, params: Json) -> Json:
    """Change an account, all or nothing.

    Raises:
        Problem: Stripe would not take the parameters.
    """
    before = ledger.account(id_)
    new = copy.deepcopy(before)
    capabilities = _prepare(new, params)
    ledger.note(id_, before, new)
    ledger.accounts[id_] = new
    for name, requested in capabilities.items():
        ledger.request_capability(id_, name, requested)
    return new


def list_capabilities(ledger: Ledger, id_: str) -> Json:
    """Return the list of an account's capabilities.

    Raises:
        Problem: there is no such account.
    """
    ledger.account(id_)
    held = list(ledger.capabilities[id_].values())
    return {"object": "list", "data": held, "has_more": False, "url": f"/v1/accounts/{id_}/capabilities"}


def update_capability(ledger: Ledger, id_: str, name: str, params: Json) -> Json:
    """Request a capability or give it back.

    Raises:
        Problem: there is no such account, or Stripe would not take the parameters.
    """
    ledger.account(id_)
    for unknown in params.keys() - {"requested", "expand"}:
        raise bad(unknown, f"Received unknown parameter: {unknown}", "parameter_unknown")
    held = ledger.capabilities[id_].get(name)
    if "requested" not in params:
        if held is None:
            raise missing("requested")
        return held
    return ledger.request_capability(id_, name, boolean(params["requested"], "requested"))


def boolean(value: Any, param: str) -> bool:
    """Read a boolean of a form.

    Raises:
        Problem: it is not one.
    """
    if value not in ("true", "false"):
        raise bad(param, f"Invalid boolean: {value}")
    return bool(value == "true")


def _prepare(account: Json, params: Json) -> dict[str, bool]:
    """Put parameters into an account and return which capabilities are to be requested or given back."""
    for unknown in params.keys() - _ACCOUNT_PARAMS:
        raise bad(unknown, f"Received unknown parameter: {unknown}", "parameter_unknown")
    for name in ("business_type", "default_currency", "email", "type"):
        if name in params:
            account[name] = params[name]
    for name in params.keys() & MERGED:
        account[name] = {**(account.get(name) or {}), **params[name]}
    _set_metadata(account, params.get("metadata", {}))
    _set_settings(account["settings"], params.get("settings", {}))
    if isinstance(params.get("external_account"), str):
        account["external_accounts"]["data"] = [_bank_account(account["id"], params["external_account"])]
    wanted = params.get("capabilities", {})
    return {name: boolean(value["requested"], f"capabilities[{name}][requested]") for name, value in wanted.items()}


def _set_metadata(account: Json, params: Any) -> None:
    if params == "":
        account["metadata"] = {}
        return
    merged = {**account["metadata"], **params}
    account["metadata"] = {key: value for key, value in merged.items() if value != ""}


def _set_settings(settings: Json, params: Json) -> None:
    for name, values in params.items():
        if name == "payouts":
            schedule = values.get("schedule", {})
            settings["payouts"]["schedule"] = schedules.changed(settings["payouts"]["schedule"], schedule)
            values = {key: value for key, value in values.items() if key != "schedule"}
        settings[name] = {**settings.get(name, {}), **values}


def _bank_account(account: str, token: str) -> Json:
    return {
        "id": token.replace("btok", "ba"),
        "object": "bank_account",
        "account": account,
        "account_holder_name": "Synthetic Holder",
        "account_holder_type": "company",
        "country": "US",
        "currency": "usd",
        "fingerprint": f"fp{token}",
        "last4": "6789",
        "status": "new",
    }
