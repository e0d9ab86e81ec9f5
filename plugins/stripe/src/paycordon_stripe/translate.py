"""What Stripe's snapshot events mean, in canonical events. Pure.

Stripe has no event for a new account: the first `account.updated` is it. So an `account.updated` is
`merchant.onboarding` when the merchant has just submitted its details, or cannot yet take payments and payouts without
ever having been able to; otherwise it is `merchant.changed`. An account that has just lost an ability is changed, not
new. The status of a payout or dispute is taken from the object, never from the name of the event: a dispute whose
funds are reinstated may still be lost.

Card numbers are looked for in what an event takes over, not in the rest of the payload: bank trace numbers and network
ids there are digits that pass the Luhn check by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from paycordon.adapting.fields import problems
from paycordon.errors import PayloadInvalid
from paycordon.events import Account, Dispute, Event, EventType, Mode, Payment, Payout
from paycordon.gateways import Message
from paycordon_stripe.accounts import (
    account_of,
    facts_of,
    identifiers_of,
    identifiers_of_external_account,
    identifiers_of_person,
    merchant_of,
)
from paycordon_stripe.money import money, money_of
from paycordon_stripe.shapes import Node

GATEWAY = "stripe"
_Fields = dict[str, Any]
_Reader = Callable[[Node], _Fields | None]


def translate(message: Message, instance: str, mode: Mode) -> list[Event]:
    """Say what a message means at an instance of a mode; unknown types and the other mode yield nothing.

    Raises:
        PayloadInvalid: a known type that cannot be read, or that carries a card number.
    """
    reader = _READERS.get(message.type)
    if reader is None:
        return []
    envelope = Node(message.body, "event")
    livemode = envelope.flag("livemode")
    if livemode is None:
        raise PayloadInvalid("`event.livemode` is missing")
    if livemode is not (mode is Mode.LIVE):
        return []
    try:
        fields = reader(envelope)
        return [_event(message, envelope, instance, mode, fields)] if fields else []
    except ValidationError as error:
        raise PayloadInvalid(f"the event cannot be taken over: {problems(error)}") from None


def _event(message: Message, envelope: Node, instance: str, mode: Mode, fields: _Fields) -> Event:
    occurred_at = envelope.time("created")
    if occurred_at is None:
        raise PayloadInvalid("`event.created` is missing")
    extra = {"stripe_type": message.type, **fields.pop("extra", {})}
    return Event(
        id=message.id,
        occurred_at=occurred_at,
        gateway=GATEWAY,
        instance=instance,
        mode=mode,
        extra=extra,
        **fields,
    )


def _object(envelope: Node) -> Node:
    found = envelope.child("data").child("object")
    if not found:
        raise PayloadInvalid("`event.data.object` is missing")
    return found


def _account_updated(envelope: Node) -> _Fields:
    account = _object(envelope)
    id_ = account.needed_text("id")
    if envelope.text("account") not in (None, id_):
        raise PayloadInvalid("`event.account` is not the account that the event is about")
    previous = envelope.child("data").child("previous_attributes")
    return {
        "type": EventType.MERCHANT_ONBOARDING if _is_onboarding(account, previous) else EventType.MERCHANT_CHANGED,
        "account": account_of(account, id_),
        "merchant": merchant_of(account),
        "identifiers": identifiers_of(account),
        "extra": {**facts_of(account), "changed": previous.keys()[:64]},
    }


def _is_onboarding(account: Node, previous: Node) -> bool:
    if previous.flag("details_submitted") is False and account.flag("details_submitted"):
        return True
    if previous.flag("charges_enabled") or previous.flag("payouts_enabled"):
        return False
    return not (account.flag("charges_enabled") and account.flag("payouts_enabled"))


def _application_authorized(envelope: Node) -> _Fields | None:
    # The object is our own application; who connected it stands in the envelope only.
    account = envelope.text("account")
    return {"type": EventType.MERCHANT_ONBOARDING, "account": Account(id=account)} if account else None


def _part_of_account(identifiers: Callable[[Node], Any], kind: str) -> _Reader:
    """Make a reader for a change of something that belongs to an account."""

    def read(envelope: Node) -> _Fields | None:
        part = _object(envelope)
        account = envelope.text("account") or part.reference("account")
        if account is None:
            return None
        return {
            "type": EventType.MERCHANT_CHANGED,
            "account": Account(id=account),
            "identifiers": identifiers(part),
            "extra": {"changed": [kind]},
        }

    return read


def _payout(type_: EventType) -> _Reader:
    def read(envelope: Node) -> _Fields | None:
        account = envelope.text("account")
        if account is None:
            return None  # the platform's own money
        payout = payout_of(_object(envelope))
        return {"type": type_, "account": Account(id=account), "payout": payout}

    return read


def payout_of(node: Node) -> Payout:
    """Return a Stripe payout.

    Raises:
        PayloadInvalid: it cannot be read.
    """
    return Payout(
        id=node.needed_text("id"),
        amount=money_of(node),
        status=node.text("status"),
        method=node.text("method"),
        destination=node.reference("destination"),
        automatic=node.flag("automatic"),
        arrival_at=node.time("arrival_date"),
    )


def _dispute(type_: EventType) -> _Reader:
    def read(envelope: Node) -> _Fields | None:
        dispute = _object(envelope)
        account = envelope.text("account") or _destination(dispute.expanded("charge"))
        if account is None:
            return None  # of the platform's own payment, or not to be told from the payload
        return {"type": type_, "account": Account(id=account), "dispute": dispute_of(dispute)}

    return read


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
    charge = _object(envelope)
    if charge.flag("captured") is False:
        return None  # only authorised; `charge.captured` follows when money moves
    return _payment(envelope, charge, EventType.PAYMENT_SUCCEEDED, charge.needed_integer("amount"))


def _charge_captured(envelope: Node) -> _Fields | None:
    charge = _object(envelope)
    return _payment(envelope, charge, EventType.PAYMENT_SUCCEEDED, charge.needed_integer("amount_captured"))


def _charge_refunded(envelope: Node) -> _Fields | None:
    # `amount_refunded` is the sum of all refunds so far; this event is about the latest.
    charge = _object(envelope)
    before = envelope.child("data").child("previous_attributes").integer("amount_refunded") or 0
    return _payment(envelope, charge, EventType.PAYMENT_REFUNDED, charge.needed_integer("amount_refunded") - before)


def _payment(envelope: Node, charge: Node, type_: EventType, amount: int) -> _Fields | None:
    account = envelope.text("account") or _destination(charge)
    if account is None:
        return None
    method = charge.child("payment_method_details")
    details = method.child(method.text("type") or "card")
    payment = Payment(
        id=charge.needed_text("id"),
        amount=money(amount, charge.needed_text("currency")),
        payer=details.text("fingerprint") or charge.reference("customer"),
        payer_country=details.text("country"),
    )
    return {"type": type_, "account": Account(id=account), "payment": payment}


def _destination(charge: Node) -> str | None:
    """Return the connected account a platform's charge is for: of a destination charge, or on behalf of whom."""
    transfer = charge.child("transfer_data").reference("destination")
    return transfer or charge.reference("destination") or charge.reference("on_behalf_of")


_external_account = _part_of_account(identifiers_of_external_account, "external_account")
_person = _part_of_account(identifiers_of_person, "person")
_payout_updated, _dispute_updated = _payout(EventType.PAYOUT_UPDATED), _dispute(EventType.DISPUTE_UPDATED)

_READERS: Mapping[str, _Reader] = {
    "account.updated": _account_updated,
    "account.application.authorized": _application_authorized,
    "account.external_account.created": _external_account,
    "account.external_account.updated": _external_account,
    "person.created": _person,
    "person.updated": _person,
    "payout.created": _payout(EventType.PAYOUT_REQUESTED),
    "payout.updated": _payout_updated,
    "payout.paid": _payout_updated,
    "payout.failed": _payout_updated,
    "payout.canceled": _payout_updated,
    "charge.dispute.created": _dispute(EventType.DISPUTE_OPENED),
    "charge.dispute.updated": _dispute_updated,
    "charge.dispute.closed": _dispute_updated,
    "charge.dispute.funds_withdrawn": _dispute_updated,
    "charge.dispute.funds_reinstated": _dispute_updated,
    "charge.succeeded": _charge_succeeded,
    "charge.captured": _charge_captured,
    "charge.refunded": _charge_refunded,
}
TRANSLATED_TYPES = tuple(sorted(_READERS))
"""The event types to subscribe an endpoint to."""
