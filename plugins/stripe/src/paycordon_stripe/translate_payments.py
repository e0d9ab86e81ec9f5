"""What Stripe's events about payments mean: charges, refunds, disputes, warnings of fraud, reviews. Pure.

Disputes of destination charges, warnings and reviews name a charge and say neither its amount nor whose it is: then the
charge has to be fetched. The status of a dispute is that of the object, never that of the event's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from paycordon.events import Account, Dispute, EventType, Payment
from paycordon.gateways import Message, NotCarried
from paycordon_stripe.money import money, money_of
from paycordon_stripe.shapes import Node, object_of

HELD_BY, PLATFORM = "held_by", "platform"
"""In `extra`: the object that an event is about is the platform's, and is read there."""

_Fields = dict[str, Any]
_Reader = Callable[[Node], _Fields | None]


def names_its_charge_only(message: Message) -> bool:
    """Tell whether a snapshot cannot be understood without the charge that it names."""
    envelope = Node(message.body, "event")
    of_platform = envelope.text("account") is None
    needs = message.type in _ABOUT_CHARGES or (message.type.startswith(("charge.dispute.", "refund.")) and of_platform)
    return needs and _is_id(envelope.child("data").child("object"), "charge")


def _dispute(type_: EventType) -> _Reader:
    def read(envelope: Node) -> _Fields | None:
        dispute = object_of(envelope)
        account = envelope.text("account")
        if account is not None:
            return {"type": type_, "account": Account(id=account), "dispute": dispute_of(dispute)}
        if _is_id(dispute, "charge"):
            raise NotCarried("whose the disputed charge is has to be read")
        account = _destination(dispute.expanded("charge"))
        if account is None:
            return None  # of the platform's own payment
        extra = {HELD_BY: PLATFORM}
        return {"type": type_, "account": Account(id=account), "dispute": dispute_of(dispute), "extra": extra}

    return read


def _is_id(node: Node, key: str) -> bool:
    return node.reference(key) is not None and not node.expanded(key)


def _warning(type_: EventType) -> _Reader:
    def read(envelope: Node) -> _Fields | None:
        warning = object_of(envelope)
        account, charge, extra = _whose(envelope, warning)
        if account is None:
            return None
        return {"type": type_, "account": Account(id=account), "dispute": warning_of(warning, charge), "extra": extra}

    return read


def warning_of(node: Node, charge: Node) -> Dispute:
    """Return an early fraud warning as the dispute that it may become; its amount is that of the charge.

    Raises:
        PayloadInvalid: it cannot be read.
    """
    return Dispute(
        id=node.needed_text("id"),
        amount=money_of(charge),
        payment=charge.text("id"),
        payer=_payer(charge),
        reason=node.text("fraud_type"),
        status="actionable" if node.flag("actionable") else "not_actionable",
    )


def _review(envelope: Node) -> _Fields | None:
    review = object_of(envelope)
    if review.reference("charge") is None:
        return None  # of a payment that was not made
    account, charge, extra = _whose(envelope, review)
    if account is None:
        return None
    why = {name: review.text(name) for name in ("opened_reason", "closed_reason")}
    extra = {**extra, "open": review.flag("open"), **{name: text for name, text in why.items() if text}}
    return {
        "type": EventType.PAYMENT_REVIEWED,
        "account": Account(id=account),
        "payment": _payment_of(charge, charge.needed_integer("amount")),
        "extra": extra,
    }


def _whose(envelope: Node, about: Node) -> tuple[str | None, Node, _Fields]:
    """Return whose the charge is that something is about, the charge, and who holds the object."""
    if _is_id(about, "charge"):
        raise NotCarried("the charge has to be read")
    charge = about.expanded("charge")
    account = envelope.text("account")
    if account is not None:
        return account, charge, {}
    return _destination(charge), charge, {HELD_BY: PLATFORM}


def _refund_failed(envelope: Node) -> _Fields | None:
    refund = object_of(envelope)
    account = envelope.text("account")
    if account is None and _is_id(refund, "charge"):
        raise NotCarried("whose the charge is has to be read")
    account = account or _destination(refund.expanded("charge"))
    if account is None:
        return None
    payment = Payment(id=refund.reference("charge") or refund.needed_text("id"), amount=money_of(refund))
    return {"type": EventType.PAYMENT_REFUND_FAILED, "account": Account(id=account), "payment": payment}


def dispute_of(node: Node) -> Dispute:
    """Return a Stripe dispute.

    Raises:
        PayloadInvalid: it cannot be read.
    """
    card = node.child("payment_method_details").child("card")
    return Dispute(
        id=node.needed_text("id"),
        amount=money_of(node),
        payment=node.reference("charge"),
        reason=node.text("reason"),
        status=node.text("status"),
        network_reason_code=node.text("network_reason_code") or card.text("network_reason_code"),
        due_at=node.child("evidence_details").time("due_by"),
    )


def _charge_succeeded(envelope: Node) -> _Fields | None:
    charge = object_of(envelope)
    if charge.flag("captured") is False:
        return None  # only authorised; `charge.captured` follows when money moves
    return _payment(envelope, charge, EventType.PAYMENT_SUCCEEDED, charge.needed_integer("amount"))


def _charge_failed(envelope: Node) -> _Fields | None:
    charge = object_of(envelope)
    return _payment(envelope, charge, EventType.PAYMENT_FAILED, charge.needed_integer("amount"))


def _charge_captured(envelope: Node) -> _Fields | None:
    charge = object_of(envelope)
    return _payment(envelope, charge, EventType.PAYMENT_SUCCEEDED, charge.needed_integer("amount_captured"))


def _charge_refunded(envelope: Node) -> _Fields | None:
    # `amount_refunded` is the sum of all refunds so far; this event is about the latest.
    charge = object_of(envelope)
    before = envelope.child("data").child("previous_attributes").integer("amount_refunded") or 0
    return _payment(envelope, charge, EventType.PAYMENT_REFUNDED, charge.needed_integer("amount_refunded") - before)


def _payment(envelope: Node, charge: Node, type_: EventType, amount: int) -> _Fields | None:
    account = envelope.text("account") or _destination(charge)
    if account is None:
        return None
    return {"type": type_, "account": Account(id=account), "payment": _payment_of(charge, amount)}


def _payment_of(charge: Node, amount: int) -> Payment:
    return Payment(
        id=charge.needed_text("id"),
        amount=money(amount, charge.needed_text("currency")),
        payer=_payer(charge),
        payer_country=_details(charge).text("country"),
    )


def _payer(charge: Node) -> str | None:
    return _details(charge).text("fingerprint") or charge.reference("customer")


def _details(charge: Node) -> Node:
    method = charge.child("payment_method_details")
    return method.child(method.text("type") or "card")


def _destination(charge: Node) -> str | None:
    """Return the connected account a platform's charge is for: of a destination charge, or on behalf of whom."""
    transfer = charge.child("transfer_data").reference("destination")
    return transfer or charge.reference("destination") or charge.reference("on_behalf_of")


_dispute_updated = _dispute(EventType.DISPUTE_UPDATED)

READERS: Mapping[str, _Reader] = {
    "charge.dispute.created": _dispute(EventType.DISPUTE_OPENED),
    "charge.dispute.updated": _dispute_updated,
    "charge.dispute.closed": _dispute_updated,
    "charge.dispute.funds_withdrawn": _dispute_updated,
    "charge.dispute.funds_reinstated": _dispute_updated,
    "radar.early_fraud_warning.created": _warning(EventType.DISPUTE_WARNED),
    "radar.early_fraud_warning.updated": _warning(EventType.DISPUTE_UPDATED),
    "review.opened": _review,
    "review.closed": _review,
    "charge.succeeded": _charge_succeeded,
    "charge.failed": _charge_failed,
    "charge.captured": _charge_captured,
    "charge.refunded": _charge_refunded,
    "refund.failed": _refund_failed,
}
"""By type: what reads it."""

_ABOUT_CHARGES = frozenset(type_ for type_ in READERS if type_.startswith(("radar.", "review.")))
