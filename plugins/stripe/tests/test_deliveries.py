from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta

import pytest
import stripe
from hypothesis import example, given
from hypothesis import strategies as st

from paycordon.errors import SignatureInvalid
from paycordon.gateways import Delivery
from paycordon.testing.clock import NOON
from paycordon_stripe.deliveries import verify
from paycordon_stripe.simulator import events, signed_delivery
from paycordon_stripe.simulator.webhooks import sign

SECRETS = ["whsec_old", "whsec_new"]
EVENT = events.event("payout.paid", events.payout("po_1", NOON), NOON, account="acct_1Sim", id_="evt_1")


def signed(secret: str = "whsec_old", at=NOON, body: bytes | None = None) -> Delivery:
    headers, own = signed_delivery(EVENT, secret, at)
    if body is None:
        return Delivery(headers, own)
    return Delivery({"stripe-signature": sign(body, secret, at)}, body)


def with_header(header: str) -> Delivery:
    return Delivery({"stripe-signature": header}, signed().body)


@pytest.mark.parametrize("secret", SECRETS)
def test_any_configured_secret_makes_a_delivery_authentic(secret):
    (message,) = verify(signed(secret), SECRETS, NOON)

    assert (message.id, message.type) == ("evt_1", "payout.paid")
    assert message.body == EVENT


def test_a_foreign_secret_does_not():
    with pytest.raises(SignatureInvalid):
        verify(signed("whsec_foreign"), SECRETS, NOON)


@pytest.mark.parametrize(("minutes", "fresh"), [(-5, True), (5, True), (-5.1, False), (5.1, False), (1e6, False)])
def test_a_signature_counts_for_five_minutes_to_either_side(minutes, fresh):
    delivery = signed(at=NOON + timedelta(minutes=minutes))

    if fresh:
        assert verify(delivery, SECRETS, NOON)
    else:
        with pytest.raises(SignatureInvalid):
            verify(delivery, SECRETS, NOON)


def test_one_matching_signature_of_several_is_enough():
    good = signed().headers["stripe-signature"]

    for header in (f"{good},v1={'0' * 64}", f"{good.replace('v1', 'v0')},{good.partition(',')[2]},v2=later"):
        assert verify(with_header(header), SECRETS, NOON)


def test_signatures_of_other_schemes_do_not_count():
    with pytest.raises(SignatureInvalid):
        verify(with_header(signed().headers["stripe-signature"].replace("v1=", "v0=")), SECRETS, NOON)


@pytest.mark.parametrize("position", range(0, 400, 37))
def test_a_changed_body_is_refused(position):
    delivery = signed()
    body = bytearray(delivery.body)
    body[position] ^= 1

    with pytest.raises(SignatureInvalid):
        verify(Delivery(delivery.headers, bytes(body)), SECRETS, NOON)


def test_the_secret_never_comes_from_the_request():
    delivery = signed("whsec_foreign")
    headers = {**delivery.headers, "x-webhook-secret": "whsec_foreign", "stripe-webhook-secret": "whsec_foreign"}

    with pytest.raises(SignatureInvalid):
        verify(Delivery(headers, delivery.body), SECRETS, NOON)


GOOD = signed().headers["stripe-signature"]
TIME, DIGEST = GOOD.split(",")


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        "=",
        "t=",
        TIME,
        DIGEST,
        f"t=NaN,{DIGEST}",
        f"t=inf,{DIGEST}",
        f"t=-1,{DIGEST}",
        f"t={'9' * 400},{DIGEST}",
        f"t=99999999999,{DIGEST}",
        f"t=1e9,{DIGEST}",
        f"t=\u0661\u0662,{DIGEST}",
        f"{TIME},{TIME},{DIGEST}",
        f"{TIME},v1=zz",
        f"{TIME},v1={'é' * 64}",
        f"{TIME},v1={DIGEST[3:-2]}",
        "\udcff\udcfe",
        "t=1,v1=" + "0" * 10_000,
        f"{TIME}{DIGEST}",
    ],
)
def test_a_junk_header_is_refused(header):
    with pytest.raises(SignatureInvalid):
        verify(with_header(header), SECRETS, NOON)


def test_a_missing_header_is_refused():
    with pytest.raises(SignatureInvalid):
        verify(Delivery({}, signed().body), SECRETS, NOON)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"NaN",
        b'{"id": "evt_1", "type": "payout.paid", "created": NaN}',
        b'{"id": 7, "type": "payout.paid"}',
        b'{"id": "evt_1"}',
        b'{"id": "", "type": "payout.paid"}',
        b'{"id": "evt_1", "type": ""}',
        b'{"type": "payout.paid"}',
        b'\xff\xfe{"id"',
        b'{"id": "evt_1", "type": "payout.paid"',
        b"[" * 200_000,
        b'{"id": "evt_1", "type": "x", "n": ' + b"9" * 5_000 + b"}",
        json.dumps({"id": "x" * 256, "type": "payout.paid"}).encode(),
    ],
    ids=lambda body: body[:24],
)
def test_a_signed_body_that_is_no_event_is_refused(body):
    with pytest.raises(SignatureInvalid):
        verify(signed(body=body), SECRETS, NOON)


def test_a_thin_event_is_authentic():
    thin = {"id": "evt_thin", "object": "v2.core.event", "type": "v1.account.updated", "created": "2026-11-23T12:00Z"}

    (message,) = verify(signed(body=json.dumps(thin).encode()), SECRETS, NOON)

    assert message.type == "v1.account.updated"


@given(header=st.text(), body=st.binary())
@example(header="t=1,v1=" + "a" * 64, body=b"\x00")
def test_whatever_comes_only_signature_invalid_is_raised(header, body):
    with pytest.raises(SignatureInvalid):
        verify(Delivery({"stripe-signature": header}, body), SECRETS, NOON)


@given(st.binary())
def test_whatever_is_signed_yields_a_message_or_signature_invalid(body):
    try:
        messages = verify(signed(body=body), SECRETS, NOON)
    except SignatureInvalid:
        return
    assert len(messages) == 1


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_the_vendors_own_helper_agrees(payload):
    header = sign(payload.encode(), "whsec_new", NOON)
    forged = header[:-1] + ("0" if header[-1] != "0" else "1")

    assert stripe.WebhookSignature.verify_header(payload, header, "whsec_new")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(payload, forged, "whsec_new")


def test_deliveries_signed_by_the_vendors_helper_are_authentic():
    body = json.dumps(EVENT)
    time = int(NOON.timestamp())
    signature = stripe.WebhookSignature._compute_signature(f"{time}.{body}", "whsec_new")

    assert signature == hmac.new(b"whsec_new", f"{time}.{body}".encode(), hashlib.sha256).hexdigest()
    assert verify(Delivery({"stripe-signature": f"t={time},v1={signature}"}, body.encode()), SECRETS, NOON)
