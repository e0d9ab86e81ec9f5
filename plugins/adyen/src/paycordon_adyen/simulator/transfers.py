"""Transfers: what the platform or a sweep sends, from received to booked, with review, refusal, failure and return.

Accepted is not decided: the answer to a request says `received`, and what becomes of it follows in webhooks and is read
with the transfer, as at Adyen. Which restriction makes Adyen answer with which reason is not documented in full; here
whatever is suspended, closed or not allowed is `accountHierarchyNotActive`.
"""

from __future__ import annotations

import copy
from datetime import timedelta
from functools import partial

from paycordon_adyen.simulator import account_holders, limits, rules
from paycordon_adyen.simulator.calls import Answered, Call
from paycordon_adyen.simulator.ledger import Json, Ledger
from paycordon_adyen.simulator.moving import add_event, finish, make, shown
from paycordon_adyen.simulator.problems import Problem, bad, unknown

BOOKED_AFTER = timedelta(minutes=5)
LAPSES_AFTER = timedelta(days=30)
"""After which time a transfer that nobody has reviewed is not made any more."""

_CATEGORY_OF = {"transferInstrumentId": "bank", "bankAccount": "bank", "card": "card", "balanceAccountId": "internal"}
_CAPABILITY_OF = {
    "transferInstrumentId": "sendToTransferInstrument",
    "bankAccount": "sendToThirdParty",
    "card": "sendToThirdParty",
    "balanceAccountId": "sendToBalanceAccount",
}


def create(call: Call) -> Answered:
    """Take a transfer; with a review it waits for approval before anything moves.

    Raises:
        Problem: it names something that is not there, or does not go together.
    """
    transfer = put(call.ledger, call.body)
    fields = ("accountHolder", "amount", "balanceAccount", "category", "counterparty", "creationDate", "description")
    more = (
        "direction",
        "id",
        "reason",
        "reference",
        "referenceForBeneficiary",
        "review",
        "status",
        "type",
        "createdAt",
    )
    return Answered(202, {name: transfer[name] for name in (*fields, *more) if name in transfer})


def put(ledger: Ledger, asked: Json) -> Json:
    """Put a transfer on its way and return it as it was received.

    Raises:
        Problem: as `create`.
    """
    account = asked.get("balanceAccountId")
    if account is None:
        raise bad("balanceAccountId", "", "is required: transfers by payment instruments are not simulated")
    ledger.find("balanceAccounts", account)
    if asked["amount"]["value"] < 1:
        raise bad("amount.value", asked["amount"]["value"], "must be above zero")
    kind = _counterparty(ledger, account, asked)
    approvals = asked.get("review", {}).get("numberOfApprovalsRequired", 0)
    if not 0 <= approvals <= 2:
        raise bad("review.numberOfApprovalsRequired", approvals, "must be between 0 and 2")
    type_ = "internalTransfer" if kind == "balanceAccountId" else "cardTransfer" if kind == "card" else "bankTransfer"
    names = ("description", "reference", "referenceForBeneficiary", "ultimateParty", "executionDate")
    fields = {name: asked[name] for name in names if name in asked}
    if approvals:
        fields["review"] = {"numberOfApprovalsRequired": approvals, "scaOnApproval": "notApplicable"}
    transfer = make(
        ledger, account, asked["amount"], asked["category"], "outgoing", type_, asked["counterparty"], **fields
    )
    transfer["inner"] = {"capability": _CAPABILITY_OF[kind], "approvals": 0}
    add_event(ledger, transfer, "received", "pending", received=-asked["amount"]["value"])
    ledger.timeline.at(ledger.clock(), partial(_consider, ledger, transfer))
    return shown(transfer)


def by_sweep(ledger: Ledger, sweep: Json, amount: Json) -> str | None:
    """Let a sweep make its transfer, and return its id; one that pulls just gets the money."""
    given = {name: value for name, value in sweep["counterparty"].items() if value}
    named = {"reference": sweep.get("reference", sweep["id"]), "description": sweep.get("description", "")}
    if sweep["type"] == "pull":
        transfer = make(
            ledger, sweep["balance_account"], amount, "bank", "incoming", "bankTransfer",
            {name: value for name, value in given.items() if name != "merchantAccount"}, **named,
        )  # fmt: skip
        add_event(ledger, transfer, "received", "pending", received=amount["value"])
        finish(ledger, transfer)
        return str(transfer["id"])
    category = "bank" if "transferInstrumentId" in given else "internal"
    body = {"amount": amount, "balanceAccountId": sweep["balance_account"], "category": category, "counterparty": given}
    return str(put(ledger, {**body, **named})["id"])


def retrieve(call: Call) -> Json:
    """Return a transfer as it is now, with its events."""
    return shown(call.ledger.find("transfers", call.id))


def approve(call: Call) -> Answered:
    """Count an approval of each transfer; those that have enough go on. All of them or none.

    Raises:
        Problem: one of them does not wait for approval, or may not be made by its account holder any more.
    """
    waiting = _waiting(call)
    for transfer in waiting:
        transfer["inner"]["approvals"] += 1
        if transfer["inner"]["approvals"] >= transfer["review"]["numberOfApprovalsRequired"]:
            call.ledger.timeline.at(call.ledger.clock(), partial(_execute, call.ledger, transfer))
    return Answered(200, {})


def cancel(call: Call) -> Answered:
    """Cancel transfers that wait for approval, and no others. All of them or none.

    Raises:
        Problem: one of them does not wait for approval.
    """
    for transfer in _waiting(call):
        transfer["inner"]["done"] = True
        call.ledger.timeline.at(call.ledger.clock(), partial(_cancelled, call.ledger, transfer))
    return Answered(200, {})


def give_back(call: Call) -> Json:
    """Return an incoming bank transfer, or a part of it, to where it came from.

    Raises:
        Problem: it did not come in from a bank, or less of it is left.
    """
    original = call.ledger.find("transfers", call.id)
    asked = call.body["amount"]
    if original["category"] != "bank" or original["direction"] != "incoming" or original["status"] != "booked":
        raise Problem(422, "only booked incoming bank transfers can be returned", code="30_133")
    left = original["amount"]["value"] - original["inner"].get("returned", 0)
    if asked["currency"] != original["amount"]["currency"] or not 0 < asked["value"] <= left:
        raise bad("amount", asked["value"], f"at most {left} of the transfer can be returned")
    original["inner"]["returned"] = original["inner"].get("returned", 0) + asked["value"]
    reference = call.body.get("reference", original["id"])
    account = original["balanceAccount"]["id"]
    back = make(
        call.ledger, account, asked, "bank", "outgoing", "bankTransfer", original["counterparty"], reference=reference
    )
    add_event(call.ledger, back, "received", "pending", received=-asked["value"])
    add_event(call.ledger, back, "authorised", "approved", received=asked["value"], reserved=-asked["value"])
    call.ledger.timeline.at(call.ledger.clock() + BOOKED_AFTER, partial(finish, call.ledger, back))
    return {"id": back["id"], "reference": reference, "status": "Authorised", "transferId": original["id"]}


def fail(ledger: Ledger, id_: str, reason: str) -> None:
    """Let the bank send a transfer back, also one that has been booked; the money is there again.

    Raises:
        Problem: there is none, or it has neither been authorised nor booked.
    """
    transfer = ledger.find("transfers", id_)
    value = transfer["amount"]["value"]
    if transfer["status"] == "authorised":
        add_event(ledger, transfer, "failed", reason, reserved=value)
    elif transfer["status"] == "booked":
        add_event(ledger, transfer, "returned", reason, balance=value)
    else:
        raise Problem(422, f"the transfer is {transfer['status']}", code="30_133")


def require_own_instrument(ledger: Ledger, account: str, instrument: str) -> None:
    """Raise a `Problem` unless a transfer instrument belongs to whose a balance account is."""
    found = ledger.find("transferInstruments", instrument)
    if found["legalEntityId"] != ledger.holder_of(account)["legalEntityId"]:
        raise bad("counterparty.transferInstrumentId", instrument, "belongs to another legal entity")


def _counterparty(ledger: Ledger, account: str, asked: Json) -> str:
    given = [(name, value) for name, value in asked["counterparty"].items() if value]
    if len(given) != 1:
        raise bad("counterparty", "", "exactly one counterparty is required")
    kind, value = str(given[0][0]), given[0][1]
    if _CATEGORY_OF[kind] != asked["category"]:
        raise bad("category", asked["category"], f"a transfer to {kind} is of category {_CATEGORY_OF[kind]}")
    if kind == "transferInstrumentId":
        require_own_instrument(ledger, account, value)
    elif kind == "balanceAccountId":
        ledger.find("balanceAccounts", value)
        if value == account:
            raise bad("counterparty.balanceAccountId", value, "is where the money comes from")
    return kind


def _waiting(call: Call) -> list[Json]:
    ids = call.body.get("transferIds", [])
    if not ids or len(set(ids)) != len(ids):
        raise bad("transferIds", ids, "name each transfer once")
    found = [call.ledger.shelf("transfers").get(id_) for id_ in ids]
    for id_, transfer in zip(ids, found, strict=True):
        if transfer is None:
            raise unknown("transfers", id_)
        if transfer["status"] != "pendingApproval" or transfer["inner"].get("done"):
            raise Problem(422, f"transfer `{id_}` does not wait for approval", code="30_133")
    return [transfer for transfer in found if transfer is not None]


def _consider(ledger: Ledger, transfer: Json) -> None:
    if "review" not in transfer:
        _execute(ledger, transfer)
        return
    add_event(ledger, transfer, "pendingApproval", "pendingApproval")
    ledger.timeline.at(ledger.clock() + LAPSES_AFTER, partial(_lapse, ledger, transfer))


def _lapse(ledger: Ledger, transfer: Json) -> None:
    if transfer["status"] == "pendingApproval":
        add_event(ledger, transfer, "cancelled", "approvalExpired", received=transfer["amount"]["value"])


def _cancelled(ledger: Ledger, transfer: Json) -> None:
    add_event(ledger, transfer, "cancelled", "cancelled", received=transfer["amount"]["value"])


def _execute(ledger: Ledger, transfer: Json) -> None:
    """Authorise a transfer, or refuse it."""
    value = transfer["amount"]["value"]
    refusal, judged = _refusal(ledger, transfer)
    transfer["transactionRulesResult"] = judged
    if refusal is not None:
        add_event(ledger, transfer, "refused", refusal, received=value)
        return
    add_event(ledger, transfer, "authorised", "approved", received=value, reserved=-value)
    wait = timedelta(0) if transfer["category"] == "internal" else BOOKED_AFTER
    ledger.timeline.at(ledger.clock() + wait, partial(finish, ledger, transfer))


def _refusal(ledger: Ledger, transfer: Json) -> tuple[str | None, Json]:
    """Return why a transfer is not made, if it is not, and what transaction rules say of it."""
    account = ledger.find("balanceAccounts", transfer["balanceAccount"]["id"])
    holder = ledger.holder_of(account["id"])
    judged = rules.judged(ledger, transfer)
    if account["status"] != "active" or not account_holders.may(holder, transfer["inner"]["capability"]):
        return "accountHierarchyNotActive", judged
    if not judged["allHardBlockRulesPassed"]:
        return "declinedByTransactionRule", judged
    if limits.exceeded(ledger, transfer):
        return "amountLimitExceeded", judged
    books = ledger.books.get(account["id"])
    if books is not None and books.available(transfer["amount"]["currency"]) < transfer["amount"]["value"]:
        return "notEnoughBalance", judged
    return None, judged


def copied(ledger: Ledger, account_holder: str) -> list[Json]:
    """Return copies of an account holder's transfers, oldest first."""
    held = ledger.shelf("transfers").values()
    return [copy.deepcopy(shown(each)) for each in held if each["accountHolder"]["id"] == account_holder]
