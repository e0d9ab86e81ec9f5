"""Transfer limits of balance accounts, and of the balance platform for all of them."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

from paycordon_adyen.simulator.calls import NO_CONTENT, Answered, Call
from paycordon_adyen.simulator.ledger import Json, Ledger
from paycordon_adyen.simulator.problems import Problem, bad, unknown

_OWNER = "owner"
_COUNTED = ("authorised", "booked")


def create(call: Call) -> Json:
    """Create a limit; one that starts in future is scheduled.

    Raises:
        Problem: there is no such account, or its amount is negative.
    """
    _require_owner(call)
    if call.body["amount"]["value"] < 0:
        raise bad("amount.value", call.body["amount"]["value"], "must not be negative")
    made = {
        **{name: value for name, value in call.body.items() if name != "scaInformation"},
        "id": call.ledger.new_id("transferLimits"),
        "startsAt": call.body.get("startsAt", call.ledger.stamp()),
        _OWNER: call.id,
    }
    call.ledger.put("transferLimits", made)
    _note(call.ledger, made, None, "made")
    return _shown(call.ledger, made)


def listed(call: Call) -> Json:
    """Return the limits of a balance account, or of the platform."""
    _require_owner(call)
    found = [_shown(call.ledger, each) for each in call.ledger.of("transferLimits", owner=call.id)]
    asked = {"scope": "scope", "transferType": "transferType", "status": "limitStatus"}
    kept = [e for e in found if all(e[f] == call.query[name] for name, f in asked.items() if name in call.query)]
    return {"transferLimits": kept}


def current(call: Call) -> Json:
    """Return the limits that are active now."""
    active = [each for each in listed(call)["transferLimits"] if each["limitStatus"] == "active"]
    return {"transferLimits": active}


def retrieve(call: Call) -> Json:
    """Return a limit."""
    return _shown(call.ledger, _found(call))


def delete(call: Call) -> Answered:
    """Delete a limit that is not active yet.

    Raises:
        Problem: there is none, or it is active.
    """
    held = _found(call)
    if _status(call.ledger, held) == "active":
        raise Problem(422, "an active transfer limit cannot be deleted", code="30_150")
    del call.ledger.shelf("transferLimits")[held["id"]]
    _note(call.ledger, held, "made", None)
    return NO_CONTENT


def owned(ledger: Ledger, account: str) -> list[Json]:
    """Return copies of the limits of a balance account."""
    return [_shown(ledger, each) for each in ledger.of("transferLimits", owner=account)]


def exceeded(ledger: Ledger, transfer: Json) -> bool:
    """Tell whether a transfer would go beyond an active limit; internal ones are not limited."""
    if transfer["category"] == "internal":
        return False
    account, amount = transfer["balanceAccount"]["id"], transfer["amount"]
    for owner in (account, ledger.platform):
        for limit in ledger.of("transferLimits", owner=owner, transferType="all"):
            if limit["amount"]["currency"] != amount["currency"] or _status(ledger, limit) != "active":
                continue
            before = _sent_today(ledger, account, amount["currency"]) if limit["scope"] == "perDay" else 0
            if before + amount["value"] > limit["amount"]["value"]:
                return True
    return False


def _sent_today(ledger: Ledger, account: str, currency: str) -> int:
    today = ledger.clock().date().isoformat()
    return sum(
        each["amount"]["value"]
        for each in ledger.shelf("transfers").values()
        if each["balanceAccount"]["id"] == account
        and each["amount"]["currency"] == currency
        and each["direction"] == "outgoing"
        and each["category"] != "internal"
        and each["status"] in _COUNTED
        and each["createdAt"].startswith(today)
    )


def _require_owner(call: Call) -> None:
    if call.id != call.ledger.platform:
        call.ledger.find("balanceAccounts", call.id)


def _found(call: Call) -> Json:
    held = call.ledger.find("transferLimits", call.id)
    if held[_OWNER] != call.ids[0]:
        raise unknown("transferLimits", call.id)
    return held


def _shown(ledger: Ledger, limit: Json) -> Json:
    shown = {name: value for name, value in limit.items() if name != _OWNER}
    return copy.deepcopy({**shown, "limitStatus": _status(ledger, limit)})


def _status(ledger: Ledger, limit: Json) -> str:
    now = ledger.clock()
    if _time(limit["startsAt"]) > now:
        return "scheduled"
    return "inactive" if "endsAt" in limit and _time(limit["endsAt"]) <= now else "active"


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise bad("startsAt", text, "is not a date and time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _note(ledger: Ledger, limit: Json, old: str | None, new: str | None) -> None:
    if limit[_OWNER] != ledger.platform:
        owner = ledger.holder_of(limit[_OWNER])["id"]
        ledger.changed(owner, f"transferLimits.{limit['id']}", old, new)
