from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from paycordon.errors import PayloadInvalid
from paycordon.events import EventType, IdentifierKind, Money
from paycordon.gateways import Message, NotCarried
from paycordon.testing.clock import NOON
from paycordon_adyen.deliveries import verify
from paycordon_adyen.sources import FETCHED, Sources
from paycordon_adyen.transfers import WAITS_FOR_APPROVAL

from .conftest import (
    ACCOUNT,
    HOLDER,
    KEYS,
    batch,
    holder,
    item,
    platform_payment,
    said,
    signed_body,
    signed_item,
    transfer,
)

OTHER = "AH00000000000000000000002"
_P = "balancePlatform"


@pytest.fixture
def events_of(make_gateway):
    """Deliver a statement of either family, signed, and return what it means."""

    def of(statement, **settings):
        gateway = make_gateway(**settings)
        if "eventCode" in statement:
            delivery = signed_body(batch(signed_item(statement)))
        else:
            delivery = signed_body(json.dumps(statement).encode())
        return [event for message in gateway.verify(delivery, NOON) for event in gateway.translate(message)]

    return of


def transfers(of, updated=False, **fields):
    return of(said(f"{_P}.transfer.{'updated' if updated else 'created'}", transfer(**fields)))


def test_a_transfer_to_a_bank_account_is_a_payout(events_of):
    (event,) = transfers(events_of)

    assert event.type == EventType.PAYOUT_REQUESTED
    assert (event.account.id, event.id) == (HOLDER, "transfer:3JNC3O5ZVFLLGV4B:1")
    assert event.payout.id == "3JNC3O5ZVFLLGV4B"
    assert event.payout.amount == Money(minor=12_500, currency="EUR")
    assert (event.payout.status, event.payout.method) == ("received", "regular")
    assert event.payout.destination == "SE00000000000000000000001"
    assert event.extra["sequence"] == 1


def test_a_transfer_to_anybodys_bank_account_names_it(events_of):
    bank = {
        "accountHolder": {"fullName": "Synthetic Person", "type": "individual"},
        "accountIdentification": {"type": "iban", "iban": "NL02ABNA0123456789"},
    }
    (event,) = transfers(events_of, counterparty={"bankAccount": bank})

    named = {(each.kind, each.value) for each in event.identifiers}
    assert named == {(IdentifierKind.IBAN, "NL02ABNA0123456789"), (IdentifierKind.PERSON, "Synthetic Person")}


@pytest.mark.parametrize("direction", ["incoming", "outgoing", None, "sideways"])
@pytest.mark.parametrize(
    "category", ["bank", "card", "internal", "issuedCard", "platformPayment", "topUp", None, "new"]
)
def test_only_what_leaves_the_platform_is_a_payout(events_of, category, direction):
    found = transfers(events_of, category=category, direction=direction)

    leaves = category in ("bank", "card") and direction == "outgoing"
    assert [event.type for event in found] == ([EventType.PAYOUT_REQUESTED] if leaves else [])


@pytest.mark.parametrize("type_", ["internalTransfer", "internalDirectDebit"])
def test_a_transfer_between_balance_accounts_is_none(events_of, type_):
    for direction in ("incoming", "outgoing"):
        assert transfers(events_of, category="internal", type=type_, direction=direction) == []


def test_each_of_the_72_statuses_is_kept_in_adyens_own_word(events_of, specs):
    path = specs / "adyen-webhooks" / "BalancePlatformTransferNotification-v4.json"
    schema = json.loads(path.read_text())["components"]["schemas"]["TransferData"]
    statuses = schema["properties"]["status"]["enum"]

    assert len(statuses) == 72
    assert set(WAITS_FOR_APPROVAL) < set(statuses)
    for status in statuses:
        (event,) = transfers(events_of, updated=True, status=status)
        assert (event.type, event.payout.status) == (EventType.PAYOUT_UPDATED, status)
        for kind in ("capture", "refund", "chargeback", "secondChargeback", "fee"):
            found = events_of(said(f"{_P}.transfer.updated", platform_payment(kind, status)))
            assert len(found) <= 1


@pytest.mark.parametrize(
    ("type_", "status", "means"),
    [
        ("capture", "captured", EventType.PAYMENT_SUCCEEDED),
        ("capture", "received", None),
        ("capture", "authorised", None),
        ("capture", "capturePending", None),
        ("refund", "refunded", EventType.PAYMENT_REFUNDED),
        ("refund", "refundPending", None),
        ("refundReversal", "refundReversed", EventType.PAYMENT_REFUND_FAILED),
        ("payment", "received", None),
        ("miscCost", "booked", None),
        ("invented", "captured", None),
    ],
)
def test_payments_count_once_their_money_is_there(events_of, type_, status, means):
    found = events_of(said(f"{_P}.transfer.updated", platform_payment(type_, status)))

    assert [event.type for event in found] == ([means] if means else [])
    assert all(event.payment.id == "PSPPAYMENT000001" and event.account.id == HOLDER for event in found)


@pytest.mark.parametrize("kind", ["Commission", "PaymentFee", "AdyenCommission", "VAT", "Interchange", "Tomorrow"])
def test_fees_and_commissions_are_not_a_merchants_payments(events_of, kind):
    payment = platform_payment("capture", "captured")
    payment["categoryData"]["platformPaymentType"] = kind

    assert events_of(said(f"{_P}.transfer.updated", payment)) == []


def test_what_a_dispute_takes_updates_it(events_of):
    (event,) = events_of(said(f"{_P}.transfer.created", platform_payment("chargeback", "chargebackPending")))

    assert event.type == EventType.DISPUTE_UPDATED
    assert (event.dispute.id, event.dispute.payment) == ("PSPDISPUTE000001", "PSPPAYMENT000001")
    assert event.dispute.status == "chargeback:chargebackPending"


def test_mode_14_a_reversal_is_no_win(events_of):
    """Money that comes back says nothing of how the dispute will end."""
    (event,) = events_of(said(f"{_P}.transfer.updated", platform_payment("chargebackReversal", "chargebackReversed")))

    assert event.dispute.status == "chargeback_reversed:chargebackReversed"
    (ended,) = events_of(item("DISPUTE_DEFENSE_PERIOD_ENDED", additionalData={"disputeStatus": "Lost"}))
    assert (ended.dispute.status, ended.extra["outcome"]) == ("defense_period_ended", "Lost")


def test_transfers_open_disputes_where_the_configuration_says_so(events_of):
    first, second = (
        events_of(said(f"{_P}.transfer.updated", platform_payment("chargeback", status, sequenceNumber=n)))
        for n, status in enumerate(("chargebackPending", "chargeback"))
    )
    assert [event.type for event in (*first, *second)] == [EventType.DISPUTE_UPDATED] * 2
    opened = [
        events_of(
            said(f"{_P}.transfer.updated", platform_payment("chargeback", status, sequenceNumber=n)),
            disputes_from="transfers",
        )[0]
        for n, status in enumerate(("chargebackPending", "chargeback"))
    ]
    assert {event.type for event in opened} == {EventType.DISPUTE_OPENED}
    assert len({event.id for event in opened}) == 1, "one dispute was opened twice"
    (updated,) = events_of(item("CHARGEBACK"), disputes_from="transfers")
    assert updated.type == EventType.DISPUTE_UPDATED


def test_a_dispute_is_opened_once_whichever_notification_comes_first(events_of):
    announced, taken = (events_of(item(code)) for code in ("NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK"))

    assert [event.type for event in announced] == [EventType.DISPUTE_OPENED, EventType.DISPUTE_UPDATED]
    assert announced[0].id == taken[0].id == "opened:PSPDISPUTE000001"
    assert len({announced[1].id, taken[1].id, announced[0].id}) == 3


def test_a_report_of_fraud_warns_and_opens_nothing(events_of):
    (warned,) = events_of(item("NOTIFICATION_OF_FRAUD"))

    assert (warned.type, warned.dispute.status) == (EventType.DISPUTE_WARNED, "fraud_reported")


def test_a_dispute_says_what_is_not_signed_of_it(events_of):
    additional = {
        "chargebackReasonCode": " 4853",
        "defensePeriodEndsAt": "2026-07-31T03:03:07+02:00",
        "metadata.paycordon_account": HOLDER,
    }
    opened, _ = events_of(item("CHARGEBACK", additionalData=additional))

    assert opened.dispute.due_at == datetime(2026, 7, 31, 1, 3, 7, tzinfo=UTC)
    assert (opened.dispute.network_reason_code, opened.dispute.payment) == ("4853", "PSPPAYMENT000001")
    assert "due_at" in opened.extra["unsigned"]
    assert (opened.account.id, opened.extra["attributed_by"]) == (HOLDER, "metadata")


@pytest.mark.parametrize(
    ("additional", "settings", "account", "by"),
    [
        ({}, {}, "PlatformShared", "nobody"),
        ({}, {"merchant_accounts": {"PlatformShared": OTHER}}, OTHER, "merchant_account"),
        ({"store": "S1"}, {"stores": {"S1": OTHER}}, OTHER, "store"),
        ({"store": "S2"}, {"stores": {"S1": OTHER}}, "PlatformShared", "nobody"),
        ({"metadata.paycordon_account": HOLDER}, {}, HOLDER, "metadata"),
        ({"metadata.seller": HOLDER}, {"account_metadata_key": "seller"}, HOLDER, "metadata"),
        ({"metadata.paycordon_account": "../AH1"}, {}, "PlatformShared", "nobody"),
        ({"split.item1.accountHolder": HOLDER, "split.item2.account": ACCOUNT}, {}, HOLDER, "split"),
        ({"split.item1.account": HOLDER, "split.item2.account": OTHER}, {}, "PlatformShared", "nobody"),
        (
            {"metadata.paycordon_account": HOLDER},
            {"merchant_accounts": {"PlatformShared": OTHER}},
            OTHER,
            "merchant_account",
        ),
    ],
)
def test_whose_dispute_it_is_is_taken_from_what_is_signed_first(events_of, additional, settings, account, by):
    opened, updated = events_of(item("CHARGEBACK", additionalData=additional), **settings)

    assert opened.account == updated.account
    assert (opened.account.id, opened.extra["attributed_by"]) == (account, by)
    assert opened.account.at_gateway is (by != "nobody")


@pytest.mark.parametrize("settings", [{"balance_platform": "SyntheticPlatform"}, {}])
def test_whose_a_dispute_is_that_says_nothing_of_it_is_looked_for(events_of, settings):
    additional = {} if settings else {"split.item1.account": ACCOUNT}

    with pytest.raises(NotCarried):
        events_of(item("CHARGEBACK", additionalData=additional), **settings)


def test_notifications_of_payments_count_where_the_configuration_says_so(events_of):
    additional = {"alias": "A0001", "cardIssuingCountry": "DE", "metadata.paycordon_account": HOLDER}
    paid = item("AUTHORISATION", pspReference="PSPPAYMENT000001", originalReference=None, additionalData=additional)
    refund = item("REFUND", pspReference="PSPREFUND0000001", additionalData=additional)

    assert events_of(paid) == []
    (event,) = events_of(paid, payments_from="notifications")
    assert (event.type, event.payment.payer, event.payment.payer_country) == (
        EventType.PAYMENT_SUCCEEDED,
        "A0001",
        "DE",
    )
    (event,) = events_of(refund, payments_from="notifications")
    assert (event.type, event.payment.id) == (EventType.PAYMENT_REFUNDED, "PSPPAYMENT000001")
    for refused, means in ((paid, EventType.PAYMENT_FAILED), (refund, EventType.PAYMENT_REFUND_FAILED)):
        (event,) = events_of({**refused, "success": "false"}, payments_from="notifications")
        assert event.type == means
    capture = said(f"{_P}.transfer.updated", platform_payment("capture", "captured"))
    assert events_of(capture, payments_from="notifications") == []


def test_an_account_holder_that_may_do_nothing_yet_is_being_taken_on(events_of):
    pending = {"enabled": True, "requested": True, "allowed": False, "verificationStatus": "pending"}
    new = holder(capabilities={"sendToTransferInstrument": pending})
    allowed = holder()

    for data, means in ((new, EventType.MERCHANT_ONBOARDING), (allowed, EventType.MERCHANT_CHANGED)):
        (event,) = events_of(said(f"{_P}.accountHolder.updated", {"accountHolder": data}))
        assert event.type == means
        (event,) = events_of(said(f"{_P}.accountHolder.created", {"accountHolder": data}))
        assert event.type == EventType.MERCHANT_ONBOARDING


def test_an_account_holder_says_who_the_merchant_is(events_of):
    (event,) = events_of(said(f"{_P}.accountHolder.updated", {"accountHolder": holder()}))

    assert (event.merchant.id, event.merchant.name, event.merchant.country) == ("m_1", "Synthetic Books", "NL")
    assert (event.account.charges_enabled, event.account.payouts_enabled) == (True, True)
    assert {(each.kind.value, each.value) for each in event.identifiers} == {
        ("email", "owner@books.example"),
        ("phone", "+31201234567"),
        ("url", "https://books.example/"),
        ("domain", "books.example"),
    }
    assert event.extra["capabilities"] == {"receivePayments": "allowed", "sendToTransferInstrument": "allowed"}


def test_what_keeps_a_capability_from_being_allowed_is_named_by_its_codes(events_of):
    error = {"code": "1_50", "message": "no", "subErrors": [{"code": "1_5016"}], "type": "invalidInput"}
    invalid = {
        "allowed": False,
        "enabled": True,
        "verificationStatus": "invalid",
        "problems": [{"entity": {"id": "LE1"}, "verificationErrors": [error]}],
        "transferInstruments": [{"id": "SE2"}, {"id": "SE1"}],
    }
    data = holder(capabilities={"sendToTransferInstrument": invalid})
    (event,) = events_of(said(f"{_P}.accountHolder.updated", {"accountHolder": data}))

    assert event.extra["problems"] == ["1_50", "1_5016"]
    assert event.extra["capabilities"] == {"sendToTransferInstrument": "invalid"}
    assert event.extra["transfer_instruments"] == ["SE1", "SE2"]
    assert event.account.payouts_enabled is False


STATEMENTS = {
    "balanceAccount.updated": {"balanceAccount": {"id": ACCOUNT, "accountHolderId": HOLDER, "status": "suspended"}},
    "balanceAccountSweep.updated": {
        "accountId": ACCOUNT,
        "sweep": {"id": "SWPC1", "status": "inactive", "counterparty": {"transferInstrumentId": "SE1"}},
    },
    "balanceAccountPayoutSchedule.created": {
        "balanceAccountId": ACCOUNT,
        "balanceAccountPayoutScheduleId": "BAPS1",
        "enabled": True,
        "transferInstrumentId": "SE1",
    },
    "score.triggered": {
        "accountHolder": {"id": HOLDER},
        "riskScore": 87,
        "scoreSignalsTriggered": ["AdyenFraudRisk"],
        "accountHolderStatus": "active",
    },
    "negativeBalanceCompensationWarning.scheduled": {
        "accountHolder": {"id": HOLDER},
        "amount": {"currency": "EUR", "value": -14_562},
        "scheduledCompensationAt": "2026-08-01T00:00:00+02:00",
    },
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_what_else_is_said_of_an_account_holder_is_a_change(events_of, name):
    statement = said(f"{_P}.{name}", STATEMENTS[name])
    if ACCOUNT in json.dumps(statement) and HOLDER not in json.dumps(statement):
        with pytest.raises(NotCarried):
            events_of(statement)
        statement[FETCHED] = {"accountHolder": HOLDER}
    (event,) = events_of(statement)

    assert (event.type, event.account.id) == (EventType.MERCHANT_CHANGED, HOLDER)
    assert event.extra["changed"]


def test_scores_and_warnings_are_facts_for_policies(events_of):
    (score,) = events_of(said(f"{_P}.score.triggered", STATEMENTS["score.triggered"]))
    name = "negativeBalanceCompensationWarning.scheduled"
    (warning,) = events_of(said(f"{_P}.{name}", STATEMENTS[name]))

    assert (score.extra["risk_score"], score.extra["signals"]) == (87, ["AdyenFraudRisk"])
    assert warning.extra["negative_balance"] == {"minor": -14_562, "currency": "EUR"}
    assert warning.extra["compensated_at"] == "2026-07-31T22:00:00+00:00"


def test_a_merchant_account_that_is_one_merchants_alone_is_a_change_of_it(events_of):
    data = {"merchantId": "BooksOnly", "status": "Active", "capabilities": {}}
    statement = {"type": "merchant.updated", "environment": "live", "createdAt": NOON.isoformat(), "data": data}

    assert events_of(statement) == []
    (event,) = events_of(statement, merchant_accounts={"BooksOnly": HOLDER})
    assert event.account.id == HOLDER


def test_the_platforms_own_account_holders_are_nobodys_business(events_of):
    own = {"own_account_holders": [HOLDER], "merchant_accounts": {"PlatformShared": HOLDER}}
    statements = [
        said(f"{_P}.accountHolder.updated", {"accountHolder": holder()}),
        said(f"{_P}.transfer.created", transfer()),
        said(f"{_P}.transfer.updated", platform_payment("chargeback", "chargeback")),
        said(f"{_P}.score.triggered", STATEMENTS["score.triggered"]),
        item("CHARGEBACK"),
    ]

    assert [event for statement in statements for event in events_of(statement, **own)] == []


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [(100, "EUR", 100), (100, "ISK", 1), (101, "CLP", 2), (5, "IDR", 500), (7, "JPY", 7)],
)
def test_amounts_are_in_minor_units_of_the_standard(events_of, value, currency, minor):
    (event,) = transfers(events_of, amount={"currency": currency, "value": value})

    assert event.payout.amount == Money(minor=minor, currency=currency)


def test_mode_2_steps_of_a_transfer_may_come_in_any_order(events_of):
    """Each says its own number, and what it says does not depend on what came before."""
    steps = [said(f"{_P}.transfer.updated", transfer(sequenceNumber=n, status=s)) for n, s in ((3, "booked"), (2, "x"))]

    assert [events_of(step)[0].extra["sequence"] for step in steps] == [3, 2]


def test_an_item_is_of_the_code_it_is_delivered_under():
    (message,) = verify(signed_body(batch(signed_item(item("CHARGEBACK")))), [bytes.fromhex(KEYS[0])], ())
    from paycordon.events import Mode
    from paycordon_adyen.translate import translate

    other = Message(message.id, "SECOND_CHARGEBACK", message.body)
    with pytest.raises(PayloadInvalid, match="eventCode"):
        translate(other, "i", Mode.LIVE, Sources())


def test_times_are_utc_and_needed(events_of):
    statement = said(f"{_P}.transfer.created", transfer(), NOON.astimezone(UTC) + timedelta(hours=1))
    (event,) = events_of(statement)

    assert event.occurred_at == NOON + timedelta(hours=1)
    with pytest.raises(PayloadInvalid, match="when"):
        events_of({key: value for key, value in statement.items() if key != "timestamp"})
