"""What a call of the facilitator's backend asks for, as a canonical event, before Stripe hears of it."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from paycordon.errors import PayloadInvalid
from paycordon.events import Account, Event, EventType, Identifier, IdentifierKind, Mode, Payout
from paycordon_stripe.accounts import identifiers_of, identifiers_of_external_account, merchant_of, unique
from paycordon_stripe.money import money
from paycordon_stripe.shapes import Node
from paycordon_stripe.translate import GATEWAY, problems

PENDING_PREFIX = "pending-"
"""How the account of an `accounts.create` is called before Stripe has given it an id."""

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)


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
    try:
        fields = _account(call, id_) if call.verb.startswith("accounts.") else _payout(call)
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


def _payout(call: Call) -> dict[str, Any]:
    node = Node(call.params, "params")
    # The destination of a transfer is the account itself, not a bank account of it.
    of_bank = call.verb == "payouts.create"
    payout = Payout(
        amount=money(_amount(call.params), node.needed_text("currency")),
        method=node.text("method"),
        destination=node.text("destination") if of_bank else None,
        automatic=False,
    )
    return {"type": EventType.PAYOUT_REQUESTED, "account": Account(id=call.account), "payout": payout}


def _amount(params: Mapping[str, Any]) -> int:
    # Stripe takes a text of digits for a number, so what is screened has to as well.
    value = params.get("amount")
    if isinstance(value, str) and value.strip().isascii() and value.strip().lstrip("-").isdigit():
        return int(value)
    return Node(params, "params").needed_integer("amount")


def _account(call: Call, id_: str) -> dict[str, Any]:
    metadata = call.params.get("metadata") or {}
    # Stripe makes texts of all metadata, and a facilitator's own id is often a number.
    node = Node({**call.params, "metadata": {key: str(value) for key, value in dict(metadata).items()}}, "params")
    onboarding = call.verb == "accounts.create"
    payee = node.expanded("external_account")
    return {
        "type": EventType.MERCHANT_ONBOARDING if onboarding else EventType.MERCHANT_CHANGED,
        "account": Account(
            id=call.account or f"{PENDING_PREFIX}{id_}", at_gateway=bool(call.account), country=node.text("country")
        ),
        "merchant": merchant_of(node),
        "identifiers": (*identifiers_of(node), *identifiers_of_external_account(payee), *_numbers(node, payee)),
    }


def _numbers(node: Node, payee: Node) -> tuple[Identifier, ...]:
    """Return what only a request says in full; Stripe never shows these numbers again."""
    account_number = (payee.text("account_number") or "").replace(" ", "")
    return unique(
        (
            (IdentifierKind.TAX_ID, node.child("company").text("tax_id")),
            (IdentifierKind.IBAN, account_number if _IBAN.fullmatch(account_number) else None),
        )
    )
