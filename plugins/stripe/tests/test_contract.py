"""Requests are held to Stripe's description by the fixture `lawful` in the other tests; here is proof that it bites."""

from __future__ import annotations

import pytest
from openapi_core.exceptions import OpenAPIError

from paycordon_stripe.simulator import Recorded
from paycordon_stripe.simulator.forms import decode

SCHEDULE = "settings[payouts][schedule]"
ABSENT = "the vendors' API descriptions are not here; set PAYCORDON_SPECS to their folder"
HEADERS = {"authorization": "Bearer sk_simulated"}


@pytest.fixture
def check(contract):
    if contract is None:
        pytest.skip(ABSENT)

    def run(method, path, form="", headers=HEADERS):
        contract.check(Recorded(method, path, None, None, decode(form), form, headers))

    return run


@pytest.mark.parametrize(
    ("method", "path", "form"),
    [
        ("GET", "/v1/accounts/acct_1", ""),
        ("GET", "/v1/accounts/acct_1/capabilities", ""),
        ("POST", "/v1/accounts/acct_1", f"{SCHEDULE}[interval]=manual"),
        ("POST", "/v1/accounts/acct_1", f"{SCHEDULE}[interval]=weekly&{SCHEDULE}[weekly_anchor]=friday"),
        ("POST", "/v1/accounts/acct_1", f"{SCHEDULE}[interval]=monthly&{SCHEDULE}[monthly_payout_days][0]=15"),
        ("POST", "/v1/accounts/acct_1/capabilities/transfers", "requested=false"),
        ("POST", "/v1/payouts", "amount=1&currency=usd"),
        ("GET", "/v1/disputes/dp_1", ""),
        ("GET", "/v1/payouts", "status=pending&limit=100"),
        ("GET", "/v1/events", "delivery_success=false&created[gte]=1780000000&limit=100"),
        ("POST", "/v1/balance_settings", "payments[settlement_timing][delay_days_override]="),
    ],
)
def test_what_stripe_takes_is_lawful(check, method, path, form):
    check(method, path, form)


@pytest.mark.parametrize(
    ("method", "path", "form"),
    [
        ("POST", "/v1/accounts/acct_1", f"{SCHEDULE}[interval]=hourly"),
        ("POST", "/v1/accounts/acct_1", f"{SCHEDULE}[nonsense]=1"),
        ("POST", "/v1/accounts/acct_1", "nonsense=1"),
        ("POST", "/v1/accounts/acct_1", f"{SCHEDULE}[monthly_anchor]=first"),
        ("POST", "/v1/accounts/acct_1/capabilities/transfers", "requested=maybe"),
        ("POST", "/v1/payouts", "currency=usd"),
        ("POST", "/v1/payouts", "amount=1&currency=usd&method=teleport"),
        ("GET", "/v1/unheard_of", ""),
        ("POST", "/v1/accounts/acct_1/unheard_of", ""),
        ("GET", "/v1/payouts", "nonsense=1"),
        ("GET", "/v1/payouts", "limit=many"),
        ("GET", "/v1/accounts/acct_1", "limit=1"),
        ("POST", "/v1/accounts/acct_1/reject", "reason=fraud"),
    ],
)
def test_what_stripe_does_not_take_is_not(check, method, path, form):
    with pytest.raises(OpenAPIError):
        check(method, path, form)


@pytest.mark.parametrize("params", [{"contact_email": "a@shop.example"}, {"identity": {"country": "de"}}])
def test_json_of_v2_is_lawful(contract, params):
    if contract is None:
        pytest.skip(ABSENT)
    contract.check(Recorded("POST", "/v2/core/accounts", None, None, params, "", HEADERS))


@pytest.mark.parametrize("params", [{"nonsense": 1}, {"identity": {"country": "de", "nonsense": 1}}])
def test_unknown_fields_in_json_of_v2_are_not(contract, params):
    if contract is None:
        pytest.skip(ABSENT)
    with pytest.raises(OpenAPIError):
        contract.check(Recorded("POST", "/v2/core/accounts", None, None, params, "", HEADERS))


def test_a_request_without_a_key_is_not(check):
    with pytest.raises(OpenAPIError):
        check("GET", "/v1/accounts/acct_1", headers={"authorization": ""})
