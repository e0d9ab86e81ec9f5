"""Which request does what."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from paycordon_adyen.simulator import (
    account_holders,
    balance_accounts,
    described,
    disputes,
    instruments,
    legal_entities,
    limits,
    listing,
    rules,
    schedules,
    sweeps,
    transfers,
)
from paycordon_adyen.simulator.calls import Answered, Call, Handler
from paycordon_adyen.simulator.ledger import Ledger
from paycordon_adyen.simulator.problems import Problem


class Route(NamedTuple):
    """A method and path, `*` for an id, and what carries it out."""

    method: str
    path: str
    handler: Handler


_HOLDER = "/bcl/v2/accountHolders/*"
_ACCOUNT = "/bcl/v2/balanceAccounts/*"
_PLATFORM = "/bcl/v2/balancePlatforms/*"
_RULE = "/bcl/v2/transactionRules/*"
_ENTITY = "/lem/v4/legalEntities/*"
_INSTRUMENT = "/lem/v4/transferInstruments/*"
_LINE = "/lem/v4/businessLines/*"
_TRANSFERS = "/btl/v4/transfers"
_DISPUTES = "/ca/services/DisputeService/v30"

ROUTES: tuple[Route, ...] = (
    Route("POST", "/bcl/v2/accountHolders", account_holders.create),
    Route("GET", _HOLDER, account_holders.retrieve),
    Route("PATCH", _HOLDER, account_holders.update),
    Route("GET", f"{_HOLDER}/balanceAccounts", balance_accounts.of_holder),
    Route("GET", f"{_HOLDER}/transactionRules", rules.of_holder),
    Route("POST", "/bcl/v2/balanceAccounts", balance_accounts.create),
    Route("GET", _ACCOUNT, balance_accounts.retrieve),
    Route("PATCH", _ACCOUNT, balance_accounts.update),
    Route("GET", f"{_ACCOUNT}/sweeps", sweeps.listed),
    Route("POST", f"{_ACCOUNT}/sweeps", sweeps.create),
    Route("GET", f"{_ACCOUNT}/sweeps/*", sweeps.retrieve),
    Route("PATCH", f"{_ACCOUNT}/sweeps/*", sweeps.update),
    Route("DELETE", f"{_ACCOUNT}/sweeps/*", sweeps.delete),
    Route("GET", f"{_ACCOUNT}/payoutSchedules", schedules.listed),
    Route("POST", f"{_ACCOUNT}/payoutSchedules", schedules.create),
    Route("GET", f"{_ACCOUNT}/payoutSchedules/*", schedules.retrieve),
    Route("PATCH", f"{_ACCOUNT}/payoutSchedules/*", schedules.update),
    Route("DELETE", f"{_ACCOUNT}/payoutSchedules/*", schedules.delete),
    Route("GET", f"{_ACCOUNT}/payoutSchedules/*/executions", schedules.executions),
    Route("GET", f"{_ACCOUNT}/transactionRules", rules.of_balance_account),
    Route("GET", f"{_ACCOUNT}/transferLimits", limits.listed),
    Route("POST", f"{_ACCOUNT}/transferLimits", limits.create),
    Route("GET", f"{_ACCOUNT}/transferLimits/current", limits.current),
    Route("GET", f"{_ACCOUNT}/transferLimits/*", limits.retrieve),
    Route("DELETE", f"{_ACCOUNT}/transferLimits/*", limits.delete),
    Route("GET", f"{_PLATFORM}/accountHolders", account_holders.listed),
    Route("GET", f"{_PLATFORM}/payoutSchedules", schedules.of_platform),
    Route("GET", f"{_PLATFORM}/payoutSchedules/*", schedules.one_of_platform),
    Route("GET", f"{_PLATFORM}/transactionRules", rules.of_platform),
    Route("GET", f"{_PLATFORM}/transferLimits", limits.listed),
    Route("POST", f"{_PLATFORM}/transferLimits", limits.create),
    Route("GET", f"{_PLATFORM}/transferLimits/*", limits.retrieve),
    Route("DELETE", f"{_PLATFORM}/transferLimits/*", limits.delete),
    Route("POST", "/bcl/v2/transactionRules", rules.create),
    Route("GET", _RULE, rules.retrieve),
    Route("PATCH", _RULE, rules.update),
    Route("DELETE", _RULE, rules.delete),
    Route("POST", "/lem/v4/legalEntities", legal_entities.create),
    Route("GET", _ENTITY, legal_entities.retrieve),
    Route("PATCH", _ENTITY, legal_entities.update),
    Route("POST", f"{_ENTITY}/checkVerificationErrors", legal_entities.check),
    Route("GET", f"{_ENTITY}/businessLines", legal_entities.business_lines),
    Route("POST", "/lem/v4/businessLines", legal_entities.create_business_line),
    Route("GET", _LINE, legal_entities.retrieve_business_line),
    Route("PATCH", _LINE, legal_entities.update_business_line),
    Route("DELETE", _LINE, legal_entities.delete_business_line),
    Route("POST", "/lem/v4/transferInstruments", instruments.create),
    Route("GET", _INSTRUMENT, instruments.retrieve),
    Route("PATCH", _INSTRUMENT, instruments.update),
    Route("DELETE", _INSTRUMENT, instruments.delete),
    Route("GET", _TRANSFERS, listing.listed),
    Route("POST", _TRANSFERS, transfers.create),
    Route("POST", f"{_TRANSFERS}/approve", transfers.approve),
    Route("POST", f"{_TRANSFERS}/cancel", transfers.cancel),
    Route("GET", f"{_TRANSFERS}/*", transfers.retrieve),
    Route("POST", f"{_TRANSFERS}/*/returns", transfers.give_back),
    Route("POST", f"{_DISPUTES}/retrieveApplicableDefenseReasons", disputes.reasons),
    Route("POST", f"{_DISPUTES}/supplyDefenseDocument", disputes.supply),
    Route("POST", f"{_DISPUTES}/deleteDisputeDefenseDocument", disputes.delete_document),
    Route("POST", f"{_DISPUTES}/defendDispute", disputes.defend),
    Route("POST", f"{_DISPUTES}/acceptDispute", disputes.accept),
)
"""In the order in which they are tried: what is spelt out before what has an id in its place."""

_PATTERNS = tuple((route, re.compile(re.escape(route.path).replace(r"\*", r"([^/]+)"))) for route in ROUTES)


def route_of(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """Return the route a request takes and the ids in its path.

    Raises:
        Problem: there is none.
    """
    for route, pattern in _PATTERNS:
        found = pattern.fullmatch(path)
        if found and route.method == method:
            return route, tuple(unquote(id_) for id_ in found.groups())
    raise Problem(404, f"there is no {method} {path}", code="00_404")


def carry_out(ledger: Ledger, method: str, path: str, query: str, body: str, base_url: str) -> Answered:
    """Do what a request asks for and return what to answer.

    Raises:
        Problem: Adyen would answer with an error.
    """
    route, ids = route_of(method, path)
    operation = f"{route.method} {route.path}"
    given = _json(body)
    only_status = route.handler is rules.update and set(given) == {"status"}
    described.check_body(operation, given, partial=only_status)
    asked = described.checked_query(operation, dict(parse_qsl(query, keep_blank_values=True)))
    found = route.handler(Call(ledger, ids, given, asked, f"{base_url}{path}"))
    return found if isinstance(found, Answered) else Answered(200, found)


def _json(body: str) -> dict[str, Any]:
    try:
        found = json.loads(body or "{}")
    except ValueError:
        raise Problem(400, "the body is not JSON", code="00_400") from None
    if not isinstance(found, dict):
        raise Problem(422, "the body is not an object", code="00_422")
    return found
