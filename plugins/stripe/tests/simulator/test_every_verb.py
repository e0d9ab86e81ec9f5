"""Every route is reached by the SDK, synchronously and asynchronously, and answers in the shape Stripe describes."""

from __future__ import annotations

import pytest
import stripe

from paycordon_stripe.simulator.routes import ROUTES, route_of

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")  # the SDK's, of httpx
BANK = {"object": "bank_account", "country": "US", "currency": "usd", "account_number": "000123456789"}
BANK["routing_number"] = "110000000"


def test_every_verb_is_driven_by_the_sdk_and_answers_in_stripes_shape(drive, client, simulator, answers):
    simulator.fund(None, 1_000_000)
    account = of_accounts(drive)
    of = {"stripe_account": account}
    simulator.onboard(account)
    simulator.fund(account, 500_000)
    of_people_and_banks(drive, account)
    of_money(drive, account, of)
    of_payments(drive, simulator, account, of)
    of_events(drive, account, of)
    client.oauth.deauthorize({"stripe_user_id": account})  # the SDK has no asynchronous one

    reached = {route_of(sent.method, sent.path)[0].path + sent.method for sent in simulator.requests}
    assert {route.path + route.method for route in ROUTES} - reached == set()
    assert len(answers) == len(simulator.requests)


def test_the_description_knows_what_is_held_to_it(shapes):
    if shapes is None:
        pytest.skip("the vendors' API descriptions are not here; set PAYCORDON_SPECS to their folder")
    known = {"account", "capability", "person", "bank_account", "payout", "transfer", "charge", "refund", "dispute"}
    known |= {"balance", "balance_settings", "event", "review", "radar.early_fraud_warning", "v2.core.account"}
    assert {kind for kind in known if not shapes.knows(kind)} == set()


def of_accounts(drive):
    made = drive("v1.accounts.create", {"country": "US", "capabilities": {"card_payments": {"requested": True}}}).id
    drive("v1.accounts.update", made, {"email": "owner@shop.example", "metadata": {"own": "1"}})
    assert drive("v1.accounts.retrieve", made).email == "owner@shop.example"
    assert [each.id for each in drive("v1.accounts.list", {"limit": 1})] == [made]
    drive("v1.accounts.capabilities.update", made, "transfers", {"requested": True})
    assert drive("v1.accounts.capabilities.retrieve", made, "transfers").requested is True
    assert len(drive("v1.accounts.capabilities.list", made).data) == 2
    drive("v1.accounts.reject", made, {"reason": "fraud_other"})
    drive("v1.accounts.unreject", made)
    other = drive("v1.accounts.create", {"country": "DE"}).id
    assert drive("v1.accounts.delete", other).deleted is True
    second = drive("v2.core.accounts.create", {"identity": {"country": "de"}, "contact_email": "a@shop.example"}).id
    drive("v2.core.accounts.update", second, merchant(True))
    shown = drive("v2.core.accounts.retrieve", second, {"include": ["configuration.merchant", "identity", "defaults"]})
    assert shown.configuration.merchant.capabilities.card_payments.status == "restricted"
    assert drive("v2.core.accounts.close", second, {"applied_configurations": ["merchant"]}).closed is True
    return made


def merchant(requested):
    return {"configuration": {"merchant": {"capabilities": {"card_payments": {"requested": requested}}}}}


def of_people_and_banks(drive, account):
    person = drive("v1.accounts.persons.create", account, {"first_name": "Ada", "relationship": {"owner": True}}).id
    drive(
        "v1.accounts.persons.update",
        account,
        person,
        {"last_name": "Synthetic", "dob": {"day": 1, "month": 2, "year": 1990}},
    )
    assert drive("v1.accounts.persons.retrieve", account, person).last_name == "Synthetic"
    assert len(drive("v1.accounts.persons.list", account, {"relationship": {"owner": True}}).data) == 1
    drive("v1.accounts.persons.delete", account, person)
    bank = drive("v1.accounts.external_accounts.create", account, {"external_account": BANK}).id
    drive("v1.accounts.external_accounts.update", account, bank, {"metadata": {"own": "1"}})
    assert drive("v1.accounts.external_accounts.retrieve", account, bank).last4 == "6789"
    assert len(drive("v1.accounts.external_accounts.list", account, {"object": "bank_account"}).data) == 2
    assert drive("v1.accounts.external_accounts.delete", account, bank).deleted is True


def of_money(drive, account, of):
    assert drive("v1.balance.retrieve", {}, of).available[0].amount == 500_000
    for verb, params in (("get", {}), ("post", {"payments": {"payouts": {"schedule": {"interval": "manual"}}}})):
        answer = drive("raw_request", verb, "/v1/balance_settings", **params, **of)
        assert answer.code == 200
    payout = drive("v1.payouts.create", {"amount": 100, "currency": "usd"}, of).id
    drive("v1.payouts.update", payout, {"metadata": {"own": "1"}}, of)
    assert drive("v1.payouts.cancel", payout, {}, of).status == "canceled"
    assert drive("v1.payouts.retrieve", payout, {}, of).status == "canceled"
    drive("v1.payouts.create", {"amount": 100, "currency": "usd", "method": "instant"}, of)
    assert len(drive("v1.payouts.list", {"status": "pending"}, of).data) == 1
    transfer = drive("v1.transfers.create", {"amount": 900, "currency": "usd", "destination": account}).id
    drive("v1.transfers.update", transfer, {"description": "synthetic"})
    part = drive("v1.transfers.reversals.create", transfer, {"amount": 300}).id
    assert drive("v1.transfers.reversals.retrieve", transfer, part).amount == 300
    assert len(drive("v1.transfers.reversals.list", transfer).data) == 1
    assert drive("v1.transfers.retrieve", transfer).amount_reversed == 300
    assert len(drive("v1.transfers.list", {"destination": account}).data) == 1


def of_payments(drive, simulator, account, of):
    paid = drive("v1.payouts.list", {}, of).data[0].id
    simulator.ledger.find("payouts", account, paid)["status"] = "paid"
    assert drive("v1.payouts.reverse", paid, {}, of).original_payout == paid
    charge = drive("v1.charges.create", {"amount": 4_200, "currency": "usd", "source": "tok_visa"}, of).id
    assert drive("v1.charges.retrieve", charge, {}, of).paid is True
    assert len(drive("v1.charges.list", {}, of).data) == 1
    intent = drive("v1.payment_intents.create", {"amount": 100, "currency": "usd"}, of).id
    drive("v1.payment_intents.confirm", intent, {"payment_method": "pm_card_visa"}, of)
    assert drive("v1.payment_intents.retrieve", intent, {}, of).status == "succeeded"
    other = drive("v1.payment_intents.create", {"amount": 100, "currency": "usd"}, of).id
    drive("v1.payment_intents.cancel", other, {"cancellation_reason": "fraudulent"}, of)
    warning = simulator.warn_of_fraud(account, charge)
    review = simulator.open_review(account, charge)
    assert drive("v1.radar.early_fraud_warnings.retrieve", warning, {}, of).charge == charge
    assert len(drive("v1.radar.early_fraud_warnings.list", {"charge": charge}, of).data) == 1
    assert len(drive("v1.reviews.list", {}, of).data) == 1
    drive("v1.reviews.approve", review, {}, of)
    assert drive("v1.reviews.retrieve", review, {}, of).closed_reason == "approved"
    refund = drive("v1.refunds.create", {"charge": charge, "amount": 200, "reason": "fraudulent"}, of).id
    assert drive("v1.refunds.retrieve", refund, {}, of).amount == 200
    assert len(drive("v1.refunds.list", {"charge": charge}, of).data) == 1
    for verb, params in (("update", {"evidence": {"product_description": "books"}, "submit": False}), ("close", {})):
        dispute = simulator.open_dispute(account, simulator.charge(account, 700))
        drive(f"v1.disputes.{verb}", dispute, params, of)
    assert drive("v1.disputes.retrieve", dispute, {}, of).status == "lost"
    assert len(drive("v1.disputes.list", {}, of).data) == 2


def of_events(drive, account, of):
    newest = drive("v1.events.list", {"types": ["charge.dispute.closed"], "delivery_success": True}, of).data[0]
    assert drive("v1.events.retrieve", newest.id, {}, of).data.object["status"] == "lost"
    thin = drive("v2.core.events.list", {"object_id": account, "limit": 5}).data
    assert drive("v2.core.events.retrieve", thin[0].id).related_object.id == account
    assert isinstance(newest, stripe.Event)
