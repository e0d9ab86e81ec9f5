"""New objects with every field that Stripe answers with, so that the SDK finds each attribute."""

from __future__ import annotations

import copy
from typing import Any

from paycordon_stripe.simulator import schedules

Json = dict[str, Any]

_REQUIREMENTS: Json = {
    "alternatives": [],
    "current_deadline": None,
    "currently_due": [],
    "disabled_reason": None,
    "errors": [],
    "eventually_due": [],
    "past_due": [],
    "pending_verification": [],
}
_OF_A_PERSON = {
    name: value for name, value in _REQUIREMENTS.items() if name not in ("current_deadline", "disabled_reason")
}
_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))

_PAYOUT: Json = {
    "object": "payout",
    "application_fee": None,
    "application_fee_amount": None,
    "automatic": False,
    "balance_transaction": None,
    "description": None,
    "destination": None,
    "failure_balance_transaction": None,
    "failure_code": None,
    "failure_message": None,
    "metadata": {},
    "method": "standard",
    "original_payout": None,
    "payout_method": None,
    "reconciliation_status": "not_applicable",
    "reversed_by": None,
    "source_type": "card",
    "statement_descriptor": None,
    "status": "pending",
    "trace_id": None,
    "type": "bank_account",
}
_TRANSFER: Json = {
    "object": "transfer",
    "amount_reversed": 0,
    "balance_transaction": None,
    "description": None,
    "destination_payment": None,
    "metadata": {},
    "reversed": False,
    "source_transaction": None,
    "source_type": "card",
    "transfer_group": None,
}
_REVERSAL: Json = {
    "object": "transfer_reversal",
    "balance_transaction": None,
    "destination_payment_refund": None,
    "metadata": {},
    "source_refund": None,
}
_CHARGE: Json = {
    "object": "charge",
    "amount_captured": 0,
    "amount_refunded": 0,
    "application": None,
    "application_fee": None,
    "application_fee_amount": None,
    "balance_transaction": None,
    "billing_details": {"address": _ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None},
    "calculated_statement_descriptor": None,
    "captured": False,
    "customer": None,
    "description": None,
    "disputed": False,
    "failure_balance_transaction": None,
    "failure_code": None,
    "failure_message": None,
    "fraud_details": {},
    "metadata": {},
    "on_behalf_of": None,
    "outcome": {"network_status": "approved_by_network", "reason": None, "risk_level": "normal", "type": "authorized"},
    "paid": True,
    "payment_intent": None,
    "payment_method": None,
    "payment_method_details": {
        "card": {"brand": "visa", "country": "US", "fingerprint": None, "last4": "4242", "network": "visa"},
        "type": "card",
    },
    "receipt_email": None,
    "receipt_number": None,
    "receipt_url": None,
    "refunded": False,
    "review": None,
    "shipping": None,
    "source_transfer": None,
    "statement_descriptor": None,
    "statement_descriptor_suffix": None,
    "status": "succeeded",
    "transfer_data": None,
    "transfer_group": None,
}
_REFUND: Json = {
    "object": "refund",
    "balance_transaction": None,
    "customer": None,
    "customer_account": None,
    "destination_details": {"card": {"type": "refund"}, "type": "card"},
    "metadata": {},
    "payment_intent": None,
    "payment_method": None,
    "reason": None,
    "receipt_number": None,
    "source_transfer_reversal": None,
    "status": "succeeded",
    "transfer_reversal": None,
}
_DISPUTE: Json = {
    "object": "dispute",
    "balance_transactions": [],
    "enhanced_eligibility_types": [],
    "evidence": {},
    "evidence_details": {
        "due_by": None,
        "enhanced_eligibility": {},
        "has_evidence": False,
        "past_due": False,
        "submission_count": 0,
    },
    "is_charge_refundable": False,
    "metadata": {},
    "payment_intent": None,
    "payment_method_details": {
        "card": {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"},
        "type": "card",
    },
    "reason": "fraudulent",
    "status": "needs_response",
}
_EARLY_FRAUD_WARNING: Json = {
    "object": "radar.early_fraud_warning",
    "actionable": True,
    "fraud_type": "misc",
    "payment_intent": None,
}
_REVIEW: Json = {
    "object": "review",
    "billing_zip": None,
    "charge": None,
    "closed_reason": None,
    "ip_address": None,
    "ip_address_location": None,
    "open": True,
    "opened_reason": "rule",
    "payment_intent": None,
    "reason": "rule",
    "session": None,
}
_PERSON: Json = {
    "object": "person",
    "additional_tos_acceptances": {"account": {"date": None, "ip": None, "user_agent": None}},
    "address": _ADDRESS,
    "dob": {"day": None, "month": None, "year": None},
    "email": None,
    "first_name": None,
    "future_requirements": _OF_A_PERSON,
    "id_number_provided": False,
    "last_name": None,
    "metadata": {},
    "phone": None,
    "relationship": {
        "authorizer": None,
        "director": False,
        "executive": False,
        "legal_guardian": False,
        "owner": False,
        "percent_ownership": None,
        "representative": False,
        "title": None,
    },
    "requirements": _OF_A_PERSON,
    "ssn_last_4_provided": False,
    "verification": {"status": "unverified"},
}
_BANK_ACCOUNT: Json = {
    "object": "bank_account",
    "account_holder_name": "Synthetic Holder",
    "account_holder_type": "company",
    "account_type": None,
    "available_payout_methods": ["standard"],
    "bank_name": "STRIPE TEST BANK",
    "country": "US",
    "currency": "usd",
    "default_for_currency": True,
    "fingerprint": None,
    "future_requirements": None,
    "last4": "6789",
    "metadata": {},
    "requirements": None,
    "routing_number": "110000000",
    "status": "new",
}
_CARD: Json = {
    "object": "card",
    "available_payout_methods": ["standard", "instant"],
    "brand": "Visa",
    "country": "US",
    "currency": "usd",
    "default_for_currency": True,
    "exp_month": 8,
    "exp_year": 2040,
    "fingerprint": None,
    "funding": "debit",
    "last4": "4242",
    "metadata": {},
    "name": "Synthetic Holder",
}
_PAYMENT_INTENT: Json = {
    "object": "payment_intent",
    "amount_received": 0,
    "canceled_at": None,
    "cancellation_reason": None,
    "capture_method": "automatic",
    "client_secret": None,
    "confirmation_method": "automatic",
    "customer": None,
    "description": None,
    "last_payment_error": None,
    "latest_charge": None,
    "metadata": {},
    "next_action": None,
    "on_behalf_of": None,
    "payment_method": None,
    "payment_method_types": ["card"],
    "processing": None,
    "review": None,
    "status": "requires_payment_method",
    "transfer_data": None,
    "transfer_group": None,
}
_TEMPLATES = {
    template["object"]: template
    for template in (
        _PAYOUT,
        _TRANSFER,
        _REVERSAL,
        _CHARGE,
        _REFUND,
        _DISPUTE,
        _EARLY_FRAUD_WARNING,
        _REVIEW,
        _PERSON,
        _BANK_ACCOUNT,
        _CARD,
        _PAYMENT_INTENT,
    )
}


def made(kind: str, **fields: Any) -> Json:
    """Return a new object of a kind; `fields` replace its own, `id` is among them."""
    return {**copy.deepcopy(_TEMPLATES[kind]), **fields}


def listing(data: list[Json], url: str) -> Json:
    """Return a list that is part of an object."""
    return {"object": "list", "data": data, "has_more": False, "url": url}


def capability(account: str, name: str) -> Json:
    """Return a capability nobody has requested."""
    return {
        "id": name,
        "object": "capability",
        "account": account,
        "future_requirements": copy.deepcopy(_REQUIREMENTS),
        "requested": False,
        "requested_at": None,
        "requirements": copy.deepcopy(_REQUIREMENTS),
        "status": "unrequested",
    }


def account(id_: str, created: int, country: str = "US") -> Json:
    """Return an account as it is right after its creation."""
    return {
        "id": id_,
        "object": "account",
        "business_profile": {
            "annual_revenue": None,
            "estimated_worker_count": None,
            "mcc": None,
            "name": None,
            "product_description": None,
            "support_address": None,
            "support_email": None,
            "support_phone": None,
            "support_url": None,
            "url": None,
        },
        "business_type": None,
        "capabilities": {},
        "charges_enabled": False,
        "company": None,
        "controller": {
            "fees": {"payer": "application_express"},
            "is_controller": True,
            "losses": {"payments": "application"},
            "requirement_collection": "stripe",
            "stripe_dashboard": {"type": "express"},
            "type": "application",
        },
        "country": country,
        "created": created,
        "default_currency": "usd",
        "details_submitted": False,
        "email": None,
        "external_accounts": listing([], f"/v1/accounts/{id_}/external_accounts"),
        "future_requirements": copy.deepcopy(_REQUIREMENTS),
        "groups": None,
        "individual": None,
        "metadata": {},
        "payouts_enabled": False,
        "requirements": copy.deepcopy(_REQUIREMENTS),
        "settings": {
            "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
            "card_payments": {
                "decline_on": {"avs_failure": False, "cvc_failure": False},
                "statement_descriptor_prefix": None,
            },
            "dashboard": {"display_name": None, "timezone": "Etc/UTC"},
            "payments": {"statement_descriptor": None},
            "payouts": {
                "debit_negative_balances": True,
                "schedule": {"delay_days": schedules.MINIMUM_DELAY, "interval": "daily"},
                "statement_descriptor": None,
            },
        },
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
        "type": "express",
    }
