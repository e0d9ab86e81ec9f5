"""Each webhook that Adyen documents is translated, or left out for a reason that stands in the adapter."""

from __future__ import annotations

import json

import pytest

from paycordon.errors import PayloadInvalid
from paycordon.gateways import Message, NotCarried
from paycordon_adyen.ignored import IGNORED
from paycordon_adyen.translate import TRANSLATED_TYPES

from .conftest import batch, signed_body, signed_item

_P = "balancePlatform"
NOTHING: tuple[str, ...] = ()
NAMES_ITS_PART = ("to be fetched",)  # the balance account, not whose it is
OPENED = ("dispute.opened", "dispute.updated")
MEANS: dict[str, tuple[str, ...]] = {
    # Of the balance platform.
    "balancePlatform-accountHolder-created": ("merchant.onboarding",),
    "balancePlatform-accountHolder-created-lem-v3": ("merchant.onboarding",),
    "balancePlatform-accountHolder-updated": ("merchant.onboarding",),  # it may do nothing yet
    "balancePlatform-accountHolder-updated-lem-v3": ("merchant.onboarding",),
    "balancePlatform-sweep-created": NAMES_ITS_PART,
    "balancePlatform-sweep-updated": NAMES_ITS_PART,
    "balancePlatform-sweep-deleted": NAMES_ITS_PART,
    "balancePlatform-transfer-created-outgoing-external": ("payout.requested",),
    "balancePlatform-transfer-created-incoming-internal": NOTHING,  # between balance accounts
    "balancePlatform-transfer-created-initiated-on-demand-top-up": NOTHING,  # money that comes in from the platform
    "07.directDebit-failed": NOTHING,  # money that would have come in
    "09.internalDirectDebit-outgoing-booked": NOTHING,  # between balance accounts
    "balancePlatform-transfer-updated-authorized-scheduled-top-up": NOTHING,
    "balancePlatform-transfer-updated-captured-on-demand-top-up": NOTHING,
    "balancePlatform-cardorder-created-processing": NOTHING,
    "balancePlatform-cardorder-updated-shipped-card": NOTHING,
    "balancePlatform-cardorder-updated-shipped-pin": NOTHING,
    "01.balancePlatform-paymentInstrument-card-created": NOTHING,
    "01.balancePlatform-transaction-created-payout-ti": NOTHING,
    "03.balancePlatform-transaction-created-outgoing-business-account": NOTHING,
    "merchant.created": NOTHING,  # the merchant account is nobody's alone
    "merchant-updated-with-errors": NOTHING,
    "paymentMethod.created": NOTHING,
    "ach_notification_of_change": NOTHING,
    # Of payments and disputes.
    "authorisation": NOTHING,  # payments are taken from transfers, unless the configuration says otherwise
    "refund": NOTHING,
    "refund_failed": NOTHING,
    "refunded_reversed": NOTHING,
    "manual_review_reject": NOTHING,
    "chargeback": OPENED,
    "notification_of_chargeback": OPENED,
    "notification_of_fraud": ("dispute.warned",),
    "chargeback_reversed": ("dispute.updated",),
    "second_chargeback": ("dispute.updated",),
    "prearbitration_lost": ("dispute.updated",),
    "dispute_defense_period_ended": ("dispute.updated",),
    "information_supplied": ("dispute.updated",),
    "issuer_response_timeframe_expired": ("dispute.updated",),
    **dict.fromkeys(
        (
            *("authorisation_adjustment", "autorescue", "cancellation", "cancel_or_refund", "capture_failed", "expire"),
            *("offer_closed", "order_closed", "paidout_reversed", "payout_decline"),
            *("recurring_contract", "refund_with_data", "technical_cancel"),
            "void_pending_refund",
        ),
        NOTHING,
    ),
}
"""What each of the vendor's samples means; a sample that is not here fails."""

COUNT = 52
"""How many samples the published descriptions hold here."""


def samples(specs):
    """All samples by name; the descriptions themselves hold the same ones, and one of our own answers."""
    folder = specs / "adyen-webhooks"
    extract = json.loads((folder / "_examples-extracted.json").read_text())
    found = {name: body for service in extract.values() for group in service.values() for name, body in group.items()}
    for path in sorted(folder.glob("[A-Z]*.json")):
        examples = json.loads(path.read_text()).get("components", {}).get("examples", {})
        bodies = [example["value"] for name, example in examples.items() if name != "WebhookAck"]
        assert all(body in found.values() for body in bodies), path.name
    return found


def translated(gateway, body):
    """Sign a sample with our key, for its signature is a placeholder; deliver and translate it."""
    if "notificationItems" in body:
        items = [signed_item(each["NotificationRequestItem"]) for each in body["notificationItems"]]
        delivery = signed_body(batch(*items, live=body["live"] == "true"))
    else:
        delivery = signed_body(json.dumps(body).encode())
    (message,) = gateway.verify(delivery, None)
    try:
        return message, tuple(str(event.type) for event in gateway.translate(message))
    except NotCarried:
        return message, NAMES_ITS_PART


def test_each_sample_of_the_vendor_means_what_is_listed(specs, make_gateway):
    live, test = make_gateway(mode="live"), make_gateway(mode="test")
    found = samples(specs)

    assert set(found) == set(MEANS)
    assert len(found) == COUNT
    for name, body in found.items():
        is_live = body.get("live") == "true" or body.get("environment") == "live"
        message, events = translated(live if is_live else test, body)
        assert events == MEANS[name], name
        assert translated(test if is_live else live, body)[1] == NOTHING, f"{name}, at an instance of the other mode"
        if not events and message.type not in TRANSLATED_TYPES:
            assert message.type in IGNORED, name


def test_each_type_that_the_descriptions_know_is_read_or_left_out_for_a_reason(specs):
    known = set()
    for path in (specs / "adyen-webhooks").glob("[A-Z]*.json"):
        known |= {name.strip("/") for name in json.loads(path.read_text()).get("webhooks", {})}

    assert len(known) > 80
    assert known - set(TRANSLATED_TYPES) - set(IGNORED) == set()
    assert set(TRANSLATED_TYPES) & set(IGNORED) == set()
    assert all(len(reason) > 10 for reason in IGNORED.values())


def test_what_is_left_out_means_nothing_whatever_it_says(make_gateway):
    gateway = make_gateway()

    for type_ in (*IGNORED, "balancePlatform.invented.tomorrow"):
        for body in ({}, {"environment": "live", "data": None}, {"live": "true", "NotificationRequestItem": {}}):
            assert list(gateway.translate(Message("1", type_, body))) == []


def test_a_known_type_without_its_mode_is_an_error(make_gateway):
    with pytest.raises(PayloadInvalid, match="environment"):
        list(make_gateway().translate(Message("1", f"{_P}.transfer.created", {"data": {}})))
