"""What people have done at Adyen, at the simulator, through the vendor's SDK."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from paycordon.errors import OutcomeUnknown, Refused, RetryLater
from paycordon.gateways import Grade, fenced
from paycordon_adyen import peoples_acts as acts
from paycordon_adyen.gateway import AdyenGateway
from paycordon_adyen.simulator import Fault, FaultKind

from .conftest import CAPABILITIES

pytestmark = pytest.mark.usefixtures("lawful")


@pytest.fixture
def subject(simulator, subject_of):
    return subject_of(simulator.create_account_holder(capabilities=CAPABILITIES, balance={"EUR": 500_000}))


@pytest.fixture
def waiting(simulator, subject, backend):
    """A transfer that waits for the approval of people."""
    asked = {
        "amount": {"currency": "EUR", "value": 700},
        "balanceAccountId": simulator.balance_account_of(subject.account),
        "category": "bank",
        "counterparty": {"transferInstrumentId": simulator.transfer_instrument_of(subject.account)},
        "priority": "regular",
        "review": {"numberOfApprovalsRequired": 1},
    }
    made = backend.transfers.transfers_api.transfer_funds(asked).message["id"]
    assert backend.transfers.transfers_api.get_transfer(made).message["status"] == "pendingApproval"
    return acts.OneTransfer(transfer=made)


def writes(simulator, method="POST"):
    return [each for each in simulator.requests if each.method == method]


def test_each_act_is_written_or_impossible(gateway):
    for name, act in AdyenGateway.acts.items():
        assert act.support.how
        if act.support.grade is not Grade.IMPOSSIBLE:
            assert name in gateway._performer._plans
        if not act.support.reversible:
            assert (act.undone_by, act.two_people) == (None, True), name
    assert "accept_dispute" not in AdyenGateway.acts
    assert "defend_dispute" not in AdyenGateway.acts


def test_a_transfer_that_waits_is_approved_once(gateway, subject, waiting, simulator):
    done = [gateway.perform(subject, "approve_transfer", waiting, "act-1") for _ in range(2)]

    assert [each.already for each in done] == [False, True]
    assert done[0].reference == waiting.transfer
    assert len([each for each in writes(simulator) if each.path.endswith("/approve")]) == 1
    with pytest.raises(Refused, match="another state"):
        gateway.perform(subject, "cancel_transfer", waiting, "act-2")


def test_a_transfer_that_waits_is_cancelled_and_its_money_stays(gateway, subject, waiting, simulator):
    done = gateway.perform(subject, "cancel_transfer", waiting, "act-1")

    assert (done.state, done.already) == ("cancelled", False)
    assert simulator.balance(subject.account) == 500_000
    assert gateway.perform(subject, "cancel_transfer", waiting, "act-9").already
    with pytest.raises(Refused, match="another state"):
        gateway.perform(subject, "approve_transfer", waiting, "act-2")


def test_after_thirty_days_there_is_nothing_to_approve(gateway, subject, waiting, simulator):
    simulator.advance(timedelta(days=31))

    with pytest.raises(Refused):
        gateway.perform(subject, "approve_transfer", waiting, "act-1")


def test_a_transfer_without_a_review_cannot_be_cancelled(gateway, subject, simulator, backend):
    simulator.add_sweep(subject.account, schedule={"type": "balance"})
    simulator.fund(subject.account, 100)
    out = simulator.transfers(subject.account)[-1]["id"]

    with pytest.raises(Refused):
        gateway.perform(subject, "cancel_transfer", acts.OneTransfer(transfer=out), "act-1")


def test_the_transfer_of_somebody_else_is_refused(gateway, waiting, simulator, subject_of):
    other = subject_of(simulator.create_account_holder())

    with pytest.raises(Refused, match="not of this account holder"):
        gateway.perform(other, "cancel_transfer", waiting, "act-1")


def test_money_that_came_in_is_sent_back_once(gateway, subject, simulator):
    given = acts.OneTransfer(transfer=simulator.receive(subject.account, 900))
    first = gateway.perform(subject, "return_transfer", given, "act-1")
    again = gateway.perform(subject, "return_transfer", given, "act-2")

    assert (first.already, again.already) == (False, True)
    assert first.state == again.state
    back = [each for each in simulator.transfers(subject.account) if each["direction"] == "outgoing"]
    assert [each["amount"]["value"] for each in back] == [900]


def test_only_what_came_in_is_sent_back(gateway, subject, waiting):
    with pytest.raises(Refused, match="came in"):
        gateway.perform(subject, "return_transfer", waiting, "act-1")


def test_an_account_holder_is_suspended_activated_and_closed(gateway, subject, simulator):
    states = [
        gateway.perform(subject, act, acts.Nothing(), act).state
        for act in ("suspend_account_holder", "activate_account_holder", "close_account_holder")
    ]

    assert states == ["suspended", "active", "closed"]
    assert gateway.perform(subject, "close_account_holder", acts.Nothing(), "again").already
    with pytest.raises(Refused):
        gateway.perform(subject, "activate_account_holder", acts.Nothing(), "no")
    assert simulator.account_holder(subject.account)["status"] == "closed"


def test_a_capability_is_switched(gateway, subject, simulator):
    given = acts.Capability(capability="receivePayments")
    off = gateway.perform(subject, "switch_off_capability", given, "act-1")
    assert (off.state, simulator.account_holder(subject.account)["capabilities"]["receivePayments"]["enabled"]) == (
        "disabled",
        False,
    )
    assert gateway.perform(subject, "switch_on_capability", given, "act-2").state == "enabled"
    with pytest.raises(Refused, match="no capability"):
        gateway.perform(subject, "switch_off_capability", acts.Capability(capability="issueCard"), "act-3")


def test_what_may_leave_is_limited(gateway, subject, simulator, backend):
    account = simulator.balance_account_of(subject.account)
    given = acts.TransferLimit(balance_account=account, amount=10_000, currency="EUR")
    first, again = (gateway.perform(subject, "set_transfer_limit", given, key) for key in ("act-1", "act-2"))

    assert (first.state, first.already, again.already) == ("EUR 10000", False, True)
    (limit,) = simulator.settings(subject.account)["transfer_limits"].values()
    assert (limit["scope"], limit["amount"]["value"]) == ("perDay", 10_000)


def test_the_balance_account_of_somebody_else_is_refused(gateway, subject, simulator):
    other = simulator.balance_account_of(simulator.create_account_holder())
    given = acts.TransferLimit(balance_account=other, amount=1, currency="EUR")

    with pytest.raises(Refused, match="not of this account holder"):
        gateway.perform(subject, "set_transfer_limit", given, "act-1")


def test_a_bank_account_is_removed(gateway, subject, simulator):
    given = acts.OneTransferInstrument(transfer_instrument=simulator.transfer_instrument_of(subject.account))

    assert gateway.perform(subject, "remove_transfer_instrument", given, "act-1").state == "gone"
    assert gateway.perform(subject, "remove_transfer_instrument", given, "act-2").already


def test_a_document_is_laid_ready_and_taken_back_and_nothing_is_submitted(gateway, subject, simulator, backend):
    dispute = simulator.open_dispute(simulator.pay(subject.account, 4_200))
    asked = {"disputePspReference": dispute, "merchantAccountCode": "SyntheticMerchant"}
    reasons = backend.disputes.disputes_api.retrieve_applicable_defense_reasons(asked).message["defenseReasons"]
    code = reasons[0]["defenseDocumentTypes"][0]["defenseDocumentTypeCode"]
    about = {"dispute": dispute, "merchant_account": "SyntheticMerchant", "document_type": code}
    given = acts.DefenseDocument(**about, content=base64.b64encode(b"synthetic").decode())

    done = gateway.perform(subject, "supply_defense_document", given, "act-1")
    assert (done.state, done.already) == ("supplied", False)
    assert gateway.perform(subject, "supply_defense_document", given, "act-2").already
    back = gateway.perform(subject, "withdraw_defense_document", acts.WithdrawnDocument(**about), "act-3")
    assert back.state == "not supplied"
    assert not any(each.path.endswith(("/defendDispute", "/acceptDispute")) for each in simulator.requests)
    unknown = acts.WithdrawnDocument(**{**about, "document_type": "Nonsense"})
    with pytest.raises(Refused, match="Nonsense"):
        gateway.perform(subject, "withdraw_defense_document", unknown, "act-4")


@pytest.mark.parametrize(
    ("act", "given"),
    [
        ("remove_transfer_instrument", acts.OneTransferInstrument(transfer_instrument="SE1")),
        ("withdraw_defense_document", acts.WithdrawnDocument(dispute="D1", merchant_account="M", document_type="T")),
    ],
)
def test_an_act_without_its_key_is_refused(make_gateway, simulator, subject, act, given):
    with pytest.raises(Refused, match="api_key"):
        make_gateway(simulator.base_url).perform(subject, act, given, "act-1")


@pytest.mark.parametrize("act", ["recall_payout", "hold_change_of_bank_account", "nonsense", "approve_transfer"])
def test_what_is_impossible_unknown_or_of_other_parameters_is_refused(gateway, subject, act, simulator):
    asked = len(simulator.requests)
    with pytest.raises(Refused):
        gateway.perform(subject, act, acts.Nothing(), "act-1")
    assert len(simulator.requests) == asked


@pytest.mark.parametrize(
    ("fault", "error", "happened"),
    [
        (Fault(FaultKind.LOST_BEFORE, "POST"), OutcomeUnknown, False),
        (Fault(FaultKind.LOST_AFTER, "POST"), OutcomeUnknown, True),
        (Fault(FaultKind.ERROR_AFTER, "POST"), OutcomeUnknown, True),
        (Fault(FaultKind.ANSWER, "POST", status=429), RetryLater, False),
        (Fault(FaultKind.ANSWER, "POST", status=403), Refused, False),
    ],
    ids=lambda each: getattr(each, "kind", None) or "",
)
def test_an_act_that_failed_is_done_once_when_asked_again(gateway, subject, waiting, simulator, fault, error, happened):
    simulator.inject(fault)
    with pytest.raises(error):
        gateway.perform(subject, "cancel_transfer", waiting, "act-1")

    again = gateway.perform(subject, "cancel_transfer", waiting, "act-1")
    assert (again.state, again.already) == ("cancelled", happened)


def test_behind_a_closed_fence_nothing_is_sent(gateway, subject, waiting, simulator):
    before = len(writes(simulator))
    with fenced(lambda _: False), pytest.raises(RetryLater):
        gateway.perform(subject, "cancel_transfer", waiting, "act-1")
    assert len(writes(simulator)) == before
