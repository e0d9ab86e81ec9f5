"""Payment intents, so far as a platform under test makes and cancels them."""

from __future__ import annotations

from paycordon_stripe.simulator import charges, shapes
from paycordon_stripe.simulator.calls import Call, merged_metadata, positive
from paycordon_stripe.simulator.ledger import Json
from paycordon_stripe.simulator.problems import Problem

_GIVEN = ("customer", "description", "on_behalf_of", "payment_method", "transfer_data", "transfer_group")
_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture", "processing")
_TO_THE_CHARGE = ("customer", "description", "on_behalf_of", "transfer_data", "transfer_group")


def retrieve(call: Call) -> Json:
    """Return one payment intent."""
    return call.ledger.find("payment_intents", call.owner, call.id)


def create(call: Call) -> Json:
    """Make a payment intent; with `confirm` and a payment method it is paid at once."""
    ledger, params = call.ledger, call.params
    new = shapes.made(
        "payment_intent",
        id=ledger.new_id("pi"),
        amount=positive(params["amount"]),
        created=ledger.now(),
        currency=params["currency"].lower(),
        livemode=ledger.livemode,
        metadata=merged_metadata({}, params.get("metadata")),
        **{name: params[name] for name in _GIVEN if name in params},
    )
    new["client_secret"] = f"{new['id']}_secret_simulated"
    new["status"] = "requires_confirmation" if new["payment_method"] else "requires_payment_method"
    ledger.add("payment_intents", call.owner, new, "payment_intent.created")
    return _pay(call, new) if params.get("confirm") else new


def confirm(call: Call) -> Json:
    """Pay a payment intent."""
    held = retrieve(call)
    if held["status"] not in _OPEN:
        raise _unexpected(held, "confirm")
    if call.params.get("payment_method"):
        held["payment_method"] = call.params["payment_method"]
    return _pay(call, held)


def cancel(call: Call) -> Json:
    """Cancel a payment intent that has not been paid.

    Raises:
        Problem: it has been paid or cancelled.
    """
    held = retrieve(call)
    if held["status"] not in _OPEN:
        raise _unexpected(held, "cancel")
    reason = call.params.get("cancellation_reason")
    changes = {"canceled_at": call.ledger.now(), "cancellation_reason": reason, "status": "canceled"}
    return call.ledger.edit(call.owner, held, changes, "payment_intent.canceled")


def _pay(call: Call, held: Json) -> Json:
    if not held["payment_method"]:
        raise _unexpected(held, "confirm")
    fields = {name: held[name] for name in _TO_THE_CHARGE}
    paid = charges.take(
        call.ledger,
        call.owner,
        held["amount"],
        held["currency"],
        held["payment_method"],
        payment_intent=held["id"],
        metadata=dict(held["metadata"]),
        **fields,
    )
    changes = {"amount_received": held["amount"], "latest_charge": paid["id"], "status": "succeeded"}
    return call.ledger.edit(call.owner, held, changes, "payment_intent.succeeded")


def _unexpected(held: Json, verb: str) -> Problem:
    text = f"You cannot {verb} this PaymentIntent because it has a status of {held['status']}."
    return Problem(400, text, code="payment_intent_unexpected_state")
