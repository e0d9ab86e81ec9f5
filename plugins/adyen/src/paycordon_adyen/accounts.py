"""What an account holder, its legal entity and its transfer instruments say about a merchant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from paycordon.adapting.fields import Node
from paycordon.adapting.naming import MERCHANT_METADATA_KEY, Named, fitted, named_in_url, person_name, unique
from paycordon.events import Account, Identifier, IdentifierKind, Merchant

PAYING_OUT = ("sendToTransferInstrument", "sendToThirdParty", "payoutToTransferInstrument", "payout")
"""Capabilities without which nothing is paid out; the last two are older names that migrated account holders have."""

TAKING_IN = ("receivePayments", "receiveFromPlatformPayments", "receiveFromBalanceAccount")
"""Capabilities without which no money of payers comes in."""

_KINDS = ("organization", "individual", "soleProprietorship", "trust", "unincorporatedPartnership")


def account_of(holder: Node) -> Account:
    """Return the account as Adyen describes its account holder.

    Raises:
        PayloadInvalid: a field has another type than documented, or the id is missing.
    """
    return Account(
        id=holder.needed_text("id"),
        country=_country(holder.child("contactDetails").child("address")),
        charges_enabled=_allowed(holder, TAKING_IN),
        payouts_enabled=_allowed(holder, PAYING_OUT),
    )


def merchant_of(holder: Node, entity: Node | None = None) -> Merchant:
    """Return the facilitator's customer behind an account holder, and, if it was read, its legal entity.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    contact = holder.child("contactDetails")
    said = _said(entity) if entity else Node(None, "legal entity")
    name = _business_name(said) if entity_is_one(entity) else _individual_name(said)
    return Merchant(
        id=holder.child("metadata").text(MERCHANT_METADATA_KEY),
        name=fitted(name or holder.text("description")),
        country=_country(said.child("registeredAddress")) or _country(contact.child("address")),
        url=fitted(contact.text("webAddress") or said.child("webData").text("webAddress")),
    )


def entity_is_one(entity: Node | None) -> bool:
    """Tell whether a legal entity was read and is a business; a person's name has parts of its own."""
    return entity is not None and entity.text("type") != "individual"


def identifiers_of(holder: Node) -> tuple[Identifier, ...]:
    """Return everything that names the merchant in an account holder, each once.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    return unique(_named_in_holder(holder))


def identifiers_of_entity(entity: Node) -> tuple[Identifier, ...]:
    """Return everything that names a legal entity, or the person that it is, each once.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    return unique(_named_in_entity(entity))


def identifiers_of_instrument(instrument: Node) -> tuple[Identifier, ...]:
    """Return what names the bank account that payouts go to.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    return identifiers_of_bank_account(instrument.child("bankAccount"))


def identifiers_of_bank_account(account: Node) -> tuple[Identifier, ...]:
    """Return what names a bank account, and who holds it where that is said.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    return unique(_named_in_bank_account(account))


def facts_of(holder: Node) -> dict[str, JsonValue]:
    """Return the few further facts of an account holder that a policy may want.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    capabilities = holder.child("capabilities")
    names = capabilities.keys()[:64]
    found: dict[str, JsonValue] = {
        "status": holder.text("status"),
        "legal_entity": holder.text("legalEntityId"),
        "reference": fitted(holder.text("reference")),
        "capabilities": {name: _standing(capabilities.child(name)) for name in names},
        "problems": problems_of(capabilities),
        "transfer_instruments": _instruments(capabilities),
    }
    return {key: value for key, value in found.items() if value not in (None, {}, [])}


def problems_of(capabilities: Node) -> list[JsonValue]:
    """Return the codes of verification errors of all capabilities, sorted, each once.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    codes = {
        code
        for name in capabilities.keys()[:64]
        for problem in capabilities.child(name).children("problems")
        for error in problem.children("verificationErrors")
        for each in (error, *error.children("subErrors"))
        if (code := each.text("code"))
    }
    return sorted(codes)[:64]  # type: ignore[return-value]  # a list of texts is one of JSON


def allows_nothing(holder: Node) -> bool:
    """Tell whether Adyen allows an account holder nothing yet: it is still being taken on.

    Raises:
        PayloadInvalid: a field has another type than documented.
    """
    capabilities = holder.child("capabilities")
    return not any(capabilities.child(name).flag("allowed") for name in capabilities.keys())  # noqa: SIM118  # no dict


def _standing(capability: Node) -> str:
    """Say in one word how a capability stands: `off` by the platform, `allowed` by Adyen, or its verification."""
    if capability.flag("enabled") is False:
        return "off"
    if capability.flag("allowed"):
        return "allowed"
    return fitted(capability.text("verificationStatus")) or "not_allowed"


def _instruments(capabilities: Node) -> list[JsonValue]:
    ids = {
        id_
        for name in PAYING_OUT
        for each in capabilities.child(name).children("transferInstruments")
        if (id_ := each.text("id"))
    }
    return sorted(ids)[:64]  # type: ignore[return-value]  # a list of texts is one of JSON


def _allowed(holder: Node, names: Iterable[str]) -> bool | None:
    capabilities = holder.child("capabilities")
    known = [found for name in names if (found := capabilities.child(name))]
    if not known:
        return None
    return any(each.flag("allowed") is True and each.flag("enabled") is not False for each in known)


def _said(entity: Node) -> Node:
    return next((found for kind in _KINDS if (found := entity.child(kind))), Node(None, "legal entity"))


def _country(address: Node) -> str | None:
    code = address.text("country")
    # Adyen lets "ZZ" stand for an unknown country.
    return code if code and code != "ZZ" and re.fullmatch(r"[A-Z]{2}", code, re.ASCII) else None


def _named_in_holder(holder: Node) -> Named:
    contact = holder.child("contactDetails")
    yield IdentifierKind.EMAIL, contact.text("email")
    yield IdentifierKind.PHONE, contact.child("phone").text("number")
    yield from named_in_url(contact.text("webAddress"))


def _named_in_entity(entity: Node) -> Named:
    said = _said(entity)
    if entity_is_one(entity):
        yield IdentifierKind.LEGAL_ENTITY, said.text("legalName") or said.text("name")
        yield IdentifierKind.LEGAL_ENTITY, said.text("doingBusinessAs")
    else:
        yield IdentifierKind.PERSON, _individual_name(said)
    yield IdentifierKind.EMAIL, said.text("email")
    yield IdentifierKind.PHONE, said.child("phone").text("number")
    yield from named_in_url(said.child("webData").text("webAddress"))
    for tax in said.children("taxInformation"):
        yield IdentifierKind.TAX_ID, tax.text("number")
    yield IdentifierKind.TAX_ID, said.text("vatNumber")
    yield IdentifierKind.TAX_ID, said.text("registrationNumber")
    for associated in entity.children("entityAssociations"):
        kind = IdentifierKind.LEGAL_ENTITY if associated.text("entityType") == "organization" else IdentifierKind.PERSON
        yield kind, associated.text("name")


def _named_in_bank_account(account: Node) -> Named:
    number = account.child("accountIdentification")
    iban = number.text("iban")
    yield IdentifierKind.IBAN, iban
    if iban is None and (plain := number.text("accountNumber")):
        where = number.text("sortCode") or number.text("routingNumber") or number.text("bankCode") or number.text("bic")
        # A number is one bank's only; which one is part of the name.
        parts = (account.text("countryCode"), number.text("type"), where, plain)
        yield IdentifierKind.BANK_ACCOUNT, ":".join(part for part in parts if part)
    owner = account.child("accountHolder")
    of_business = owner.text("type") == "organization"
    name = owner.text("fullName") or person_name(owner.text("firstName"), owner.text("lastName"))
    yield IdentifierKind.LEGAL_ENTITY if of_business else IdentifierKind.PERSON, name


def _individual_name(said: Node) -> str | None:
    if not isinstance(said.fields().get("name"), Mapping):
        return None
    name = said.child("name")
    return person_name(name.text("firstName"), name.text("infix"), name.text("lastName"))


def _business_name(said: Node) -> str | None:
    return said.text("doingBusinessAs") or said.text("legalName") or said.text("name")
