"""Read what a message of Stripe's only names: the twin of a thin event, the charge of a dispute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import stripe

from paycordon.errors import PayloadInvalid
from paycordon.gateways import Message
from paycordon_stripe.errors import reading
from paycordon_stripe.shapes import Node
from paycordon_stripe.translate_payments import names_its_charge_only
from paycordon_stripe.translate_thin import V1, context_of, is_thin

_Options = stripe.RequestOptions


def fetch(client: stripe.StripeClient, message: Message) -> Message:
    """Return a message with its content; see `paycordon.gateways.Gateway.fetch`.

    Of a thin event that is its snapshot twin, under the twin's id: whoever subscribed to both has it judged once.
    """
    if is_thin(message):
        message = _twin(client, message)
    if names_its_charge_only(message):
        message = _with_charge(client, message)
    return message


def _twin(client: stripe.StripeClient, message: Message) -> Message:
    account = context_of(message.body)
    id_ = _safe(Node(message.body, "event").text("snapshot_event") or _named_twin(client, message.id, account))
    found = reading(lambda: client.v1.events.retrieve(id_, {}, _at(account)).to_dict())
    body = found if account is None else {**found, "account": account}
    twin = Message(Node(body, "event").needed_text("id"), Node(body, "event").needed_text("type"), body)
    if f"{V1}{twin.type}" != message.type:
        raise PayloadInvalid("the twin of a thin event is of another type")
    return twin


def _named_twin(client: stripe.StripeClient, id_: str, account: str | None) -> str:
    options: _Options = {} if account is None else {"stripe_context": account}
    thin = _safe(id_)
    # The SDK's own notification leaves the twin's id out; the event that it stands for has it.
    found = reading(lambda: client.v2.core.events.retrieve(thin, {}, options).to_dict())
    return Node(found, "event").needed_text("snapshot_event")


def _with_charge(client: stripe.StripeClient, message: Message) -> Message:
    """Put the charge in place of its id, with the account that it was for where that can be told."""
    envelope = Node(message.body, "event")
    data = envelope.child("data")
    object_ = data.child("object")
    id_, account = _safe(object_.needed_text("charge")), envelope.text("account")
    charge = reading(lambda: client.v1.charges.retrieve(id_, {}, _at(account)).to_dict())
    if account is None:
        charge = {**charge, **_sent_on(client, Node(charge, "charge"))}
    inner: Any = {**data.fields(), "object": {**object_.fields(), "charge": charge}}
    return Message(message.id, message.type, {**message.body, "data": inner})


def _sent_on(client: stripe.StripeClient, charge: Node) -> Mapping[str, Any]:
    """Say where a charge's money was sent, where separate transfers say it and all of them went to one account."""
    group = charge.text("transfer_group")
    if charge.child("transfer_data").reference("destination") or group is None:
        return {}
    listed = reading(lambda: client.v1.transfers.list({"transfer_group": group}).to_dict())
    accounts = {each.reference("destination") for each in Node({"list": listed}, "transfers").items("list")} - {None}
    return {"destination": accounts.pop()} if len(accounts) == 1 else {}


def _at(account: str | None) -> _Options:
    return {} if account is None else {"stripe_account": account}


def _safe(id_: str) -> str:
    if not (id_.isascii() and id_.replace("_", "").isalnum() and len(id_) <= 255):
        raise PayloadInvalid("the message names something by an id that is not one of stripe's")
    return id_
