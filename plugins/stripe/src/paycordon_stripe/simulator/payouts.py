"""Payouts, as the simulated API treats them, and how they go on by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from paycordon.simulation.timeline import DAY, next_midnight
from paycordon_stripe.simulator import external_accounts, shapes
from paycordon_stripe.simulator.calls import Call, matching, merged_metadata, page, positive
from paycordon_stripe.simulator.ledger import PLATFORM, Json, Ledger
from paycordon_stripe.simulator.problems import Problem, bad

INSTANT = timedelta(minutes=30)
_REVERSIBLE_IN = ("US", "CA")
_UNDER_WAY = ("pending", "in_transit")


def listed(call: Call) -> Json:
    """Return one page of the payouts of an account or the platform."""
    held = call.ledger.shelf("payouts", call.owner).values()
    asked = matching(call, held, "status", "destination", times=("created", "arrival_date"))
    return page(call, asked, "/v1/payouts")


def retrieve(call: Call) -> Json:
    """Return one payout."""
    return call.ledger.find("payouts", call.owner, call.id)


def create(call: Call) -> Json:
    """Pay out by hand.

    Raises:
        Problem: the balance does not hold as much, or payouts are switched off.
    """
    ledger, owner, params = call.ledger, call.owner, call.params
    amount, currency = positive(params["amount"]), params["currency"].lower()
    if owner != PLATFORM and not ledger.account(owner)["payouts_enabled"]:
        raise Problem(400, "This account cannot currently make payouts.", code="payouts_not_allowed")
    books = ledger.books.get(owner)
    if books is not None and books.available(currency) < amount:
        text = "You have insufficient funds in your Stripe account for this transfer."
        raise Problem(400, text, code="balance_insufficient", param="amount")
    given: Json = {name: params[name] for name in ("description", "method", "source_type", "statement_descriptor")
             if name in params}  # fmt: skip
    given["metadata"] = merged_metadata({}, params.get("metadata"))
    return start(ledger, owner, amount, currency, destination=params.get("destination"), **given)


def start(
    ledger: Ledger,
    owner: str,
    amount: int,
    currency: str,
    *,
    automatic: bool = False,
    destination: str | None = None,
    **fields: object,
) -> Json:
    """Put a payout on its way: the money leaves the balance at once."""
    now = ledger.clock()
    arrives = now + (INSTANT if fields.get("method") == "instant" else DAY * (1 + automatic))
    bank = external_accounts.default_of(ledger.accounts[owner], currency) if owner in ledger.accounts else None
    payout = shapes.made(
        "payout",
        id=ledger.new_id("po"),
        amount=amount,
        arrival_date=int(arrives.timestamp()),
        automatic=automatic,
        balance_transaction=ledger.new_id("txn"),
        created=ledger.now(),
        currency=currency,
        destination=destination or (bank["id"] if bank else None),
        livemode=ledger.livemode,
        type=bank["object"] if bank else "bank_account",
        **fields,
    )
    if owner in ledger.books:
        ledger.books[owner].take(currency, amount, now)
    ledger.changed(owner, f"payouts.{payout['id']}.status", None, "pending")
    ledger.add("payouts", owner, payout, "payout.created")
    ledger.timeline.at(min(next_midnight(now), arrives), partial(_go_on, ledger, owner, payout, "in_transit"))
    ledger.timeline.at(arrives, partial(_arrive, ledger, owner, payout))
    return payout


def update(call: Call) -> Json:
    """Change a payout's metadata, which is all that can be changed."""
    held = retrieve(call)
    changes = {"metadata": merged_metadata(held["metadata"], call.params.get("metadata"))}
    return call.ledger.edit(call.owner, held, changes, "payout.updated")


def cancel(call: Call) -> Json:
    """Cancel a payout, which Stripe does for pending ones that were made by hand.

    Raises:
        Problem: there is no such payout, or it cannot be cancelled any more.
    """
    payout = retrieve(call)
    if payout["automatic"] or payout["status"] != "pending":
        raise bad("id", "Payouts can only be canceled while they are pending and not automatic.", "payout_not_allowed")
    _set_status(call.ledger, call.owner, payout, {"status": "canceled"}, "payout.canceled")
    _give_back(call.ledger, call.owner, payout)
    return payout


def reverse(call: Call) -> Json:
    """Pull a payout back from the bank of a connected account; the money becomes available at once.

    Raises:
        Problem: it is the platform's, not to a bank in the US or Canada, under way, or reversed already.
    """
    payout = retrieve(call)
    if call.owner == PLATFORM or call.ledger.account(call.owner)["country"] not in _REVERSIBLE_IN:
        text = "Only payouts of connected accounts to bank accounts in the US and Canada can be reversed."
        raise bad("id", text, "payout_not_allowed")
    if payout["status"] == "pending" and not payout["automatic"]:
        raise bad("id", "This payout is pending; use the cancel endpoint instead.", "payout_not_allowed")
    if payout["status"] not in (*_UNDER_WAY, "paid") or payout["reversed_by"] or payout["original_payout"]:
        raise bad("id", "This payout cannot be reversed.", "payout_not_allowed")
    given = {"original_payout": payout["id"], "metadata": merged_metadata({}, call.params.get("metadata"))}
    back = shapes.made(
        "payout",
        id=call.ledger.new_id("po"),
        amount=-payout["amount"],
        arrival_date=call.ledger.now() + 86_400,
        created=call.ledger.now(),
        currency=payout["currency"],
        destination=payout["destination"],
        livemode=call.ledger.livemode,
        **given,
    )
    call.ledger.add("payouts", call.owner, back, "payout.created")
    call.ledger.edit(call.owner, payout, {"reversed_by": back["id"]}, "payout.updated")
    _give_back(call.ledger, call.owner, payout)
    arrives = datetime.fromtimestamp(back["arrival_date"], UTC)
    call.ledger.timeline.at(arrives, partial(_go_on, call.ledger, call.owner, back, "paid"))
    return back


def fail(ledger: Ledger, owner: str, payout: Json, code: str) -> None:
    """Let the bank send a payout back, also one that has been paid; the money is available again."""
    if payout["status"] not in (*_UNDER_WAY, "paid") or payout["reversed_by"] or payout["original_payout"]:
        return  # what has come back already does not come back twice
    changes = {
        "failure_balance_transaction": ledger.new_id("txn"),
        "failure_code": code,
        "failure_message": f"The bank returned the payout: {code}.",
        "status": "failed",
    }
    _set_status(ledger, owner, payout, changes, "payout.failed")
    _give_back(ledger, owner, payout)
    held = ledger.accounts.get(owner, {}).get("external_accounts", {}).get("data", ())
    for bank in held:
        if bank["id"] == payout["destination"]:
            ledger.edit(owner, bank, {"status": "errored"}, "account.external_account.updated")


def _go_on(ledger: Ledger, owner: str, payout: Json, status: str) -> None:
    if payout["status"] in _UNDER_WAY:
        event = "payout.paid" if status == "paid" else "payout.updated"
        _set_status(ledger, owner, payout, {"status": status}, event)


def _arrive(ledger: Ledger, owner: str, payout: Json) -> None:
    failing = ledger.shelf("failing", owner).get(payout["destination"])
    if failing is not None:
        fail(ledger, owner, payout, failing["code"])
    else:
        _go_on(ledger, owner, payout, "paid")


def _set_status(ledger: Ledger, owner: str, payout: Json, changes: Json, event: str) -> None:
    ledger.changed(owner, f"payouts.{payout['id']}.status", payout["status"], changes["status"])
    ledger.edit(owner, payout, changes, event)


def _give_back(ledger: Ledger, owner: str, payout: Json) -> None:
    if owner in ledger.books:
        ledger.books[owner].add(payout["currency"], payout["amount"], ledger.clock())
