"""Account holders with their status and capabilities, as the balance platform treats them."""

from __future__ import annotations

import copy

from paycordon_adyen.simulator.calls import Call, merged, offset_page
from paycordon_adyen.simulator.ledger import Json, Ledger
from paycordon_adyen.simulator.problems import Problem

TO_INSTRUMENTS = ("sendToTransferInstrument", "receiveFromTransferInstrument", "payoutToTransferInstrument")
"""Capabilities that each transfer instrument has to be verified for."""

_PENDING_CODE, _PENDING_MESSAGE = "1_8013", "Data is pending verification"


def create(call: Call) -> Json:
    """Create an account holder; its capabilities are pending until `onboard`.

    Raises:
        Problem: there is no such legal entity, or a capability is not named by Adyen.
    """
    call.ledger.find("legalEntities", call.body["legalEntityId"])
    made = {
        "balancePlatform": call.ledger.platform,
        **call.body,
        "id": call.ledger.new_id("accountHolders"),
        "status": "active",
        "capabilities": {},
    }
    for name, asked in call.body.get("capabilities", {}).items():
        made["capabilities"][name] = capability(asked, allowed=False)
    call.ledger.put("accountHolders", _with_instruments(call.ledger, made))
    call.ledger.event("accountHolder.created", made["id"], {"accountHolder": shown(call.ledger, made["id"])})
    return shown(call.ledger, made["id"])


def retrieve(call: Call) -> Json:
    """Return an account holder."""
    return shown(call.ledger, call.id)


def listed(call: Call) -> Json:
    """Return a page of the account holders of the balance platform."""
    if call.id != call.ledger.platform:
        raise Problem(403, "Not the right permission to access this service.")
    held = [shown(call.ledger, id_) for id_ in call.ledger.shelf("accountHolders")]
    return offset_page(call, held, "accountHolders")


def update(call: Call) -> Json:
    """Change an account holder; to be closed is final.

    Raises:
        Problem: there is none, or it is closed.
    """
    before = call.ledger.find("accountHolders", call.id)
    if before["status"] == "closed":
        raise Problem(422, "the account holder is closed", code="30_087")
    changes = {name: value for name, value in call.body.items() if name != "capabilities"}
    after = merged(before, changes)
    after["capabilities"] = copy.deepcopy(before["capabilities"])
    for name, asked in call.body.get("capabilities", {}).items():
        held = after["capabilities"].get(name)
        after["capabilities"][name] = _asked_anew(held, asked) if held else capability(asked, allowed=False)
    change(call.ledger, after)
    return shown(call.ledger, call.id)


def change(ledger: Ledger, after: Json) -> None:
    """Put a new version of an account holder there, and tell of it if it differs."""
    after = _with_instruments(ledger, after)
    if ledger.replace("accountHolders", after, after["id"], ""):
        tell(ledger, after["id"])


def shown(ledger: Ledger, id_: str) -> Json:
    """Return a copy of an account holder, as it is answered.

    Raises:
        Problem: there is none.
    """
    return copy.deepcopy(ledger.find("accountHolders", id_))


def tell(ledger: Ledger, id_: str) -> None:
    """Tell that an account holder has changed."""
    ledger.event("accountHolder.updated", id_, {"accountHolder": shown(ledger, id_)})


def tell_of_entity(ledger: Ledger, entity: str) -> None:
    """Tell that the legal entity of account holders has changed: there are no webhooks of legal entities."""
    for holder in ledger.of("accountHolders", legalEntityId=entity):
        ledger.put("accountHolders", _with_instruments(ledger, holder))
        tell(ledger, holder["id"])


def relist(ledger: Ledger, id_: str) -> None:
    """List the transfer instruments of its legal entity at an account holder, and tell nobody."""
    ledger.put("accountHolders", _with_instruments(ledger, ledger.find("accountHolders", id_)))


def capability(asked: Json, *, allowed: bool) -> Json:
    """Return a capability that was asked for; `allowed` says whether it has been verified."""
    requested = asked.get("requested", True)
    level = asked.get("requestedLevel", "notApplicable")
    made: Json = {
        **{name: value for name, value in asked.items() if name != "allowed"},
        "enabled": asked.get("enabled", True),
        "requested": requested,
        "requestedLevel": level,
        "allowed": allowed and requested,
        "allowedLevel": level,
        "verificationStatus": "valid" if allowed else "pending",
    }
    return made


def may(holder: Json, name: str) -> bool:
    """Tell whether an account holder may do what a capability stands for."""
    held = holder["capabilities"].get(name, {})
    return holder["status"] == "active" and bool(held.get("allowed") and held.get("enabled") and held.get("requested"))


def verify(ledger: Ledger, id_: str, *, names: tuple[str, ...] = (), problem: Json | None = None) -> None:
    """End the verification of capabilities, of all without names: allowed, or not because of a problem."""
    after = copy.deepcopy(ledger.find("accountHolders", id_))
    for name, held in after["capabilities"].items():
        if names and name not in names:
            continue
        held["verificationStatus"] = "invalid" if problem else "valid"
        held["allowed"] = problem is None and held["requested"]
        held.pop("problems", None)
        if problem:
            held["problems"] = [{"entity": entity_of(after), "verificationErrors": [problem]}]
    change(ledger, after)


def entity_of(holder: Json) -> Json:
    """Return how a verification problem names whom it is about."""
    return {"id": holder["legalEntityId"], "type": "LegalEntity"}


def problems_of(ledger: Ledger, entity: str) -> list[Json]:
    """Return the verification problems that concern a legal entity."""
    errors: dict[str, tuple[Json, list[str]]] = {}
    for holder in ledger.of("accountHolders", legalEntityId=entity):
        for name, held in holder["capabilities"].items():
            for problem in held.get("problems", ()):
                for error in problem["verificationErrors"]:
                    errors.setdefault(error["code"], (error, []))[1].append(name)
    if not errors:
        return []
    found = [{**error, "capabilities": sorted(set(names))} for error, names in errors.values()]
    return [{"entity": {"id": entity, "type": "LegalEntity"}, "verificationErrors": found}]


def _asked_anew(held: Json, asked: Json) -> Json:
    made = merged(held, {name: value for name, value in asked.items() if name != "allowed"})
    verified = made["verificationStatus"] == "valid"
    made["allowed"] = verified and made.get("requested", True)
    return made


def _with_instruments(ledger: Ledger, holder: Json) -> Json:
    """Return an account holder whose capabilities list the transfer instruments of its legal entity."""
    ids = [each["id"] for each in ledger.of("transferInstruments", legalEntityId=holder["legalEntityId"])]
    made = {**holder, "capabilities": dict(holder["capabilities"])}
    for name in TO_INSTRUMENTS:
        held = made["capabilities"].get(name)
        if held is not None:
            each = {name: held[name] for name in ("allowed", "enabled", "requested", "verificationStatus")}
            listed_there = [{**each, "id": id_} for id_ in ids]
            made["capabilities"][name] = {**held, "transferInstruments": listed_there}
    return made
