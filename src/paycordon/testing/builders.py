"""Synthetic events with defaults, so that a test states only what it is about."""

from __future__ import annotations

from typing import Any

from paycordon.events import Event, EventType, Identifier, IdentifierKind, Stage
from paycordon.testing.clock import NOON

_AMOUNT = {"minor": 125_00, "currency": "EUR"}
_PARTS: dict[str, dict[str, Any]] = {
    Stage.PAYOUT: {"id": "po_1", "amount": _AMOUNT, "status": "pending", "method": "standard", "destination": "ba_1"},
    Stage.DISPUTE: {"id": "dp_1", "amount": _AMOUNT, "payment": "pay_1", "reason": "fraudulent", "status": "open"},
    Stage.PAYMENT: {"id": "pay_1", "amount": _AMOUNT, "payer": "fp_1", "payer_country": "NL"},
}


def make_event(type: EventType | str = EventType.MERCHANT_ONBOARDING, **overrides: Any) -> Event:  # noqa: A002 - the field's name
    """Build a synthetic event of a type; an override replaces a whole field and may be given as a plain dict.

    The same call builds the same event, id included, so events that must differ are given an `id`. Events of
    `merchant.*` carry an e-mail address and a web address under the reserved `.example` domain.

    Raises:
        pydantic.ValidationError: the overrides do not make an event.
    """
    fields: dict[str, Any] = {
        "id": f"evt_{type}",
        "type": type,
        "occurred_at": NOON,
        "gateway": "acme_pay",
        "instance": "acme",
        "account": {"id": "acct_1", "country": "NL", "charges_enabled": True, "payouts_enabled": True},
        "merchant": {"id": "m_1", "name": "Synthetic Shop", "country": "NL", "mcc": "5999"},
    }
    stage = type.split(".", 1)[0]
    if stage in _PARTS:
        fields[stage] = _PARTS[stage]
    if stage == Stage.MERCHANT:
        fields["identifiers"] = (
            Identifier(kind=IdentifierKind.EMAIL, value="owner@shop.example"),
            Identifier(kind=IdentifierKind.URL, value="https://shop.example/"),
        )
    return Event.model_validate(fields | overrides)
