"""What workers read at Adyen before an event is judged: who it is, where payouts go, whose a dispute is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from paycordon.errors import PayloadInvalid, Refused, RetryLater
from paycordon.events import EventType
from paycordon.gateways import NotCarried
from paycordon.testing.clock import NOON
from paycordon_adyen.simulator import Fault, FaultKind

from .conftest import CAPABILITIES, item, said, signed_item, transfer

pytestmark = pytest.mark.usefixtures("lawful")
_P = "balancePlatform"


@pytest.fixture
def account(simulator):
    return simulator.create_account_holder(capabilities=CAPABILITIES, balance={"EUR": 500_000})


def delivered(gateway, simulator, told):
    """Take one thing the simulator tells through the adapter, as intake and worker do."""
    headers, body = simulator.signed_delivery(told)
    from paycordon.gateways import Delivery

    events = []
    for message in gateway.verify(Delivery(headers, body), NOON):
        try:
            found = list(gateway.translate(message))
        except NotCarried:
            found = list(gateway.translate(gateway.fetch(message)))
        events += [gateway.resolve(event) for event in found]
    return events


@pytest.fixture
def adyen(make_gateway, simulator):
    """The adapter with every key, and the simulator's own HMAC key."""

    def make(**given):
        keys = dict.fromkeys(("legal_entity_api_key", "disputes_api_key"), simulator.api_key)
        return make_gateway(simulator.base_url, hmac_keys=[simulator.hmac_key], **{**keys, **given})

    return make


def last(simulator, type_, account=None):
    return next(each for each in reversed(simulator.told(account)) if each.type == type_)


def test_an_account_holder_is_known_by_its_legal_entity_and_bank_accounts(adyen, simulator, account):
    (event,) = delivered(adyen(), simulator, last(simulator, f"{_P}.accountHolder.created", account))

    assert event.type == EventType.MERCHANT_ONBOARDING
    assert event.merchant.name == "Synthetic Goods 1 B.V."
    assert (event.merchant.country, event.merchant.url) == ("NL", "https://www.shop.example/")
    named = {each.kind.value: each.value for each in event.identifiers}
    assert named["legal_entity"] == "Synthetic Goods 1 B.V."
    assert named["domain"] == "www.shop.example"
    assert named["tax_id"] == "SIM00001"
    assert named["iban"].startswith("NL")
    assert event.extra["legal_entity"].startswith("LE")


def test_without_a_key_for_legal_entities_what_the_account_holder_says_has_to_do(adyen, simulator, account):
    gateway = adyen(legal_entity_api_key=None)
    (event,) = delivered(gateway, simulator, last(simulator, f"{_P}.accountHolder.created", account))

    assert event.merchant.name == "Synthetic Goods 1"
    assert event.identifiers == ()
    assert not any(request.path.startswith("/lem/") for request in simulator.requests)


def test_a_legal_entity_that_may_not_be_read_is_said_to_be_missing(adyen, simulator, account):
    told = last(simulator, f"{_P}.accountHolder.created", account)
    simulator.inject(Fault(FaultKind.ANSWER, "GET", "/legalEntities/", status=403))
    (event,) = delivered(adyen(), simulator, told)

    assert event.extra["not_read"] == "legal_entity"
    assert event.merchant.name == "Synthetic Goods 1"


def test_what_cannot_be_read_now_is_read_later(adyen, simulator, account):
    told = last(simulator, f"{_P}.accountHolder.created", account)
    for path in ("/accountHolders/", "/legalEntities/", "/transferInstruments/"):
        simulator.inject(Fault(FaultKind.LOST_BEFORE, "GET", path))
        with pytest.raises(RetryLater):
            delivered(adyen(), simulator, told)


def test_a_new_bank_account_shows_as_a_change_of_the_account_holder(adyen, simulator, account, backend):
    """Adyen has no webhook for transfer instruments."""
    entity = simulator.account_holder(account)["legalEntityId"]
    before = len(simulator.told(account))
    number = {"type": "iban", "iban": "NL02ABNA0123456789"}
    made = {"legalEntityId": entity, "type": "bankAccount", "bankAccount": {"accountIdentification": number}}
    backend.legalEntityManagement.transfer_instruments_api.create_transfer_instrument(made)

    changed = simulator.told(account)[before:]
    assert {each.type for each in changed} == {f"{_P}.accountHolder.updated"}
    (event,) = delivered(adyen(), simulator, changed[-1])
    assert event.type == EventType.MERCHANT_CHANGED
    assert "NL02ABNA0123456789" in [each.value for each in event.identifiers]
    assert len(event.extra["transfer_instruments"]) == 2


def test_mode_2_a_late_step_of_a_transfer_is_judged_as_the_transfer_is_now(adyen, simulator, account, backend):
    asked = {
        "amount": {"currency": "EUR", "value": 700},
        "balanceAccountId": simulator.balance_account_of(account),
        "category": "bank",
        "counterparty": {"transferInstrumentId": simulator.transfer_instrument_of(account)},
        "priority": "regular",
    }
    backend.transfers.transfers_api.transfer_funds(asked)
    first = last(simulator, f"{_P}.transfer.created", account)
    simulator.advance(timedelta(days=2))

    (event,) = delivered(adyen(), simulator, first)
    assert (event.type, event.payout.status) == (EventType.PAYOUT_REQUESTED, "booked")
    assert event.payout.destination == asked["counterparty"]["transferInstrumentId"]


def test_a_transfer_of_somebody_else_is_refused(adyen, simulator, account, subject_of):
    other = simulator.create_account_holder(balance={"EUR": 10_000})
    id_ = simulator.receive(other, 500)
    gateway = adyen()
    data = transfer(id=id_, accountHolder={"id": account})
    from .conftest import signed_body

    (message,) = gateway.verify(
        signed_body(__import__("json").dumps(said(f"{_P}.transfer.created", data)).encode(), simulator.hmac_key), NOON
    )
    (event,) = gateway.translate(message)
    with pytest.raises(Refused, match="not of this account holder"):
        gateway.resolve(event)


def test_the_account_holder_of_a_sweep_is_found(adyen, simulator, account):
    simulator.add_sweep(account)
    (event,) = delivered(adyen(), simulator, last(simulator, f"{_P}.balanceAccountSweep.created", account))

    assert (event.account.id, event.extra["changed"]) == (account, ["sweep"])
    assert event.merchant.name == "Synthetic Goods 1 B.V."
    simulator.add_payout_schedule(account)
    (event,) = delivered(adyen(), simulator, last(simulator, f"{_P}.balanceAccountPayoutSchedule.created", account))
    assert (event.account.id, event.extra["changed"]) == (account, ["payout_schedule"])


@pytest.mark.parametrize("named", ["../accountHolders/AH1", "AH00000000SIM0000000001", "BA", ""])
def test_a_sweep_of_no_balance_account_is_invalid_and_nothing_is_asked(adyen, simulator, named):
    from paycordon.gateways import Message

    data = {"accountId": named, "sweep": {"id": "SWPC1"}}
    message = Message("1", f"{_P}.balanceAccountSweep.created", said("x", data))
    with pytest.raises(PayloadInvalid):
        adyen().fetch(message)
    assert simulator.requests == []


class TestDisputes:
    @pytest.fixture
    def payment(self, simulator, account):
        return simulator.pay(account, 4_200)

    def disputed(self, simulator, payment, **changes):
        simulator.open_dispute(payment)
        told = last(simulator, "CHARGEBACK")
        return type(told)(told.id, told.family, told.type, told.at, told.account, {**told.body, **changes})

    def test_the_transfer_of_a_dispute_says_whose_it_is(self, adyen, simulator, payment, account):
        told = self.disputed(simulator, payment, additionalData={})
        opened, updated = delivered(adyen(balance_platform="SyntheticPlatform"), simulator, told)

        assert (opened.account.id, opened.extra["attributed_by"]) == (account, "adyen")
        assert (opened.type, updated.type) == (EventType.DISPUTE_OPENED, EventType.DISPUTE_UPDATED)
        assert opened.merchant.name

    def test_the_split_of_its_payment_says_whose_it_is(self, adyen, simulator, payment, account):
        split = {"split.item1.account": simulator.balance_account_of(account)}
        opened, _ = delivered(adyen(), simulator, self.disputed(simulator, payment, additionalData=split))

        assert (opened.account.id, opened.extra["attributed_by"]) == (account, "adyen")

    def test_what_nobody_says_stays_with_nobody(self, adyen, simulator, payment):
        told = self.disputed(simulator, payment, additionalData={}, originalReference="PSPX", pspReference="PSPY")
        for gateway in (adyen(), adyen(balance_platform="SyntheticPlatform")):
            opened, _ = delivered(gateway, simulator, told)
            assert (opened.account.id, opened.account.at_gateway) == ("SyntheticMerchant", False)
            assert opened.extra["attributed_by"] == "nobody"

    def test_a_key_that_may_not_look_leaves_it_nobodys_and_judged(self, adyen, simulator, payment, account):
        told = self.disputed(simulator, payment, additionalData={})
        simulator.inject(Fault(FaultKind.ANSWER, "GET", "/btl/v4/transfers", status=403))
        opened, _ = delivered(adyen(balance_platform="SyntheticPlatform"), simulator, told)
        assert opened.extra["attributed_by"] == "nobody"

        about = {"metadata.paycordon_account": account}
        simulator.inject(Fault(FaultKind.ANSWER, "GET", "/btl/v4/transfers", status=403))
        opened, _ = delivered(adyen(), simulator, self.disputed(simulator, payment, additionalData=about))
        assert opened.extra["attribution"] == "unconfirmed"

    def test_what_unsigned_fields_say_is_confirmed_by_the_transfer_or_not(self, adyen, simulator, payment, account):
        other = simulator.create_account_holder()
        for named, attribution in ((account, "confirmed"), (other, "unconfirmed")):
            about = {"metadata.paycordon_account": named}
            opened, _ = delivered(adyen(), simulator, self.disputed(simulator, payment, additionalData=about))
            assert (opened.account.id, opened.extra["attribution"]) == (named, attribution)

    def test_what_is_signed_needs_no_confirmation(self, adyen, simulator, payment, account):
        gateway = adyen(merchant_accounts={"SyntheticMerchant": account})
        opened, _ = delivered(gateway, simulator, self.disputed(simulator, payment))

        assert "attribution" not in opened.extra
        assert not any(request.path == "/btl/v4/transfers" for request in simulator.requests)


def test_every_webhook_the_simulator_sends_can_be_taken(adyen, simulator, account, backend):
    """What happens to an account holder in its life, told by the simulator and read by the adapter."""
    payment = simulator.pay(account, 4_200)
    simulator.refund(payment, 100)
    dispute = simulator.open_dispute(payment, "REQUEST_FOR_INFORMATION")
    simulator.go_on(dispute, "NOTIFICATION_OF_CHARGEBACK")
    simulator.go_on(dispute, "CHARGEBACK")
    simulator.report_fraud(simulator.pay(account, 100))
    simulator.add_sweep(account)
    simulator.add_payout_schedule(account)
    simulator.fail_verification(account)
    simulator.score(account, 80, "AdyenFraudRisk")
    simulator.warn_of_negative_balance(account, -500)
    simulator.receive(account, 700)
    simulator.advance(timedelta(days=40))

    gateway = adyen(balance_platform="SyntheticPlatform")
    events = [event for told in simulator.told() for event in delivered(gateway, simulator, told)]
    kinds = {str(event.type) for event in events}
    by_notification_only = {"payment.failed", "payment.reviewed"}
    assert kinds == {str(type_) for type_ in EventType} - by_notification_only - {"payment.refund_failed"}
    assert {event.account.id for event in events if event.account.at_gateway} == {account}
    # The end of a defence period is weeks away from the transfers that would say whose it is.
    nobodys = [event.extra["adyen_type"] for event in events if not event.account.at_gateway]
    assert set(nobodys) == {"DISPUTE_DEFENSE_PERIOD_ENDED"}
    assert len({event.id for event in events if event.type == EventType.DISPUTE_OPENED}) == 1


def test_items_of_one_batch_are_taken_one_by_one(adyen, simulator):
    from .conftest import batch, signed_body

    both = [
        signed_item(item(code, pspReference=f"PSP{code}"), simulator.hmac_key) for code in ("CHARGEBACK", "CAPTURE")
    ]
    messages = adyen().verify(signed_body(batch(*both)), NOON)

    assert [message.type for message in messages] == ["CHARGEBACK", "CAPTURE"]
