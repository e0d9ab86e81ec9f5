"""What the configuration of an instance changes about restrictions: where schedules are, and pending payouts."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

from paycordon.errors import OutcomeUnknown, Refused, RetryLater
from paycordon.gateways import Change, FenceClosed, Restriction, fenced
from paycordon_stripe.simulator import Fault, FaultKind

HELD, NONE = Restriction.PAYOUTS_HELD, Restriction.NONE


@pytest.fixture
def account(simulator):
    simulator.create_account(id="acct_1Held", balance={"usd": 10_000})
    return "acct_1Held"


@pytest.fixture
def by_balance(simulator, make_gateway):
    return make_gateway(simulator.base_url, schedules="balance_settings")


@pytest.fixture
def cancelling(simulator, make_gateway):
    return make_gateway(simulator.base_url, cancel_pending_payouts=True)


def paid_out(simulator, backend, account, amount=100):
    return backend.v1.payouts.create({"amount": amount, "currency": "usd"}, {"stripe_account": account}).id


@pytest.fixture
def backend(simulator):
    return stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url})


def status(simulator, account):
    return {payout["id"]: payout["status"] for payout in simulator.payouts(account)}


def writes(simulator):
    return [request.path for request in simulator.requests if request.method == "POST"]


@pytest.mark.parametrize("override", [None, 9])
@pytest.mark.parametrize("to", [HELD, Restriction.BLOCKED])
def test_balance_settings_are_restored_exactly(simulator, backend, by_balance, subject_of, account, override, to):
    asked = {"payments": {"payouts": {"schedule": {"interval": "weekly", "weekly_payout_days": ["friday", "monday"]}}}}
    if override:
        asked["payments"]["settlement_timing"] = {"delay_days_override": override}
    backend.raw_request("post", "/v1/balance_settings", stripe_account=account, **asked)
    before, sent = simulator.account(account), len(writes(simulator))
    baseline = by_balance.read(subject_of(account)).settings

    held = by_balance.apply(subject_of(account), Change(to, baseline), "key-1")
    interval = simulator.schedule(account)["interval"]
    released = by_balance.apply(subject_of(account), Change(NONE, baseline), "key-2")

    assert (held.state.restriction, interval) == (to, "manual")
    assert released.state.settings == baseline
    assert simulator.account(account) == before
    paths = set(writes(simulator)[sent:])
    assert "/v1/balance_settings" in paths
    assert f"/v1/accounts/{account}" not in paths


def test_a_delay_set_by_hand_under_a_hold_is_taken_back(simulator, backend, by_balance, subject_of, account):
    baseline = by_balance.read(subject_of(account)).settings
    by_balance.apply(subject_of(account), Change(HELD, baseline), "key-1")
    timing = {"payments": {"settlement_timing": {"delay_days_override": 30}}}
    backend.raw_request("post", "/v1/balance_settings", stripe_account=account, **timing)

    released = by_balance.apply(subject_of(account), Change(NONE, baseline), "key-2")

    assert released.state.settings == baseline


def test_balance_settings_are_written_once_under_a_key(simulator, by_balance, subject_of, account):
    """The answer that is lost, or cannot be read, is no failure of the change."""
    baseline = by_balance.read(subject_of(account)).settings
    simulator.inject(Fault(FaultKind.LOST_AFTER, "POST", "balance_settings"))
    with pytest.raises(OutcomeUnknown):
        by_balance.apply(subject_of(account), Change(HELD, baseline), "key-1")

    assert by_balance.apply(subject_of(account), Change(HELD, baseline), "key-1").state.restriction is HELD
    assert writes(simulator).count("/v1/balance_settings") == 1


def test_pending_payouts_stay_unless_the_configuration_says_otherwise(simulator, backend, gateway, subject_of, account):
    payout = paid_out(simulator, backend, account)

    gateway.apply(subject_of(account), Change(HELD, gateway.read(subject_of(account)).settings), "key-1")

    assert status(simulator, account) == {payout: "pending"}


@pytest.mark.parametrize("to", [HELD, Restriction.BLOCKED])
def test_a_hold_cancels_pending_payouts_made_by_hand(simulator, backend, cancelling, subject_of, account, to):
    made = [paid_out(simulator, backend, account) for _ in range(3)]
    baseline = cancelling.read(subject_of(account)).settings

    cancelling.apply(subject_of(account), Change(to, baseline), "key-1")
    sent = len(writes(simulator))
    cancelling.apply(subject_of(account), Change(to, baseline), "key-1")
    cancelling.apply(subject_of(account), Change(NONE, baseline), "key-2")

    assert status(simulator, account) == dict.fromkeys(made, "canceled")
    assert not [path for path in writes(simulator)[sent:] if path.endswith("/cancel")], "cancelled once"


def test_automatic_payouts_and_those_under_way_are_left_alone(simulator, backend, cancelling, subject_of, account):
    simulator.set_by_hand(account, "settings.payouts.schedule.interval", "daily")
    simulator.advance(timedelta(days=1, hours=1))
    automatic = {payout["id"] for payout in simulator.payouts(account)}
    baseline = cancelling.read(subject_of(account)).settings

    cancelling.apply(subject_of(account), Change(HELD, baseline), "key-1")

    assert automatic
    assert "canceled" not in status(simulator, account).values()


def test_a_release_cancels_nothing(simulator, backend, cancelling, subject_of, account):
    baseline = cancelling.read(subject_of(account)).settings
    payout = paid_out(simulator, backend, account)

    cancelling.apply(subject_of(account), Change(NONE, baseline), "key-1")

    assert status(simulator, account) == {payout: "pending"}


@pytest.mark.parametrize("kind", [FaultKind.LOST_AFTER, FaultKind.LOST_BEFORE, FaultKind.ERROR_AFTER])
def test_a_cancel_whose_answer_never_came_is_looked_at_again(simulator, backend, cancelling, subject_of, account, kind):
    paid_out(simulator, backend, account)
    baseline = cancelling.read(subject_of(account)).settings
    simulator.inject(Fault(kind, "POST", "cancel"))
    with pytest.raises(OutcomeUnknown):
        cancelling.apply(subject_of(account), Change(HELD, baseline), "key-1")

    cancelling.apply(subject_of(account), Change(HELD, baseline), "key-2")

    assert set(status(simulator, account).values()) == {"canceled"}
    assert len([c for c in simulator.changes(account) if c.what.endswith(".status")]) == 2, "made, and cancelled once"


def test_a_payout_that_leaves_while_it_is_cancelled_is_no_failure(
    simulator, backend, cancelling, subject_of, account, monkeypatch
):
    payout = paid_out(simulator, backend, account)
    baseline = cancelling.read(subject_of(account)).settings
    payouts = cancelling._acts._client.v1.payouts
    cancel = payouts.cancel

    def too_late(*args):
        simulator.advance(timedelta(days=1))
        return cancel(*args)

    monkeypatch.setattr(payouts, "cancel", too_late)

    applied = cancelling.apply(subject_of(account), Change(HELD, baseline), "key-1")

    assert applied.state.restriction is HELD
    assert status(simulator, account)[payout] != "canceled"


def test_a_cancel_that_stripe_refuses_is_put_before_a_person(simulator, backend, cancelling, subject_of, account):
    paid_out(simulator, backend, account)
    baseline = cancelling.read(subject_of(account)).settings
    simulator.inject(Fault(FaultKind.ANSWER, "POST", "cancel", status=403))

    with pytest.raises(Refused):
        cancelling.apply(subject_of(account), Change(HELD, baseline), "key-1")

    assert simulator.schedule(account)["interval"] == "manual"


def test_behind_a_closed_fence_no_payout_is_cancelled(simulator, backend, cancelling, subject_of, account):
    payout = paid_out(simulator, backend, account)
    baseline = cancelling.read(subject_of(account)).settings
    cancelling_asked = iter([True, False, False])

    with fenced(lambda _: next(cancelling_asked)), pytest.raises((OutcomeUnknown, FenceClosed, RetryLater)):
        cancelling.apply(subject_of(account), Change(HELD, baseline), "key-1")

    assert status(simulator, account) == {payout: "pending"}
    assert simulator.schedule(account)["interval"] == "manual"


def test_an_account_without_a_payout_schedule_is_held_and_released_once_people_have_set_one(
    simulator, by_balance, subject_of, account
):
    """Stripe's own example has none: balance settings of an account that cannot be paid out yet. Prism found it."""
    simulator.set_by_hand(account, "settings.payouts.schedule.interval", None)
    baseline = by_balance.read(subject_of(account)).settings

    held = by_balance.apply(subject_of(account), Change(HELD, baseline), "key-1")
    with pytest.raises(Refused, match="no payout schedule"):
        by_balance.apply(subject_of(account), Change(NONE, baseline), "key-2")
    still = simulator.schedule(account)["interval"]
    simulator.set_by_hand(account, "settings.payouts.schedule.interval", "daily")
    released = by_balance.apply(subject_of(account), Change(NONE, baseline), "key-3")

    assert (held.state.restriction, still, released.state.restriction) == (HELD, "manual", NONE)
    assert simulator.schedule(account)["interval"] == "daily"
