"""Early fraud warnings and reviews, as the simulated API treats them."""

from __future__ import annotations

from paycordon_stripe.simulator import shapes
from paycordon_stripe.simulator.calls import Call, matching, page
from paycordon_stripe.simulator.ledger import Json, Ledger
from paycordon_stripe.simulator.problems import Problem


def list_warnings(call: Call) -> Json:
    """Return one page of early fraud warnings."""
    held = call.ledger.shelf("early_fraud_warnings", call.owner).values()
    return page(call, matching(call, held, "charge", "payment_intent"), "/v1/radar/early_fraud_warnings")


def retrieve_warning(call: Call) -> Json:
    """Return one early fraud warning."""
    return call.ledger.find("early_fraud_warnings", call.owner, call.id)


def warn(ledger: Ledger, owner: str, charge: Json, fraud_type: str) -> Json:
    """Warn of a charge, as card schemes do."""
    new = shapes.made(
        "radar.early_fraud_warning",
        id=ledger.new_id("issfr"),
        actionable=not charge["refunded"] and not charge["disputed"],
        charge=charge["id"],
        created=ledger.now(),
        fraud_type=fraud_type,
        livemode=ledger.livemode,
        payment_intent=charge["payment_intent"],
    )
    return ledger.add("early_fraud_warnings", owner, new, "radar.early_fraud_warning.created")


def list_reviews(call: Call) -> Json:
    """Return one page of the reviews that are open."""
    held = [each for each in call.ledger.shelf("reviews", call.owner).values() if each["open"]]
    return page(call, matching(call, held), "/v1/reviews")


def retrieve_review(call: Call) -> Json:
    """Return one review."""
    return call.ledger.find("reviews", call.owner, call.id)


def approve(call: Call) -> Json:
    """Approve a payment under review.

    Raises:
        Problem: the review is closed.
    """
    held = retrieve_review(call)
    if not held["open"]:
        raise Problem(400, "This review is already closed.")
    changes = {"open": False, "closed_reason": "approved", "reason": "approved"}
    return call.ledger.edit(call.owner, held, changes, "review.closed")


def open_review(ledger: Ledger, owner: str, charge: Json, reason: str) -> Json:
    """Put a charge under review, as Radar's rules do."""
    new = shapes.made(
        "review",
        id=ledger.new_id("prv"),
        charge=charge["id"],
        created=ledger.now(),
        livemode=ledger.livemode,
        opened_reason=reason,
        payment_intent=charge["payment_intent"],
        reason=reason,
    )
    charge["review"] = new["id"]
    return ledger.add("reviews", owner, new, "review.opened")
