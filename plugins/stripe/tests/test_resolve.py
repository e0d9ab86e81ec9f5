from __future__ import annotations

import pytest

from paycordon.errors import Refused, RetryLater
from paycordon.events import Account, Dispute, Event, Money, Payout
from paycordon.testing.clock import NOON
from paycordon_stripe.simulator import Fault, FaultKind, events


@pytest.fixture
def account(simulator):
    return simulator.create_account()


def event_about(account, **parts):
    kinds = {"payout": "payout.updated", "dispute": "dispute.opened", "payment": "payment.succeeded"}
    type_ = next((kinds[name] for name in parts), "merchant.changed")
    return Event(
        id="evt_1",
        type=type_,
        occurred_at=NOON,
        gateway="stripe",
        instance="stripe_sim",
        account=Account(id=account),
        extra={"stripe_type": "x"},
        **parts,
    )


def test_resolving_adds_what_the_account_says_and_keeps_the_event(gateway, simulator):
    account = simulator.create_account(**{k: v for k, v in events.account("acct_1Full", NOON).items() if k != "object"})

    event = gateway.resolve(event_about(account))

    assert (event.id, event.type, event.extra) == ("evt_1", "merchant.changed", {"stripe_type": "x"})
    assert event.merchant.name == "Synthetic Goods"
    assert event.account.country == "US"
    assert ("bank_account", "fpSynthetic0001") in [(i.kind, i.value) for i in event.identifiers]


def test_resolving_takes_the_present_state_of_a_payout_and_a_dispute(gateway, simulator, account):
    simulator.put("payouts", account, events.payout("po_1", NOON, status="failed"))
    simulator.put("disputes", account, events.dispute("dp_1", NOON, status="won"))
    amount = Money(minor=1, currency="USD")

    payout = gateway.resolve(event_about(account, payout=Payout(id="po_1", amount=amount, status="pending")))
    dispute = gateway.resolve(event_about(account, dispute=Dispute(id="dp_1", amount=amount, status="needs_response")))

    assert payout.payout.status == "failed"
    assert dispute.dispute.status == "won"


def test_resolving_a_payout_that_is_only_asked_for_adds_the_account(gateway, account):
    asked = event_about(account, payout=Payout(amount=Money(minor=1, currency="USD")))

    assert gateway.resolve(asked).account.country == "US"


@pytest.mark.parametrize("id_", ["po_1/../../accounts", "po 1", "po_unknown"])
def test_resolving_a_payout_that_is_none_is_refused(gateway, account, id_):
    with pytest.raises(Refused):
        gateway.resolve(event_about(account, payout=Payout(id=id_, amount=Money(minor=1, currency="USD"))))


def test_a_card_number_in_one_text_of_an_account_does_not_hide_the_others(gateway, simulator):
    profile = {"name": "4111 1111 1111 1111", "support_phone": "4111111111111111", "support_email": "a@shop.example"}
    account = simulator.create_account(business_profile=profile)

    event = gateway.resolve(event_about(account))

    assert "4111" not in event.model_dump_json()
    assert ("email", "a@shop.example") in [(i.kind, i.value) for i in event.identifiers]


@pytest.mark.parametrize("text", ["n" * 5_000, "syn\0thetic"])
def test_a_text_that_no_event_takes_does_not_keep_an_account_from_being_resolved(gateway, simulator, text):
    account = simulator.create_account(business_profile={"name": text, "url": f"https://{text}.example"})

    event = gateway.resolve(event_about(account))

    assert event.merchant.name == text.replace("\0", "")[:2_048]


def test_a_key_that_is_not_accepted_is_no_reason_to_judge_on_less(gateway, simulator, account):
    simulator.inject(Fault(FaultKind.ANSWER, "GET", status=401))

    with pytest.raises(RetryLater):
        gateway.resolve(event_about(account))


def test_the_people_behind_a_company_are_compared_too(gateway, simulator):
    account = simulator.create_account(business_type="company")
    simulator.put("persons", account, events.person("person_1", account, first_name="Ben", email="ben@shop.example"))

    event = gateway.resolve(event_about(account))

    assert {("person", "Ben Synthetic"), ("email", "ben@shop.example")} <= {
        (i.kind, i.value) for i in event.identifiers
    }


def test_a_dispute_of_the_platforms_charge_and_a_transfer_are_read_at_the_platform(gateway, simulator, account):
    simulator.put("disputes", "platform", events.dispute("dp_1", NOON, status="lost"))
    simulator.put(
        "transfers", "platform", events.transfer("tr_1", account, NOON, reversed=True, reversals={"data": []})
    )
    amount = Money(minor=1, currency="USD")
    disputed = event_about(account, dispute=Dispute(id="dp_1", amount=amount))

    dispute = gateway.resolve(disputed.model_copy(update={"extra": {"held_by": "platform"}}))
    transfer = gateway.resolve(event_about(account, payout=Payout(id="tr_1", amount=amount)))

    assert dispute.dispute.status == "lost"
    assert transfer.payout.status == "reversed"


def test_a_warning_that_was_acted_on_is_not_actionable_any_more(gateway, simulator, account):
    simulator.put(
        "early_fraud_warnings", account, events.early_fraud_warning("issfr_1", "ch_1", NOON, actionable=False)
    )
    warned = event_about(account, dispute=Dispute(id="issfr_1", amount=Money(minor=7, currency="USD"), reason="misc"))

    event = gateway.resolve(warned)

    assert (event.dispute.status, event.dispute.amount.minor) == ("not_actionable", 7)
