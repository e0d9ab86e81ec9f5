"""Balance accounts, as the balance platform treats them."""

from __future__ import annotations

import copy

from paycordon_adyen.simulator.calls import Call, merged, offset_page
from paycordon_adyen.simulator.ledger import Json, Ledger
from paycordon_adyen.simulator.problems import Problem


def create(call: Call) -> Json:
    """Create a balance account of an account holder, without money.

    Raises:
        Problem: there is no such account holder, or it is closed.
    """
    holder = call.ledger.find("accountHolders", call.body["accountHolderId"])
    if holder["status"] == "closed":
        raise Problem(422, "the account holder is closed", code="30_087")
    made = put(call.ledger, holder, call.body)
    call.ledger.event("balanceAccount.created", holder["id"], {"balanceAccount": shown(call.ledger, made["id"])})
    return shown(call.ledger, made["id"])


def put(ledger: Ledger, holder: Json, fields: Json) -> Json:
    """Put a balance account of an account holder there; the first one becomes its primary one."""
    made = {
        "defaultCurrencyCode": "EUR",
        "timeZone": "Europe/Amsterdam",
        **fields,
        "accountHolderId": holder["id"],
        "id": ledger.new_id("balanceAccounts"),
        "status": "active",
    }
    holder.setdefault("primaryBalanceAccount", made["id"])
    return ledger.put("balanceAccounts", made)


def retrieve(call: Call) -> Json:
    """Return a balance account with its balances."""
    return shown(call.ledger, call.id)


def of_holder(call: Call) -> Json:
    """Return a page of an account holder's balance accounts, which are shown without balances."""
    call.ledger.find("accountHolders", call.id)
    return offset_page(
        call, copy.deepcopy(call.ledger.of("balanceAccounts", accountHolderId=call.id)), "balanceAccounts"
    )


def update(call: Call) -> Json:
    """Change a balance account; to be closed is final.

    Raises:
        Problem: there is none, it is closed, or holds money and is to be closed.
    """
    before = call.ledger.find("balanceAccounts", call.id)
    if before["status"] == "closed":
        raise Problem(422, "the balance account is closed", code="30_087")
    books = call.ledger.books.get(call.id)
    if call.body.get("status") == "closed" and books is not None and any(books.balance.values()):
        raise Problem(422, "the balance account holds money", code="30_088")
    change(call.ledger, merged(before, call.body))
    return shown(call.ledger, call.id)


def change(ledger: Ledger, after: Json) -> None:
    """Put a new version of a balance account there, and tell of it if it differs."""
    owner = after["accountHolderId"]
    if ledger.replace("balanceAccounts", after, owner, f"balanceAccounts.{after['id']}."):
        ledger.event("balanceAccount.updated", owner, {"balanceAccount": shown(ledger, after["id"])})


def shown(ledger: Ledger, id_: str) -> Json:
    """Return a copy of a balance account, as it is answered.

    Raises:
        Problem: there is none.
    """
    found = copy.deepcopy(ledger.find("balanceAccounts", id_))
    books = ledger.books.get(id_)
    return {**found, "balances": books.shown() if books is not None else []}
