"""Restrictions at the simulator, through the vendor's SDK, beyond what the kit asks of every adapter."""

from __future__ import annotations

import json

import pytest
import requests

from paycordon.errors import OutcomeUnknown, Refused, RetryLater
from paycordon.events import Subject, SubjectKind
from paycordon.gateways import Change, Restriction
from paycordon_adyen import client
from paycordon_adyen.restrictions import AccountSettings
from paycordon_adyen.simulator import Fault, FaultKind

from .conftest import CAPABILITIES, INSTANCE

HELD, BLOCKED, NONE = Restriction.PAYOUTS_HELD, Restriction.BLOCKED, Restriction.NONE
pytestmark = pytest.mark.usefixtures("lawful")


@pytest.fixture
def subject(simulator, subject_of):
    return subject_of(simulator.create_account_holder(capabilities=CAPABILITIES, balance={"EUR": 500_000}))


def to(gateway, subject, restriction, baseline, key="key-1"):
    return gateway.apply(subject, Change(restriction, json.loads(json.dumps(dict(baseline)))), key)


def pay(backend, simulator, subject):
    """Ask for a payout as the platform's own code would, and return what became of it."""
    asked = {
        "amount": {"currency": "EUR", "value": 100},
        "balanceAccountId": simulator.balance_account_of(subject.account),
        "category": "bank",
        "counterparty": {"transferInstrumentId": simulator.transfer_instrument_of(subject.account)},
        "priority": "regular",
    }
    api = backend.transfers.transfers_api
    return api.get_transfer(api.transfer_funds(asked).message["id"]).message


def test_a_hold_stops_payouts_and_nothing_else(gateway, subject, simulator, backend):
    before = simulator.settings(subject.account)
    baseline = gateway.read(subject)
    assert baseline.restriction is NONE
    assert pay(backend, simulator, subject)["status"] != "refused"

    applied = to(gateway, subject, HELD, baseline.settings)
    assert (applied.state.restriction, applied.expires_at) == (HELD, None)
    assert pay(backend, simulator, subject)["status"] == "refused"
    holder = simulator.account_holder(subject.account)
    assert holder["status"] == "active"
    assert holder["capabilities"]["receivePayments"]["enabled"]
    to(gateway, subject, NONE, baseline.settings)
    assert simulator.settings(subject.account) == before
    assert pay(backend, simulator, subject)["status"] != "refused"


def test_a_block_stops_what_comes_in_as_well(gateway, subject, simulator):
    baseline = gateway.read(subject).settings
    applied = to(gateway, subject, BLOCKED, baseline)

    holder = simulator.account_holder(subject.account)
    assert applied.state.restriction is BLOCKED
    assert holder["status"] == "suspended"
    assert not holder["capabilities"]["receivePayments"]["enabled"]
    assert holder["capabilities"]["sendToBalanceAccount"]["enabled"], "more was changed than is said"


def test_exactly_the_sweeps_and_schedules_that_were_active_come_back_through_all_pages(
    gateway, subject, simulator, monkeypatch
):
    monkeypatch.setattr(client, "PAGE", 3)
    second = simulator.add_balance_account(subject.account)
    for number in range(9):
        status = "active" if number % 3 else "inactive"
        at = {"balance_account": second} if number % 2 else {}
        simulator.add_sweep(subject.account, status=status, **at)
        simulator.add_payout_schedule(
            subject.account, enabled=number % 3 == 1, currency=f"E{'ABCDEFGHI'[number]}R", **at
        )
    simulator.add_sweep(subject.account, type="pull", counterparty={"merchantAccount": "SyntheticMerchant"})
    before = simulator.settings(subject.account)
    baseline = gateway.read(subject).settings
    assert (len(baseline["sweeps"]), len(baseline["schedules"])) == (6, 3)

    to(gateway, subject, HELD, baseline)
    held = simulator.settings(subject.account)
    assert [each["type"] for each in held["sweeps"].values() if each["status"] == "active"] == ["pull"]
    assert not any(each["enabled"] for each in held["payout_schedules"].values())
    to(gateway, subject, NONE, baseline, "key-2")
    assert simulator.settings(subject.account) == before


def test_the_account_holder_is_held_before_anything_else(gateway, subject, simulator):
    simulator.add_sweep(subject.account)
    baseline = gateway.read(subject).settings
    simulator.inject(Fault(FaultKind.ANSWER, "PATCH", "/sweeps/", status=422))

    with pytest.raises(Refused):
        to(gateway, subject, HELD, baseline)
    assert not simulator.account_holder(subject.account)["capabilities"]["sendToTransferInstrument"]["enabled"]


def test_one_refused_write_does_not_keep_the_others_back(gateway, subject, simulator):
    sweeps = [simulator.add_sweep(subject.account) for _ in range(3)]
    baseline = gateway.read(subject).settings
    simulator.inject(Fault(FaultKind.ANSWER, "PATCH", sweeps[0], status=422))

    with pytest.raises(Refused):
        to(gateway, subject, HELD, baseline)
    found = simulator.settings(subject.account)["sweeps"]
    assert [found[each]["status"] for each in sweeps] == ["active", "inactive", "inactive"]


def test_what_was_deleted_meanwhile_is_for_a_person_once_the_others_are_back(gateway, subject, simulator, backend):
    gone, kept = simulator.add_sweep(subject.account), simulator.add_sweep(subject.account)
    baseline = gateway.read(subject).settings
    to(gateway, subject, HELD, baseline)
    account = simulator.balance_account_of(subject.account)
    backend.balancePlatform.custom_payout_schedules_sweeps_api.delete_sweep(account, gone)

    with pytest.raises(Refused, match=gone):
        to(gateway, subject, NONE, baseline)
    found = simulator.settings(subject.account)
    assert found["sweeps"][kept]["status"] == "active"
    assert found["account_holder"]["capabilities"]["sendToTransferInstrument"]["enabled"]


def test_a_closed_account_holder_is_blocked_for_good_and_its_release_is_for_a_person(gateway, subject, simulator):
    baseline = gateway.read(subject).settings
    simulator.set_by_hand("accountHolders", subject.account, {"status": "closed"})
    asked = len([each for each in simulator.requests if each.method == "PATCH"])

    for restriction in (HELD, BLOCKED):
        assert to(gateway, subject, restriction, baseline).state.restriction is BLOCKED
    with pytest.raises(Refused, match="closed"):
        to(gateway, subject, NONE, baseline)
    assert len([each for each in simulator.requests if each.method == "PATCH"]) == asked


def test_a_hold_of_an_account_holder_that_was_suspended_leaves_it_suspended(gateway, subject, simulator):
    simulator.set_by_hand("accountHolders", subject.account, {"status": "suspended"})
    baseline = gateway.read(subject)
    assert baseline.restriction is HELD

    for restriction in (HELD, BLOCKED, NONE):
        to(gateway, subject, restriction, baseline.settings, restriction)
        assert simulator.account_holder(subject.account)["status"] == "suspended"


def test_what_takes_money_in_and_is_new_goes_on_under_a_hold():
    baseline = AccountSettings(status="active", capabilities=("sendToTransferInstrument",))
    now = AccountSettings(status="active", capabilities=("receivePayments", "sendToTransferInstrument"))

    assert baseline.restricted_to(HELD, now).capabilities == ("receivePayments",)
    assert baseline.restricted_to(NONE, now) == baseline


def test_transfers_may_be_blocked_by_a_rule_as_well(make_gateway, simulator, subject, backend):
    gateway = make_gateway(simulator.base_url, block_transfers_by_rule=True)
    baseline = gateway.read(subject).settings
    to(gateway, subject, HELD, baseline)
    (rule,) = simulator.settings(subject.account)["transaction_rules"].values()
    assert (rule["status"], rule["outcomeType"], rule["requestType"]) == ("active", "hardBlock", "bankTransfer")
    to(gateway, subject, BLOCKED, baseline, "key-2")
    to(gateway, subject, NONE, baseline, "key-3")
    (rule,) = simulator.settings(subject.account)["transaction_rules"].values()
    assert rule["status"] == "inactive"
    assert gateway.read(subject).settings == baseline
    to(gateway, subject, HELD, baseline, "key-4")
    assert len(simulator.settings(subject.account)["transaction_rules"]) == 1, "a second rule was made"


def test_a_rule_whose_answer_was_lost_is_not_made_twice(make_gateway, simulator, subject):
    gateway = make_gateway(simulator.base_url, block_transfers_by_rule=True)
    baseline = gateway.read(subject).settings
    simulator.inject(Fault(FaultKind.LOST_AFTER, "POST", "/transactionRules"))

    with pytest.raises(OutcomeUnknown):
        to(gateway, subject, HELD, baseline)
    to(gateway, subject, HELD, baseline)
    assert len(simulator.settings(subject.account)["transaction_rules"]) == 1


def test_schedules_are_left_alone_where_the_configuration_says_so(make_gateway, simulator, subject):
    simulator.add_payout_schedule(subject.account)
    gateway = make_gateway(simulator.base_url, payout_schedules=False)
    to(gateway, subject, HELD, gateway.read(subject).settings)

    (schedule,) = simulator.settings(subject.account)["payout_schedules"].values()
    assert schedule["enabled"]
    assert not any("payoutSchedules" in request.path for request in simulator.requests)


def test_a_list_that_does_not_end_is_given_up(gateway, subject, simulator, monkeypatch):
    monkeypatch.setattr(client, "MAX_PAGES", 2)
    monkeypatch.setattr(client, "PAGE", 1)
    for _ in range(4):
        simulator.add_sweep(subject.account)

    with pytest.raises(Refused, match="do not end"):
        gateway.read(subject)


@pytest.mark.parametrize("baseline", [{}, {"status": ""}, {"status": "active", "sweeps": "all"}])
def test_a_baseline_of_another_adapter_is_refused(gateway, subject, baseline):
    with pytest.raises(Refused, match="baseline"):
        to(gateway, subject, NONE, baseline)


def test_a_baseline_with_hostile_ids_sends_none_of_them(gateway, subject, simulator):
    baseline = {**gateway.read(subject).settings, "sweeps": ["BA1/../AH2"]}

    with pytest.raises(Refused):
        to(gateway, subject, NONE, baseline)
    assert not any(".." in request.path for request in simulator.requests)


class TestAnswers:
    """One table of what answers mean, met through the vendor's SDK over real HTTP."""

    @pytest.mark.parametrize(
        ("fault", "reading", "writing"),
        [
            (Fault(FaultKind.ANSWER, status=429), RetryLater, RetryLater),
            (Fault(FaultKind.ANSWER, status=401), RetryLater, Refused),
            (Fault(FaultKind.ANSWER, status=403), Refused, Refused),
            (Fault(FaultKind.ANSWER, status=404), Refused, Refused),
            (Fault(FaultKind.ANSWER, status=422), Refused, Refused),
            (Fault(FaultKind.ERROR_BEFORE), RetryLater, OutcomeUnknown),
            (Fault(FaultKind.LOST_AFTER), RetryLater, OutcomeUnknown),
            (Fault(FaultKind.GARBLED), RetryLater, None),
        ],
        ids=lambda each: str(getattr(each, "kind", "") or getattr(each, "__name__", "")),
    )
    def test_what_an_answer_means(self, gateway, subject, simulator, fault, reading, writing):
        baseline = gateway.read(subject).settings
        simulator.inject(Fault(**{**{f: getattr(fault, f) for f in fault.__slots__}, "method": "GET"}))
        with pytest.raises(reading) as caught:
            gateway.read(subject)
        assert type(caught.value) is reading
        simulator.inject(Fault(**{**{f: getattr(fault, f) for f in fault.__slots__}, "method": "PATCH"}))
        if writing is None:  # the SDK makes an empty success of it; what it did is read back
            assert to(gateway, subject, HELD, baseline).state.restriction is HELD
            return
        with pytest.raises(writing) as caught:
            to(gateway, subject, HELD, baseline)
        assert type(caught.value) is writing

    def test_a_rate_limit_says_how_long(self, gateway, subject, simulator):
        simulator.inject(Fault(FaultKind.ANSWER, status=429))
        with pytest.raises(RetryLater) as caught:
            gateway.read(subject)
        assert caught.value.after.total_seconds() == 3

    def test_what_a_person_can_look_up_is_named_and_nothing_else(self, gateway, simulator):
        unknown = Subject(
            instance=INSTANCE, kind=SubjectKind.ACCOUNT, id="AH00000000NOBODY1", account="AH00000000NOBODY1"
        )
        with pytest.raises(Refused, match=r"HTTP 4\d\d, code `\S+`, request `\S+`") as caught:
            gateway.read(unknown)
        assert "NOBODY" not in str(caught.value)

    def test_no_connection_is_known_to_have_done_nothing(self, make_gateway, subject):
        with pytest.raises(RetryLater):
            make_gateway("http://127.0.0.1:9").read(subject)

    def test_a_redirect_is_not_followed_with_the_key(self, make_gateway, subject, httpserver):
        taken = []
        httpserver.expect_request("/elsewhere").respond_with_handler(lambda r: taken.append(r))
        path = f"/bcl/v2/accountHolders/{subject.account}"
        headers = {"location": httpserver.url_for("/elsewhere")}
        httpserver.expect_request(path).respond_with_data("", status=302, headers=headers)

        with pytest.raises(RetryLater):
            make_gateway(httpserver.url_for("").rstrip("/")).read(subject)
        assert taken == []

    @pytest.mark.parametrize("body", ["[]", '"text"', "null", '{"id": "AH00000000OTHER0001"}', '{"id": 5}', "{}"])
    def test_an_answer_of_another_form_is_no_other_error(self, make_gateway, subject, httpserver, body):
        path = f"/bcl/v2/accountHolders/{subject.account}"
        httpserver.expect_request(path).respond_with_data(body, content_type="application/json")

        with pytest.raises((RetryLater, Refused)):
            make_gateway(httpserver.url_for("").rstrip("/")).read(subject)

    def test_a_password_of_the_machine_is_not_sent_along(self, make_gateway, subject, simulator, tmp_path, monkeypatch):
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        assert requests.utils.get_netrc_auth(simulator.base_url) is not None

        make_gateway(simulator.base_url).read(subject)
        assert all("authorization" not in request.headers for request in simulator.requests)
