"""How requests are taken and answered: keys, strictness, idempotency, limits, faults, steering over HTTP."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import Adyen
import pytest
import requests

from paycordon_adyen.simulator import AdyenSimulator, Fault, FaultKind
from paycordon_adyen.simulator.problems import Problem

from .conftest import pointed_at

TIMEOUT = 5


@pytest.fixture
def call(simulator):
    def send(method, path, json=None, key=None, **headers):
        given = {"x-api-key": simulator.api_key, **headers, **({"Idempotency-Key": key} if key else {})}
        return requests.request(method, f"{simulator.base_url}{path}", json=json, headers=given, timeout=TIMEOUT)

    return send


@pytest.fixture
def transfer(simulator, holder):
    body = {"amount": {"currency": "EUR", "value": 1_000}, "category": "bank"}
    body["balanceAccountId"] = simulator.balance_account_of(holder)
    return {**body, "counterparty": {"transferInstrumentId": simulator.transfer_instrument_of(holder)}}


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/bcl/v2/accountHolders/AH1", {"detail", "errorCode", "requestId", "status", "title", "type"}),
        ("/btl/v4/transfers/1", {"detail", "errorCode", "requestId", "status", "title", "type"}),
        ("/lem/v4/legalEntities/LE1", {"errorCode", "errorType", "message", "pspReference", "status"}),
    ],
)
def test_a_wrong_key_is_refused_in_the_shape_of_each_service(call, simulator, path, shape):
    answer = call("GET", path, **{"x-api-key": "wrong"})
    assert (answer.status_code, answer.json().keys()) == (401, shape)
    assert simulator.requests == []
    with pytest.raises(Adyen.exceptions.AdyenAPIAuthenticationError):
        pointed_at(simulator, "wrong").transfers.transfers_api.get_transfer("1")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"amount": {"currency": "EUR", "value": 1, "more": 1}}, "amount.more"),
        ({"amount": {"currency": "EUR", "value": "1"}}, "amount.value"),
        ({"amount": {"currency": "EUR", "value": True}}, "amount.value"),
        ({"amount": {"currency": "EUR"}}, "amount.value"),
        ({"category": "gold"}, "category"),
        ({"priorities": "fast"}, "priorities"),
        ({"priorities": ["fast", "slow"]}, "priorities[1]"),
        ({"review": {"numberOfApprovals": 1}}, "review.numberOfApprovals"),
        ({"review": {"numberOfApprovalsRequired": 3}}, "review.numberOfApprovalsRequired"),
        ({"amount": {"currency": "EUR", "value": 0}}, "amount.value"),
        ({"counterparty": {}}, "counterparty"),
        ({"category": "internal"}, "category"),
    ],
)
def test_what_adyen_does_not_describe_is_422_and_names_the_field(call, simulator, holder, transfer, change, field):
    answer = call("POST", "/btl/v4/transfers", {**transfer, **change})
    assert answer.status_code == 422
    assert [each["name"] for each in answer.json()["invalidFields"]] == [field]
    assert simulator.transfers(holder) == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/bcl/v2/accountHolders/AH1", 422),
        ("GET", "/bcl/v2/balanceAccounts/BA00000000SIM0000000001/transferLimits/TL1", 404),
        ("GET", "/bcl/v2/nonsense", 404),
        ("DELETE", "/bcl/v2/accountHolders/AH1", 404),
        ("GET", "/bcl/v2/balancePlatforms/Other/accountHolders", 403),
        ("GET", "/bcl/v2/balanceAccounts/BA00000000SIM0000000001/sweeps?limit=101", 422),
        ("GET", "/bcl/v2/balanceAccounts/BA00000000SIM0000000001/sweeps?offset=-1", 422),
        ("GET", "/bcl/v2/balanceAccounts/BA00000000SIM0000000001/sweeps?nonsense=1", 422),
        ("GET", "/btl/v4/transfers?accountHolderId=AH00000000SIM0000000001", 422),
        ("GET", "/btl/v4/transfers?createdSince=now&createdUntil=2026-01-01T00:00:00Z&accountHolderId=A", 422),
        # As the SDK sends it: a plus sign that is not quoted arrives as a space.
        (
            "GET",
            "/btl/v4/transfers?createdSince=2026-01-01T00:00:00+01:00&createdUntil=2026-02-01T00:00:00Z&accountHolderId=A",
            422,
        ),
        ("PATCH", "/bcl/v2/balanceAccounts/../accountHolders", 404),
    ],
)
@pytest.mark.usefixtures("holder")
def test_odd_requests_are_answered_as_errors(call, method, path, status):
    answer = call(method, path, {} if method == "PATCH" else None)
    assert answer.status_code == status, answer.text


def test_a_body_that_is_not_json_or_no_object_is_refused(simulator):
    url, headers = f"{simulator.base_url}/bcl/v2/accountHolders", {"x-api-key": simulator.api_key}
    statuses = [
        requests.post(url, data=d, headers=headers, timeout=TIMEOUT).status_code for d in (b"{", b"[]", b"\xff")
    ]
    assert statuses == [400, 422, 400]


def test_what_is_closed_is_closed_for_good(sdk, holder):
    holders = sdk.balancePlatform.account_holders_api
    holders.update_account_holder({"status": "closed"}, holder)
    with pytest.raises(Adyen.exceptions.AdyenAPIUnprocessableEntity):
        holders.update_account_holder({"status": "active"}, holder)


def test_a_capability_is_switched_off_and_on_and_the_others_stay(simulator, sdk, holder):
    before = simulator.account_holder(holder)
    holders = sdk.balancePlatform.account_holders_api
    holders.update_account_holder({"capabilities": {"receivePayments": {"enabled": False}}}, holder)
    assert simulator.account_holder(holder)["capabilities"]["receivePayments"]["enabled"] is False
    with pytest.raises(Problem, match="may not receive"):
        simulator.pay(holder, 100)
    assert len({change.request for change in simulator.changes(holder)}) == 1
    holders.update_account_holder({"capabilities": {"receivePayments": {"enabled": True}}}, holder)
    assert simulator.account_holder(holder) == before


def test_writing_what_is_so_already_changes_and_tells_nothing(simulator, sdk, holder):
    told = len(simulator.told(holder))
    for _ in range(2):
        sdk.balancePlatform.account_holders_api.update_account_holder({"status": "active"}, holder)
    assert (simulator.changes(holder), len(simulator.told(holder))) == ([], told)


def test_a_repeated_key_repeats_the_answer_and_moves_money_once(call, simulator, holder, transfer):
    answers = [call("POST", "/btl/v4/transfers", transfer, "key-1") for _ in range(3)]
    assert len({answer.text for answer in answers}) == 1
    assert {answer.headers["idempotency-key"] for answer in answers} == {"key-1"}
    assert len(simulator.transfers(holder)) == 1
    simulator.advance(timedelta(days=31))
    call("POST", "/btl/v4/transfers", transfer, "key-1")
    assert len(simulator.transfers(holder)) == 2


def test_a_key_is_not_taken_for_another_request_or_when_it_is_too_long(call, simulator, holder, transfer):
    call("POST", "/btl/v4/transfers", transfer, "key-1")
    other = {**transfer, "reference": "another"}
    assert call("POST", "/btl/v4/transfers", other, "key-1").json()["errorCode"] == "704"
    assert call("POST", "/btl/v4/transfers", transfer, "k" * 65).status_code == 422
    assert len(simulator.transfers(holder)) == 1


def test_what_was_refused_may_be_sent_again_under_its_key(call, simulator, holder, transfer):
    assert call("POST", "/btl/v4/transfers", {**transfer, "category": "gold"}, "key-1").status_code == 422
    assert call("POST", "/btl/v4/transfers", transfer, "key-1").status_code == 202


def test_of_requests_at_once_under_one_key_one_runs(call, simulator, holder, transfer):
    simulator.inject(Fault(FaultKind.SLOW, path="/transfers", seconds=0.3))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(call, "POST", "/btl/v4/transfers", transfer, "key-1")
        time.sleep(0.1)
        second = pool.submit(call, "POST", "/btl/v4/transfers", transfer, "key-1").result()
    assert (first.result().status_code, second.status_code, second.json()["errorCode"]) == (202, 422, "704")
    assert len(simulator.transfers(holder)) == 1


@pytest.mark.parametrize(
    ("kind", "happens"),
    [
        (FaultKind.ANSWER, False),
        (FaultKind.ERROR_BEFORE, False),
        (FaultKind.ERROR_AFTER, True),
        (FaultKind.LOST_BEFORE, False),
        (FaultKind.LOST_AFTER, True),
        (FaultKind.GARBLED, True),
    ],
)
def test_after_each_fault_the_same_key_leads_to_one_transfer(call, simulator, holder, transfer, kind, happens):
    simulator.inject(Fault(kind, method="POST", path="/transfers$"))
    try:
        answer = call("POST", "/btl/v4/transfers", transfer, "key-1")
        assert answer.status_code in (200, 429, 500)
    except requests.ConnectionError:
        assert kind in (FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER)
    assert (len(simulator.transfers(holder)) == 1) is happens
    assert call("POST", "/btl/v4/transfers", transfer, "key-1").status_code == 202
    assert len(simulator.transfers(holder)) == 1


def test_a_rate_limit_answers_429_with_the_time_to_wait(clock):
    with AdyenSimulator(clock=clock, rate_limit=2) as limited:
        holder = limited.create_account_holder()
        read = pointed_at(limited).balancePlatform.account_holders_api.get_account_holder
        for _ in range(2):
            read(holder)
        with pytest.raises(Adyen.exceptions.AdyenAPIResponseError) as caught:
            read(holder)
        assert (caught.value.status_code, caught.value.headers["Retry-After"]) == (429, "1")
        clock.advance(timedelta(seconds=1))
        read(holder)


def test_it_is_watched_and_steered_over_http(simulator, receiver):
    def control(path, body=None, method=None):
        url = f"{simulator.base_url}/_simulator/{path}"
        answer = requests.request(method or ("GET" if body is None else "POST"), url, json=body, timeout=TIMEOUT)
        assert answer.ok, answer.text
        return answer.json()

    holder = control("account_holders", {"balance": {"EUR": 5_000}, "verified": False})["id"]
    control("onboard", {"holder": holder})
    control("problems", {"holder": holder, "capabilities": ["sendToThirdParty"], "code": "1_50"})
    other = control("balance_accounts", {"holder": holder, "balance": {"EUR": 1}})["id"]
    sweep = control("sweeps", {"holder": holder, "balance_account": other})["id"]
    control("payout_schedules", {"holder": holder, "enabled": False})
    control("set", {"kind": "sweeps", "id": sweep, "changes": {"description": "by hand"}})
    control("disabled", {"sweep": sweep})
    webhook = control("webhooks", {"url": receiver.url, "events": ["*.score.*"]})["id"]
    control("scores", {"holder": holder, "risk": 90, "signals": ["velocity"]})
    control("funds", {"holder": holder, "amount": 100})
    came = control("received", {"holder": holder, "amount": 100})["id"]
    payment = control("payments", {"holder": holder, "amount": 900})["id"]
    assert control("refunds", {"payment": payment, "amount": 100})["id"]
    dispute = control("disputes", {"payment": payment, "reason": "Fraud", "network": "10.4"})["id"]
    control("steps", {"dispute": dispute, "code": "CHARGEBACK_REVERSED"})
    assert control("fraud", {"payment": payment})["id"]
    control("warnings", {"holder": holder, "amount": 5})
    control("faults", {"kind": "answer", "status": 403})
    control("faults", method="DELETE")
    control("rate_limit", {"per_second": 50})
    before = control("clock")["now"]
    assert control("clock", {"advance_seconds": 86_400})["now"] > before
    assert simulator.settle()

    found = control(f"settings/{holder}")
    assert found["sweeps"][sweep]["reason"] == "transferInstrumentDoesNotExist"
    assert found["account_holder"]["capabilities"]["sendToThirdParty"]["verificationStatus"] == "invalid"
    assert [change["what"] for change in control(f"changes/{holder}") if "description" in change["what"]] == [
        f"sweeps.{sweep}.description"
    ]
    assert came in [each["id"] for each in control(f"transfers/{holder}")]
    assert {"AUTHORISATION", "CHARGEBACK_REVERSED"} <= {each["type"] for each in control(f"told/{holder}")}
    assert len(control("told")) >= len(control(f"told/{holder}"))
    assert [each["status"] for each in control("deliveries")] == [200]
    assert [each["id"] for each in control("webhooks")] == [webhook]
    assert "secret" not in control("webhooks")[0]
    control(f"webhooks/{webhook}", method="DELETE")
    assert (control("webhooks"), control("requests")) == ([], [])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("nonsense", {}),
        ("account_holders", {"nonsense": 1, "balance": []}),
        ("clock", {"advance_seconds": -1}),
        ("clock", {"advance_seconds": 1e300}),
        ("set", {"kind": "legalEntities", "id": "LE1", "changes": {}}),
        ("set", {"kind": "sweeps", "id": "SW1", "changes": {}}),
        ("steps", {"dispute": "1", "code": "CHARGEBACK"}),
        ("webhooks", {"url": "http://hooks.example/"}),
        ("faults", {"kind": "nonsense"}),
    ],
)
def test_steering_that_makes_no_sense_is_answered_with_an_error(simulator, path, body):
    answer = requests.post(f"{simulator.base_url}/_simulator/{path}", json=body, timeout=TIMEOUT)
    assert 400 <= answer.status_code < 500
