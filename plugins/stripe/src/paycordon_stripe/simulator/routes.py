"""Which request does what, and which parameters it takes."""

from __future__ import annotations

import copy
import re
from typing import Any, NamedTuple

from paycordon_stripe.simulator import (
    accounts,
    accounts_v2,
    balances,
    capabilities,
    charges,
    disputes,
    event_calls,
    external_accounts,
    oauth,
    payment_intents,
    payouts,
    persons,
    radar,
    rejections,
    transfers,
)
from paycordon_stripe.simulator.calls import Call, Handler
from paycordon_stripe.simulator.expansion import expanded
from paycordon_stripe.simulator.ledger import PLATFORM, Json, Ledger
from paycordon_stripe.simulator.parameters import typed
from paycordon_stripe.simulator.problems import Problem


class Route(NamedTuple):
    """A method and path, what carries it out, and the SDK's type of its parameters; `*` is an id."""

    method: str
    path: str
    handler: Handler
    takes: str


_ACCOUNT = "/v1/accounts/*"
_CAPABILITIES = f"{_ACCOUNT}/capabilities"
_PERSONS = f"{_ACCOUNT}/persons"
_EXTERNAL = f"{_ACCOUNT}/external_accounts"
_WARNINGS = "/v1/radar/early_fraud_warnings"

ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/accounts", accounts.listed, "AccountListParams"),
    Route("POST", "/v1/accounts", accounts.create, "AccountCreateParams"),
    Route("GET", _ACCOUNT, accounts.retrieve, "AccountRetrieveParams"),
    Route("POST", _ACCOUNT, accounts.update, "AccountUpdateParams"),
    Route("DELETE", _ACCOUNT, accounts.delete, "AccountDeleteParams"),
    Route("POST", f"{_ACCOUNT}/reject", rejections.reject, "AccountRejectParams"),
    Route("POST", f"{_ACCOUNT}/unreject", rejections.unreject, "AccountUnrejectParams"),
    Route("GET", _CAPABILITIES, capabilities.listed, "AccountCapabilityListParams"),
    Route("GET", f"{_CAPABILITIES}/*", capabilities.retrieve, "AccountCapabilityRetrieveParams"),
    Route("POST", f"{_CAPABILITIES}/*", capabilities.update, "AccountCapabilityUpdateParams"),
    Route("GET", _PERSONS, persons.listed, "AccountPersonListParams"),
    Route("POST", _PERSONS, persons.create, "AccountPersonCreateParams"),
    Route("GET", f"{_PERSONS}/*", persons.retrieve, "AccountPersonRetrieveParams"),
    Route("POST", f"{_PERSONS}/*", persons.update, "AccountPersonUpdateParams"),
    Route("DELETE", f"{_PERSONS}/*", persons.delete, "AccountPersonDeleteParams"),
    Route("GET", _EXTERNAL, external_accounts.listed, "AccountExternalAccountListParams"),
    Route("POST", _EXTERNAL, external_accounts.create, "AccountExternalAccountCreateParams"),
    Route("GET", f"{_EXTERNAL}/*", external_accounts.retrieve, "AccountExternalAccountRetrieveParams"),
    Route("POST", f"{_EXTERNAL}/*", external_accounts.update, "AccountExternalAccountUpdateParams"),
    Route("DELETE", f"{_EXTERNAL}/*", external_accounts.delete, "AccountExternalAccountDeleteParams"),
    Route("GET", "/v1/balance", balances.retrieve, "BalanceRetrieveParams"),
    Route("GET", "/v1/balance_settings", balances.settings, "BalanceSettingsRetrieveParams"),
    Route("POST", "/v1/balance_settings", balances.change_settings, "BalanceSettingsUpdateParams"),
    Route("GET", "/v1/payouts", payouts.listed, "PayoutListParams"),
    Route("POST", "/v1/payouts", payouts.create, "PayoutCreateParams"),
    Route("GET", "/v1/payouts/*", payouts.retrieve, "PayoutRetrieveParams"),
    Route("POST", "/v1/payouts/*", payouts.update, "PayoutUpdateParams"),
    Route("POST", "/v1/payouts/*/cancel", payouts.cancel, "PayoutCancelParams"),
    Route("POST", "/v1/payouts/*/reverse", payouts.reverse, "PayoutReverseParams"),
    Route("GET", "/v1/transfers", transfers.listed, "TransferListParams"),
    Route("POST", "/v1/transfers", transfers.create, "TransferCreateParams"),
    Route("GET", "/v1/transfers/*", transfers.retrieve, "TransferRetrieveParams"),
    Route("POST", "/v1/transfers/*", transfers.update, "TransferUpdateParams"),
    Route("GET", "/v1/transfers/*/reversals", transfers.reversals, "TransferReversalListParams"),
    Route("POST", "/v1/transfers/*/reversals", transfers.reverse, "TransferReversalCreateParams"),
    Route("GET", "/v1/transfers/*/reversals/*", transfers.retrieve_reversal, "TransferReversalRetrieveParams"),
    Route("GET", "/v1/charges", charges.listed, "ChargeListParams"),
    Route("POST", "/v1/charges", charges.create, "ChargeCreateParams"),
    Route("GET", "/v1/charges/*", charges.retrieve, "ChargeRetrieveParams"),
    Route("GET", "/v1/refunds", charges.list_refunds, "RefundListParams"),
    Route("POST", "/v1/refunds", charges.refund, "RefundCreateParams"),
    Route("GET", "/v1/refunds/*", charges.retrieve_refund, "RefundRetrieveParams"),
    Route("POST", "/v1/payment_intents", payment_intents.create, "PaymentIntentCreateParams"),
    Route("GET", "/v1/payment_intents/*", payment_intents.retrieve, "PaymentIntentRetrieveParams"),
    Route("POST", "/v1/payment_intents/*/confirm", payment_intents.confirm, "PaymentIntentConfirmParams"),
    Route("POST", "/v1/payment_intents/*/cancel", payment_intents.cancel, "PaymentIntentCancelParams"),
    Route("GET", "/v1/disputes", disputes.listed, "DisputeListParams"),
    Route("GET", "/v1/disputes/*", disputes.retrieve, "DisputeRetrieveParams"),
    Route("POST", "/v1/disputes/*", disputes.update, "DisputeUpdateParams"),
    Route("POST", "/v1/disputes/*/close", disputes.close, "DisputeCloseParams"),
    Route("GET", _WARNINGS, radar.list_warnings, "radar.EarlyFraudWarningListParams"),
    Route("GET", f"{_WARNINGS}/*", radar.retrieve_warning, "radar.EarlyFraudWarningRetrieveParams"),
    Route("GET", "/v1/reviews", radar.list_reviews, "ReviewListParams"),
    Route("GET", "/v1/reviews/*", radar.retrieve_review, "ReviewRetrieveParams"),
    Route("POST", "/v1/reviews/*/approve", radar.approve, "ReviewApproveParams"),
    Route("GET", "/v1/events", event_calls.listed, "EventListParams"),
    Route("GET", "/v1/events/*", event_calls.retrieve, "EventRetrieveParams"),
    Route("GET", "/v2/core/events", event_calls.list_thin, "v2.core.EventListParams"),
    Route("GET", "/v2/core/events/*", event_calls.retrieve_thin, "v2.core.EventRetrieveParams"),
    Route("POST", "/v2/core/accounts", accounts_v2.create, "v2.core.AccountCreateParams"),
    Route("GET", "/v2/core/accounts/*", accounts_v2.retrieve, "v2.core.AccountRetrieveParams"),
    Route("POST", "/v2/core/accounts/*", accounts_v2.update, "v2.core.AccountUpdateParams"),
    Route("POST", "/v2/core/accounts/*/close", accounts_v2.close, "v2.core.AccountCloseParams"),
    Route("POST", "/oauth/deauthorize", oauth.deauthorize, "OAuth.OAuthDeauthorizeParams"),
)
_PATTERNS = tuple(
    (route, re.compile(re.escape(route.path).replace(r"\*", r"([^/]+)"))) for route in ROUTES
)  # compiled once


def route_of(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """Return the route a request takes and the ids in its path.

    Raises:
        Problem: there is none.
    """
    for route, pattern in _PATTERNS:
        found = pattern.fullmatch(path)
        if found and route.method == method:
            return route, found.groups()
    raise Problem(404, f"Unrecognized request URL ({method}: {path}).")


def carry_out(ledger: Ledger, method: str, path: str, account: str | None, params: Json, version: str) -> Json:
    """Do what a request asks for and return the object to answer with.

    Raises:
        Problem: Stripe would answer with an error.
    """
    route, ids = route_of(method, path)
    if account is not None:
        ledger.account(account)
    given = typed(params, route.takes)
    call = Call(ledger, account or PLATFORM, given, ids, version)
    answer: Any = route.handler(call)
    return expanded(call, copy.deepcopy(answer))
