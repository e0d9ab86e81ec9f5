"""Which requests of the facilitator's backend are screened before Adyen hears of them, and which pass.

The table is of the services' paths, not of the SDK's methods: `client.call_adyen_api` itself is the same request. A
test walks through every operation of the installed SDK and holds it to this table, so that a new one cannot pass by
being unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from posixpath import normpath
from typing import Any
from urllib.parse import unquote, urlsplit

from paycordon.adapting.guarding import Call
from paycordon.errors import PayloadInvalid

_Params = Mapping[str, Any]
_PLATFORM, _TRANSFERS, _ENTITIES = "balancePlatform", "transfers", "legalEntityManagement"


@dataclass(frozen=True, slots=True)
class _Rule:
    """`names` says what of a request leads to its account holder: an id in the path, or in the parameters."""

    service: str
    method: str
    path: str
    verb: str
    names: Callable[[_Params, tuple[str, ...]], object]


def _first(_: _Params, ids: tuple[str, ...]) -> object:
    return ids[0] if ids else ""


def _given(key: str) -> Callable[[_Params, tuple[str, ...]], object]:
    return lambda params, _: params.get(key)


_ACCOUNTS = "/balanceAccounts/*"
_RULES = (
    _Rule(_TRANSFERS, "POST", "/transfers", "transfers.create", _given("balanceAccountId")),
    _Rule(_TRANSFERS, "POST", "/cashouts", "cashouts.create", _given("balanceAccountId")),
    _Rule(_PLATFORM, "POST", "/accountHolders", "account_holders.create", _given("legalEntityId")),
    _Rule(_PLATFORM, "PATCH", "/accountHolders/*", "account_holders.update", _first),
    _Rule(_PLATFORM, "POST", "/balanceAccounts", "balance_accounts.create", _given("accountHolderId")),
    _Rule(_PLATFORM, "PATCH", _ACCOUNTS, "balance_accounts.update", _first),
    _Rule(_PLATFORM, "POST", f"{_ACCOUNTS}/sweeps", "sweeps.create", _first),
    _Rule(_PLATFORM, "PATCH", f"{_ACCOUNTS}/sweeps/*", "sweeps.update", _first),
    _Rule(_PLATFORM, "POST", f"{_ACCOUNTS}/payoutSchedules", "payout_schedules.create", _first),
    _Rule(_PLATFORM, "PATCH", f"{_ACCOUNTS}/payoutSchedules/*", "payout_schedules.update", _first),
    _Rule(_ENTITIES, "POST", "/legalEntities", "legal_entities.create", _given("reference")),
    _Rule(_ENTITIES, "PATCH", "/legalEntities/*", "legal_entities.update", _first),
    _Rule(_ENTITIES, "POST", "/businessLines", "business_lines.create", _given("legalEntityId")),
    _Rule(_ENTITIES, "PATCH", "/businessLines/*", "business_lines.update", _first),
    _Rule(_ENTITIES, "POST", "/transferInstruments", "transfer_instruments.create", _given("legalEntityId")),
    _Rule(_ENTITIES, "PATCH", "/transferInstruments/*", "transfer_instruments.update", _first),
    _Rule(_ENTITIES, "DELETE", "/transferInstruments/*", "transfer_instruments.delete", _first),
)
_PATTERNS = tuple((rule, re.compile(".*" + re.escape(rule.path).replace(r"\*", "([^/]+)"))) for rule in _RULES)
_VERSION = re.compile(r"/(?:bcl|btl|lem)/v[0-9]+(?=/)")

_ISSUING = "about cards, devices and tokens that the platform issues, not about payouts"
_STOPS = "stops or limits what goes out"
_TAXES = "about contracts, taxes and papers, which name nobody new"
PASSED: Mapping[str, str] = {
    "/transfers/approve": "is done by people, for a transfer that was screened when it was made",
    "/transfers/cancel": _STOPS,
    "/transfers/*/returns": "gives money back to where it came from",
    "/grants": "a loan of the platform's, which leaves the account only as a transfer",
    "DELETE /balanceAccounts/*/sweeps/*": _STOPS,
    "DELETE /balanceAccounts/*/payoutSchedules/*": _STOPS,
    "/balanceAccounts/*/transferLimits": _STOPS,
    "/balancePlatforms/*": "about the platform itself",
    "/balanceAccounts/*/recurringTopUps": "brings money in",
    "/transactionRules": _STOPS,
    "/transferRoutes/calculate": "reads",
    "/validateBankAccountIdentification": "reads",
    "/mandates/*": "about debits that other banks have announced",
    "/paymentInstruments": _ISSUING,
    "/paymentInstrumentGroups": _ISSUING,
    "/networkTokens/*": _ISSUING,
    "/pins/*": _ISSUING,
    "/registeredDevices": _ISSUING,
    "/scaAssociations": _ISSUING,
    "/scaDevices": _ISSUING,
    "DELETE /businessLines/*": "takes something away that was screened when it was added",
    "/documents": _TAXES,
    "/legalEntities/*/onboardingLinks": "shows a page of Adyen's; what is entered there comes as a delivery",
    "/legalEntities/*/checkVerificationErrors": "reads",
    "/legalEntities/*/confirmDataReview": "confirms what Adyen knows",
    "/legalEntities/*/requestPeriodicReview": "asks Adyen to look again",
    "/legalEntities/*/pciQuestionnaires": _TAXES,
    "/legalEntities/*/checkTaxElectronicDeliveryConsent": _TAXES,
    "/legalEntities/*/setTaxElectronicDeliveryConsent": _TAXES,
    "/legalEntities/*/termsOfService": _TAXES,
}
"""Writes about accounts and their money that are let through, by how their paths begin, and why; `*` is an id."""


def call_of(
    service: str, method: str, address: str, params: object, idempotency_key: str | None, given: Mapping[str, Any]
) -> Call | None:
    """Return what a request asks for if it is to be screened; `account` is the id that leads to the account holder.

    Args:
        service: as the SDK calls it.
        method: the HTTP method.
        address: where the SDK sends it, without a query.
        params: the JSON.
        idempotency_key: as the backend gave it to the call.
        given: the further arguments of the call.

    Raises:
        PayloadInvalid: a request to be screened has parameters in its address, or none that are a JSON object.
    """
    rule, ids, path = _matched(service, method, address)
    if rule is None:
        return None
    fields: Any = params if params is not None else {}
    if not isinstance(fields, Mapping):
        raise PayloadInvalid(f"`{rule.verb}` cannot be screened: its parameters are not a JSON object")
    if _passes(rule, fields):
        return None
    if urlsplit(address).query or given.get("query_parameters"):
        raise PayloadInvalid(f"`{rule.verb}` cannot be screened: it has parameters in its address")
    headers = {str(key).lower(): value for key, value in (given.get("header_parameters") or {}).items()}
    key = headers.get("idempotency-key") or idempotency_key
    return Call(rule.verb, str(rule.names(fields, ids) or ""), fields, key, path)


def _matched(service: str, method: str, address: str) -> tuple[_Rule | None, tuple[str, ...], str]:
    path = normpath(f"/{unquote(urlsplit(address).path).strip('/')}")  # as the transport resolves `..`
    own = _VERSION.split(path)[-1]
    for rule, pattern in _PATTERNS:
        found = pattern.fullmatch(own)
        if found and rule.service == service and rule.method == method.upper():
            return rule, found.groups(), own
    return None, (), own


def _passes(rule: _Rule, params: _Params) -> bool:
    """Tell whether a request can do no harm: money that stays on the platform, and what only switches off."""
    if rule.verb == "transfers.create":
        return params.get("category") == "internal"
    if rule.verb == "sweeps.update":
        return dict(params) == {"status": "inactive"}
    if rule.verb == "payout_schedules.update":
        return dict(params) == {"enabled": False}
    if rule.verb in ("account_holders.update", "balance_accounts.update"):
        return set(params) <= {"status"} and params.get("status") in ("suspended", "closed", "inactive")
    return False
