"""Requests are held to Adyen's descriptions by the fixture `lawful` in the other tests; here is proof that it bites."""

from __future__ import annotations

import json

import pytest
from openapi_core.exceptions import OpenAPIError

from paycordon_adyen.simulator import Recorded

HEADERS = {"x-api-key": "key_simulated"}
HOLDER, SWEEP = "/bcl/v2/accountHolders/AH1", "/bcl/v2/balanceAccounts/BA1/sweeps/SW1"


@pytest.fixture
def check(contract):
    if contract is None:
        pytest.skip("the vendors' API descriptions are not here; set PAYCORDON_SPECS to their folder")

    def run(method, path, body=None, query="", headers=HEADERS):
        contract.check(Recorded(method, path, query, None, json.dumps(body) if body is not None else "", headers))

    return run


@pytest.mark.parametrize(
    ("method", "path", "body", "query"),
    [
        ("GET", HOLDER, None, ""),
        ("GET", f"{HOLDER}/balanceAccounts", None, "offset=0&limit=100"),
        (
            "PATCH",
            HOLDER,
            {"status": "suspended", "capabilities": {"sendToTransferInstrument": {"enabled": False}}},
            "",
        ),
        ("PATCH", SWEEP, {"status": "inactive"}, ""),
        ("PATCH", "/bcl/v2/balanceAccounts/BA1/payoutSchedules/PS1", {"enabled": False}, ""),
        ("POST", "/btl/v4/transfers/cancel", {"transferIds": ["1"]}, ""),
        ("GET", "/lem/v4/legalEntities/LE1", None, ""),
    ],
)
def test_what_the_adapter_sends_is_lawful(check, method, path, body, query):
    check(method, path, body, query)


@pytest.mark.parametrize(
    ("method", "path", "body", "query"),
    [
        ("PATCH", HOLDER, {"status": "paused"}, ""),
        ("PATCH", HOLDER, {"state": "suspended"}, ""),
        ("PATCH", HOLDER, {"capabilities": {"sendToTransferInstrument": {"enabled": "no"}}}, ""),
        ("PATCH", SWEEP, {"status": "off"}, ""),
        ("PUT", SWEEP, {"status": "inactive"}, ""),
        ("GET", f"{HOLDER}/balanceAccounts", None, "limit=many"),
        ("POST", "/btl/v4/transfers/cancel", {"ids": ["1"]}, ""),
        ("GET", "/bcl/v2/accountHolder/AH1", None, ""),
    ],
)
def test_what_would_not_be_is_noticed(check, method, path, body, query):
    with pytest.raises((OpenAPIError, AssertionError)):
        check(method, path, body, query)


def test_a_request_without_its_key_is_noticed(check):
    with pytest.raises(OpenAPIError):
        check("GET", HOLDER, headers={})
