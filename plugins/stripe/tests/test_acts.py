from __future__ import annotations

import contextlib
import socket
from datetime import timedelta

import pytest

from paycordon.errors import OutcomeUnknown, Refused, RetryLater
from paycordon.events import Subject, SubjectKind
from paycordon.gateways import Change, Restriction
from paycordon.testing.clock import NOON
from paycordon_stripe.simulator import Fault, FaultKind

WEEKLY = {"interval": "weekly", "delay_days": 7, "weekly_anchor": "friday", "weekly_payout_days": ["friday"]}
MONTHLY = {"interval": "monthly", "delay_days": 4, "monthly_anchor": 15, "monthly_payout_days": [15, 28]}
DAILY = {"interval": "daily", "delay_days": 3}
MANUAL = {"interval": "manual", "delay_days": 5}
TWICE_A_WEEK = {
    "interval": "weekly",
    "delay_days": 2,
    "weekly_anchor": "monday",
    "weekly_payout_days": ["monday", "thursday"],
}
WRITES = (Restriction.PAYOUTS_HELD, Restriction.BLOCKED, Restriction.NONE)


def with_schedule(simulator, schedule, **fields):
    payouts = {"debit_negative_balances": True, "schedule": dict(schedule), "statement_descriptor": None}
    settings = {"payments": {"statement_descriptor": "KEEP ME"}, "payouts": payouts}
    return simulator.create_account(settings=settings, metadata={"keep": "me"}, **fields)


@pytest.fixture
def account(simulator):
    return with_schedule(simulator, WEEKLY)


@pytest.fixture
def subject(account, subject_of):
    return subject_of(account)


def untouched(simulator, account):
    state = simulator.account(account)
    return state["metadata"] == {"keep": "me"} and state["settings"]["payments"] == {"statement_descriptor": "KEEP ME"}


def test_two_reads_of_an_unchanged_account_are_equal(gateway, subject, simulator, account):
    first, second = gateway.read(subject), gateway.read(subject)

    assert first == second
    assert first.restriction is Restriction.NONE
    assert first.settings == {"schedule": WEEKLY, "capabilities": {"card_payments": True, "transfers": True}}
    assert simulator.changes(account) == []


@pytest.mark.parametrize(
    ("interval", "requested", "restriction"),
    [
        ("daily", (True, True), "none"),
        ("daily", (False, False), "none"),
        ("manual", (True, True), "payouts_held"),
        ("manual", (False, True), "payouts_held"),
        ("manual", (False, False), "blocked"),
    ],
)
def test_a_restriction_is_what_the_settings_amount_to(gateway, simulator, subject_of, interval, requested, restriction):
    account = with_schedule(simulator, {"interval": interval, "delay_days": 2})
    for name, value in zip(("card_payments", "transfers"), requested, strict=True):
        simulator.set_by_hand(account, f"capabilities.{name}.requested", value)

    assert gateway.read(subject_of(account)).restriction == restriction


def test_a_hold_makes_payouts_manual_and_nothing_else(gateway, subject, simulator, account):
    baseline = gateway.read(subject).settings

    applied = gateway.apply(subject, Change(Restriction.PAYOUTS_HELD, baseline), "key-1")

    assert applied.state.restriction is Restriction.PAYOUTS_HELD
    assert simulator.schedule(account) == {"interval": "manual", "delay_days": 7}
    assert simulator.account(account)["requested"] == {"card_payments": True, "transfers": True}
    assert untouched(simulator, account)


def test_a_block_also_switches_off_taking_and_receiving_money(gateway, subject, simulator, account):
    baseline = gateway.read(subject).settings

    applied = gateway.apply(subject, Change(Restriction.BLOCKED, baseline), "key-1")

    assert applied.state.restriction is Restriction.BLOCKED
    assert simulator.account(account)["requested"] == {"card_payments": False, "transfers": False}
    assert simulator.account(account)["charges_enabled"] is False
    assert simulator.changes(account)[0].what == "settings.payouts.schedule.interval", "payouts are held first"


@pytest.mark.parametrize("schedule", [WEEKLY, MONTHLY, DAILY, MANUAL, TWICE_A_WEEK])
@pytest.mark.parametrize("restriction", [Restriction.PAYOUTS_HELD, Restriction.BLOCKED])
def test_a_release_restores_exactly_what_was(gateway, simulator, subject_of, schedule, restriction):
    account = with_schedule(simulator, schedule)
    simulator.set_by_hand(account, "capabilities.transfers.requested", False)
    before, baseline = simulator.account(account), gateway.read(subject_of(account)).settings

    gateway.apply(subject_of(account), Change(restriction, baseline), "key-1")
    applied = gateway.apply(subject_of(account), Change(Restriction.NONE, baseline), "key-2")

    after = simulator.account(account)
    assert after["settings"] == before["settings"]
    assert after["requested"] == before["requested"]
    assert applied.state.settings == baseline
    assert untouched(simulator, account)


def test_a_release_holds_payouts_until_everything_else_is_restored(gateway, subject, simulator, account):
    baseline = gateway.read(subject).settings
    gateway.apply(subject, Change(Restriction.BLOCKED, baseline), "key-1")

    gateway.apply(subject, Change(Restriction.NONE, baseline), "key-2")

    assert "settings.payouts.schedule" in simulator.changes(account)[-1].what


def test_a_block_that_becomes_a_hold_gives_the_capabilities_back(gateway, subject, simulator, account):
    baseline = gateway.read(subject).settings
    gateway.apply(subject, Change(Restriction.BLOCKED, baseline), "key-1")

    gateway.apply(subject, Change(Restriction.PAYOUTS_HELD, baseline), "key-2")

    assert simulator.account(account)["requested"] == {"card_payments": True, "transfers": True}
    assert simulator.schedule(account)["interval"] == "manual"


def test_delay_days_are_written_only_when_they_have_really_changed(gateway, subject, simulator, account):
    baseline = gateway.read(subject).settings
    gateway.apply(subject, Change(Restriction.PAYOUTS_HELD, baseline), "key-1")
    gateway.apply(subject, Change(Restriction.NONE, baseline), "key-2")
    assert not any("delay_days" in request.form for request in simulator.requests)

    gateway.apply(subject, Change(Restriction.PAYOUTS_HELD, baseline), "key-3")
    simulator.set_by_hand(account, "settings.payouts.schedule.delay_days", 20)
    gateway.apply(subject, Change(Restriction.NONE, baseline), "key-4")

    assert simulator.schedule(account) == WEEKLY


@pytest.mark.parametrize("restriction", WRITES)
def test_applying_what_is_already_so_sends_no_write(gateway, subject, simulator, account, restriction):
    baseline = gateway.read(subject).settings
    gateway.apply(subject, Change(restriction, baseline), "key-1")
    changes, sent = simulator.changes(account), len(simulator.requests)

    gateway.apply(subject, Change(restriction, baseline), "key-1")
    gateway.apply(subject, Change(restriction, baseline), "key-2")

    assert simulator.changes(account) == changes
    assert {request.method for request in simulator.requests[sent:]} == {"GET"}


@pytest.mark.parametrize(("country", "days"), [("US", 730), ("DE", 90), ("TH", 10)])
def test_stripes_own_clock_is_told(gateway, simulator, subject_of, country, days):
    account = with_schedule(simulator, DAILY, country=country)
    baseline = gateway.read(subject_of(account)).settings

    held = gateway.apply(subject_of(account), Change(Restriction.PAYOUTS_HELD, baseline), "key-1")
    released = gateway.apply(subject_of(account), Change(Restriction.NONE, baseline), "key-2")

    assert held.expires_at == NOON + timedelta(days=days)
    assert released.expires_at is None


FAULTS = {
    "rate_limited": (Fault(FaultKind.ANSWER, "POST", status=429), RetryLater, False),
    "conflict": (Fault(FaultKind.ANSWER, "POST", status=409), RetryLater, False),
    "forbidden": (Fault(FaultKind.ANSWER, "POST", status=403), Refused, False),
    "bad_request": (Fault(FaultKind.ANSWER, "POST", status=400), Refused, False),
    "error_before": (Fault(FaultKind.ERROR_BEFORE, "POST"), OutcomeUnknown, False),
    "error_after": (Fault(FaultKind.ERROR_AFTER, "POST"), OutcomeUnknown, True),
    "lost_before": (Fault(FaultKind.LOST_BEFORE, "POST"), OutcomeUnknown, False),
    "lost_after": (Fault(FaultKind.LOST_AFTER, "POST"), OutcomeUnknown, True),
    "timeout_before": (Fault(FaultKind.LOST_BEFORE, "POST", seconds=30), OutcomeUnknown, False),
    "timeout_after": (Fault(FaultKind.LOST_AFTER, "POST", seconds=30), OutcomeUnknown, True),
    "garbled": (Fault(FaultKind.GARBLED, "POST"), OutcomeUnknown, True),
}


@pytest.fixture
def faulted(name, gateway, hasty):
    """The gateway that meets the fault: where that is a line held open, one that does not wait for long."""
    return hasty if FAULTS[name][0].seconds else gateway


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_write_is_told_as_what_it_means(gateway, faulted, subject, simulator, account, name):
    fault, error, applied = FAULTS[name]
    baseline = gateway.read(subject).settings
    simulator.inject(fault)

    with pytest.raises(error):
        faulted.apply(subject, Change(Restriction.PAYOUTS_HELD, baseline), "key-1")

    assert (simulator.schedule(account)["interval"] == "manual") is applied


@pytest.mark.parametrize("restriction", [Restriction.PAYOUTS_HELD, Restriction.BLOCKED])
@pytest.mark.parametrize("write", [0, 1, 2])
@pytest.mark.parametrize("name", FAULTS)
def test_the_same_change_asked_again_after_a_fault_has_one_effect(
    gateway, faulted, subject, simulator, account, name, write, restriction
):
    baseline, before = gateway.read(subject).settings, simulator.account(account)
    path = ("/v1/accounts/[^/]+$", "capabilities/card_payments", "capabilities/transfers")[write]
    fault = FAULTS[name][0]
    simulator.inject(Fault(fault.kind, "POST", path, seconds=fault.seconds, status=fault.status))
    with contextlib.suppress(RetryLater, OutcomeUnknown, Refused):
        faulted.apply(subject, Change(restriction, baseline), "key-1")

    simulator.faults.clear()
    applied = gateway.apply(subject, Change(restriction, baseline), "key-1")

    assert applied.state.restriction is restriction
    effects = [change.what for change in simulator.changes(account)]
    assert len(effects) == len(set(effects)), "no setting was changed twice"

    gateway.apply(subject, Change(Restriction.NONE, baseline), "key-2")
    assert simulator.account(account) == before


@pytest.mark.parametrize("name", FAULTS)
def test_a_release_interrupted_by_a_fault_is_completed_by_the_next(gateway, faulted, subject, simulator, account, name):
    baseline, before = gateway.read(subject).settings, simulator.account(account)
    gateway.apply(subject, Change(Restriction.BLOCKED, baseline), "key-1")
    simulator.inject(FAULTS[name][0])
    with pytest.raises(FAULTS[name][1]):
        faulted.apply(subject, Change(Restriction.NONE, baseline), "key-2")

    gateway.apply(subject, Change(Restriction.NONE, baseline), "key-2")

    assert simulator.account(account) == before


@pytest.mark.parametrize("kind", [FaultKind.LOST_BEFORE, FaultKind.ERROR_BEFORE, FaultKind.GARBLED])
def test_a_read_that_fails_may_be_asked_again(gateway, subject, simulator, kind):
    simulator.inject(Fault(kind, "GET", times=2))

    with pytest.raises(RetryLater):
        gateway.read(subject)
    with pytest.raises(RetryLater):
        gateway.apply(subject, Change(Restriction.PAYOUTS_HELD, {"schedule": DAILY, "capabilities": {}}), "key-1")

    assert gateway.read(subject).restriction is Restriction.NONE


def test_a_change_that_cannot_be_read_back_is_unknown(gateway, subject, simulator, account):
    baseline = gateway.read(subject).settings
    gateway.apply(subject, Change(Restriction.NONE, baseline), "key-0")
    simulator.inject(Fault(FaultKind.SLOW, "GET", "accounts/[^/]+$"))  # the first read passes
    simulator.inject(Fault(FaultKind.ANSWER, "GET", "accounts/[^/]+$", status=429))

    with pytest.raises(OutcomeUnknown):
        gateway.apply(subject, Change(Restriction.PAYOUTS_HELD, baseline), "key-1")

    assert simulator.schedule(account)["interval"] == "manual"


def test_a_change_half_sent_is_unknown_not_undone(gateway, subject, simulator, account):
    baseline = gateway.read(subject).settings
    simulator.inject(Fault(FaultKind.ANSWER, "POST", "capabilities", status=429))

    with pytest.raises(OutcomeUnknown):
        gateway.apply(subject, Change(Restriction.BLOCKED, baseline), "key-1")

    assert simulator.schedule(account)["interval"] == "manual"


def test_a_capability_stripe_keeps_on_does_not_keep_the_other_one_on(gateway, subject, simulator, account):
    baseline = gateway.read(subject).settings
    simulator.inject(Fault(FaultKind.ANSWER, "POST", "capabilities/card_payments", status=400))

    with pytest.raises(Refused):
        gateway.apply(subject, Change(Restriction.BLOCKED, baseline), "key-1")

    assert simulator.schedule(account)["interval"] == "manual"
    assert simulator.account(account)["requested"] == {"card_payments": True, "transfers": False}


def test_a_change_undone_by_a_person_is_made_again_under_the_same_key(gateway, subject, simulator, account):
    baseline = gateway.read(subject).settings
    for _ in range(3):
        gateway.apply(subject, Change(Restriction.PAYOUTS_HELD, baseline), "key-1")
        assert simulator.schedule(account)["interval"] == "manual"
        simulator.set_by_hand(account, "settings.payouts.schedule.interval", "daily")


def test_replays_without_end_are_given_up(gateway, subject, simulator, account):
    baseline = gateway.read(subject).settings
    for _ in range(8):
        gateway.apply(subject, Change(Restriction.PAYOUTS_HELD, baseline), "key-1")
        simulator.set_by_hand(account, "settings.payouts.schedule.interval", "daily")

    with pytest.raises(RetryLater):
        gateway.apply(subject, Change(Restriction.PAYOUTS_HELD, baseline), "key-1")
    gateway.apply(subject, Change(Restriction.PAYOUTS_HELD, baseline), "key-2")

    assert simulator.schedule(account)["interval"] == "manual"


def test_what_a_person_changes_meanwhile_in_other_settings_stays(gateway, subject, simulator, account):
    baseline = gateway.read(subject).settings
    gateway.apply(subject, Change(Restriction.PAYOUTS_HELD, baseline), "key-1")
    simulator.set_by_hand(account, "metadata.keep", "changed by a person")

    gateway.apply(subject, Change(Restriction.NONE, baseline), "key-2")

    assert simulator.account(account)["metadata"] == {"keep": "changed by a person"}


def test_what_stripe_asks_to_wait_is_told(gateway, subject, simulator):
    simulator.inject(Fault(FaultKind.ANSWER, "GET", status=429))

    with pytest.raises(RetryLater) as caught:
        gateway.read(subject)

    assert caught.value.after == timedelta(seconds=3)


def test_where_nobody_listens_nothing_has_happened(make_gateway, subject_of):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(RetryLater):
        make_gateway(url).read(subject_of("acct_1"))


def test_a_wrong_key_is_tried_again_later_and_not_shown(make_gateway, simulator, subject):
    gateway = make_gateway(simulator.base_url, api_key="sk_live_very_wrong")

    with pytest.raises(RetryLater) as caught:
        gateway.read(subject)

    assert "very_wrong" not in str(caught.value)


def test_an_account_that_is_not_ours_is_refused(gateway, subject_of):
    with pytest.raises(Refused):
        gateway.read(subject_of("acct_unknown"))


@pytest.mark.parametrize(
    "id_",
    ["", "acct_", "acct_1/../acct_2", "acct_1?expand", "acct_1 ", "acct_1\n", "acct_é", "po_1", "pending-guard-1"],
)
def test_what_is_no_account_id_never_reaches_stripe(gateway, simulator, id_):
    subject = Subject.model_construct(instance="stripe_sim", kind=SubjectKind.ACCOUNT, id=id_ or "x", account=id_)
    change = Change(Restriction.BLOCKED, {"schedule": DAILY, "capabilities": {}})

    for act in (lambda: gateway.read(subject), lambda: gateway.apply(subject, change, "key-1")):
        with pytest.raises(Refused):
            act()

    assert simulator.requests == []


@pytest.mark.parametrize("baseline", [{}, {"schedule": {}}, {"schedule": DAILY}, {"schedule": 1, "capabilities": []}])
def test_a_baseline_that_is_none_is_refused_before_anything_is_sent(gateway, subject, simulator, baseline):
    with pytest.raises(Refused):
        gateway.apply(subject, Change(Restriction.NONE, baseline), "key-1")

    assert simulator.requests == []


def test_a_baseline_never_reaches_other_capabilities(gateway, subject, simulator, account):
    baseline = {"schedule": WEEKLY, "capabilities": {"card_payments": True, "transfers": True, "treasury": True}}

    gateway.apply(subject, Change(Restriction.PAYOUTS_HELD, baseline), "key-1")

    assert "treasury" not in simulator.account(account)["requested"]
