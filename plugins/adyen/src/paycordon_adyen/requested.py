"""What a call of the facilitator's backend asks for, as a canonical event, before Adyen hears of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from paycordon.adapting.fields import Node, problems
from paycordon.adapting.guarding import PENDING_PREFIX, Call
from paycordon.adapting.naming import named_in_url, unique
from paycordon.errors import PayloadInvalid
from paycordon.events import Account, Event, EventType, Identifier, Merchant, Mode, Payout
from paycordon_adyen.accounts import (
    identifiers_of,
    identifiers_of_bank_account,
    identifiers_of_entity,
    merchant_of,
)
from paycordon_adyen.money import money_of
from paycordon_adyen.translate import GATEWAY


class Whose(NamedTuple):
    """The account holder that a call is about; none while Adyen has none of it yet."""

    account_holder: str | None


def event_of(call: Call, whose: Whose, instance: str, mode: Mode, now: datetime) -> Event:
    """Return the event to screen before the call is made.

    Raises:
        PayloadInvalid: the parameters cannot be read, or carry a card number; what cannot be screened is not sent.
    """
    id_ = call.event_id()
    try:
        fields = _payout(call) if call.verb in _PAYOUTS else _account(call, whose)
        account = Account(
            id=whose.account_holder or f"{PENDING_PREFIX}{id_}",
            at_gateway=whose.account_holder is not None,
        )
        return Event(
            id=id_,
            occurred_at=now,
            gateway=GATEWAY,
            instance=instance,
            mode=mode,
            account=account,
            extra={"call": call.verb},
            **fields,
        )
    except ValidationError as error:
        raise PayloadInvalid(f"`{call.verb}` cannot be screened: {problems(error)}") from None


_PAYOUTS = ("transfers.create", "cashouts.create")


def _payout(call: Call) -> dict[str, Any]:
    node = Node(call.params, "params")
    counterparty = node.child("counterparty")
    payout = Payout(
        amount=money_of(node),
        method=node.text("priority") or node.text("category"),
        destination=counterparty.text("transferInstrumentId") or node.text("transferInstrumentId"),
        automatic=False,
    )
    return {
        "type": EventType.PAYOUT_REQUESTED,
        "payout": payout,
        "identifiers": identifiers_of_bank_account(counterparty.child("bankAccount")),
    }


def _account(call: Call, whose: Whose) -> dict[str, Any]:
    created = call.verb in ("account_holders.create", "legal_entities.create") or whose.account_holder is None
    merchant, identifiers = _SAID.get(call.verb, _nothing)(Node(call.params, "params"))
    return {
        "type": EventType.MERCHANT_ONBOARDING if created else EventType.MERCHANT_CHANGED,
        "merchant": merchant,
        "identifiers": identifiers,
    }


_Said = tuple[Merchant, tuple[Identifier, ...]]


def _nothing(_: Node) -> _Said:
    return Merchant(), ()


def _of_holder(node: Node) -> _Said:
    # A backend's own id is often a number, and Adyen makes texts of all metadata.
    metadata = {key: str(value) for key, value in node.child("metadata").fields().items() if value is not None}
    holder = Node({**node.fields(), "metadata": metadata}, "params")
    return merchant_of(holder), identifiers_of(holder)


def _of_entity(node: Node) -> _Said:
    return merchant_of(Node(None, "account holder"), node), identifiers_of_entity(node)


def _of_business_line(node: Node) -> _Said:
    return Merchant(), unique(each for web in node.children("webData") for each in named_in_url(web.text("webAddress")))


def _of_instrument(node: Node) -> _Said:
    return Merchant(), identifiers_of_bank_account(node.child("bankAccount"))


_SAID: Mapping[str, Callable[[Node], _Said]] = {
    "account_holders.create": _of_holder,
    "account_holders.update": _of_holder,
    "legal_entities.create": _of_entity,
    "legal_entities.update": _of_entity,
    "business_lines.create": _of_business_line,
    "business_lines.update": _of_business_line,
    "transfer_instruments.create": _of_instrument,
    "transfer_instruments.update": _of_instrument,
}
