"""Transaction rules, and what those that block say of bank transfers.

Of the restrictions that a rule can have, the simulator judges the types of counterparties and amounts; a rule with
others never blocks here, and so is refused, so that nobody relies on it.
"""

from __future__ import annotations

import copy

from paycordon_adyen.simulator.calls import Call, merged
from paycordon_adyen.simulator.ledger import Json, Ledger
from paycordon_adyen.simulator.problems import Problem, bad

_JUDGED = ("counterpartyTypes", "totalAmount")
_KINDS = {
    "accountHolder": "accountHolders",
    "balanceAccount": "balanceAccounts",
    "paymentInstrument": "paymentInstruments",
    "balancePlatform": "",
}
_TYPE_OF = {
    "transferInstrumentId": "transferInstrument",
    "bankAccount": "bankAccount",
    "card": "card",
    "balanceAccountId": "balanceAccount",
}


def create(call: Call) -> Json:
    """Create a transaction rule.

    Raises:
        Problem: it is about nothing that is there, or has a restriction that is not judged here.
    """
    made = {"outcomeType": "hardBlock", "status": "active", **call.body, "id": call.ledger.new_id("transactionRules")}
    _require_judged(call.ledger, made)
    owner = _owner(call.ledger, made)
    call.ledger.put("transactionRules", made)
    call.ledger.changed(owner, f"transactionRules.{made['id']}", None, made["status"])
    return copy.deepcopy(made)


def retrieve(call: Call) -> Json:
    """Return a transaction rule."""
    return {"transactionRule": copy.deepcopy(call.ledger.find("transactionRules", call.id))}


def update(call: Call) -> Json:
    """Change the status of a rule, or with all of its fields everything; what is left out then is taken away.

    Raises:
        Problem: there is none, fields are missing, or it is not judged here.
    """
    before = call.ledger.find("transactionRules", call.id)
    after = merged(before, call.body) if set(call.body) == {"status"} else {**call.body, "id": call.id}
    _require_judged(call.ledger, after)
    call.ledger.replace("transactionRules", after, _owner(call.ledger, after), f"transactionRules.{call.id}.")
    return copy.deepcopy(after)


def delete(call: Call) -> Json:
    """Delete a transaction rule, and return it."""
    held = call.ledger.find("transactionRules", call.id)
    del call.ledger.shelf("transactionRules")[call.id]
    call.ledger.changed(_owner(call.ledger, held), f"transactionRules.{call.id}", held["status"], None)
    return held


def of_holder(call: Call) -> Json:
    """Return the rules of an account holder."""
    call.ledger.find("accountHolders", call.id)
    return _rules(call.ledger, "accountHolder", call.id)


def of_balance_account(call: Call) -> Json:
    """Return the rules of a balance account."""
    call.ledger.find("balanceAccounts", call.id)
    return _rules(call.ledger, "balanceAccount", call.id)


def of_platform(call: Call) -> Json:
    """Return the rules of the balance platform."""
    if call.id != call.ledger.platform:
        raise Problem(403, "Not the right permission to access this service.")
    return _rules(call.ledger, "balancePlatform", call.id)


def owned(ledger: Ledger, holder: str) -> list[Json]:
    """Return copies of the rules about an account holder or its balance accounts."""
    held = [copy.deepcopy(each) for each in ledger.of("transactionRules")]
    return [each for each in held if _owner(ledger, each) == holder]


def judged(ledger: Ledger, transfer: Json) -> Json:
    """Say which active rules that block a transfer meets."""
    keys = {transfer["accountHolder"]["id"], transfer["balanceAccount"]["id"], ledger.platform}
    met = [
        each
        for each in ledger.of("transactionRules", status="active", outcomeType="hardBlock", requestType="bankTransfer")
        if each["entityKey"]["entityReference"] in keys and each["type"] != "allowList" and _meets(transfer, each)
    ]
    if not met:
        return {"allHardBlockRulesPassed": True}
    triggered = [
        {
            "reason": each["description"],
            "transactionRule": {name: each[name] for name in ("description", "id", "outcomeType", "reference")},
            "transactionRuleSource": {"id": each["entityKey"]["entityReference"], "type": "balancePlatform"},
        }
        for each in met
    ]
    return {"allHardBlockRulesPassed": False, "triggeredTransactionRules": triggered}


def _rules(ledger: Ledger, type_: str, id_: str) -> Json:
    key = {"entityType": type_, "entityReference": id_}
    return {"transactionRules": copy.deepcopy([e for e in ledger.of("transactionRules") if e["entityKey"] == key])}


def _owner(ledger: Ledger, rule: Json) -> str:
    key = rule["entityKey"]
    if key.get("entityType") == "balanceAccount":
        return str(ledger.find("balanceAccounts", key["entityReference"])["accountHolderId"])
    return str(key.get("entityReference", ""))


def _require_judged(ledger: Ledger, rule: Json) -> None:
    key = rule["entityKey"]
    kind = _KINDS.get(key.get("entityType", ""))
    if kind is None or "entityReference" not in key:
        raise bad("entityKey", key.get("entityType", ""), "names no entity")
    if kind:
        ledger.find(kind, key["entityReference"])
    elif key["entityReference"] != ledger.platform:
        raise bad("entityKey.entityReference", key["entityReference"], "is not the balance platform")
    for name in rule["ruleRestrictions"]:
        if name not in _JUDGED:
            raise bad(f"ruleRestrictions.{name}", "", "is not judged by this simulator")


def _meets(transfer: Json, rule: Json) -> bool:
    restrictions = rule["ruleRestrictions"]
    kind = next((_TYPE_OF[name] for name, value in transfer["counterparty"].items() if value), "")
    types = restrictions.get("counterpartyTypes")
    if types is not None and not _compares(types["operation"], kind, types.get("value", [])):
        return False
    amount = restrictions.get("totalAmount")
    if amount is None:
        return True
    limit, value = amount.get("value", {}), transfer["amount"]
    return bool(limit.get("currency") == value["currency"]) and _exceeds(amount["operation"], value, limit)


def _compares(operation: str, kind: str, values: list[str]) -> bool:
    return (kind in values) if operation == "anyMatch" else (kind not in values)


def _exceeds(operation: str, value: Json, limit: Json) -> bool:
    tests = {
        "greaterThan": value["value"] > limit["value"],
        "greaterThanOrEqualTo": value["value"] >= limit["value"],
        "lessThan": value["value"] < limit["value"],
        "lessThanOrEqualTo": value["value"] <= limit["value"],
        "equals": value["value"] == limit["value"],
        "notEquals": value["value"] != limit["value"],
    }
    return bool(tests.get(operation, False))
