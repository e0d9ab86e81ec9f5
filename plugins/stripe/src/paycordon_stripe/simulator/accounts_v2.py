"""Accounts as v2 of the API shows them: another view of the same accounts, with the sections that are asked for."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from paycordon_stripe.simulator import accounts, shapes
from paycordon_stripe.simulator.calls import Call, merged_metadata
from paycordon_stripe.simulator.event_log import iso
from paycordon_stripe.simulator.ledger import Json, Ledger
from paycordon_stripe.simulator.problems import Problem, bad

_STATUS = {"active": "active", "inactive": "restricted", "pending": "pending"}
_DETAIL = {"code": "requirements_past_due", "resolution": "provide_info"}
_ENTITIES = {"individual": "individual", "company": "company", "non_profit": "non_profit"}
_SECTIONS = ("configuration.customer", "configuration.merchant", "configuration.recipient", "defaults",
             "future_requirements", "identity", "requirements")  # fmt: skip
_RELATED = "v2.core.account"


def retrieve(call: Call) -> Json:
    """Return an account with the sections that `include` names."""
    return _shown(call.ledger, call.id, call.params.get("include", []))


def create(call: Call) -> Json:
    """Create an account."""
    ledger, params = call.ledger, call.params
    identity = params.get("identity", {})
    new = shapes.account(ledger.new_id("acct"), ledger.now(), identity.get("country", "US").upper())
    accounts.put(ledger, new)
    ledger.keep_books(new["id"])
    _apply(ledger, new["id"], params)
    _tell(ledger, new["id"], "v2.core.account.created")
    return _shown(ledger, new["id"], params.get("include", []))


def update(call: Call) -> Json:
    """Change an account, its identity, and which capabilities it requests."""
    call.ledger.account(call.id)
    _apply(call.ledger, call.id, call.params)
    return _shown(call.ledger, call.id, call.params.get("include", []))


def close(call: Call) -> Json:
    """Close an account for good; all of its configurations have to be named."""
    ledger = call.ledger
    account = ledger.account(call.id)
    if sorted(call.params.get("applied_configurations") or []) != sorted(_applied(ledger, call.id)):
        raise bad("applied_configurations", "applied_configurations must name all applied configurations")
    books = ledger.books.get(call.id)
    if books is not None and any(books.available(each) or books.pending(each) for each in books.currencies()):
        raise Problem(400, "This account cannot be closed while its balance is not zero.", code="balance_not_zero")
    after = copy.deepcopy(account) | {"payouts_enabled": False, "charges_enabled": False}
    ledger.replace_account(after)
    ledger.shelf("closed", call.id)[call.id] = {"id": call.id}
    _tell(ledger, call.id, "v2.core.account.closed")
    return _shown(ledger, call.id, [])


def _apply(ledger: Ledger, id_: str, params: Json) -> None:
    if ledger.shelf("closed", id_):
        raise Problem(400, "This account is closed.", code="account_closed")
    after = copy.deepcopy(ledger.account(id_))
    _set_contact(after, params)
    _set_identity(after, params.get("identity", {}))
    changed = after != ledger.account(id_)
    ledger.replace_account(after)
    if changed:
        _tell(ledger, id_, "v2.core.account.updated")
    configuration = params.get("configuration", {})
    _request(ledger, id_, "merchant", _merchant(configuration))
    _request(ledger, id_, "recipient", _recipient(configuration))


def _set_contact(after: Json, params: Json) -> None:
    if "contact_email" in params:
        after["email"] = params["contact_email"]
    if "display_name" in params:
        after["business_profile"]["name"] = params["display_name"]
    if "metadata" in params:
        given = {name: "" if value is None else value for name, value in params["metadata"].items()}
        after["metadata"] = merged_metadata(after["metadata"], given)


def _set_identity(after: Json, identity: Json) -> None:
    if "country" in identity:
        after["country"] = identity["country"].upper()
    if "entity_type" in identity:
        after["business_type"] = identity["entity_type"]
    details = identity.get("business_details", {})
    if "registered_name" in details:
        after["company"] = {**(after["company"] or {}), "name": details["registered_name"]}


def _merchant(configuration: Json) -> dict[str, bool]:
    asked: Json = (configuration.get("merchant") or {}).get("capabilities") or {}
    return {name: value["requested"] for name, value in asked.items() if "requested" in value}


def _recipient(configuration: Json) -> dict[str, bool]:
    asked: Json = (configuration.get("recipient") or {}).get("capabilities") or {}
    transfers = (asked.get("stripe_balance") or {}).get("stripe_transfers") or {}
    return {"transfers": transfers["requested"]} if "requested" in transfers else {}


def _request(ledger: Ledger, id_: str, configuration: str, wanted: dict[str, bool]) -> None:
    for name, requested in wanted.items():
        before = ledger.capabilities[id_].get(name, {}).get("status")
        if ledger.request_capability(id_, name, requested)["status"] != before:
            _tell(ledger, id_, f"v2.core.account[configuration.{configuration}].capability_status_updated")


def _tell(ledger: Ledger, id_: str, type_: str) -> None:
    related = {"id": id_, "type": _RELATED, "url": f"/v2/core/accounts/{id_}"}
    ledger.log.happened_v2(type_, id_, related, ledger.clock(), ledger.cause)


def _applied(ledger: Ledger, id_: str) -> list[str]:
    held = ledger.capabilities[id_]
    requested = {name for name, capability in held.items() if capability["requested"]}
    return [*(["merchant"] if requested - {"transfers"} else []), *(["recipient"] if "transfers" in requested else [])]


def _shown(ledger: Ledger, id_: str, include: list[str]) -> Json:
    account = ledger.account(id_)
    sections: dict[str, Any] = dict.fromkeys(name for name in _SECTIONS if "." not in name)
    configuration = dict.fromkeys(("customer", "merchant", "recipient"), None) | _configuration(ledger, id_, include)
    controller = account["controller"]
    full: Json = {
        "defaults": {
            "currency": account["default_currency"],
            "locales": None,
            "responsibilities": {
                "fees_collector": "application",
                "losses_collector": "application" if controller["losses"]["payments"] == "application" else "stripe",
                "requirements_collector": controller["requirement_collection"],
            },
        },
        "identity": {
            "business_details": {"registered_name": (account["company"] or {}).get("name")},
            "country": account["country"].lower(),
            "entity_type": _ENTITIES.get(account["business_type"] or ""),
        },
        "requirements": {"entries": [], "summary": None},
    }
    return {
        "id": id_,
        "object": "v2.core.account",
        "applied_configurations": _applied(ledger, id_),
        "closed": bool(ledger.shelf("closed", id_)),
        "configuration": configuration if any(configuration.values()) else None,
        "contact_email": account["email"],
        "contact_phone": None,
        "created": iso(datetime.fromtimestamp(account["created"], UTC)),
        "dashboard": controller["stripe_dashboard"]["type"],
        "display_name": account["business_profile"]["name"],
        "livemode": ledger.livemode,
        "metadata": account["metadata"],
        **sections,
        **{name: value for name, value in full.items() if name in include},
    }


def _configuration(ledger: Ledger, id_: str, include: list[str]) -> Json:
    held = {name: _capability(each) for name, each in ledger.capabilities[id_].items() if each["requested"]}
    transfers = held.pop("transfers", None)
    shown: Json = {}
    if "configuration.merchant" in include and held:
        shown["merchant"] = {"applied": True, "capabilities": held}
    if "configuration.recipient" in include and transfers:
        shown["recipient"] = {"applied": True, "capabilities": {"stripe_balance": {"stripe_transfers": transfers}}}
    return shown


def _capability(held: Json) -> Json:
    rejected = (held["requirements"]["disabled_reason"] or "").startswith("rejected.")
    status = "rejected" if rejected else _STATUS.get(held["status"], "unsupported")
    return {"status": status, "status_details": [] if status == "active" else [dict(_DETAIL)]}
