"""What a Stripe account says about a merchant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from pydantic import JsonValue

from paycordon.cardnumbers import looks_like_card_number
from paycordon.errors import PayloadInvalid
from paycordon.events import Account, Identifier, IdentifierKind, Merchant
from paycordon_stripe.shapes import Node

MERCHANT_METADATA_KEY = "paycordon_merchant"
"""Where the facilitator may put its own merchant id in an account's metadata, to link accounts of several gateways."""

MAX_IDENTIFIERS = 256
MAX_TEXT = 2_048  # as `paycordon.events` takes
_Found = Iterator[tuple[IdentifierKind, str | None]]


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
        name=_fitted(name),
        country=node.text("country"),
        mcc=profile.text("mcc"),
        url=_fitted(profile.text("url")),
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


def unique(found: Iterable[tuple[IdentifierKind, str | None]]) -> tuple[Identifier, ...]:
    """Make identifiers of those values that are there, each once, in the order found.

    Raises:
        PayloadInvalid: a telephone number looks like a card number.
    """
    seen = dict.fromkeys((kind, text) for kind, value in found if (text := _fitted(value)))
    # An event takes telephone numbers as they are, for some pass the check by chance; none of those is a card number.
    if any(kind is IdentifierKind.PHONE and looks_like_card_number(value) for kind, value in seen if value):
        raise PayloadInvalid("a telephone number looks like a card number, which is never taken")
    return tuple(Identifier(kind=kind, value=value) for kind, value in seen)[:MAX_IDENTIFIERS]


def _fitted(text: str | None) -> str | None:
    """Make what a merchant wrote fit into an event: one too long would keep the account from being screened at all."""
    return text.replace("\0", "")[:MAX_TEXT] if text else None


def facts_of(node: Node) -> dict[str, JsonValue]:
    """Return the few further facts of an account that a policy may want.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    capabilities = node.child("capabilities")
    facts: dict[str, JsonValue] = {
        "account_type": node.text("type"),
        "business_type": node.text("business_type"),
        "details_submitted": node.flag("details_submitted"),
        "disabled_reason": node.child("requirements").text("disabled_reason"),
        "capabilities": {name: capabilities.text(name) for name in capabilities.keys()[:64]},
    }
    return {key: value for key, value in facts.items() if value not in (None, {})}


def _named_in_account(node: Node) -> _Found:
    profile, company, individual = (node.child(key) for key in ("business_profile", "company", "individual"))
    yield IdentifierKind.EMAIL, node.text("email")
    yield IdentifierKind.EMAIL, profile.text("support_email")
    yield IdentifierKind.PHONE, profile.text("support_phone")
    yield IdentifierKind.PHONE, company.text("phone")
    yield from _named_in_url(profile.text("url"))
    yield from _named_in_url(profile.text("support_url"))
    yield IdentifierKind.LEGAL_ENTITY, company.text("name")
    yield from _named_in_person(individual)
    yield IdentifierKind.IP, node.child("tos_acceptance").text("ip")
    settings = node.child("settings")
    yield IdentifierKind.DESCRIPTOR, settings.child("payments").text("statement_descriptor")
    yield IdentifierKind.DESCRIPTOR, settings.child("card_payments").text("statement_descriptor_prefix")
    for external in node.items("external_accounts"):
        yield from _named_in_external_account(external)


def _named_in_person(node: Node) -> _Found:
    yield IdentifierKind.PERSON, _person_name(node)
    yield IdentifierKind.EMAIL, node.text("email")
    yield IdentifierKind.PHONE, node.text("phone")


def _named_in_external_account(node: Node) -> _Found:
    if node.text("object") == "card":
        yield IdentifierKind.CARD_FINGERPRINT, node.text("fingerprint")
        yield IdentifierKind.PERSON, node.text("name")
        return
    # Stable across the accounts of one platform only: it links accounts here and means nothing elsewhere.
    yield IdentifierKind.BANK_ACCOUNT, node.text("fingerprint")
    of_company = node.text("account_holder_type") == "company"
    yield IdentifierKind.LEGAL_ENTITY if of_company else IdentifierKind.PERSON, node.text("account_holder_name")


def _named_in_url(url: str | None) -> _Found:
    yield IdentifierKind.URL, url
    yield IdentifierKind.DOMAIN, host_of(url) if url else None


def host_of(url: str) -> str | None:
    """Return the host of a web address, which merchants write with or without a scheme."""
    try:
        return urlsplit(url if "//" in url else f"//{url}").hostname
    except ValueError:
        return None


def _person_name(node: Node) -> str | None:
    names = [name for name in (node.text("first_name"), node.text("last_name")) if name]
    return " ".join(names) or None
