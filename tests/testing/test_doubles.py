"""The frozen clock, the event builders, the fault plan and the simulator's base."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
import requests
from acme_simulator import API_KEY
from pydantic import ValidationError

from paycordon.events import EventType, IdentifierKind, Mode, SubjectKind
from paycordon.testing import NOON, Answer, Fault, FaultPlan, FrozenClock, HttpSimulator, PlannedFaults, make_event


def test_the_clock_stands_still_until_it_is_moved():
    clock = FrozenClock()
    assert clock() == clock() == NOON
    assert clock.advance(timedelta(hours=1)) == clock() == NOON + timedelta(hours=1)


def test_the_clock_tells_utc_wherever_it_started():
    clock = FrozenClock(datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5))))
    assert (clock().hour, clock().tzinfo) == (7, UTC)


def test_the_clock_refuses_to_start_without_a_zone_or_to_go_back():
    with pytest.raises(ValueError, match="no time zone"):
        FrozenClock(datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake under test
    with pytest.raises(ValueError, match="only moves forwards"):
        FrozenClock().advance(timedelta(seconds=-1))


@pytest.mark.parametrize("type_", EventType)
def test_every_known_type_has_a_default_event(type_):
    event = make_event(type_)
    assert (event.type, event.mode) == (type_, Mode.LIVE)
    assert event == make_event(type_)


def test_an_override_replaces_a_field():
    event = make_event("payout.requested", id="evt_9", payout={"id": "po_9", "amount": {"minor": 1, "currency": "JPY"}})
    assert (event.id, event.subject.kind, event.subject.id) == ("evt_9", SubjectKind.PAYOUT, "po_9")
    assert event.amount.currency == "JPY"


def test_a_merchant_event_carries_identifiers_of_reserved_names_only():
    kinds = {identifier.kind for identifier in make_event().identifiers}
    assert kinds == {IdentifierKind.EMAIL, IdentifierKind.URL}
    assert all(".example" in identifier.value for identifier in make_event().identifiers)


def test_an_event_that_cannot_be_is_not_built():
    with pytest.raises(ValidationError, match="payout"):
        make_event("payout.requested", payout=None)


def test_a_plan_fails_the_request_it_was_told_and_no_other():
    plan = FaultPlan()
    plan.take()
    plan.add(Fault.ERROR_BEFORE, after=1)
    assert [plan.take() for _ in range(3)] == [None, Fault.ERROR_BEFORE, None]
    assert (plan.requests, plan.clear()) == (4, 0)


def test_a_plan_says_how_many_faults_were_not_met():
    plan = FaultPlan()
    plan.add(Fault.UNREACHABLE, after=3)
    assert (plan.clear(), plan.clear()) == (1, 0)
    assert [plan.take() for _ in range(5)] == [None] * 5


@pytest.mark.parametrize("fault", Fault)
def test_each_fault_looks_to_the_client_as_it_says(fault, simulator):
    account = simulator.open_account()

    def post(key, timeout=20):
        return requests.post(
            f"{simulator.url}/v1/accounts/{account}",
            json={"payments": False},
            headers={"authorization": f"Bearer {API_KEY}", "idempotency-key": f"{account}/{key}"},
            timeout=timeout,
        ).status_code

    expected = {Fault.RATE_LIMITED: 429, Fault.ERROR_BEFORE: 500, Fault.ERROR_AFTER: 500}
    simulator.faults.add(fault)
    if fault in expected:
        assert post("first") == expected[fault]
    else:
        error = requests.ConnectionError if fault is Fault.UNREACHABLE else requests.Timeout
        with pytest.raises(error):
            post("first", timeout=0.5)
    assert simulator.accounts[account]["payments"] is not fault.takes_effect
    assert post("second") == 200


class Echo(HttpSimulator):
    stall = 30.0

    def answer(self, request):
        return Answer(201, [request.method, request.path, request.query, request.body.decode()], {"x-seen": "yes"})


def test_a_simulator_hands_over_what_was_sent_and_sends_what_is_answered():
    with Echo() as echo:
        answer = requests.post(f"{echo.url}/a%2Fb?c=1", data=b"body", timeout=5)
    assert answer.json() == ["POST", "/a%2Fb", "c=1", "body"]
    assert (answer.status_code, answer.headers["x-seen"]) == (201, "yes")


def test_a_stopped_simulator_waits_for_no_stalled_request():
    with Echo() as echo:
        echo.faults.add(Fault.TIMEOUT_AFTER)
        with pytest.raises(requests.Timeout):
            requests.get(echo.url, timeout=0.05)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    with pytest.raises(requests.ConnectionError):
        requests.get(echo.url, timeout=5)


def test_the_core_does_not_load_pytest():
    code = "import sys, paycordon.gateways, paycordon.events, paycordon.signatures; print('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_plan_of_faults_is_followed_by_simulators_of_the_common_kind():
    plan = FaultPlan()
    faults = PlannedFaults(plan, waits=1)
    for fault in (Fault.TIMEOUT_AFTER, Fault.RATE_LIMITED, Fault.TIMEOUT_BEFORE):
        plan.add(fault)
        met = faults.take("GET", "/")
        assert met is not None
        assert met.kind is PlannedFaults.MEANING[fault].kind
    assert met.seconds == 0  # what is waited for was used up by the first
    assert faults.take("GET", "/") is None
