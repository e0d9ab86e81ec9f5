"""What all transfers have in common: how they look, their events, the money they move, and what is told of them."""

from __future__ import annotations

import copy

from paycordon_adyen.simulator.ledger import Json, Ledger

_INNER = "inner"
_CATEGORY_DATA = {"bank": {"priority": "regular", "type": "bank"}, "internal": {"type": "internal"}}
_KINDS = ("balance", "received", "reserved")


def make(
    ledger: Ledger,
    account: str,
    amount: Json,
    category: str,
    direction: str,
    type_: str,
    counterparty: Json,
    **fields: object,
) -> Json:
    """Put a transfer there that nothing has happened to yet."""
    balance_account = ledger.find("balanceAccounts", account)
    holder = ledger.holder_of(account)
    now = ledger.stamp()
    transfer: Json = {
        "accountHolder": _reference(holder),
        "amount": copy.deepcopy(amount),
        "balanceAccount": _reference(balance_account),
        "balancePlatform": ledger.platform,
        "balances": [],
        "category": category,
        "categoryData": _CATEGORY_DATA.get(category),
        "counterparty": copy.deepcopy(counterparty),
        "createdAt": now,
        "creationDate": now,
        "direction": direction,
        "events": [],
        "id": ledger.new_reference(),
        "reference": "",
        "sequenceNumber": 0,
        "type": type_,
        _INNER: {},
        **copy.deepcopy(fields),
    }
    transfer["reference"] = transfer["reference"] or transfer["id"]
    return ledger.put("transfers", {name: value for name, value in transfer.items() if value is not None})


def _reference(of: Json) -> Json:
    return {name: of[name] for name in ("description", "id", "reference") if name in of}


def shown(transfer: Json) -> Json:
    """Return a copy of a transfer, as it is answered and told."""
    return copy.deepcopy({name: value for name, value in transfer.items() if name != _INNER})


def add_event(ledger: Ledger, transfer: Json, status: str, reason: str, **mutations: int) -> None:
    """Let something happen to a transfer: `mutations` of `balance`, `received` and `reserved`, in minor units."""
    currency = transfer["amount"]["currency"]
    event: Json = {
        "amount": copy.deepcopy(transfer["amount"]),
        "bookingDate": ledger.stamp(),
        "id": f"EVSIM{ledger.next_number('event'):010d}",
        "status": status,
        "type": "accounting",
    }
    if mutations:
        event["mutations"] = [{"currency": currency, **mutations}]
        _total(transfer, currency, mutations)
        books = ledger.books.get(transfer["balanceAccount"]["id"])
        if books is not None:
            books.add(currency, mutations.get("balance", 0))
            if transfer["direction"] == "outgoing":  # what is still to come in cannot be sent
                books.reserve(currency, -mutations.get("reserved", 0))
    owner = transfer["accountHolder"]["id"]
    ledger.changed(owner, f"transfers.{transfer['id']}.status", transfer.get("status"), status)
    transfer["events"].append(event)
    transfer["status"], transfer["reason"] = status, reason
    transfer["sequenceNumber"] += 1
    transfer["updatedAt"] = ledger.stamp()
    name = "transfer.created" if transfer["sequenceNumber"] == 1 else "transfer.updated"
    told = shown(transfer)
    told.pop("createdAt")
    ledger.event(name, owner, told)


def finish(ledger: Ledger, transfer: Json) -> None:
    """Book a transfer that has been authorised, or came in."""
    value, outgoing = transfer["amount"]["value"], transfer["direction"] == "outgoing"
    if outgoing and transfer["status"] == "authorised":
        add_event(ledger, transfer, "booked", "approved", balance=-value, reserved=value)
        if transfer["category"] == "internal":
            _arrive(ledger, transfer)
    elif not outgoing and transfer["status"] in ("received", "authorised"):
        add_event(ledger, transfer, "booked", "approved", received=-value, balance=value)


def _arrive(ledger: Ledger, sent: Json) -> None:
    """Book what one balance account has sent to another one."""
    target = sent["counterparty"]["balanceAccountId"]
    came = make(
        ledger, target, sent["amount"], "internal", "incoming", "internalTransfer",
        {"balanceAccountId": sent["balanceAccount"]["id"]}, reference=sent["reference"],
    )  # fmt: skip
    add_event(ledger, came, "received", "pending", received=sent["amount"]["value"])
    finish(ledger, came)
    ledger.arrived(target)


def _total(transfer: Json, currency: str, mutations: dict[str, int]) -> None:
    so_far: Json = (
        transfer["balances"][0] if transfer["balances"] else {"currency": currency, **dict.fromkeys(_KINDS, 0)}
    )
    transfer["balances"] = [{**so_far, **{name: so_far[name] + value for name, value in mutations.items()}}]
