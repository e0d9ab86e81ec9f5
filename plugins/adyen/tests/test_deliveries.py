from __future__ import annotations

import base64
import json

import pytest
from Adyen.util import generate_notification_sig, is_valid_hmac_notification, is_valid_hmac_payload
from hypothesis import given
from hypothesis import strategies as st

from paycordon.errors import SignatureInvalid
from paycordon.gateways import Delivery
from paycordon_adyen.deliveries import signed_text, verify

from .conftest import KEYS, batch, digest, item, said, signed_body, signed_item, transfer

BYTES = [bytes.fromhex(key) for key in KEYS[:2]]
EVENT = said("balancePlatform.transfer.created", transfer())
BODY = json.dumps(EVENT).encode()


def checked(delivery: Delivery, logins=()):
    return verify(delivery, BYTES, logins)


def refused(delivery: Delivery, logins=()):
    with pytest.raises(SignatureInvalid):
        checked(delivery, logins)


@pytest.mark.parametrize("key", KEYS[:2])
def test_either_key_of_a_rotation_makes_a_delivery_authentic(key):
    (of_platform,) = checked(signed_body(BODY, key))
    (of_payments,) = checked(Delivery({}, batch(signed_item(item("CHARGEBACK"), key))))

    assert (of_platform.id, of_platform.type) == ("transfer:3JNC3O5ZVFLLGV4B:1", "balancePlatform.transfer.created")
    assert (of_payments.id, of_payments.type) == ("PSPDISPUTE000001:CHARGEBACK:true", "CHARGEBACK")
    assert of_platform.body == EVENT


def test_a_foreign_key_does_not():
    refused(signed_body(BODY, KEYS[2]))
    refused(Delivery({}, batch(signed_item(item("CHARGEBACK"), KEYS[2]))))


@pytest.mark.parametrize("name", ["backslash", "colon", "forwardslash", "mixed"])
def test_the_vendors_signed_notifications_are_authentic(specs, name):
    vector = json.loads((specs / "adyen-hmac-vectors" / f"{name}_notification.json").read_text())
    key = "74F490DD33F7327BAECC88B2947C011FC02D014A473AAA33A8EC93E4DC069174"

    (message,) = verify(Delivery({}, batch(vector)), [bytes.fromhex(key)], ())
    assert message.type == "AUTHORISATION"
    for field in ("merchantReference", "pspReference", "success"):
        refused(Delivery({}, batch({**vector, field: f"{vector[field]}1"})))


def test_the_vendors_helpers_agree_on_what_is_genuine():
    payment = item("CHARGEBACK", merchantReference="a:b\\c/ü")
    whole = json.loads(batch(signed_item(payment)))

    assert is_valid_hmac_notification(whole, KEYS[0])
    assert generate_notification_sig(payment, KEYS[0]).decode() == digest(KEYS[0], signed_text(payment).encode())
    assert checked(Delivery({}, batch(signed_item(payment))))
    delivery = signed_body(BODY)
    assert is_valid_hmac_payload(delivery.headers["hmacsignature"], KEYS[0], BODY)


def test_mode_6_each_item_of_a_batch_is_verified_by_itself():
    """The vendor's helper looks at the first item only, and a forged second one passes it."""
    genuine = signed_item(item("AUTHORISATION", pspReference="PSP1"))
    forged = signed_item(item("CHARGEBACK", pspReference="PSP2"), KEYS[2])

    assert is_valid_hmac_notification(json.loads(batch(genuine, forged)), KEYS[0])
    refused(Delivery({}, batch(genuine, forged)))
    refused(Delivery({}, batch(forged, genuine)))
    both = batch(genuine, signed_item(item("CHARGEBACK", pspReference="PSP2"), KEYS[1]))
    assert [message.id for message in checked(Delivery({}, both))] == [
        "PSP1:AUTHORISATION:true",
        "PSP2:CHARGEBACK:true",
    ]


def test_mode_7_the_retired_key_counts_no_more():
    delivery = signed_body(BODY, KEYS[1])

    assert checked(delivery)
    with pytest.raises(SignatureInvalid):
        verify(delivery, BYTES[:1], ())


@pytest.mark.parametrize("position", range(0, 500, 41))
def test_mode_8_an_altered_body_is_refused(position):
    delivery = signed_body(BODY)
    body = bytearray(delivery.body)
    body[position % len(body)] ^= 1

    refused(Delivery(delivery.headers, bytes(body)))


SIGNED = {
    "pspReference": "X",
    "originalReference": "X",
    "merchantAccountCode": "X",
    "merchantReference": "X",
    "amount": {"currency": "EUR", "value": 1},
    "eventCode": "REFUND",
    "success": "false",
}


@pytest.mark.parametrize("field", SIGNED)
def test_each_of_the_signed_fields_counts(field):
    refused(Delivery({}, batch({**signed_item(item("CHARGEBACK")), field: SIGNED[field]})))


def test_fields_that_are_not_signed_change_nothing_and_are_known_for_it():
    genuine = signed_item(item("CHARGEBACK"))
    changed = {**genuine, "reason": "forged", "eventDate": "2030-01-01T00:00:00Z"}

    (message,) = checked(Delivery({}, batch(changed)))
    assert message.id == checked(Delivery({}, batch(genuine)))[0].id


def test_missing_and_null_values_are_signed_as_nothing():
    """The vendor's helper writes `None` for null, and so refuses what Adyen has signed."""
    without = item("AUTHORISATION", originalReference=None, success=True)

    assert signed_text(without).startswith("PSPDISPUTE000001::PlatformShared:order-1:4200:EUR:AUTHORISATION:true")
    assert checked(Delivery({}, batch(signed_item(without))))


def test_the_login_of_webhooks_is_asked_for_where_one_is_set_up():
    def authorized(user: str) -> Delivery:
        delivery = signed_body(BODY)
        header = "Basic " + base64.b64encode(user.encode()).decode()
        return Delivery({**delivery.headers, "authorization": header}, BODY)

    logins = ("paycordon:old", "paycordon:new")
    assert checked(authorized("paycordon:new"), logins)
    assert checked(authorized("paycordon:old"), logins)
    for wrong in (signed_body(BODY), authorized("paycordon:wrong"), authorized("")):
        refused(wrong, logins)


@pytest.mark.parametrize(
    "items",
    [
        None,
        {},
        [],
        [None],
        ["text"],
        [{}],
        [{"NotificationRequestItem": None}],
        [{"NotificationRequestItem": {"additionalData": {"hmacSignature": ["x"]}}}],
        [{"NotificationRequestItem": {"eventCode": "X"}}],
    ],
    ids=str,
)
def test_notifications_of_another_form_are_refused(items):
    refused(Delivery({}, json.dumps({"live": "true", "notificationItems": items}).encode()))


def test_a_batch_beyond_measure_is_refused():
    refused(Delivery({}, batch(*[signed_item(item("CHARGEBACK"))] * 1_001)))


def test_the_same_statement_has_the_same_id_however_it_is_written():
    other = json.dumps(EVENT, indent=2, sort_keys=True).encode()
    score = said("balancePlatform.score.triggered", {"id": "1"})

    assert checked(signed_body(other))[0].id == checked(signed_body(BODY))[0].id
    first, second = (checked(signed_body(json.dumps(score, indent=n).encode()))[0].id for n in (None, 3))
    assert first == second


def test_another_step_of_a_transfer_is_another_statement():
    ids = {
        checked(signed_body(json.dumps(said(EVENT["type"], transfer(sequenceNumber=n))).encode()))[0].id
        for n in (1, 2, 3)
    }

    assert len(ids) == 3


@given(st.binary(max_size=300), st.text(max_size=60))
def test_whatever_is_sent_is_no_other_error(body, header):
    refused(Delivery({"hmacsignature": header}, body))
