"""The ways in which adapters are known to fail, as far as they concern acts and the guard: one test for each."""

from __future__ import annotations

import threading

import pytest
import stripe

from paycordon.errors import Blocked, OutcomeUnknown, Refused, RetryLater
from paycordon.gateways import Change, Restriction
from paycordon_stripe import guard
from paycordon_stripe import peoples_acts as acts
from paycordon_stripe.gateway import StripeGateway, StripeSettings
from paycordon_stripe.simulator import Fault, FaultKind

ACCT = "acct_1Failure"
HELD, NONE = Restriction.PAYOUTS_HELD, Restriction.NONE


@pytest.fixture
def subject(simulator, subject_of):
    simulator.create_account(id=ACCT, balance={"usd": 50_000})
    return subject_of(ACCT)


@pytest.fixture
def backend(simulator):
    return stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url})


def transfer(backend):
    return backend.v1.transfers.create({"amount": 900, "currency": "usd", "destination": ACCT}).id


def test_mode_1_the_same_act_twice_has_one_effect(gateway, subject, backend):
    given = acts.ReverseTransfer(transfer=transfer(backend), amount=300, reversed_before=0)

    done = [gateway.perform(subject, "reverse_transfer", given, "act-1").already for _ in range(2)]

    assert done == [False, True]
    assert backend.v1.transfers.retrieve(given.transfer).amount_reversed == 300


def test_mode_3_two_workers_with_one_act_move_the_money_once(gateway, subject, backend):
    given = acts.ReverseTransfer(transfer=transfer(backend), amount=300, reversed_before=0)
    ready, ended = threading.Barrier(2), []

    def work():
        ready.wait(5)
        try:
            ended.append(gateway.perform(subject, "reverse_transfer", given, "act-1"))
        except (RetryLater, OutcomeUnknown, Refused) as error:
            ended.append(error)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)

    assert len(ended) == 2
    assert backend.v1.transfers.retrieve(given.transfer).amount_reversed == 300


@pytest.mark.parametrize("kind", [FaultKind.LOST_AFTER, FaultKind.LOST_BEFORE])
def test_mode_5_a_timeout_is_unknown_until_it_was_read(gateway, hasty, subject, simulator, kind):
    baseline = gateway.read(subject).settings
    simulator.inject(Fault(kind, "POST", seconds=30))

    with pytest.raises(OutcomeUnknown) as caught:
        hasty.apply(subject, Change(HELD, baseline), "key-1")

    assert not caught.value.answered
    assert gateway.read(subject).restriction is (HELD if kind is FaultKind.LOST_AFTER else NONE)


def test_mode_12_a_connected_accounts_objects_are_asked_for_in_its_context(gateway, subject, simulator, backend):
    payout = backend.v1.payouts.create({"amount": 100, "currency": "usd"}, {"stripe_account": ACCT}).id
    asked = len(simulator.requests)

    gateway.perform(subject, "cancel_payout", acts.OnePayout(payout=payout), "act-1")

    assert {request.account for request in simulator.requests[asked:]} == {ACCT}


def test_mode_12_an_account_that_has_left_the_platform_is_for_a_person(gateway, subject, simulator):
    baseline = gateway.read(subject).settings
    simulator.inject(Fault(FaultKind.ANSWER, status=403, times=9))

    with pytest.raises(Refused):
        gateway.apply(subject, Change(HELD, baseline), "key-1")


def test_mode_13_the_reason_codes_are_those_of_the_version_that_is_sent(gateway, subject, simulator):
    gateway.perform(subject, "reject", acts.Reject(reason="fraud_other"), "act-1")

    sent = next(request for request in simulator.requests if request.path.endswith("/reject"))
    assert sent.headers["stripe-version"] >= "2026-09-30"
    assert sent.params["reason"] == "fraud_other"


def test_mode_15_an_answer_that_the_sdk_stumbles_over_is_no_failure_of_the_change(make_gateway, simulator, subject):
    """The SDK's typed call raises `AttributeError` after Stripe has changed balance settings."""
    gateway = make_gateway(simulator.base_url, schedules="balance_settings")

    applied = gateway.apply(subject, Change(HELD, gateway.read(subject).settings), "key-1")

    assert applied.state.restriction is HELD


class Refusing:
    """A cordon that blocks everything."""

    def __init__(self, decision):
        self._decision = decision

    def screen(self, event):
        raise Blocked(f"dec-{event.type}", self._decision)


def test_mode_15_the_guard_changes_no_parameters_of_the_backend(backend, simulator, subject):
    params = {"amount": 100, "currency": "usd", "metadata": {"order": "1"}}
    options = {"stripe_account": ACCT, "idempotency_key": "k-1"}
    kept = ({**params, "metadata": {**params["metadata"]}}, {**options})

    with pytest.raises(Blocked):
        guard(backend, Refusing("additional_information_required"), "stripe_sim").v1.payouts.create(params, options)

    assert (params, options) == kept


def test_rate_limits_are_waited_for_as_long_as_stripe_says(gateway, subject, simulator):
    baseline = gateway.read(subject).settings
    simulator.inject(Fault(FaultKind.ANSWER, "POST", status=429))

    with pytest.raises(RetryLater):
        gateway.apply(subject, Change(HELD, baseline), "key-1")

    assert gateway.read(subject).restriction is NONE


def test_settings_of_an_instance_are_closed_to_misspellings():
    with pytest.raises(ValueError, match="cancel_pending"):
        StripeSettings(
            adapter="stripe", mode="test", api_key="sk_test_1", webhook_secrets=["whsec_1"], cancel_pending=True
        )
    assert StripeGateway.settings_type is StripeSettings
