"""Accounts, as the simulated API treats them."""

from __future__ import annotations

import copy
from typing import Any

from paycordon_stripe.simulator import external_accounts, schedules, shapes
from paycordon_stripe.simulator.calls import Call, matching, merged_metadata, page
from paycordon_stripe.simulator.ledger import Json, Ledger

_MERGED = {"business_profile", "company", "individual", "tos_acceptance"}
_PLAIN = {"business_type", "country", "default_currency", "email", "groups", "type"}
_SECRET = {"id_number": "id_number_provided", "ssn_last_4": "ssn_last_4_provided", "tax_id": "tax_id_provided"}
_NEEDED = ("business_profile.url", "business_type", "external_account", "tos_acceptance.date", "tos_acceptance.ip")
_DISABLED_UNTIL_COMPLETE = "requirements.past_due"
_CONTROLLERS = {
    "standard": ("stripe", "full"),
    "express": ("application", "express"),
    "custom": ("application", "none"),
}


def retrieve(call: Call) -> Json:
    """Return an account."""
    return call.ledger.account(call.id)


def listed(call: Call) -> Json:
    """Return one page of the platform's accounts."""
    return page(call, matching(call, call.ledger.accounts.values()), "/v1/accounts")


def create(call: Call) -> Json:
    """Create an account, whose balance starts at nothing."""
    ledger, params = call.ledger, call.params
    new = shapes.account(ledger.new_id("acct"), ledger.now(), params.get("country", "US"))
    new["controller"] = _controller(new["controller"], params)
    capabilities = _prepare(ledger, new, params)
    put(ledger, new)
    ledger.keep_books(new["id"])
    ledger.changed(new["id"], "account", None, "created")
    ledger.emit("account.updated", new["id"], new)
    for name, requested in capabilities.items():
        ledger.request_capability(new["id"], name, requested)
    for bank in new["external_accounts"]["data"]:
        ledger.emit("account.external_account.created", new["id"], bank)
    complete(ledger, new["id"])
    return ledger.account(new["id"])


def put(ledger: Ledger, new: Json) -> None:
    """Put an account there; unless books are kept of its money, payouts by hand never lack it."""
    ledger.accounts[new["id"]], ledger.capabilities[new["id"]] = new, {}


def update(call: Call) -> Json:
    """Change an account, all or nothing."""
    ledger = call.ledger
    new = copy.deepcopy(ledger.account(call.id))
    known = [bank["id"] for bank in new["external_accounts"]["data"]]
    capabilities = _prepare(ledger, new, call.params)
    ledger.replace_account(new)
    for bank in new["external_accounts"]["data"]:
        if bank["id"] not in known:
            ledger.emit("account.external_account.created", call.id, bank)
    for name, requested in capabilities.items():
        ledger.request_capability(call.id, name, requested)
    complete(ledger, call.id)
    return ledger.account(call.id)


def delete(call: Call) -> Json:
    """Delete an account: nobody hears of it, and from then on the platform has no access to it."""
    call.ledger.account(call.id)
    _forget(call.ledger, call.id)
    return {"id": call.id, "object": "account", "deleted": True}


def deauthorize(ledger: Ledger, id_: str) -> None:
    """End the platform's access, as the account's owner may in the Dashboard.

    Raises:
        Problem: there is no such account.
    """
    ledger.account(id_)
    ledger.emit("account.application.deauthorized", id_, {"id": "ca_1Sim", "object": "application", "name": None})
    _forget(ledger, id_)


def complete(ledger: Ledger, id_: str) -> None:
    """Work out what an account still has to submit, and enable it once that is nothing."""
    account = ledger.accounts[id_]
    if account["details_submitted"]:
        return
    due = [need for need in _NEEDED if not _has(account, need)]
    after = copy.deepcopy(account)
    reason = _DISABLED_UNTIL_COMPLETE if due else None
    after["requirements"] |= {"currently_due": due, "eventually_due": due, "disabled_reason": reason}
    after |= {"details_submitted": not due, "payouts_enabled": not due}
    ledger.replace_account(after)
    if not due:
        for name, held in list(ledger.capabilities[id_].items()):
            ledger.request_capability(id_, name, held["requested"])


def _has(account: Json, need: str) -> bool:
    if need == "external_account":
        return bool(account["external_accounts"]["data"])
    value: Any = account
    for name in need.split("."):
        value = (value or {}).get(name)
    return bool(value)


def _forget(ledger: Ledger, id_: str) -> None:
    del ledger.accounts[id_]
    ledger.capabilities.pop(id_, None)
    ledger.books.pop(id_, None)
    ledger.rejected.pop(id_, None)
    ledger.changed(id_, "account", "connected", "gone")


def _controller(controller: Json, params: Json) -> Json:
    losses, dashboard = _CONTROLLERS.get(params.get("type", "express"), _CONTROLLERS["express"])
    made = {**controller, "losses": {"payments": losses}, "stripe_dashboard": {"type": dashboard}}
    for name, values in params.get("controller", {}).items():
        made[name] = {**made[name], **values} if isinstance(values, dict) else values
    return made


def _prepare(ledger: Ledger, account: Json, params: Json) -> dict[str, bool]:
    """Put parameters into an account and return which capabilities are to be requested or given back."""
    for name in params.keys() & _PLAIN:
        account[name] = params[name]
    for name in params.keys() & _MERGED:
        account[name] = {**(account.get(name) or {}), **concealed(params[name])}
    if "metadata" in params:
        account["metadata"] = merged_metadata(account["metadata"], params["metadata"])
    _set_settings(account["settings"], params.get("settings", {}))
    if params.get("external_account"):
        bank = external_accounts.made(ledger, account, params["external_account"])
        account["external_accounts"] = shapes.listing([bank], account["external_accounts"]["url"])
    wanted = params.get("capabilities", {})
    return {name: value["requested"] for name, value in wanted.items() if "requested" in value}


def concealed(values: Json) -> Json:
    """Leave out what Stripe never shows again, and say instead that it has it."""
    shown = {name: value for name, value in values.items() if name not in _SECRET}
    return shown | {shown_as: True for name, shown_as in _SECRET.items() if values.get(name)}


def _set_settings(settings: Json, params: Json) -> None:
    for name, values in params.items():
        if name == "payouts":
            schedule = values.get("schedule", {})
            settings["payouts"]["schedule"] = schedules.changed(settings["payouts"]["schedule"], schedule)
            values = {key: value for key, value in values.items() if key != "schedule"}
        settings[name] = {**settings.get(name, {}), **values}
