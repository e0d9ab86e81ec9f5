"""Requests about Accounts v2, put in the words of v1, in which everything else here reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paycordon_stripe.shapes import Node


def account_as_v1(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what parameters of `v2.core.accounts` say of a merchant, by the names that v1 has for it.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    node = Node(params, "params")
    identity, profile = node.child("identity"), node.child("defaults").child("profile")
    business, merchant = identity.child("business_details"), node.child("configuration").child("merchant")
    support = merchant.child("support")
    country = identity.text("country")
    return {
        "email": node.text("contact_email"),
        "country": country.upper() if country else None,
        "metadata": params.get("metadata"),
        "business_profile": {
            "name": profile.text("doing_business_as") or node.text("display_name"),
            "url": profile.text("business_url"),
            "mcc": merchant.text("mcc"),
            "support_email": support.text("email"),
            "support_phone": support.text("phone"),
            "support_url": support.text("url"),
        },
        "company": {
            "name": business.text("registered_name"),
            "phone": business.text("phone") or node.text("contact_phone"),
            "tax_id": _tax_id(business),
        },
        "individual": person_as_v1(identity.child("individual")),
        "settings": {"payments": {"statement_descriptor": merchant.child("statement_descriptor").text("descriptor")}},
        "tos_acceptance": {
            "ip": identity.child("attestations").child("terms_of_service").child("account").text("ip"),
        },
    }


def person_as_v1(node: Node) -> dict[str, Any]:
    """Return what v2 says of a person, by the names of v1."""
    return {
        "first_name": node.text("given_name"),
        "last_name": node.text("surname"),
        "email": node.text("email"),
        "phone": node.text("phone"),
    }


def _tax_id(business: Node) -> str | None:
    numbers = business.fields().get("id_numbers")
    if not isinstance(numbers, list):
        return None
    return next((found for each in numbers if (found := Node(each, "id_numbers").text("value"))), None)
