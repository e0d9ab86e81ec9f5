"""Disputes, as the simulated API treats them, and how they go on."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from paycordon_stripe.simulator import shapes
from paycordon_stripe.simulator.calls import Call, matching, merged_metadata, page
from paycordon_stripe.simulator.ledger import Json, Ledger
from paycordon_stripe.simulator.problems import Problem

DEADLINE = timedelta(days=10)
_NEEDS_RESPONSE = ("needs_response", "warning_needs_response")
_OVER = ("won", "lost", "warning_closed", "prevented")
_SENTENCES = {"winning_evidence": "won", "losing_evidence": "lost"}
"""What, as `uncategorized_text`, decides a dispute at once: https://docs.stripe.com/testing#disputes."""


def listed(call: Call) -> Json:
    """Return one page of the disputes of an account or the platform."""
    held = call.ledger.shelf("disputes", call.owner).values()
    return page(call, matching(call, held, "charge", "payment_intent"), "/v1/disputes")


def retrieve(call: Call) -> Json:
    """Return one dispute."""
    return call.ledger.find("disputes", call.owner, call.id)


def update(call: Call) -> Json:
    """Add evidence and, unless `submit` is false, hand it in, which can be done once.

    Raises:
        Problem: the dispute is over, or evidence was handed in already.
    """
    ledger, params, held = call.ledger, call.params, retrieve(call)
    if held["status"] not in _NEEDS_RESPONSE:
        raise Problem(400, "This dispute is already closed or its evidence has been submitted.")
    evidence = {**held.get("evidence", {}), **params.get("evidence", {})}
    details = {**held["evidence_details"], "has_evidence": any(evidence.values())}
    changes: Json = {"evidence": evidence, "evidence_details": details}
    changes["metadata"] = merged_metadata(held.get("metadata", {}), params.get("metadata"))
    if params.get("submit", True) and "evidence" in params:
        details["submission_count"] = details.get("submission_count", 0) + 1
        changes["status"] = "under_review" if held["status"] == "needs_response" else "warning_under_review"
    ledger.edit(call.owner, held, changes, "charge.dispute.updated")
    decided = _SENTENCES.get(evidence.get("uncategorized_text", ""))
    if decided and "status" in changes:
        decide(ledger, call.owner, held, decided)
    return held


def close(call: Call) -> Json:
    """Accept a dispute: it is lost for good.

    Raises:
        Problem: it is over already, or under review.
    """
    held = retrieve(call)
    if held["status"] not in _NEEDS_RESPONSE:
        raise Problem(400, "This dispute cannot be closed.")
    decide(call.ledger, call.owner, held, "lost")
    return held


def open_(ledger: Ledger, owner: str, charge: Json, **fields: object) -> Json:
    """Open a dispute of a charge, as the payer's bank does; the amount leaves the balance unless it is an inquiry."""
    due = ledger.clock() + DEADLINE
    new = shapes.made(
        "dispute",
        id=ledger.new_id("dp"),
        amount=charge["amount"],
        charge=charge["id"],
        created=ledger.now(),
        currency=charge["currency"],
        livemode=ledger.livemode,
        payment_intent=charge.get("payment_intent"),
    )
    new["evidence_details"]["due_by"] = int(due.timestamp())
    new |= {"is_charge_refundable": str(fields.get("status", "")).startswith("warning")} | fields
    ledger.edit(owner, charge, {"disputed": new["status"] == "needs_response"}, "charge.updated")
    ledger.add("disputes", owner, new, "charge.dispute.created")
    if new["status"] == "needs_response":
        _move(ledger, owner, new, -new["amount"], "charge.dispute.funds_withdrawn")
    ledger.timeline.at(due, partial(_lapse, ledger, owner, new))
    return new


def decide(ledger: Ledger, owner: str, dispute: Json, status: str) -> None:
    """End a dispute: `won` gives the money back, `lost`, `warning_closed` and `prevented` do not.

    Money that was given back before the end, as some schemes do, says nothing about who wins.
    """
    if dispute["status"] in _OVER:
        return
    withdrawn = not dispute["status"].startswith("warning")
    final = status if withdrawn or status == "prevented" else "warning_closed"
    ledger.edit(owner, dispute, {"status": final}, "charge.dispute.closed")
    if withdrawn and final == "won":
        _move(ledger, owner, dispute, dispute["amount"], "charge.dispute.funds_reinstated")


def _lapse(ledger: Ledger, owner: str, dispute: Json) -> None:
    if dispute["status"] in _NEEDS_RESPONSE:
        dispute["evidence_details"] = {**dispute["evidence_details"], "past_due": True}
        decide(ledger, owner, dispute, "lost")


def _move(ledger: Ledger, owner: str, dispute: Json, amount: int, event: str) -> None:
    books = ledger.books.get(owner)
    if books is not None and amount < 0:
        books.take(dispute["currency"], -amount, ledger.clock())
    elif books is not None:
        books.add(dispute["currency"], amount, ledger.clock())
    ledger.emit(event, owner, dispute)
