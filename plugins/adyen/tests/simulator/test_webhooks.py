"""Webhooks out: both families signed so that Adyen's own SDK accepts them, in batches, retried, and in disorder."""

from __future__ import annotations

import json
from datetime import timedelta

import Adyen
import pytest
from Adyen.util import is_valid_hmac_notification, is_valid_hmac_payload

from paycordon_adyen.simulator import AdyenSimulator, webhooks
from paycordon_adyen.simulator.courier import RETRIES
from paycordon_adyen.simulator.disputes import GOING_ON

from .conftest import specs_folder

KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
OPENED_BY = ("CHARGEBACK", "REQUEST_FOR_INFORMATION", "NOTIFICATION_OF_CHARGEBACK")
A_MINUTE = timedelta(minutes=1)


def verified(items, key=KEY):
    """What the vendor's helper says of each item by itself; it looks at the first one of a batch only."""
    return [
        is_valid_hmac_notification({"notificationItems": [{"NotificationRequestItem": dict(i)}]}, key) for i in items
    ]


def test_webhooks_of_the_platform_are_signed_over_their_bytes(simulator, holder, receiver):
    simulator.add_webhook(receiver.url, KEY)
    simulator.set_by_hand("accountHolders", holder, {"status": "suspended"})
    assert simulator.settle()
    ((headers, body),) = receiver.got
    assert headers["protocol"] == "SHA256"
    assert is_valid_hmac_payload(headers["hmacsignature"], KEY, body)
    assert not is_valid_hmac_payload(headers["hmacsignature"], "5A" * 32, body)
    told = json.loads(body)
    assert (told["type"], told["environment"]) == ("balancePlatform.accountHolder.updated", "test")
    assert told["data"]["accountHolder"]["status"] == "suspended"


def test_notifications_are_signed_item_by_item_and_come_in_batches(simulator, holder, receiver):
    simulator.add_webhook(receiver.url, KEY, family="classic", batch=3)
    with simulator.ledger.lock:  # nothing is delivered in between
        payments = [simulator.pay(holder, 1_000 + number) for number in range(5)]
    assert simulator.settle()
    assert [len(each["notificationItems"]) for each in receiver.bodies if "live" in each] in ([3, 2], [1, 3, 1])
    assert [item["pspReference"] for item in receiver.items] == payments
    assert verified(receiver.items) == [True] * 5
    forged = {**receiver.items[0], "amount": {"currency": "EUR", "value": 1}}
    assert verified([forged]) == [False]


def test_vectors_that_adyen_signed_are_signed_alike():
    folder = specs_folder()
    if folder is None:
        pytest.skip("the vendor's signed notifications are not here; set PAYCORDON_SPECS to their folder")
    key = "74F490DD33F7327BAECC88B2947C011FC02D014A473AAA33A8EC93E4DC069174"
    files = sorted((folder / "adyen-hmac-vectors").glob("*.json"))
    assert len(files) == 4
    for file in files:
        item = json.loads(file.read_text())
        signature = item["additionalData"].pop("hmacSignature")
        assert webhooks.signed_item(item, key)["additionalData"]["hmacSignature"] == signature, file.name


def test_an_endpoint_gets_its_family_and_what_it_subscribes_to(simulator, holder, receiver):
    simulator.add_webhook(receiver.url, family="classic", events=["REFUND"], login="adyen:synthetic")
    simulator.add_webhook(receiver.url, events=["balancePlatform.transfer.*"])
    simulator.refund(simulator.pay(holder, 1_000), 400)
    simulator.score(holder, 80, "velocity")
    assert simulator.settle()
    assert [each["eventCode"] for each in receiver.items] == ["REFUND"]
    assert {each["type"].rpartition(".")[0] for each in receiver.bodies if "type" in each} == {
        "balancePlatform.transfer"
    }
    logins = {headers.get("authorization") for headers, body in receiver.got if b"notificationItems" in body}
    assert logins == {"Basic YWR5ZW46c3ludGhldGlj"}


def test_what_is_not_taken_is_tried_three_times_in_a_minute_then_queued_for_thirty_days(simulator, holder, receiver):
    receiver.answer = lambda: 500
    simulator.add_webhook(receiver.url, events=["*.score.triggered"])
    simulator.score(holder, 80)
    assert simulator.settle()
    for pause in RETRIES[:5]:
        simulator.advance(pause)
        assert simulator.settle()
    assert [attempt.number for attempt in simulator.deliveries()] == [1, 2, 3, 4, 5, 6]
    first = simulator.deliveries()[0].at
    assert [(each.at - first).total_seconds() for each in simulator.deliveries()] == [0, 9, 27, 54, 174, 474]
    receiver.answer = lambda: 202
    simulator.advance(timedelta(days=1))
    assert simulator.settle()
    assert (simulator.deliveries()[-1].status, len(receiver.got)) == (202, 7)
    simulator.advance(timedelta(days=1))
    assert simulator.settle()
    assert len(receiver.got) == 7
    assert timedelta(days=29) < sum(RETRIES, timedelta(0)) <= timedelta(days=30)


@pytest.mark.parametrize(
    ("disorder", "got"),
    [
        ({"duplicated": 1.0}, [1, 1, 2, 2]),
        ({"reordered": 1.0}, [1, 2]),
        ({"dropped": 1.0}, []),
        ({"delayed": 1.0, "delay_seconds": 3_600}, []),
    ],
)
def test_deliveries_go_wrong_on_demand(simulator, holder, receiver, disorder, got):
    simulator.add_webhook(receiver.url, events=["*.score.triggered"], **disorder)
    with simulator.ledger.lock:
        for risk in (1, 2):
            simulator.score(holder, risk)
    assert simulator.settle()
    simulator.advance(A_MINUTE)
    assert simulator.settle()
    assert sorted(each["data"]["riskScore"] for each in receiver.bodies) == got
    simulator.advance(timedelta(hours=1))
    assert simulator.settle()
    assert (len(receiver.got) == 0) is ("dropped" in disorder)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "http://hooks.example/"}, "this machine only"),
        ({"url": "ftp://127.0.0.1/"}, "this machine only"),
        ({"url": "http://127.0.0.1/", "secret": "whsec_notHex"}, "hexadecimal"),
        ({"url": "http://127.0.0.1/", "family": "other"}, "families"),
    ],
)
def test_it_delivers_to_this_machine_only_with_keys_that_are_keys(simulator, options, said):
    with pytest.raises(ValueError, match=said):
        simulator.add_webhook(**options)


@pytest.mark.parametrize("code", OPENED_BY)
def test_a_dispute_that_nobody_answers_ends_with_its_period(simulator, holder, code):
    dispute = simulator.open_dispute(simulator.pay(holder, 1_000), code)
    simulator.advance(timedelta(days=18))
    told = [each.body for each in simulator.told(holder) if each.body.get("pspReference") == dispute]
    assert [each["eventCode"] for each in told] == [code, "DISPUTE_DEFENSE_PERIOD_ENDED"]
    assert [each["additionalData"]["disputeStatus"] for each in told] == ["Unresponded", "Expired"]
    assert simulator.balance(holder) == (100_000 if code == "CHARGEBACK" else 101_000)


def test_everything_that_happens_to_disputes_is_told_in_adyens_shape(simulator, holder):
    dispute = simulator.open_dispute(simulator.pay(holder, 1_000), "NOTIFICATION_OF_CHARGEBACK")
    for code in GOING_ON:
        simulator.go_on(dispute, code)
    simulator.report_fraud(simulator.pay(holder, 700))
    simulator.warn_of_negative_balance(holder, 300)
    simulator.disable_sweep(simulator.add_sweep(holder))
    codes = [each.type for each in simulator.told(holder)]
    assert {*GOING_ON, "NOTIFICATION_OF_FRAUD", "balancePlatform.balanceAccountSweep.updated"} <= set(codes)


def test_a_payment_may_be_of_a_merchant_account_of_its_own(simulator, sdk, holder):
    payment = simulator.pay(holder, 1_000, merchant="ShopOwn", metadata={"own": "1"})
    dispute = simulator.open_dispute(payment)
    told = [each.body for each in simulator.told(holder) if each.family == "classic"]
    assert {each["merchantAccountCode"] for each in told} == {"ShopOwn"}
    asked = {"disputePspReference": dispute, "merchantAccountCode": "ShopOwn"}
    reasons = sdk.disputes.disputes_api.retrieve_applicable_defense_reasons
    assert reasons(asked).message["disputeServiceResult"] == {"success": True}
    with pytest.raises(Adyen.exceptions.AdyenAPIInvalidPermission):
        reasons({**asked, "merchantAccountCode": simulator.ledger.merchant})


def test_live_webhooks_say_so(clock, receiver):
    with AdyenSimulator(clock=clock) as live:
        holder = live.create_account_holder()
        for family in ("platform", "classic"):
            live.add_webhook(receiver.url, family=family)
        live.pay(holder, 100)
        assert live.settle()
    assert {each.get("live") for each in receiver.bodies} == {"true", None}
    assert {each.get("environment") for each in receiver.bodies} == {"live", None}
