"""What a call of the facilitator's backend asks for, as a canonical event, before Stripe hears of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic import ValidationError

from paycordon.adapting.fields import problems
from paycordon.adapting.guarding import PENDING_PREFIX, Call
from paycordon.adapting.naming import unique
from paycordon.errors import PayloadInvalid
from paycordon.events import Account, Event, EventType, Identifier, IdentifierKind, Merchant, Mode, Payout
from paycordon_stripe.accounts import (
    identifiers_of,
    identifiers_of_external_account,
    identifiers_of_person,
    merchant_of,
)
from paycordon_stripe.asked import PATH, said_of
from paycordon_stripe.money import money
from paycordon_stripe.requested_v2 import account_as_v1, person_as_v1
from paycordon_stripe.shapes import Node
from paycordon_stripe.translate import GATEWAY

_PAYOUTS: Mapping[str, str | None] = {
    "payouts.create": "destination",
    "transfers.create": None,  # its destination is the account itself, not a bank account of it
    "treasury.outbound_payments.create": "destination_payment_method",
    "treasury.outbound_transfers.create": "destination_payment_method",
    "money_management.outbound_payments.create": None,
    "money_management.payout_intents.create": None,
}
"""Which calls pay out, and where they name the bank account."""

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)


def event_of(call: Call, instance: str, mode: Mode, now: datetime) -> Event:
    """Return the event to screen before the call is made.

    Raises:
        PayloadInvalid: the parameters cannot be read, or carry a card number; what cannot be screened is not sent.
    """
    try:
        if call.verb in _PAYOUTS:
            payout = _payout(call)
            # Its delivery does not tell the other parameters.
            id_ = call.event_id(said_of(payout, payout.destination) if call.path == PATH else None)
            fields = {"type": EventType.PAYOUT_REQUESTED, "account": Account(id=call.account), "payout": payout}
        else:
            id_ = call.event_id()
            fields = _account(call, id_)
        return Event(
            id=id_,
            occurred_at=now,
            gateway=GATEWAY,
            instance=instance,
            mode=mode,
            extra={"call": call.verb},
            **fields,
        )
    except ValidationError as error:
        raise PayloadInvalid(f"`{call.verb}` cannot be screened: {problems(error)}") from None


def _payout(call: Call) -> Payout:
    node = Node(call.params, "params")
    where = _PAYOUTS[call.verb]
    method, destination = node.text("method"), node.text(where) if where else None
    if call.verb.startswith("money_management."):
        asked = node.child("amount")
        amount = money(_whole(asked.fields(), "value"), asked.needed_text("currency"))
        destination = node.child("to").text("payout_method")
    else:
        destination = destination or node.text("payout_method")
        amount = money(_whole(call.params, "amount"), node.needed_text("currency"))
    return Payout(amount=amount, method=method, destination=destination, automatic=False)


def _whole(params: Mapping[str, Any], key: str) -> int:
    # Stripe takes a text of digits for a number, so what is screened has to as well; the SDK makes one of a decimal.
    value = params.get(key)
    text = str(value).strip() if isinstance(value, str | Decimal) else ""
    if text.isascii() and text.lstrip("-").isdigit():
        return int(text)
    return Node(params, "params").needed_integer(key)


def _account(call: Call, id_: str) -> dict[str, Any]:
    onboarding = call.verb.endswith("accounts.create") and not call.account
    said = _SAID.get(call.verb, _nothing)(call.params)
    return {
        "type": EventType.MERCHANT_ONBOARDING if onboarding else EventType.MERCHANT_CHANGED,
        "account": Account(
            id=call.account or f"{PENDING_PREFIX}{id_}", at_gateway=bool(call.account), country=said.country
        ),
        "merchant": said.merchant,
        "identifiers": said.identifiers,
    }


class _Said(NamedTuple):
    """What a request says of the merchant."""

    merchant: Merchant = Merchant()
    identifiers: tuple[Identifier, ...] = ()
    country: str | None = None


def _nothing(_: Mapping[str, Any]) -> _Said:
    return _Said()


def _of_account(params: Mapping[str, Any]) -> _Said:
    metadata = params.get("metadata") or {}
    # Stripe makes texts of all metadata, and a facilitator's own id is often a number.
    node = Node({**params, "metadata": {key: str(value) for key, value in dict(metadata).items()}}, "params")
    payee = node.expanded("external_account")
    named = (*identifiers_of(node), *identifiers_of_external_account(payee), *_numbers(node, payee))
    return _Said(merchant_of(node), named, node.text("country"))


def _of_external_account(params: Mapping[str, Any]) -> _Said:
    node = Node(params, "params")
    payee = node.expanded("external_account")
    if not payee:
        payee = node.expanded("bank_account") or node  # the older name; an update says it without any
    return _Said(identifiers=(*identifiers_of_external_account(payee), *_numbers(Node(None, "none"), payee)))


def _of_person(params: Mapping[str, Any]) -> _Said:
    return _Said(identifiers=identifiers_of_person(Node(params, "params")))


def _of_person_v2(params: Mapping[str, Any]) -> _Said:
    return _Said(identifiers=identifiers_of_person(Node(person_as_v1(Node(params, "params")), "params")))


def _of_account_v2(params: Mapping[str, Any]) -> _Said:
    return _of_account(account_as_v1(params))


_SAID: Mapping[str, Callable[[Mapping[str, Any]], _Said]] = {
    "accounts.create": _of_account,
    "accounts.update": _of_account,
    "external_accounts.create": _of_external_account,
    "external_accounts.update": _of_external_account,
    "persons.create": _of_person,
    "persons.update": _of_person,
    "v2.accounts.create": _of_account_v2,
    "v2.accounts.update": _of_account_v2,
    "v2.persons.create": _of_person_v2,
    "v2.persons.update": _of_person_v2,
}


def _numbers(node: Node, payee: Node) -> tuple[Identifier, ...]:
    """Return what only a request says in full; Stripe never shows these numbers again."""
    account_number = (payee.text("account_number") or "").replace(" ", "").upper()
    return unique(
        (
            (IdentifierKind.TAX_ID, node.child("company").text("tax_id")),
            (IdentifierKind.IBAN, account_number if _IBAN.fullmatch(account_number) else None),
        )
    )
