"""The guard of the SDK's client: what is screened, what passes, and what is never sent."""

from __future__ import annotations

import inspect
import json
import re

import Adyen
import pytest
from Adyen.services.base import AdyenServiceBase

from paycordon.adapting.guarding import NEUTRAL_REASON
from paycordon.errors import Blocked, Held, PayloadInvalid
from paycordon.testing.clock import NOON
from paycordon_adyen import guard
from paycordon_adyen.screened_calls import PASSED, call_of

from .conftest import ACCOUNT, HOLDER, INSTANCE

TRANSFER = {
    "amount": {"value": 12_500, "currency": "EUR"},
    "balanceAccountId": ACCOUNT,
    "category": "bank",
    "counterparty": {"transferInstrumentId": "SE00000000000000000000001"},
    "priority": "regular",
}


class Outcome:
    def __init__(self, stops=None):
        self.stops = stops is not None
        self.is_block = stops


class Sent:
    """A transport that records what would leave, and answers as the balance platform might."""

    user_agent = "test"

    def __init__(self):
        self.requests = []

    def request(self, method, url, json=None, xapikey="", headers=None):
        self.requests.append((method, url, json, headers))
        body = (
            {"id": "1", "accountHolderId": HOLDER} if "/balanceAccounts/" in url else {"id": "1", "status": "received"}
        )
        return __import__("json").dumps(body), json, 200, {}

    @property
    def writes(self):
        return [each for each in self.requests if each[0] != "GET"]


@pytest.fixture
def sent():
    return Sent()


@pytest.fixture
def backend(sent):
    adyen = Adyen.Adyen(xapikey="key_backend", platform="live")
    adyen.client.http_client, adyen.client.http_init = sent, True
    return adyen


class Screening:
    """A cordon that decides as it is told, and remembers what it was asked."""

    def __init__(self, outcome="allow"):
        from paycordon.decisions import Outcome

        self.outcome, self.events = Outcome(outcome), []

    def screen(self, event):
        self.events.append(event)
        return type("Decision", (), {"id": f"dec-{len(self.events)}", "merchant_reason": ""})()

    def in_force(self, decision):
        return self.outcome


def guarded(backend, cordon, **more):
    return guard(backend, cordon, INSTANCE, clock=lambda: NOON, **more)


def test_a_transfer_that_is_allowed_is_sent_as_it_is(backend, sent):
    cordon = Screening()
    answer = guarded(backend, cordon).transfers.transfers_api.transfer_funds(TRANSFER, idempotency_key="k-1")

    assert answer.message["status"] == "received"
    ((method, url, params, headers),) = sent.writes
    assert (method, url) == ("POST", "https://balanceplatform-api-live.adyen.com/btl/v4/transfers")
    assert (params, headers["Idempotency-Key"]) == (TRANSFER, "k-1")
    event, made = cordon.events
    assert (made.type, made.payout.id, made.id) == ("payout.updated", "1", "guard-made-1")
    assert (event.type, event.account.id, event.mode) == ("payout.requested", HOLDER, "live")
    assert (event.payout.amount.minor, event.payout.destination) == (12_500, "SE00000000000000000000001")
    assert event.occurred_at == NOON


@pytest.mark.parametrize(("outcome", "error"), [("hold", Held), ("block", Blocked)])
def test_a_transfer_that_is_stopped_is_not_sent(backend, sent, outcome, error):
    with pytest.raises(error) as caught:
        guarded(backend, Screening(outcome)).transfers.transfers_api.transfer_funds(TRANSFER)

    assert sent.writes == []
    assert (caught.value.decision_id, caught.value.merchant_reason) == ("dec-1", NEUTRAL_REASON)


CALLS = {
    "transfers.create": lambda a: a.transfers.transfers_api.transfer_funds(TRANSFER),
    "cashouts.create": lambda a: a.transfers.cash_out_api.initiate_cashout({**TRANSFER}),
    "account_holders.create": lambda a: a.balancePlatform.account_holders_api.create_account_holder(
        {
            "legalEntityId": "LE1",
            "contactDetails": {"email": "owner@books.example"},
            "metadata": {"paycordon_merchant": 7},
        }
    ),
    "account_holders.update": lambda a: a.balancePlatform.account_holders_api.update_account_holder(
        {"description": "x"}, HOLDER
    ),
    "balance_accounts.create": lambda a: a.balancePlatform.balance_accounts_api.create_balance_account(
        {"accountHolderId": HOLDER}
    ),
    "balance_accounts.update": lambda a: a.balancePlatform.balance_accounts_api.update_balance_account(
        {"accountHolderId": HOLDER}, ACCOUNT
    ),
    "sweeps.create": lambda a: a.balancePlatform.custom_payout_schedules_sweeps_api.create_sweep({}, ACCOUNT),
    "sweeps.update": lambda a: a.balancePlatform.custom_payout_schedules_sweeps_api.update_sweep(
        {"status": "active"}, ACCOUNT, "SWPC1"
    ),
    "payout_schedules.create": lambda a: a.balancePlatform.managed_payout_schedules_api.apply_managed_schedule(
        {}, ACCOUNT
    ),
    "payout_schedules.update": (
        lambda a: a.balancePlatform.managed_payout_schedules_api.update_balance_account_managed_schedule(
            {"enabled": True}, ACCOUNT, "BAPS1"
        )
    ),
    "legal_entities.create": lambda a: a.legalEntityManagement.legal_entities_api.create_legal_entity(
        {"type": "organization", "organization": {"legalName": "Synthetic Books B.V."}}
    ),
    "legal_entities.update": lambda a: a.legalEntityManagement.legal_entities_api.update_legal_entity({}, "LE1"),
    "business_lines.create": lambda a: a.legalEntityManagement.business_lines_api.create_business_line(
        {"legalEntityId": "LE1", "webData": [{"webAddress": "https://books.example"}]}
    ),
    "business_lines.update": lambda a: a.legalEntityManagement.business_lines_api.update_business_line({}, "SE1"),
    "transfer_instruments.create": lambda a: (
        a.legalEntityManagement.transfer_instruments_api.create_transfer_instrument(
            {
                "legalEntityId": "LE1",
                "type": "bankAccount",
                "bankAccount": {"accountIdentification": {"type": "iban", "iban": "NL02ABNA0123456789"}},
            }
        )
    ),
    "transfer_instruments.update": lambda a: (
        a.legalEntityManagement.transfer_instruments_api.update_transfer_instrument({}, "SE1")
    ),
    "transfer_instruments.delete": lambda a: (
        a.legalEntityManagement.transfer_instruments_api.delete_transfer_instrument("SE1")
    ),
}


@pytest.mark.parametrize("verb", CALLS)
def test_each_call_about_an_account_and_its_money_is_screened(backend, sent, verb):
    cordon = Screening("block")

    with pytest.raises(Blocked):
        CALLS[verb](guarded(backend, cordon))
    assert sent.writes == []
    (event,) = cordon.events
    assert event.extra["call"] == verb
    CALLS[verb](guarded(backend, Screening()))
    assert len(sent.writes) == 1


def test_an_account_holder_that_was_opened_is_screened_by_its_id_before_the_call_returns(backend, sent):
    sent.request = lambda *_, **__: (json.dumps({"id": HOLDER}), None, 200, {})
    cordon = Screening()
    api = guarded(backend, cordon).balancePlatform.account_holders_api
    api.create_account_holder({"legalEntityId": "LE1"}, idempotency_key="k-1")

    asked, opened = cordon.events
    assert (asked.account.at_gateway, opened.account.at_gateway, opened.account.id) == (False, True, HOLDER)
    assert opened.id == f"{asked.id}-opened"


def test_a_call_of_the_other_mode_is_not_screened_as_if_it_were_of_this_one(backend, sent):
    adyen = guarded(backend, Screening())
    adyen.client.platform = "test"

    with pytest.raises(PayloadInvalid, match="mode"):
        adyen.transfers.transfers_api.transfer_funds(TRANSFER)
    assert sent.writes == []


@pytest.mark.parametrize(("id_", "error"), [("../transfers?x=", PayloadInvalid), ("../transfers#", Blocked)])
def test_an_id_that_leads_elsewhere_is_screened_as_what_it_leads_to(backend, sent, id_, error):
    with pytest.raises(error):
        guarded(backend, Screening("block")).transfers.transfers_api.return_transfer(TRANSFER, id_)
    assert sent.writes == []


def test_a_held_transfer_waits_at_the_simulator_until_people_approve_it(backend, simulator, gateway, subject_of):
    from paycordon_adyen.client import connect
    from paycordon_adyen.peoples_acts import OneTransfer

    from .conftest import settings_of

    holder = simulator.create_account_holder(balance={"EUR": 50_000})
    asked = {**TRANSFER, "balanceAccountId": simulator.balance_account_of(holder)}
    asked["counterparty"] = {"transferInstrumentId": simulator.transfer_instrument_of(holder)}
    adyen = guarded(
        connect(settings_of(simulator.base_url), simulator.api_key), Screening("hold"), review_held_transfers=True
    )
    api = adyen.transfers.transfers_api
    made = api.transfer_funds(asked).message["id"]

    assert api.get_transfer(made).message["status"] == "pendingApproval"
    gateway.perform(subject_of(holder), "approve_transfer", OneTransfer(transfer=made), "act-1")
    assert api.get_transfer(made).message["status"] in ("authorised", "booked")


def test_what_a_call_says_of_a_merchant_is_what_is_screened(backend):
    cordon = Screening()
    for verb in (
        "account_holders.create",
        "legal_entities.create",
        "business_lines.create",
        "transfer_instruments.create",
    ):
        CALLS[verb](guarded(backend, cordon))

    made, entity, line, bank = cordon.events
    assert (made.type, made.merchant.id, made.account.at_gateway) == ("merchant.onboarding", "7", False)
    assert [each.value for each in made.identifiers] == ["owner@books.example"]
    assert entity.merchant.name == "Synthetic Books B.V."
    assert "books.example" in [each.value for each in line.identifiers]
    assert [each.kind.value for each in bank.identifiers] == ["iban"]


def test_a_new_bank_account_is_the_merchants_where_the_backend_says_whose(backend):
    cordon = Screening()
    CALLS["transfer_instruments.create"](guarded(backend, cordon, account_holder_of={"LE1": HOLDER}.get))

    (event,) = cordon.events
    assert (event.type, event.account.id, event.account.at_gateway) == ("merchant.changed", HOLDER, True)


HARMLESS = {
    "between balance accounts": lambda a: a.transfers.transfers_api.transfer_funds(
        {**TRANSFER, "category": "internal"}
    ),
    "a sweep off": lambda a: a.balancePlatform.custom_payout_schedules_sweeps_api.update_sweep(
        {"status": "inactive"}, ACCOUNT, "SWPC1"
    ),
    "a schedule off": (
        lambda a: a.balancePlatform.managed_payout_schedules_api.update_balance_account_managed_schedule(
            {"enabled": False}, ACCOUNT, "BAPS1"
        )
    ),
    "suspended": lambda a: a.balancePlatform.account_holders_api.update_account_holder({"status": "suspended"}, HOLDER),
    "cancelled": lambda a: a.transfers.transfers_api.cancel_initiated_transfers({"transferIds": ["1"]}),
    "read": lambda a: a.transfers.transfers_api.get_transfer("1"),
    "another service": lambda a: a.checkout.payments_api.sessions({}) if a.client.live_endpoint_prefix else None,
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_can_do_no_harm_is_not_screened(backend, name):
    cordon = Screening("block")
    HARMLESS[name](guarded(backend, cordon))

    assert cordon.events == []


def test_what_reactivates_or_mixes_is_screened(backend):
    platform = guarded(backend, Screening("block")).balancePlatform

    for call in (
        lambda: platform.account_holders_api.update_account_holder({"status": "active"}, HOLDER),
        lambda: platform.account_holders_api.update_account_holder({"status": "suspended", "capabilities": {}}, HOLDER),
        lambda: platform.custom_payout_schedules_sweeps_api.update_sweep({"status": "inactive", "x": 1}, ACCOUNT, "S"),
    ):
        with pytest.raises(Blocked):
            call()


def test_a_retry_with_its_key_is_the_same_event(backend):
    cordon = Screening()
    api = guarded(backend, cordon).transfers.transfers_api
    for params, key in (
        (TRANSFER, "k-1"),
        (TRANSFER, "k-1"),
        ({**TRANSFER, "amount": {"value": 1, "currency": "EUR"}}, "k-1"),
    ):
        api.transfer_funds(params, idempotency_key=key)
    api.transfer_funds(TRANSFER, header_parameters={"Idempotency-Key": "k-1"})
    api.transfer_funds(TRANSFER)
    api.transfer_funds(TRANSFER)

    ids = [event.id for event in cordon.events if event.type == "payout.requested"]
    assert ids[0] == ids[1] == ids[3]
    assert len(set(ids)) == 4


def test_whose_a_balance_account_is_is_asked_once(backend, sent):
    api = guarded(backend, Screening()).transfers.transfers_api
    for _ in range(3):
        api.transfer_funds(TRANSFER)

    assert len([each for each in sent.requests if each[0] == "GET"]) == 1


def test_the_backend_may_say_whose_without_a_request(backend, sent):
    cordon = Screening()
    guarded(backend, cordon, account_holder_of=lambda _: HOLDER).transfers.transfers_api.transfer_funds(TRANSFER)

    assert [each[0] for each in sent.requests] == ["POST"]
    assert cordon.events[0].account.id == HOLDER


def test_a_balance_account_whose_owner_cannot_be_read_stops_the_transfer(backend, sent):
    sent.request = lambda method, url, **_: ("{}", None, 200, {}) if method == "GET" else pytest.fail("it was sent")

    with pytest.raises(PayloadInvalid):
        guarded(backend, Screening()).transfers.transfers_api.transfer_funds(TRANSFER)


@pytest.mark.parametrize(
    "params",
    [
        {**TRANSFER, "amount": None},
        {**TRANSFER, "amount": {"value": "12.5", "currency": "EUR"}},
        {**TRANSFER, "amount": {"value": 5}},
        {**TRANSFER, "balanceAccountId": None},
        {**TRANSFER, "balanceAccountId": "../AH1"},
        {**TRANSFER, "counterparty": "bank"},
        {**TRANSFER, "counterparty": {"bankAccount": {"accountHolder": {"fullName": "4242424242424242"}}}},
        [TRANSFER],
        "text",
    ],
    ids=str,
)
def test_what_cannot_be_screened_is_not_sent(backend, sent, params):
    with pytest.raises(PayloadInvalid) as caught:
        guarded(backend, Screening()).transfers.transfers_api.transfer_funds(params)

    assert sent.writes == []
    assert "4242424242424242" not in str(caught.value)


def test_parameters_in_the_address_are_not_overlooked(backend, sent):
    with pytest.raises(PayloadInvalid, match="address"):
        guarded(backend, Screening()).transfers.transfers_api.transfer_funds(TRANSFER, query_parameters={"a": "b"})
    assert sent.writes == []


def test_a_held_transfer_may_wait_at_adyen_for_people(backend, sent):
    api = guarded(backend, Screening("hold"), review_held_transfers=True).transfers.transfers_api
    given = {**TRANSFER, "review": {"scaOnApproval": True}}
    api.transfer_funds(given, idempotency_key="k-1")

    assert sent.writes[0][2]["review"] == {"scaOnApproval": True, "numberOfApprovalsRequired": 1}
    assert "numberOfApprovalsRequired" not in given["review"], "the backend's parameters were changed"
    more = {**TRANSFER, "review": {"numberOfApprovalsRequired": 3}}
    api.transfer_funds(more)
    assert sent.writes[1][2]["review"] == {"numberOfApprovalsRequired": 3}
    with pytest.raises(Held):
        CALLS["sweeps.create"](guarded(backend, Screening("hold"), review_held_transfers=True))
    with pytest.raises(Blocked):
        guarded(backend, Screening("block"), review_held_transfers=True).transfers.transfers_api.transfer_funds(
            TRANSFER
        )
    assert len(sent.writes) == 2


def test_what_is_sent_is_what_was_screened_whoever_changes_it(backend, sent):
    given = json.loads(json.dumps(TRANSFER))

    class Changing(Screening):
        def in_force(self, decision):
            given["amount"]["value"] = 10**9
            return super().in_force(decision)

    guarded(backend, Changing()).transfers.transfers_api.transfer_funds(given)
    assert sent.writes[0][2]["amount"]["value"] == 12_500


def test_the_backends_own_sdk_is_not_changed(backend, sent):
    guarded(backend, Screening("block"))
    backend.transfers.transfers_api.transfer_funds(TRANSFER)

    assert len(sent.writes) == 1


def test_addresses_that_the_backend_has_set_are_kept_and_screened(backend, sent):
    backend.transfers.transfers_api.baseUrl = "http://127.0.0.1:9/proxy/btl/v4"
    adyen = guarded(backend, Screening())
    adyen.transfers.transfers_api.transfer_funds(TRANSFER)

    assert sent.writes[0][1] == "http://127.0.0.1:9/proxy/btl/v4/transfers"
    with pytest.raises(Blocked):
        guarded(backend, Screening("block")).transfers.transfers_api.transfer_funds(TRANSFER)


def test_errors_of_the_sdk_come_through_as_they_are(backend, sent):
    sent.request = lambda *_, **__: ('{"errorCode": "30_031"}', None, 422, {})

    with pytest.raises(Adyen.AdyenAPIUnprocessableEntity):
        guarded(backend, Screening()).transfers.transfers_api.get_transfer("1")


def interfaces(adyen):
    for service in ("balancePlatform", "transfers", "legalEntityManagement"):
        for interface in vars(getattr(adyen, service)).values():
            if isinstance(interface, AdyenServiceBase) and interface.baseUrl:
                yield interface


def writes_of_the_sdk(backend, sent):
    """Call every operation of the services that pay out, and return what would have been written."""
    for interface in interfaces(backend):
        for name, method in inspect.getmembers(interface, inspect.ismethod):
            if not name.startswith("_"):
                taken = [p for p in inspect.signature(method).parameters.values() if p.default is p.empty]
                asked = [p.name for p in taken if p.kind is p.POSITIONAL_OR_KEYWORD]
                method(*[{} if each == "request" else "X1" for each in asked])
    return [(method, re.sub(r".*/(?:bcl|btl|lem)/v\d+", "", url)) for method, url, *_ in sent.writes]


def passes(method, path):
    for named in PASSED:
        verb, _, pattern = named.rpartition(" ")
        if verb in ("", method) and re.match(pattern.replace("*", "[^/]+"), path):
            return True
    return False


def test_every_write_of_the_sdk_is_screened_or_passes_for_a_reason(backend, sent):
    found = writes_of_the_sdk(backend, sent)

    assert len(found) > 50
    for method, path in found:
        services = ("balancePlatform", "transfers", "legalEntityManagement")
        calls = [call_of(service, method, f"https://x/bcl/v2{path}", {"n": 1}, None, {}) for service in services]
        screened = any(call is not None for call in calls)
        assert screened != passes(method, path), f"{method} {path} is {'both' if screened else 'neither'}"
