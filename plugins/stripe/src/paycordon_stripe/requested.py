"""What a call of the facilitator's backend asks for, as a canonical event, before Stripe hears of it."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from paycordon.errors import PayloadInvalid
from paycordon.events import Account, Event, EventType, Mode, Payout
from paycordon_stripe.accounts import identifiers_of, identifiers_of_external_account, merchant_of
from paycordon_stripe.money import money
from paycordon_stripe.shapes import Node
from paycordon_stripe.translate import GATEWAY, problems

PENDING_PREFIX = "pending-"
"""How the account of an `accounts.create` is called before Stripe has given it an id."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call about to be made: `verb` as in `payouts.create`; `account` is empty for the platform itself."""

    verb: str
    account: str
    params: Mapping[str, Any]
    idempotency_key: str | None

    def event_id(self) -> str:
        """Name the request: the same for a retry with the same key and parameters, new for a call without a key."""
        if self.idempotency_key is None:
            return f"guard-{uuid.uuid4().hex}"
        text = json.dumps([self.verb, self.account, self.idempotency_key, self.params], sort_keys=True, default=str)
        return f"guard-{hashlib.sha256(text.encode()).hexdigest()[:40]}"


def event_of(call: Call, instance: str, mode: Mode, now: datetime) -> Event:
    """Return the event to screen before the call is made.

    Raises:
        PayloadInvalid: the parameters cannot be read, or carry a card number; what cannot be screened is not sent.
    """
    id_ = call.event_id()
    build = _transfer if call.verb == "transfers.create" else _payout if call.verb == "payouts.create" else _account
    try:
        return Event(
            id=id_,
            occurred_at=now,
            gateway=GATEWAY,
            instance=instance,
            mode=mode,
            extra={"call": call.verb},
            **build(call, id_),
        )
    except ValidationError as error:
        raise PayloadInvalid(f"`{call.verb}` cannot be screened: {problems(error)}") from None


def _payout(call: Call, id_: str) -> dict[str, Any]:
    node = Node(call.params, "params")
    payout = Payout(
        amount=money(_amount(call.params), node.needed_text("currency")),
        method=node.text("method"),
        destination=node.text("destination"),
        automatic=False,
    )
    return {"type": EventType.PAYOUT_REQUESTED, "account": Account(id=call.account), "payout": payout}


def _transfer(call: Call, id_: str) -> dict[str, Any]:
    payout = Payout(amount=money(_amount(call.params), Node(call.params, "params").needed_text("currency")))
    return {"type": EventType.PAYOUT_REQUESTED, "account": Account(id=call.account), "payout": payout}


def _amount(params: Mapping[str, Any]) -> int:
    # Stripe takes a text of digits for a number, so what is screened has to as well.
    value = params.get("amount")
    if isinstance(value, str) and value.strip().isascii() and value.strip().lstrip("-").isdigit():
        return int(value)
    return Node(params, "params").needed_integer("amount")


def _account(call: Call, id_: str) -> dict[str, Any]:
    node = Node(call.params, "params")
    onboarding = call.verb == "accounts.create"
    account = call.account or f"{PENDING_PREFIX}{id_}"
    payee = node.expanded("external_account")
    return {
        "type": EventType.MERCHANT_ONBOARDING if onboarding else EventType.MERCHANT_CHANGED,
        "account": Account(id=account, country=node.text("country")),
        "merchant": merchant_of(node),
        "identifiers": (*identifiers_of(node), *identifiers_of_external_account(payee)),
    }
