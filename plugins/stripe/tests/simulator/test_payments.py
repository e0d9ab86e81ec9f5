"""Charges, refunds, disputes, transfers and their reversals at the simulator."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

DAY = timedelta(days=1)


@pytest.fixture
def manual(client, account):
    schedule = {"settings": {"payouts": {"schedule": {"interval": "manual"}}}}
    client.v1.accounts.update(account, schedule)
    return account


def balance(client, of):
    found = client.v1.balance.retrieve({}, of)
    return found.available[0].amount, found.pending[0].amount


def automatic(simulator, account):
    return [payout["amount"] for payout in simulator.payouts(account) if payout["automatic"]]


def types(simulator, account, prefix):
    return [event["type"] for event in simulator.events(account) if event["type"].startswith(prefix)]


def test_a_payment_is_pending_until_the_delay_is_over(client, simulator, manual, of):
    client.v1.charges.create({"amount": 5_000, "currency": "usd", "source": "tok_visa"}, of)
    before = balance(client, of)
    simulator.advance(3 * DAY)

    assert (before, balance(client, of)) == ((100_000, 5_000), (105_000, 0))
    assert "balance.available" in types(simulator, manual, "balance")


def test_a_declined_card_takes_nothing(client, account, of):
    with pytest.raises(stripe.CardError) as declined:
        client.v1.charges.create({"amount": 5_000, "currency": "usd", "source": "tok_chargeDeclined"}, of)

    assert declined.value.code == "card_declined"
    assert balance(client, of) == (100_000, 0)


def test_a_destination_charge_sends_its_share_to_the_account(client, simulator, account, of):
    data = {"destination": account, "amount": 900}
    charge = client.v1.charges.create({"amount": 1_000, "currency": "usd", "source": "tok_visa", "transfer_data": data})

    (transfer,) = client.v1.transfers.list({"destination": account}).data
    assert (transfer.amount, transfer.source_transaction) == (900, charge.id)
    assert balance(client, of) == (100_900, 0)


def test_a_transfer_is_reversed_in_parts_and_never_by_more_than_is_left(client, simulator, account, of):
    simulator.fund(None, 1_000)
    transfer = client.v1.transfers.create({"amount": 1_000, "currency": "usd", "destination": account})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.transfers.create({"amount": 1, "currency": "usd", "destination": account})
    client.v1.transfers.reversals.create(transfer.id, {"amount": 400})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.transfers.reversals.create(transfer.id, {"amount": 601})
    client.v1.transfers.reversals.create(transfer.id)

    after = client.v1.transfers.retrieve(transfer.id)
    assert refused.value.code == "balance_insufficient"
    assert (after.reversed, after.amount_reversed, [part.amount for part in after.reversals]) == (
        True,
        1_000,
        [600, 400],
    )
    assert balance(client, of) == (100_000, 0)


def test_what_an_account_has_paid_out_cannot_be_taken_back_from_it(client, manual, of):
    transfer = client.v1.transfers.create({"amount": 1_000, "currency": "usd", "destination": manual}).id
    client.v1.payouts.create({"amount": 101_000, "currency": "usd"}, of)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.transfers.reversals.create(transfer)
    assert refused.value.code == "balance_insufficient"


def test_a_full_refund_for_fraud_settles_warning_and_review(client, simulator, account, of):
    charge = simulator.charge(account, 4_200)
    warning, review = simulator.warn_of_fraud(account, charge), simulator.open_review(account, charge)
    client.v1.refunds.create({"charge": charge, "amount": 200}, of)
    before = client.v1.radar.early_fraud_warnings.retrieve(warning, {}, of).actionable
    client.v1.refunds.create({"charge": charge, "reason": "fraudulent"}, of)

    assert (before, client.v1.radar.early_fraud_warnings.retrieve(warning, {}, of).actionable) == (True, False)
    assert client.v1.reviews.retrieve(review, {}, of).closed_reason == "refunded_as_fraud"
    assert client.v1.charges.retrieve(charge, {}, of).refunded is True
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"charge": charge}, of)
    assert refused.value.code == "charge_already_refunded"


def test_refunds_that_are_not_covered_make_the_account_owe(client, simulator, manual, of):
    charge = simulator.charge(manual, 4_200)
    client.v1.payouts.create({"amount": 100_000, "currency": "usd"}, of)
    client.v1.refunds.create({"charge": charge}, of)
    owed = balance(client, of)
    simulator.advance(3 * DAY)

    assert (owed, balance(client, of)) == ((-4_200, 4_200), (0, 0))


def test_a_dispute_takes_the_money_and_a_won_one_gives_it_back(client, simulator, manual, of):
    dispute = simulator.open_dispute(manual, simulator.charge(manual, 4_200))
    taken = balance(client, of)
    client.v1.disputes.update(dispute, {"evidence": {"uncategorized_text": "winning_evidence"}}, of)

    assert taken == (95_800, 4_200)
    assert client.v1.disputes.retrieve(dispute, {}, of).status == "won"
    assert balance(client, of) == (100_000, 4_200)
    assert types(simulator, manual, "charge.dispute") == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]


def test_evidence_is_a_draft_until_it_is_submitted_and_then_final(client, simulator, account, of):
    dispute = simulator.open_dispute(account, simulator.charge(account, 4_200))
    draft = client.v1.disputes.update(dispute, {"evidence": {"product_description": "books"}, "submit": False}, of)
    sent = client.v1.disputes.update(dispute, {"evidence": {"customer_name": "Ada"}, "submit": True}, of)

    assert (draft.status, draft.evidence_details.submission_count) == ("needs_response", 0)
    assert (sent.status, sent.evidence_details.submission_count) == ("under_review", 1)
    assert (sent.evidence.product_description, sent.evidence_details.has_evidence) == ("books", True)
    for verb, params in (("update", {"evidence": {"customer_name": "Eve"}}), ("close", {})):
        with pytest.raises(stripe.InvalidRequestError):
            getattr(client.v1.disputes, verb)(dispute, params, of)
    simulator.decide_dispute(account, dispute, "lost")
    assert client.v1.disputes.retrieve(dispute, {}, of).status == "lost"


def test_a_dispute_nobody_answers_is_lost_at_its_deadline(client, simulator, account, of):
    dispute = simulator.open_dispute(account, simulator.charge(account, 4_200))
    simulator.advance(11 * DAY)

    found = client.v1.disputes.retrieve(dispute, {}, of)
    assert (found.status, found.evidence_details.past_due) == ("lost", True)


def test_an_inquiry_takes_no_money_and_a_prevented_dispute_stays_prevented(client, simulator, manual, of):
    inquiry = simulator.open_dispute(manual, simulator.charge(manual, 10), status="warning_needs_response")
    prevented = simulator.open_dispute(manual, simulator.charge(manual, 10), status="prevented")
    simulator.decide_dispute(manual, inquiry, "lost")
    simulator.decide_dispute(manual, prevented, "lost")

    statuses = [client.v1.disputes.retrieve(each, {}, of).status for each in (inquiry, prevented)]
    assert statuses == ["warning_closed", "prevented"]
    assert balance(client, of)[0] == 100_000


def test_a_charge_that_is_disputed_cannot_be_refunded_as_well(client, simulator, account, of):
    charge = simulator.charge(account, 4_200)
    simulator.open_dispute(account, charge)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"charge": charge}, of)
    assert refused.value.code == "charge_disputed"
