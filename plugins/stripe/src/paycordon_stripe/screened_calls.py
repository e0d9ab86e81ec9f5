"""Which requests of the facilitator's backend are screened before Stripe hears of them, and which pass.

The table is of paths, not of the SDK's services: a call by a service, by a method of an object that Stripe returned, by
`raw_request`, plain or for asyncio is the same request. A test walks through every operation of the installed SDK and
holds it to this table, so that a new one cannot pass by being unknown.
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

_NO_OPTIONS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class _Rule:
    """`account` says whom a request is about, given its parameters and the account it is made for; empty: nobody."""

    method: str
    path: str
    verb: str
    account: Callable[[Mapping[str, Any], str], object] | None = None  # none: it is in the path, or new


def _acting(_: Mapping[str, Any], acting: str) -> object:
    return acting


def _destination(params: Mapping[str, Any], _: str) -> object:
    return params.get("destination")


def _recipient(params: Mapping[str, Any], _: str) -> object:
    to = params.get("to")
    return to.get("recipient") if isinstance(to, Mapping) else None


_V1, _V2 = "/v1/accounts", "/v2/core/accounts"
_RULES = (
    _Rule("post", "/v1/payouts", "payouts.create", _acting),
    _Rule("post", "/v1/transfers", "transfers.create", _destination),
    _Rule("post", "/v1/treasury/outbound_payments", "treasury.outbound_payments.create", _acting),
    _Rule("post", "/v1/treasury/outbound_transfers", "treasury.outbound_transfers.create", _acting),
    _Rule("post", "/v2/money_management/outbound_payments", "money_management.outbound_payments.create", _recipient),
    _Rule("post", "/v2/money_management/payout_intents", "money_management.payout_intents.create", _recipient),
    _Rule("post", _V1, "accounts.create"),
    _Rule("post", f"{_V1}/*", "accounts.update"),
    _Rule("post", "/v1/account", "accounts.update", _acting),
    _Rule("post", f"{_V1}/*/external_accounts", "external_accounts.create"),
    _Rule("post", f"{_V1}/*/external_accounts/*", "external_accounts.update"),
    _Rule("delete", f"{_V1}/*/external_accounts/*", "external_accounts.delete"),
    _Rule("post", f"{_V1}/*/bank_accounts", "external_accounts.create"),  # older names of the same
    _Rule("post", f"{_V1}/*/bank_accounts/*", "external_accounts.update"),
    _Rule("delete", f"{_V1}/*/bank_accounts/*", "external_accounts.delete"),
    _Rule("post", f"{_V1}/*/capabilities/*", "capabilities.update"),
    _Rule("post", f"{_V1}/*/persons", "persons.create"),
    _Rule("post", f"{_V1}/*/persons/*", "persons.update"),
    _Rule("post", "/v1/balance_settings", "balance_settings.update", _acting),
    _Rule("post", _V2, "v2.accounts.create"),
    _Rule("post", f"{_V2}/*", "v2.accounts.update"),
    _Rule("post", f"{_V2}/*/persons", "v2.persons.create"),
    _Rule("post", f"{_V2}/*/persons/*", "v2.persons.update"),
)
_PATTERNS = tuple((rule, re.compile(re.escape(rule.path).replace(r"\*", "([^/]+)"))) for rule in _RULES)

PASSED: Mapping[str, str] = {
    "/v1/payouts/": "stops or annotates a payout that was screened when it was made",
    "/v1/transfers/": "takes money back from an account, or annotates",
    "/v1/refunds": "gives a payer's money back; stopping that would harm who paid, and its delivery is counted once",
    "/v1/topups": "brings money of the platform in",
    "/v1/application_fees": "gives a fee of the platform back",
    f"{_V1}/*/reject": "restricts",
    f"{_V1}/*/unreject": "is done by people",
    f"{_V1}/*/login_links": "shows a page of Stripe",
    "/v1/account_links": "shows a page of Stripe; what is entered there comes as a delivery",
    "/v1/account_sessions": "shows pages of Stripe; what is entered there comes as a delivery",
    "/v2/core/account_links": "shows a page of Stripe; what is entered there comes as a delivery",
    "/v1/treasury/": "gives money back, or stops what was screened when it was made",
    "/v2/money_management/": "stops, confirms or describes what was screened when it was made",
}
"""Writes about accounts and their money that are let through, by how their paths begin, and why; `*` is an id."""


def call_of(
    method: str,
    url: str,
    params: Mapping[str, Any] | None,
    options: Mapping[str, Any] | None,
    acting: Callable[[], str],
) -> Call | None:
    """Return what a request asks for if it is to be screened; parameters and options are not copied.

    Args:
        method: in lower case.
        url: the path, as the SDK or `raw_request` has it.
        params: the parameters.
        options: the SDK's options of the request.
        acting: says which account the request is made for, empty for the platform.

    Raises:
        PayloadInvalid: a request to be screened has parameters in its URL as well.
    """
    found = _matched(method, url)
    if found is None:
        return None
    rule, ids, path = found
    given = params or {}
    if rule.account is not None:
        account = str(rule.account(given, acting()) or "")
        if not account:
            return None  # of the platform itself, or refused by Stripe
    else:
        account = ids[0] if ids else ""
    if _only_switches_off(rule, given):
        return None
    if urlsplit(url).query:
        raise PayloadInvalid(f"`{rule.verb}` cannot be screened: parameters in its URL; give them as `params`")
    return Call(rule.verb, account, given, key_of(options), path)


def _matched(method: str, url: str) -> tuple[_Rule, tuple[str, ...], str] | None:
    path = normpath(f"/{unquote(urlsplit(url).path).strip('/')}")  # as the transport resolves `..`, and Stripe `//`
    for rule, pattern in _PATTERNS:
        if rule.method == method and (matched := pattern.fullmatch(path)):
            return rule, matched.groups(), path
    return None


def _only_switches_off(rule: _Rule, params: Mapping[str, Any]) -> bool:
    return rule.verb == "capabilities.update" and params.get("requested") in (False, "false")


def key_of(options: Mapping[str, Any] | None) -> str | None:
    """Return the idempotency key that a request is given, if it is given one."""
    found: str | None = headers_of(options).get("idempotency-key") or (options or _NO_OPTIONS).get("idempotency_key")
    return found


def headers_of(options: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the headers that a request is given, their names in lower case."""
    given = (options or _NO_OPTIONS).get("headers") or {}
    return {str(key).lower(): str(value) for key, value in given.items()}
