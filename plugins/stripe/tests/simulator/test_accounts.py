"""Accounts, their people, bank accounts and capabilities at the simulator."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

FRAUD = {"reason": "fraud_payment_method_casher"}
ONBOARDED = {
    "business_type": "company",
    "business_profile": {"url": "https://www.shop.example/"},
    "tos_acceptance": {"date": 1_772_452_800, "ip": "192.0.2.7"},
}
BANK = {"object": "bank_account", "country": "US", "currency": "usd", "account_number": "000123456789"}


def types(simulator, account):
    return [event["type"] for event in simulator.events(account)]


def test_an_account_is_enabled_once_nothing_is_due_any_more(client, simulator):
    wanted = {"card_payments": {"requested": True}}
    made = client.v1.accounts.create({"country": "US", "capabilities": wanted, **ONBOARDED})
    before = (made.details_submitted, made.charges_enabled, made.requirements.disabled_reason)
    due = made.requirements.currently_due

    after = client.v1.accounts.update(made.id, {"external_account": BANK})

    assert (before, due) == ((False, False, "requirements.past_due"), ["external_account"])
    assert (after.details_submitted, after.charges_enabled, after.payouts_enabled) == (True, True, True)
    assert after.capabilities.card_payments == "active"
    assert after.requirements.currently_due == []
    assert "account.external_account.created" in types(simulator, made.id)


def test_a_rejection_switches_everything_off_and_can_be_taken_back(client, simulator, account):
    rejected = client.v1.accounts.reject(account, FRAUD)
    held = client.v1.accounts.capabilities.retrieve(account, "card_payments")
    again = client.v1.accounts.unreject(account)

    assert (rejected.charges_enabled, rejected.payouts_enabled) == (False, False)
    assert rejected.requirements.disabled_reason == "rejected.platform_fraud"
    assert (held.status, held.requested) == ("inactive", True)
    assert (again.charges_enabled, again.payouts_enabled) == (True, True)
    assert again.requirements.disabled_reason is None
    assert {"account.updated", "capability.updated"} <= set(types(simulator, account))


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("fraud_other", "rejected.platform_fraud"),
        ("credit", "rejected.platform_other"),
        ("terms_of_service", "rejected.platform_terms_of_service"),
    ],
)
def test_the_reason_of_a_rejection_is_shown_as_stripe_does(client, account, reason, shown):
    assert client.v1.accounts.reject(account, {"reason": reason}).requirements.disabled_reason == shown


def test_payouts_go_on_after_a_rejection_if_asked_for(client, account, of):
    rejected = client.v1.accounts.reject(account, {**FRAUD, "payouts_action": "none"})

    assert rejected.payouts_enabled is True
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.charges.create({"amount": 100, "currency": "usd", "source": "tok_visa"}, of)
    assert client.v1.payouts.create({"amount": 100, "currency": "usd"}, of).status == "pending"


def test_payouts_by_hand_are_refused_after_a_rejection_that_pauses_them(client, account, of):
    client.v1.accounts.reject(account, FRAUD)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payouts.create({"amount": 100, "currency": "usd"}, of)
    assert refused.value.code == "payouts_not_allowed"


def test_the_old_reason_is_a_bad_request_under_the_current_version_only(client, simulator):
    one, other = simulator.create_account(), simulator.create_account()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.accounts.reject(one, {"reason": "fraud"})
    old = client.v1.accounts.reject(other, {"reason": "fraud"}, {"stripe_version": "2026-08-26.dahlia"})

    assert (refused.value.http_status, refused.value.param) == (400, "reason")
    assert old.requirements.disabled_reason == "rejected.fraud"


def test_only_an_account_whose_losses_the_platform_bears_can_be_rejected(client):
    standard = client.v1.accounts.create({"type": "standard"}).id

    with pytest.raises(stripe.InvalidRequestError, match="liable"):
        client.v1.accounts.reject(standard, FRAUD)


def test_what_stripe_rejected_the_platform_cannot_take_back(client, simulator, account):
    client.v1.accounts.reject(account, FRAUD)
    simulator.reject_as_stripe(account)

    with pytest.raises(stripe.InvalidRequestError, match="not rejected by your platform"):
        client.v1.accounts.unreject(account)
    assert client.v1.accounts.retrieve(account).requirements.disabled_reason == "rejected.fraud"


def test_a_capability_requested_during_a_rejection_stays_inactive(client, account):
    client.v1.accounts.reject(account, FRAUD)

    assert client.v1.accounts.capabilities.update(account, "transfers", {"requested": True}).status == "inactive"


def test_a_permanent_capability_cannot_be_given_back(client, account):
    client.v1.accounts.capabilities.update(account, "legacy_payments", {"requested": True})

    with pytest.raises(stripe.InvalidRequestError, match="permanent"):
        client.v1.accounts.capabilities.update(account, "legacy_payments", {"requested": False})


def test_an_account_without_access_answers_403_like_one_that_is_not_there(client, simulator, account):
    client.oauth.deauthorize({"stripe_user_id": account})

    for id_ in (account, "acct_none"):
        with pytest.raises(stripe.PermissionError) as refused:
            client.v1.accounts.retrieve(id_)
        assert refused.value.json_body["error"]["code"] == "account_invalid"
    assert types(simulator, account)[-1] == "account.application.deauthorized"


@pytest.mark.parametrize(
    "params",
    [
        {"nonsense": "1"},
        {"settings": {"payouts": {"schedule": {"nonsense": "1"}}}},
        {"settings": {"payouts": {"schedule": {"interval": "hourly"}}}},
        {"capabilities": {"levitation": {"requested": True}}},
        {"business_profile": "text"},
        {"tos_acceptance": {"date": "yesterday"}},
        {"country": "DE"},
    ],
)
def test_parameters_stripe_does_not_know_change_nothing(client, simulator, account, params):
    before = simulator.account(account)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.accounts.update(account, params)
    assert refused.value.http_status == 400
    assert simulator.account(account) == before


def test_lists_are_paged_newest_first_and_filtered(client, simulator, clock):
    made = []
    for _ in range(5):
        clock.advance(timedelta(minutes=1))
        made.append(client.v1.accounts.create({"country": "US"}).id)

    listed = [each.id for each in client.v1.accounts.list({"limit": 2}).auto_paging_iter()]
    first = client.v1.accounts.list({"limit": 2})
    before = client.v1.accounts.list({"ending_before": made[1], "limit": 2})

    assert listed == made[::-1]
    assert first.has_more is True
    assert ([each.id for each in before.data], before.has_more) == ([made[3], made[2]], True)


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 101}, {"starting_after": "acct_none"}])
def test_a_page_that_cannot_be_is_refused(client, params):
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.accounts.list(params)


def test_numbers_that_identify_a_person_are_never_shown_again(client, account):
    made = client.v1.accounts.persons.create(account, {"first_name": "Ada", "id_number": "123443211"})

    assert made.id_number_provided is True
    assert "123443211" not in str(made)


def test_a_person_tells_what_changed(client, simulator, account):
    person = client.v1.accounts.persons.create(account, {"first_name": "Ada"})
    client.v1.accounts.persons.update(account, person.id, {"first_name": "Eve", "relationship": {"owner": True}})
    client.v1.accounts.persons.delete(account, person.id)

    created, updated, deleted = simulator.events(account)[-3:]
    assert [created["type"], updated["type"], deleted["type"]] == ["person.created", "person.updated", "person.deleted"]
    assert updated["data"]["previous_attributes"]["first_name"] == "Ada"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.accounts.persons.retrieve(account, person.id)


def test_the_default_bank_account_stays_while_there_are_others(client, account):
    first = client.v1.accounts.external_accounts.create(account, {"external_account": BANK}).id
    second = client.v1.accounts.external_accounts.create(account, {"external_account": {**BANK, "account_number": "1"}})

    assert second.default_for_currency is False
    with pytest.raises(stripe.InvalidRequestError, match="default"):
        client.v1.accounts.external_accounts.delete(account, first)
    client.v1.accounts.external_accounts.update(account, second.id, {"default_for_currency": True})
    assert client.v1.accounts.external_accounts.delete(account, first).deleted is True
    assert client.v1.accounts.external_accounts.delete(account, second.id).deleted is True


def test_a_bank_account_has_the_same_fingerprint_everywhere(client, simulator, account):
    other = simulator.create_account()
    one, two = (
        client.v1.accounts.external_accounts.create(each, {"external_account": BANK}) for each in (account, other)
    )

    assert one.fingerprint == two.fingerprint
    assert "000123456789" not in str(one)


def test_metadata_is_merged_and_taken_away_by_an_empty_text(client, account):
    client.v1.accounts.update(account, {"metadata": {"a": "1", "b": "2"}})
    merged = client.v1.accounts.update(account, {"metadata": {"a": ""}})
    cleared = client.v1.accounts.update(account, {"metadata": ""})

    assert (merged.metadata.to_dict(), cleared.metadata.to_dict()) == ({"b": "2"}, {})


def test_ids_become_objects_where_expand_asks_for_them(client, simulator, account, of, answers):
    charge = simulator.charge(account, 4_200)
    simulator.open_dispute(account, charge)

    (found,) = client.v1.disputes.list({"expand": ["data.charge"]}, of).data

    assert found.charge.amount == 4_200
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.disputes.list({"expand": ["data.nonsense"]}, of)
    answers.clear()  # the description has ids in these places only


def test_v2_shows_the_same_account_and_tells_of_it_in_thin_events_only(client, simulator, account):
    included = {"include": ["configuration.merchant", "configuration.recipient"]}
    shown = client.v2.core.accounts.retrieve(account, included)
    off = {"merchant": {"capabilities": {"card_payments": {"requested": False}}}}
    client.v2.core.accounts.update(account, {"configuration": off, "contact_email": "new@shop.example"})

    after = client.v1.accounts.retrieve(account)
    assert shown.configuration.merchant.capabilities.card_payments.status == "active"
    assert shown.configuration.recipient.capabilities.stripe_balance.stripe_transfers.status == "active"
    assert (after.charges_enabled, after.email) == (False, "new@shop.example")
    thin = [event.type for event in client.v2.core.events.list({"object_id": account, "limit": 50}).data]
    assert "v2.core.account.updated" in thin
    assert "v2.core.account[configuration.merchant].capability_status_updated" in thin
    assert not any(type_.startswith("v2.") for type_ in types(simulator, account))


def test_v2_leaves_out_what_is_not_asked_for_and_shows_a_rejection(client, account):
    client.v1.accounts.reject(account, FRAUD)
    plain = client.v2.core.accounts.retrieve(account)
    full = client.v2.core.accounts.retrieve(account, {"include": ["configuration.merchant"]})

    assert (plain.configuration, plain.identity) == (None, None)
    assert full.configuration.merchant.capabilities.card_payments.status == "rejected"


def test_a_closed_account_cannot_be_changed(client):
    made = client.v2.core.accounts.create({"identity": {"country": "us"}}).id
    client.v2.core.accounts.close(made, {"applied_configurations": []})

    with pytest.raises(stripe.InvalidRequestError, match="closed"):
        client.v2.core.accounts.update(made, {"contact_email": "a@shop.example"})
