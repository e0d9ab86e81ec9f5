"""Build synthetic webhook events in the shape of Stripe's own, for tests and demonstrations."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

Json = dict[str, Any]
API_VERSION = "2026-10-28.endive"
_numbers = itertools.count(1)


def event(
    type_: str,
    object_: Json,
    at: datetime,
    *,
    account: str | None = None,
    previous: Json | None = None,
    livemode: bool = True,
    id_: str | None = None,
) -> Json:
    """Wrap an object into a snapshot event.

    Args:
        type_: Stripe's event type, as `payout.created`.
        object_: the object the event is about.
        at: when it happened.
        account: the connected account; none for what happens at the platform itself.
        previous: what changed attributes were before, for `*.updated`.
        livemode: whether real money is concerned.
        id_: the event's id, a new one by default.
    """
    data: Json = {"object": object_}
    if previous is not None:
        data["previous_attributes"] = previous
    envelope: Json = {
        "id": id_ or f"evt_1Sim{next(_numbers):016d}",
        "object": "event",
        "api_version": API_VERSION,
        "created": int(at.timestamp()),
        "data": data,
        "livemode": livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type_,
    }
    return envelope if account is None else {**envelope, "account": account}


def account(id_: str, at: datetime, **fields: Any) -> Json:
    """Return an enabled account of a synthetic company; `fields` replace its own."""
    made: Json = {
        "id": id_,
        "object": "account",
        "type": "express",
        "business_type": "company",
        "business_profile": {
            "mcc": "5734",
            "name": "Synthetic Goods",
            "support_email": "help@shop.example",
            "support_phone": "+15555550100",
            "url": "https://www.shop.example/start",
        },
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "company": {"name": "Synthetic Goods Ltd", "phone": "+15555550101"},
        "country": "US",
        "created": int(at.timestamp()) - 86_400,
        "default_currency": "usd",
        "details_submitted": True,
        "email": "owner@shop.example",
        "external_accounts": {"object": "list", "data": [bank_account("ba_1Sim1", id_)], "has_more": False},
        "metadata": {},
        "payouts_enabled": True,
        "requirements": {"currently_due": [], "disabled_reason": None},
        "settings": {
            "card_payments": {"statement_descriptor_prefix": "SYNTH"},
            "payments": {"statement_descriptor": "SYNTHETIC GOODS"},
            "payouts": {"schedule": {"delay_days": 2, "interval": "daily"}},
        },
        "tos_acceptance": {"date": int(at.timestamp()) - 80_000, "ip": "192.0.2.7", "user_agent": None},
    }
    return {**made, **fields}


def bank_account(id_: str, account_id: str, fingerprint: str = "fpSynthetic0001") -> Json:
    """Return a bank account that payouts go to."""
    return {
        "id": id_,
        "object": "bank_account",
        "account": account_id,
        "account_holder_name": "Synthetic Goods Ltd",
        "account_holder_type": "company",
        "bank_name": "STRIPE TEST BANK",
        "country": "US",
        "currency": "usd",
        "fingerprint": fingerprint,
        "last4": "6789",
        "status": "new",
    }


def debit_card(id_: str, account_id: str, fingerprint: str = "fpSyntheticCard1") -> Json:
    """Return a debit card that payouts go to."""
    return {
        "id": id_,
        "object": "card",
        "account": account_id,
        "brand": "Visa",
        "country": "US",
        "currency": "usd",
        "fingerprint": fingerprint,
        "last4": "4242",
        "name": "Ada Synthetic",
    }


def person(id_: str, account_id: str, **fields: Any) -> Json:
    """Return a person behind an account."""
    made = {"id": id_, "object": "person", "account": account_id, "first_name": "Ada", "last_name": "Synthetic"}
    return {**made, "email": "ada@shop.example", "phone": "+15555550102", **fields}


def payout(id_: str, at: datetime, amount: int = 12_500, currency: str = "usd", **fields: Any) -> Json:
    """Return a payout."""
    made: Json = {
        "id": id_,
        "object": "payout",
        "amount": amount,
        "arrival_date": int(at.timestamp()) + 172_800,
        "automatic": True,
        "created": int(at.timestamp()),
        "currency": currency,
        "destination": "ba_1Sim1",
        "livemode": True,
        "method": "standard",
        "source_type": "card",
        "status": "pending",
        "type": "bank_account",
    }
    return {**made, **fields}


def dispute(id_: str, at: datetime, amount: int = 4_200, currency: str = "eur", **fields: Any) -> Json:
    """Return a dispute of a card payment."""
    made: Json = {
        "id": id_,
        "object": "dispute",
        "amount": amount,
        "charge": "ch_1Sim1",
        "created": int(at.timestamp()),
        "currency": currency,
        "evidence_details": {"due_by": int(at.timestamp()) + 864_000, "has_evidence": False, "past_due": False},
        "is_charge_refundable": True,
        "livemode": True,
        "payment_intent": "pi_1Sim1",
        "payment_method_details": {"card": {"brand": "visa", "network_reason_code": "10.4"}, "type": "card"},
        "reason": "fraudulent",
        "status": "needs_response",
    }
    return {**made, **fields}


def charge(id_: str, at: datetime, amount: int = 4_200, currency: str = "eur", **fields: Any) -> Json:
    """Return a captured card payment."""
    made: Json = {
        "id": id_,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "captured": True,
        "created": int(at.timestamp()),
        "currency": currency,
        "customer": None,
        "livemode": True,
        "payment_method_details": {"card": {"country": "DE", "fingerprint": "fpPayer00000001"}, "type": "card"},
        "refunded": False,
        "status": "succeeded",
    }
    return {**made, **fields}


def capability(name: str, account_id: str, **fields: Any) -> Json:
    """Return a capability of an account."""
    made: Json = {"id": name, "object": "capability", "account": account_id, "requested": True, "status": "active"}
    return {**made, "requirements": {"currently_due": [], "disabled_reason": None}, **fields}


def transfer(id_: str, account_id: str, at: datetime, amount: int = 900, currency: str = "usd", **fields: Any) -> Json:
    """Return a transfer from the platform to an account."""
    made: Json = {"id": id_, "object": "transfer", "amount": amount, "amount_reversed": 0, "currency": currency}
    return {**made, "created": int(at.timestamp()), "destination": account_id, "reversed": False, **fields}


def refund(id_: str, at: datetime, amount: int = 1_000, currency: str = "eur", **fields: Any) -> Json:
    """Return a refund of a card payment."""
    made: Json = {"id": id_, "object": "refund", "amount": amount, "charge": "ch_1Sim1", "currency": currency}
    return {**made, "created": int(at.timestamp()), "status": "succeeded", **fields}


def early_fraud_warning(id_: str, of: Json | str, at: datetime, **fields: Any) -> Json:
    """Return a card scheme's warning of a charge, given whole or by its id."""
    made: Json = {"id": id_, "object": "radar.early_fraud_warning", "actionable": True, "charge": of}
    return {**made, "created": int(at.timestamp()), "fraud_type": "misc", "livemode": True, **fields}


def review(id_: str, of: Json | str, at: datetime, **fields: Any) -> Json:
    """Return a review of a charge, given whole or by its id."""
    made: Json = {"id": id_, "object": "review", "charge": of, "created": int(at.timestamp()), "open": True}
    return {**made, "closed_reason": None, "opened_reason": "rule", "reason": "rule", **fields}
