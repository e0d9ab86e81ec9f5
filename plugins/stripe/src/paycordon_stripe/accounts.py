"""What a Stripe account says about a merchant."""

from __future__ import annotations

from pydantic import JsonValue

from paycordon.adapting.naming import MERCHANT_METADATA_KEY, Named, fitted, named_in_url, person_name, unique
from paycordon.events import Account, Identifier, IdentifierKind, Merchant
from paycordon_stripe.shapes import Node


def account_of(node: Node, id_: str) -> Account:
    """Return the account as Stripe describes it.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    return Account(
        id=id_,
        country=node.text("country"),
        created_at=node.time("created"),
        charges_enabled=node.flag("charges_enabled"),
        payouts_enabled=node.flag("payouts_enabled"),
    )


def merchant_of(node: Node) -> Merchant:
    """Return the facilitator's customer behind an account.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    profile = node.child("business_profile")
    name = profile.text("name") or node.child("company").text("name") or _person_name(node.child("individual"))
    return Merchant(
        id=node.child("metadata").text(MERCHANT_METADATA_KEY),
        name=fitted(name),
        country=node.text("country"),
        mcc=profile.text("mcc"),
        url=fitted(profile.text("url")),
    )


def identifiers_of(node: Node) -> tuple[Identifier, ...]:
    """Return everything that names the merchant in an account, each once.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    return unique(_named_in_account(node))


def identifiers_of_external_account(node: Node) -> tuple[Identifier, ...]:
    """Return what names the holder and the bank account or card that payouts go to.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    return unique(_named_in_external_account(node))


def identifiers_of_person(node: Node) -> tuple[Identifier, ...]:
    """Return what names a person behind an account: representative, owner, director.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    return unique(_named_in_person(node))


def facts_of(node: Node) -> dict[str, JsonValue]:
    """Return the few further facts of an account that a policy may want.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    capabilities, company, individual = (node.child(key) for key in ("capabilities", "company", "individual"))
    address = company.child("address") or individual.child("address")
    banks: list[JsonValue] = [
        *sorted({text for each in node.items("external_accounts") if (text := each.text("country"))})
    ]
    facts: dict[str, JsonValue] = {
        "address_country": address.text("country"),
        "tax_id_provided": company.flag("tax_id_provided"),
        "bank_countries": banks,
        "account_type": node.text("type"),
        "business_type": node.text("business_type"),
        "details_submitted": node.flag("details_submitted"),
        "disabled_reason": node.child("requirements").text("disabled_reason"),
        "capabilities": {name: capabilities.text(name) for name in capabilities.keys()[:64]},
    }
    return {key: value for key, value in facts.items() if value not in (None, {}, [])}


def _named_in_account(node: Node) -> Named:
    profile, company, individual = (node.child(key) for key in ("business_profile", "company", "individual"))
    yield IdentifierKind.EMAIL, node.text("email")
    yield IdentifierKind.EMAIL, profile.text("support_email")
    yield IdentifierKind.PHONE, profile.text("support_phone")
    yield IdentifierKind.PHONE, company.text("phone")
    yield from named_in_url(profile.text("url"))
    yield from named_in_url(profile.text("support_url"))
    yield IdentifierKind.LEGAL_ENTITY, company.text("name")
    yield from _named_in_person(individual)
    yield IdentifierKind.IP, node.child("tos_acceptance").text("ip")
    settings = node.child("settings")
    yield IdentifierKind.DESCRIPTOR, settings.child("payments").text("statement_descriptor")
    yield IdentifierKind.DESCRIPTOR, settings.child("card_payments").text("statement_descriptor_prefix")
    for external in node.items("external_accounts"):
        yield from _named_in_external_account(external)


def _named_in_person(node: Node) -> Named:
    yield IdentifierKind.PERSON, _person_name(node)
    yield IdentifierKind.EMAIL, node.text("email")
    yield IdentifierKind.PHONE, node.text("phone")


def _named_in_external_account(node: Node) -> Named:
    if node.text("object") == "card":
        yield IdentifierKind.CARD_FINGERPRINT, node.text("fingerprint")
        yield IdentifierKind.PERSON, node.text("name")
        return
    # Stable across the accounts of one platform only: it links accounts here and means nothing elsewhere.
    yield IdentifierKind.BANK_ACCOUNT, node.text("fingerprint")
    of_company = node.text("account_holder_type") == "company"
    yield IdentifierKind.LEGAL_ENTITY if of_company else IdentifierKind.PERSON, node.text("account_holder_name")


def _person_name(node: Node) -> str | None:
    return person_name(node.text("first_name"), node.text("last_name"))
