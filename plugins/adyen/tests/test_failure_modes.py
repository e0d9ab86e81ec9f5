"""The ways in which adapters are known to fail, as far as they concern Adyen: a test for each, here or, of deliveries,
the SDK and the door, in `test_deliveries.py`, `test_gateway.py`, `test_resolve.py`, `test_translate.py` and
`test_end_to_end.py`, named `test_mode_<number>_…` everywhere."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from paycordon.errors import OutcomeUnknown, Refused, RetryLater
from paycordon.gateways import Change, Message, Restriction
from paycordon_adyen import peoples_acts as acts
from paycordon_adyen.simulator import Fault, FaultKind

HELD, NONE = Restriction.PAYOUTS_HELD, Restriction.NONE
pytestmark = pytest.mark.usefixtures("lawful")


def test_each_of_the_fifteen_modes_has_a_test():
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))

    assert {int(number) for number in re.findall(r"def test_mode_(\d+)_", text)} == set(range(1, 16))


def test_mode_3_two_workers_with_one_act_have_one_effect(gateway, simulator, subject_of):
    account = simulator.create_account_holder(balance={"EUR": 9_000})
    given = acts.OneTransfer(transfer=simulator.receive(account, 900))
    ready, ended = threading.Barrier(2), []

    def work():
        ready.wait(5)
        try:
            ended.append(gateway.perform(subject_of(account), "return_transfer", given, "act-1"))
        except (RetryLater, OutcomeUnknown, Refused) as error:
            ended.append(error)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)
    assert len(ended) == 2
    assert len([each for each in simulator.transfers(account) if each["direction"] == "outgoing"]) == 1


def test_mode_4_a_retry_of_ours_sends_the_same_key(gateway, simulator, subject_of):
    account = simulator.create_account_holder(balance={"EUR": 9_000})
    given = acts.OneTransfer(transfer=simulator.receive(account, 900))
    simulator.inject(Fault(FaultKind.LOST_BEFORE, "POST", times=2))
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            gateway.perform(subject_of(account), "return_transfer", given, "act-1")
    gateway.perform(subject_of(account), "return_transfer", given, "act-1")

    keys = {request.idempotency_key for request in simulator.requests if request.path.endswith("/returns")}
    assert len(keys) == 1
    assert None not in keys


@pytest.mark.parametrize("kind", [FaultKind.LOST_AFTER, FaultKind.LOST_BEFORE])
def test_mode_5_a_timeout_is_unknown_until_it_was_read(gateway, simulator, subject_of, kind):
    account = simulator.create_account_holder()
    subject = subject_of(account)
    baseline = gateway.read(subject).settings
    simulator.inject(Fault(kind, "PATCH", seconds=0))

    with pytest.raises(OutcomeUnknown) as caught:
        gateway.apply(subject, Change(HELD, baseline), "key-1")
    assert not caught.value.answered
    assert gateway.read(subject).restriction is (HELD if kind is FaultKind.LOST_AFTER else NONE)


def test_mode_12_what_is_of_another_platform_is_for_a_person(gateway, simulator, subject_of):
    account = simulator.create_account_holder()
    baseline = gateway.read(subject_of(account)).settings
    simulator.inject(Fault(FaultKind.ANSWER, status=403, times=9))

    with pytest.raises(Refused):
        gateway.apply(subject_of(account), Change(HELD, baseline), "key-1")


def test_mode_13_values_that_adyen_adds_are_values(gateway, simulator, subject_of):
    account = simulator.create_account_holder()
    told = next(each for each in simulator.told(account))
    data = told.body["data"]
    changed = {**data["accountHolder"], "status": "hibernating", "tomorrow": {"new": [1]}}
    changed["capabilities"] = {
        **changed["capabilities"],
        "teleport": {"allowed": True, "verificationStatus": "quantum"},
    }
    body = {**told.body, "data": {**data, "accountHolder": changed}}
    (event,) = gateway.translate(Message("1", told.type, body))

    assert event.extra["status"] == "hibernating"
    assert event.extra["capabilities"]["teleport"] == "allowed"


def test_mode_15_a_success_that_the_sdk_cannot_read_is_read_back(gateway, simulator, subject_of):
    """The SDK makes an empty object of it, as if Adyen had said nothing."""
    account = simulator.create_account_holder()
    baseline = gateway.read(subject_of(account)).settings
    simulator.inject(Fault(FaultKind.GARBLED, "PATCH"))

    assert gateway.apply(subject_of(account), Change(HELD, baseline), "key-1").state.restriction is HELD
