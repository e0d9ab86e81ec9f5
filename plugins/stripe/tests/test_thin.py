"""Thin events and others that only name what they are about: stored at the door, fetched by a worker, judged once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paycordon.errors import PayloadInvalid, Refused, RetryLater
from paycordon.events import EventType, Mode
from paycordon.gateways import Message, NotCarried
from paycordon.testing.clock import NOON
from paycordon_stripe.simulator import Fault, FaultKind, events
from paycordon_stripe.translate import TRANSLATED_TYPES, translate
from paycordon_stripe.translate_thin import THIN_TYPES

ACCT = "acct_1Thin"


@pytest.fixture
def account(simulator):
    return simulator.create_account(id=ACCT, balance={"usd": 50_000})


def notified(simulator, type_):
    """Return the notification of the latest event of a type, as a thin endpoint is sent it, and its snapshot."""
    with simulator.ledger.lock:
        found = next(each for each in simulator.ledger.log.readable(simulator.clock()) if each.thin["type"] == type_)
    body = found.notification()
    return Message(body["id"], body["type"], body), found.snapshot


def thin(type_, **fields):
    body = {
        "id": "evt_thin_1", "object": "v2.core.event", "type": type_, "livemode": True, "context": None,
        "created": "2026-03-02T12:00:00.000Z", "related_object": {"id": ACCT, "type": "x", "url": f"/v1/x/{ACCT}"},
    } | fields  # fmt: skip
    return Message(body["id"], type_, body)


@pytest.mark.parametrize("type_", TRANSLATED_TYPES)
def test_each_thin_twin_has_to_be_fetched(type_):
    with pytest.raises(NotCarried):
        translate(thin(f"v1.{type_}"), "stripe_sim", Mode.LIVE)


@pytest.mark.parametrize("type_", ["v1.balance.available", "v1.", "v2.core.account_link.returned", "v2.core.health"])
def test_thin_events_of_other_types_mean_nothing(type_):
    assert translate(thin(type_), "stripe_sim", Mode.LIVE) == []


@pytest.mark.parametrize("type_", ["v1.payout.created", *THIN_TYPES])
def test_thin_events_of_the_other_mode_mean_nothing(type_):
    assert translate(thin(type_), "stripe_sim", Mode.TEST) == []


@pytest.mark.parametrize("told", [True, False])
def test_a_thin_event_and_its_snapshot_are_the_same_event(gateway, simulator, account, told):
    """Stripe's own SDK drops the twin's id from the notification; it is then read."""
    simulator.charge(account, 4_000, "usd")
    message, snapshot = notified(simulator, "v1.charge.succeeded")
    if not told:
        message = replace(message, body={k: v for k, v in message.body.items() if k != "snapshot_event"})

    fetched = gateway.fetch(message)

    assert gateway.translate(fetched) == gateway.translate(Message(snapshot["id"], snapshot["type"], snapshot))
    assert fetched.id == snapshot["id"] != message.id


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(FaultKind.ANSWER, "GET", status=429), RetryLater),
        (Fault(FaultKind.LOST_BEFORE, "GET"), RetryLater),
        (Fault(FaultKind.GARBLED, "GET"), RetryLater),
        (Fault(FaultKind.ANSWER, "GET", status=404), Refused),
    ],
)
def test_what_cannot_be_fetched_is_a_declared_error(gateway, simulator, account, fault, error):
    simulator.charge(account, 4_000, "usd")
    message, _ = notified(simulator, "v1.charge.succeeded")
    simulator.inject(fault)

    with pytest.raises(error):
        gateway.fetch(message)


@pytest.mark.parametrize("id_", ["evt_1/../accounts", "", 7, "é"])
def test_a_twin_by_no_id_of_stripes_is_not_asked_for(gateway, simulator, id_):
    with pytest.raises((PayloadInvalid, Refused)):
        gateway.fetch(thin("v1.payout.created", snapshot_event=id_))

    assert not [each for each in simulator.requests if "accounts" in each.path]


def test_a_twin_of_another_type_is_refused(gateway, simulator, account):
    simulator.charge(account, 4_000, "usd")
    message, _ = notified(simulator, "v1.charge.succeeded")

    with pytest.raises(PayloadInvalid, match="another type"):
        gateway.fetch(replace(message, type="v1.payout.created"))


@pytest.mark.parametrize(
    ("type_", "meaning"),
    [(each, EventType.MERCHANT_ONBOARDING if each.endswith("t.created") else EventType.MERCHANT_CHANGED)
     for each in THIN_TYPES if "person" not in each],
)  # fmt: skip
def test_an_account_of_v2_is_named_by_the_event_itself(type_, meaning):
    (event,) = translate(thin(type_), "stripe_sim", Mode.LIVE)

    assert (event.type, event.account.id, event.id, event.occurred_at) == (meaning, ACCT, "evt_thin_1", NOON)


def test_a_person_of_v2_belongs_to_the_account_in_the_address():
    related = {"id": "person_1", "type": "v2.core.account_person", "url": f"/v2/core/accounts/{ACCT}/persons/person_1"}

    (event,) = translate(thin("v2.core.account_person.created", related_object=related), "stripe_sim", Mode.LIVE)

    assert (event.account.id, event.extra["changed"]) == (ACCT, ["person"])
    with pytest.raises(PayloadInvalid):
        translate(thin("v2.core.account_person.updated"), "stripe_sim", Mode.LIVE)


@pytest.mark.parametrize("created", ["yesterday", 7, None, ""])
def test_a_time_that_is_none_is_refused(created):
    with pytest.raises(PayloadInvalid):
        translate(thin("v2.core.account.updated", created=created), "stripe_sim", Mode.LIVE)


def test_an_account_made_by_v2_is_completed_by_what_v1_says_of_it(gateway, simulator):
    import stripe

    backend = stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url})
    identity = {"country": "de", "entity_type": "company", "business_details": {"registered_name": "Synthetic GmbH"}}
    made = backend.v2.core.accounts.create({"contact_email": "v2@shop.example", "identity": identity})
    message, _ = notified(simulator, "v2.core.account.created")

    event = gateway.resolve(gateway.translate(message)[0])

    assert (event.type, event.account.id, event.account.country) == ("merchant.onboarding", made.id, "DE")
    assert {("email", "v2@shop.example"), ("legal_entity", "Synthetic GmbH")} <= {
        (i.kind, i.value) for i in event.identifiers
    }


def snapshot(type_, object_):
    body = events.event(type_, object_, NOON)
    return Message(body["id"], type_, body)


def test_a_dispute_of_a_destination_charge_is_the_accounts(gateway, simulator, account):
    simulator.put("charges", "platform", events.charge("ch_1", NOON, transfer_data={"destination": ACCT}))
    message = snapshot("charge.dispute.created", events.dispute("dp_1", NOON, charge="ch_1"))

    (event,) = gateway.translate(gateway.fetch(message))

    assert (event.type, event.account.id, event.dispute.id, event.id) == ("dispute.opened", ACCT, "dp_1", message.id)


@pytest.mark.parametrize(("others", "whose"), [([], [ACCT]), (["acct_1Other"], [])])
def test_a_separate_charge_is_the_accounts_that_all_of_it_went_to(gateway, simulator, account, others, whose):
    simulator.put("charges", "platform", events.charge("ch_1", NOON, transfer_group="g1"))
    for number, to in enumerate([ACCT, ACCT, *others]):
        made = events.transfer(f"tr_{number}", to, NOON, transfer_group="g1", reversals={"data": []})
        simulator.put("transfers", "platform", made)

    found = gateway.translate(
        gateway.fetch(snapshot("charge.dispute.created", events.dispute("d", NOON, charge="ch_1")))
    )

    assert [each.account.id for each in found] == whose


def test_the_platforms_own_dispute_means_nothing_once_its_charge_was_read(gateway, simulator):
    simulator.put("charges", "platform", events.charge("ch_1", NOON))

    assert (
        gateway.translate(gateway.fetch(snapshot("charge.dispute.created", events.dispute("d", NOON, charge="ch_1"))))
        == []
    )


@pytest.mark.parametrize("steer", ["warn_of_fraud", "open_review"])
def test_warnings_and_reviews_are_read_with_their_charge(gateway, simulator, account, steer):
    charge = simulator.charge(account, 4_000, "usd")
    getattr(simulator, steer)(account, charge)
    happened = simulator.events(account)[-1]

    (event,) = gateway.translate(gateway.fetch(Message(happened["id"], happened["type"], happened)))

    assert (event.account.id, event.amount.minor) == (ACCT, 4_000)
    assert gateway.resolve(event).amount.minor == 4_000


def test_a_refund_that_failed_is_the_accounts_that_was_paid(gateway, simulator, account):
    simulator.put("charges", "platform", events.charge("ch_1", NOON, transfer_data={"destination": ACCT}))
    message = snapshot("refund.failed", events.refund("re_1", NOON, charge="ch_1", status="failed"))

    (event,) = gateway.translate(gateway.fetch(message))

    assert (event.type, event.account.id, event.payment.id) == ("payment.refund_failed", ACCT, "ch_1")
