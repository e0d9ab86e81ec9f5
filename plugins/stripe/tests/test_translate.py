from __future__ import annotations

import copy
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paycordon.errors import PayloadInvalid
from paycordon.events import Event, EventType, Mode, Money
from paycordon.gateways import Message, NotCarried
from paycordon.testing.clock import NOON
from paycordon_stripe import subscriptions
from paycordon_stripe.accounts import MERCHANT_METADATA_KEY
from paycordon_stripe.money import money
from paycordon_stripe.simulator import events
from paycordon_stripe.translate import TRANSLATED_TYPES, translate

ACCT = "acct_1Sim1"
CARD_NUMBER = "4111 1111 1111 1111"


def translated(payload: dict[str, Any], mode: Mode = Mode.LIVE) -> list[Event]:
    return translate(Message(payload["id"], payload["type"], payload), "stripe_eu", mode)


def only(payload: dict[str, Any]) -> Event:
    (event,) = translated(payload)
    return event


def account_updated(previous: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    made = events.account(ACCT, NOON, **fields)
    return events.event("account.updated", made, NOON, account=ACCT, previous=previous or {})


def corpus() -> dict[str, dict[str, Any]]:
    """One payload of each translated type."""
    payout, dispute = events.payout("po_1", NOON), events.dispute("dp_1", NOON)
    charge = events.charge("ch_1", NOON)
    warning, review = events.early_fraud_warning("issfr_1", charge, NOON), events.review("prv_1", charge, NOON)
    objects: dict[str, Any] = {
        "account.application.deauthorized": {"id": "ca_1", "object": "application"},
        "account.external_account.deleted": events.bank_account("ba_1", ACCT),
        "balance_settings.updated": {"object": "balance_settings", "payments": {}},
        "capability.updated": events.capability("card_payments", ACCT),
        "charge.failed": {**charge, "status": "failed"},
        "person.deleted": events.person("person_1", ACCT),
        "radar.early_fraud_warning.created": warning,
        "radar.early_fraud_warning.updated": warning,
        "refund.failed": events.refund("re_1", NOON, status="failed"),
        "review.closed": review,
        "review.opened": review,
        "account.application.authorized": {"id": "ca_1", "object": "application", "name": "Synthetic Platform"},
        "account.external_account.created": events.bank_account("ba_1", ACCT),
        "account.external_account.updated": events.debit_card("card_1", ACCT),
        "account.updated": events.account(ACCT, NOON),
        "charge.captured": charge,
        "charge.refunded": {**charge, "amount_refunded": 1_000},
        "charge.succeeded": charge,
        "person.created": events.person("person_1", ACCT),
        "person.updated": events.person("person_1", ACCT),
    }
    objects |= {type_: payout for type_ in TRANSLATED_TYPES if type_.startswith("payout.")}
    objects |= {type_: dispute for type_ in TRANSLATED_TYPES if type_.startswith("charge.dispute.")}
    objects |= {
        type_: events.transfer("tr_1", ACCT, NOON) for type_ in TRANSLATED_TYPES if type_.startswith("transfer.")
    }
    whose = {type_: None if type_.startswith("transfer.") else ACCT for type_ in TRANSLATED_TYPES}
    return {
        type_: events.event(type_, objects[type_], NOON, account=whose[type_], previous={})
        for type_ in TRANSLATED_TYPES
    }


MEANINGS = {
    "account.application.deauthorized": "merchant.changed",
    "account.external_account.deleted": "merchant.changed",
    "balance_settings.updated": "merchant.changed",
    "capability.updated": "merchant.changed",
    "charge.failed": "payment.failed",
    "person.deleted": "merchant.changed",
    "radar.early_fraud_warning.created": "dispute.warned",
    "radar.early_fraud_warning.updated": "dispute.updated",
    "refund.failed": "payment.refund_failed",
    "review.closed": "payment.reviewed",
    "review.opened": "payment.reviewed",
    "transfer.created": "payout.updated",
    "transfer.reversed": "payout.updated",
    "transfer.updated": "payout.updated",
    "account.application.authorized": "merchant.onboarding",
    "account.external_account.created": "merchant.changed",
    "account.external_account.updated": "merchant.changed",
    "account.updated": "merchant.changed",
    "charge.captured": "payment.succeeded",
    "charge.dispute.closed": "dispute.updated",
    "charge.dispute.created": "dispute.opened",
    "charge.dispute.funds_reinstated": "dispute.updated",
    "charge.dispute.funds_withdrawn": "dispute.updated",
    "charge.dispute.updated": "dispute.updated",
    "charge.refunded": "payment.refunded",
    "charge.succeeded": "payment.succeeded",
    "payout.canceled": "payout.updated",
    "payout.created": "payout.requested",
    "payout.failed": "payout.updated",
    "payout.paid": "payout.updated",
    "payout.updated": "payout.updated",
    "person.created": "merchant.changed",
    "person.updated": "merchant.changed",
}


@pytest.mark.parametrize("type_", TRANSLATED_TYPES)
def test_each_type_becomes_one_event_of_its_meaning(type_):
    payload = corpus()[type_]

    event = only(payload)

    assert event.type == MEANINGS[type_]
    assert event.id == payload["id"]
    assert event.occurred_at == NOON
    assert (event.gateway, event.instance, event.mode) == ("stripe", "stripe_eu", Mode.LIVE)
    assert event.account.id == ACCT
    assert event.extra["stripe_type"] == type_


@pytest.mark.parametrize("type_", TRANSLATED_TYPES)
def test_events_of_the_other_mode_yield_nothing(type_):
    payload = corpus()[type_]

    assert translated(payload, Mode.TEST) == []
    assert translated({**payload, "livemode": False}, Mode.LIVE) == []
    assert len(translated({**payload, "livemode": False}, Mode.TEST)) == 1


@pytest.mark.parametrize(
    "type_", ["payout.reconciliation_completed", "v1.account.updated", "", "account.updated ", "charge.pending"]
)
def test_unknown_types_yield_nothing(type_):
    assert translated({"id": "evt_1", "type": type_, "livemode": "?"}) == []


def test_an_account_says_who_the_merchant_is():
    made = account_updated(metadata={MERCHANT_METADATA_KEY: "m-42"})
    made["data"]["object"]["external_accounts"]["data"].append(events.debit_card("card_1", ACCT))

    event = only(made)

    assert event.merchant.model_dump(exclude_none=True) == {
        "id": "m-42",
        "name": "Synthetic Goods",
        "country": "US",
        "mcc": "5734",
        "url": "https://www.shop.example/start",
    }
    assert event.account.created_at == NOON - timedelta(days=1)
    assert [(str(i.kind), i.value) for i in event.identifiers] == [
        ("email", "owner@shop.example"),
        ("email", "help@shop.example"),
        ("phone", "+15555550100"),
        ("phone", "+15555550101"),
        ("url", "https://www.shop.example/start"),
        ("domain", "www.shop.example"),
        ("legal_entity", "Synthetic Goods Ltd"),
        ("ip", "192.0.2.7"),
        ("descriptor", "SYNTHETIC GOODS"),
        ("descriptor", "SYNTH"),
        ("bank_account", "fpSynthetic0001"),
        ("card_fingerprint", "fpSyntheticCard1"),
        ("person", "Ada Synthetic"),
    ]


@pytest.mark.parametrize(("url", "host"), [("shop.example/x", "shop.example"), ("http://[", None), ("//", None)])
def test_a_web_address_names_its_host_however_it_is_written(url, host):
    event = only(account_updated(business_profile={"url": url}))

    assert next((i.value for i in event.identifiers if i.kind == "domain"), None) == host


@pytest.mark.parametrize(
    ("previous", "fields", "meaning"),
    [
        ({}, {}, "merchant.changed"),
        ({"email": "old@shop.example"}, {}, "merchant.changed"),
        ({"details_submitted": False}, {}, "merchant.onboarding"),
        ({}, {"charges_enabled": False, "payouts_enabled": False}, "merchant.onboarding"),
        ({}, {"payouts_enabled": False}, "merchant.onboarding"),
        ({"payouts_enabled": True}, {"payouts_enabled": False}, "merchant.changed"),
        ({"charges_enabled": True}, {"charges_enabled": False}, "merchant.changed"),
        ({"charges_enabled": False}, {"details_submitted": True}, "merchant.changed"),
    ],
)
def test_an_account_is_onboarding_until_it_can_do_all(previous, fields, meaning):
    assert only(account_updated(previous, **fields)).type == meaning


def test_a_payout_says_what_goes_where():
    event = only(events.event("payout.created", events.payout("po_1", NOON), NOON, account=ACCT))

    assert event.payout is not None
    assert event.payout.model_dump(exclude_none=True) == {
        "id": "po_1",
        "amount": {"minor": 12_500, "currency": "USD"},
        "status": "pending",
        "method": "standard",
        "destination": "ba_1Sim1",
        "automatic": True,
        "arrival_at": NOON + timedelta(days=2),
    }


def test_the_platforms_own_payouts_disputes_and_payments_yield_nothing():
    own = events.charge("ch_1", NOON)
    for type_, payload in corpus().items():
        if type_.startswith(("payout.", "charge.", "radar.", "review.", "refund.")):
            payload.pop("account")
            if type_.startswith(("charge.dispute.", "refund.")):
                payload["data"]["object"] = {**payload["data"]["object"], "charge": own}
            assert translated(payload) == [], type_


@pytest.mark.parametrize(
    "type_", ["charge.dispute.created", "radar.early_fraud_warning.created", "review.opened", "refund.failed"]
)
def test_what_names_a_charge_only_has_to_be_fetched(type_):
    payload = corpus()[type_]
    payload.pop("account")
    payload["data"]["object"] = {**payload["data"]["object"], "charge": "ch_1"}

    with pytest.raises(NotCarried):
        translated(payload)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "paid"),
        ({"amount_reversed": 1}, "partially_reversed"),
        ({"amount_reversed": 900, "reversed": True}, "reversed"),
    ],
)
def test_a_transfer_is_a_payout_that_was_made(fields, status):
    event = only(events.event("transfer.updated", events.transfer("tr_1", ACCT, NOON, **fields), NOON))

    assert (event.account.id, event.payout.id, event.payout.method, event.payout.status) == (
        ACCT, "tr_1", "transfer", status,
    )  # fmt: skip


def test_a_warning_of_fraud_is_about_the_charges_amount_and_payer():
    charge = events.charge("ch_1", NOON, transfer_data={"destination": ACCT})
    warning = events.early_fraud_warning("issfr_1", charge, NOON, fraud_type="made_with_stolen_card")

    event = only(events.event("radar.early_fraud_warning.created", warning, NOON))

    assert event.dispute.model_dump(exclude_none=True) == {
        "id": "issfr_1",
        "amount": {"minor": 4_200, "currency": "EUR"},
        "payment": "ch_1",
        "payer": "fpPayer00000001",
        "reason": "made_with_stolen_card",
        "status": "actionable",
    }


def test_an_account_says_facts_that_name_nobody():
    company = {"name": "Synthetic Goods Ltd", "tax_id_provided": True, "address": {"country": "PH"}}

    event = only(account_updated(company=company))

    assert (event.extra["address_country"], event.extra["tax_id_provided"]) == ("PH", True)
    assert event.extra["bank_countries"] == ["US"]


def test_a_capability_says_what_became_of_it():
    made = events.capability("transfers", ACCT, status="inactive", requirements={"disabled_reason": "platform_paused"})

    event = only(events.event("capability.updated", made, NOON, account=ACCT))

    assert {k: event.extra[k] for k in ("capability", "status", "disabled_reason")} == {
        "capability": "transfers",
        "status": "inactive",
        "disabled_reason": "platform_paused",
    }


@pytest.mark.parametrize("status", ["prevented", "appeal_needs_response", "appeal_under_review", "warning_closed"])
def test_newer_states_of_disputes_are_kept(status):
    made = events.dispute("dp_1", NOON, status=status)

    assert only(events.event("charge.dispute.updated", made, NOON, account=ACCT)).dispute.status == status


@pytest.mark.parametrize("method", ["standard", "instant"])
def test_a_payout_may_fail_after_it_was_paid(method):
    made = events.payout("po_1", NOON, status="failed", method=method, failure_code="account_closed")

    event = only(events.event("payout.failed", made, NOON, account=ACCT))

    assert (event.payout.status, event.payout.method) == ("failed", method)


@pytest.mark.parametrize("field", [{"transfer_data": {"destination": ACCT}}, {"on_behalf_of": ACCT}])
def test_a_payment_of_the_platform_for_an_account_is_the_accounts(field):
    charge = events.charge("ch_1", NOON, **field)

    assert only(events.event("charge.succeeded", charge, NOON)).account.id == ACCT
    assert (
        only(events.event("charge.dispute.created", events.dispute("dp_1", NOON, charge=charge), NOON)).account.id
        == ACCT
    )


def test_a_disputes_status_is_that_of_the_object_not_of_the_event():
    lost = events.dispute("dp_1", NOON, status="lost")

    event = only(events.event("charge.dispute.funds_reinstated", lost, NOON, account=ACCT))

    assert event.dispute is not None
    assert (event.dispute.status, event.dispute.payment, event.dispute.network_reason_code) == (
        "lost",
        "ch_1Sim1",
        "10.4",
    )


def test_values_stripe_may_add_survive():
    dispute = events.dispute("dp_1", NOON, status="brand_new_status", reason="brand_new_reason")

    event = only(events.event("charge.dispute.updated", dispute, NOON, account=ACCT))

    assert event.dispute is not None
    assert (event.dispute.status, event.dispute.reason) == ("brand_new_status", "brand_new_reason")


def test_a_refund_is_the_latest_part_not_the_sum():
    charge = events.charge("ch_1", NOON, amount_refunded=3_000)

    event = only(events.event("charge.refunded", charge, NOON, account=ACCT, previous={"amount_refunded": 1_200}))

    assert event.type == EventType.PAYMENT_REFUNDED
    assert event.amount == Money(minor=1_800, currency="EUR")


def test_an_authorisation_is_no_payment_yet():
    assert (
        translated(events.event("charge.succeeded", events.charge("c", NOON, captured=False), NOON, account=ACCT)) == []
    )


def test_a_payer_is_a_fingerprint_or_the_gateways_customer():
    by_card = only(events.event("charge.succeeded", events.charge("ch_1", NOON), NOON, account=ACCT))
    other = events.charge("ch_2", NOON, customer="cus_1", payment_method_details={"type": "ideal", "ideal": {}})
    by_customer = only(events.event("charge.succeeded", other, NOON, account=ACCT))

    assert by_card.payment is not None
    assert by_customer.payment is not None
    assert (by_card.payment.payer, by_card.payment.payer_country) == ("fpPayer00000001", "DE")
    assert (by_customer.payment.payer, by_customer.payment.payer_country) == ("cus_1", None)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1_050, "usd", "10.50 USD"),
        (500, "jpy", "500 JPY"),
        (50_000, "isk", "500 ISK"),
        (50_001, "ugx", "501 UGX"),
        (500, "mga", "500.00 MGA"),
        (1_230, "kwd", "1.230 KWD"),
        (-1_050, "usd", "-10.50 USD"),
    ],
)
def test_amounts_are_in_the_standards_minor_units(amount, currency, text):
    assert str(money(amount, currency)) == text


def test_an_account_that_contradicts_its_envelope_is_refused():
    with pytest.raises(PayloadInvalid):
        translated({**account_updated(), "account": "acct_other"})


def test_a_card_number_is_refused_and_not_repeated():
    profile = {"name": f"call {CARD_NUMBER} now"}

    with pytest.raises(PayloadInvalid) as caught:
        translated(account_updated(business_profile=profile))

    assert "4111" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("text", ["n" * 5_000, "syn\0thetic"])
def test_a_merchant_cannot_escape_by_a_text_that_no_event_takes(text):
    profile = {"name": text, "url": f"https://shop.example/{text}", "support_email": "a@shop.example"}

    (event,) = translated(account_updated(business_profile=profile))

    assert event.merchant.name == text.replace("\0", "")[:2_048]
    assert ("email", "a@shop.example") in [(i.kind, i.value) for i in event.identifiers]


def test_a_wrong_shape_is_named_and_not_repeated():
    with pytest.raises(PayloadInvalid, match=r"`event\.data\.object\.email` is not a text") as caught:
        translated(account_updated(email={"secret": "private@shop.example"}))

    assert "private" not in str(caught.value)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [found for key, item in inner for found in paths(item, (*path, key))]


def without(payload: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(payload)
    place = changed
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return changed


def replaced(payload: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(payload)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


WRONG = (None, "", 7, -1, 10**40, 1.5, True, [], [None], {}, {"id": 3}, "\ud800", "x" * 5_000, CARD_NUMBER)


def accept_or_refuse(type_: str, payload: Any) -> None:
    try:
        found = translate(Message("evt_1", type_, payload), "stripe_eu", Mode.LIVE)
    except PayloadInvalid as error:
        refused = str(error)
    else:
        refused = ""
    assert CARD_NUMBER not in refused
    if refused:
        return
    for event in found:
        assert isinstance(event, Event)
        json.loads(event.model_dump_json())


@pytest.mark.parametrize("type_", TRANSLATED_TYPES)
def test_pruned_nulled_and_retyped_payloads_are_events_or_refused(type_):
    payload = corpus()[type_]
    for path in paths(payload)[1:]:
        accept_or_refuse(type_, without(payload, path))
        for value in (
            None,
            "",
            7,
            -1,
            10**40,
            1.5,
            True,
            [],
            [None],
            {},
            {"id": 3},
            "\ud800",
            "x" * 5_000,
            CARD_NUMBER,
        ):
            accept_or_refuse(type_, replaced(payload, path, value))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just(CARD_NUMBER),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(type_=st.sampled_from(TRANSLATED_TYPES), value=JSON, data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_json_anywhere_is_an_event_or_refused(type_, value, data):
    payload = corpus()[type_]
    path = data.draw(st.sampled_from(paths(payload)[1:]))
    accept_or_refuse(type_, replaced(payload, path, value))


@given(payload=st.dictionaries(st.text(max_size=8), JSON), type_=st.sampled_from(TRANSLATED_TYPES))
def test_any_object_is_an_event_or_refused(payload, type_):
    accept_or_refuse(type_, {**payload, "livemode": True})


def test_the_readme_subscribes_endpoints_to_what_is_understood():
    text = (Path(subscriptions.__file__).parents[2] / "README.md").read_text()

    assert subscriptions.table() in text
    assert {*subscriptions.CONNECT, *subscriptions.ACCOUNT} == set(TRANSLATED_TYPES)
