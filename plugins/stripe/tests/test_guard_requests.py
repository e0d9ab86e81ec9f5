"""The guard sees requests, not services: every operation of the installed SDK is either screened or known to pass."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
import secrets
from decimal import Decimal

import pytest
import stripe
from stripe._api_requestor import _APIRequestor

from paycordon.decisions import Decision, Outcome
from paycordon.errors import Held, PayloadInvalid
from paycordon.testing.clock import NOON
from paycordon_stripe import guard
from paycordon_stripe.screened_calls import PASSED, call_of

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
ACCT = "acct_1Guarded"
TO_ACCOUNT: stripe.RequestOptions = {"stripe_account": ACCT}
PAYOUT = {"amount": 12_500, "currency": "usd"}
WRITES_ABOUT = re.compile(
    r"/v[12]/(core/)?(accounts?|account_links|account_sessions|payouts|transfers|topups|refunds|balance_settings"
    r"|application_fees|treasury|money_management)(/|$)"
)


class Judge:
    """Allows, or holds what it is told to."""

    def __init__(self):
        self.rule = lambda _: Outcome.ALLOW
        self.events = []

    def screen(self, event):
        self.events.append(event)
        return Decision(
            id=f"dec-{secrets.token_hex(4)}",
            event_id=event.id,
            event_type=event.type,
            instance=event.instance,
            mode=event.mode,
            merchant=event.account.id,
            subject=event.subject,
            outcome=self.rule(event),
            merchant_reason="additional_information_required",
            decided_at=NOON,
        )

    async def screen_async(self, event):
        await asyncio.sleep(0)
        return self.screen(event)

    def in_force(self, decision):
        return decision.outcome

    async def in_force_async(self, decision):
        await asyncio.sleep(0)
        return decision.outcome


@pytest.fixture
def judge():
    return Judge()


@pytest.fixture
def backend(simulator):
    simulator.create_account(id=ACCT)
    return stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url})


@pytest.fixture
def client(backend, judge, clock):
    return guard(backend, judge, "stripe_sim", clock=clock)


class _Sent(Exception):
    """A request was about to be made."""


class _Recording(_APIRequestor):
    def request(self, method, url, *_args, **_kwargs):
        raise _Sent(method, url)

    request_stream = request


def operations():
    """Every operation of the SDK's services: its name, the function, and the request it makes."""
    requestor = _Recording(stripe.StripeClient("sk_test_1")._requestor._options, None)
    client = stripe.StripeClient("sk_test_1")
    for root in (client.v1, client.v2):
        yield from _walk(type(root)(requestor), "v1" if root is client.v1 else "v2")


def _walk(service, name):
    for sub in getattr(importlib.import_module(type(service).__module__), "_subservices", {}):
        yield from _walk(getattr(service, sub), f"{name}.{sub}")
    for verb, function in inspect.getmembers(type(service), inspect.isfunction):
        if not verb.startswith("_") and not verb.endswith("_async"):
            parameters = list(inspect.signature(function).parameters.values())[1:]
            ids = [f"X{p.name}" for p in parameters if p.kind is p.POSITIONAL_ONLY]
            needed = {p.name: {} for p in parameters if p.kind is not p.POSITIONAL_ONLY and p.default is p.empty}
            try:
                function(service, *ids, **needed)
            except _Sent as request:
                yield f"{name}.{verb}", request.args[0], request.args[1]


def is_screened(method, url):
    params = {"destination": ACCT, "to": {"recipient": ACCT}}
    return call_of(method, url, params, None, lambda: ACCT) is not None


def passes(url):
    return any(re.match(re.escape(known).replace(r"\*", "[^/]+"), url) for known in PASSED)


def test_every_operation_of_the_sdk_on_accounts_and_their_money_is_screened_or_known_to_pass():
    walked = list(operations())
    about = [(name, method, url) for name, method, url in walked if method != "get" and WRITES_ABOUT.match(url)]

    unknown = [name for name, method, url in about if not is_screened(method, url) and not passes(url)]

    assert len(walked) > 600
    assert len(about) > 50
    assert sorted(unknown) == ["v1.accounts.delete", "v1.accounts.persons.delete", *_V2_THAT_PASS]


_V2_THAT_PASS = ["v2.core.accounts.close", "v2.core.accounts.person_tokens.create", "v2.core.accounts.persons.delete"]


def test_what_is_screened_is_exactly_this():
    screened = {name for name, method, url in operations() if is_screened(method, url)}

    assert screened == {
        "v1.payouts.create",
        "v1.transfers.create",
        "v1.treasury.outbound_payments.create",
        "v1.treasury.outbound_transfers.create",
        "v2.money_management.outbound_payments.create",
        "v2.money_management.payout_intents.create",
        "v1.accounts.create",
        "v1.accounts.update",
        "v1.accounts.external_accounts.create",
        "v1.accounts.external_accounts.update",
        "v1.accounts.external_accounts.delete",
        "v1.accounts.capabilities.update",
        "v1.accounts.persons.create",
        "v1.accounts.persons.update",
        "v1.balance_settings.update",
        "v2.core.accounts.create",
        "v2.core.accounts.update",
        "v2.core.accounts.persons.create",
        "v2.core.accounts.persons.update",
    }


def test_the_services_of_a_guarded_client_are_the_sdks_own(client, backend):
    """Types, signatures and docstrings cannot differ, for nothing of the services is replaced."""
    for path in ("v1.payouts", "v1.transfers", "v1.accounts", "v1.accounts.external_accounts", "v2.core.accounts"):
        guarded, own = client, backend
        for name in path.split("."):
            guarded, own = getattr(guarded, name), getattr(own, name)
        assert type(guarded) is type(own)
    assert type(client) is type(backend)


def test_what_the_guard_relies_on_in_the_sdk_is_there():
    """Every request, plain or not, goes through these two, and objects get their requestor from the third."""
    for mine in ("request_raw", "request_raw_async", "_new_requestor_with_options"):
        ours = inspect.signature(getattr(guard.__globals__["_Requestor"], mine)).parameters
        assert list(ours) == list(inspect.signature(getattr(_APIRequestor, mine)).parameters)


CHANGES = {
    "external account": lambda c: c.v1.accounts.external_accounts.create(
        ACCT, {"external_account": {"object": "bank_account", "country": "DE", "currency": "eur",
                                    "account_number": "DE89370400440532013000", "account_holder_name": "A Synthetic"}}
    ),
    "default": lambda c: c.v1.accounts.external_accounts.update(ACCT, "ba_1", {"default_for_currency": True}),
    "removal": lambda c: c.v1.accounts.external_accounts.delete(ACCT, "ba_1"),
    "capability": lambda c: c.v1.accounts.capabilities.update(ACCT, "card_payments", {"requested": True}),
    "person": lambda c: c.v1.accounts.persons.create(ACCT, {"first_name": "Ann", "last_name": "Synthetic"}),
    "balance settings": lambda c: c.v1.balance_settings.update(
        {"payments": {"payouts": {"schedule": {"interval": "daily"}}}}, TO_ACCOUNT
    ),
    "raw": lambda c: c.raw_request("post", f"/v1/accounts/{ACCT}", email="next@shop.example"),
    "raw, spelt otherwise": lambda c: c.raw_request("post", f"/v1//accounts/{ACCT}/", email="next@shop.example"),
    "raw, round about": lambda c: c.raw_request("post", f"/v1/payouts/../accounts/./{ACCT}", email="next@shop.example"),
    "v2": lambda c: c.v2.core.accounts.update(ACCT, {"contact_email": "next@shop.example"}),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_held_account_is_stopped(client, judge, simulator, change):
    judge.rule = lambda _: Outcome.HOLD

    with pytest.raises(Held):
        CHANGES[change](client)

    (event,) = judge.events
    assert (event.type, event.account.id) == ("merchant.changed", ACCT)
    assert simulator.requests == []


def test_a_new_bank_account_is_screened_by_what_names_it(client, judge):
    CHANGES["external account"](client)

    found = {(str(i.kind), i.value) for i in judge.events[0].identifiers}
    assert found == {("iban", "DE89370400440532013000"), ("person", "A Synthetic")}


def test_objects_of_the_sdk_among_the_parameters_are_sent_as_without_the_guard(client, backend, judge, simulator):
    account = backend.v1.accounts.retrieve(ACCT)
    order = stripe.StripeObject.construct_from({"order": "1", "of": "5"}, None)
    params = {"amount": Decimal(900), "currency": "usd", "destination": account, "metadata": order}

    backend.v1.transfers.create(params)
    client.v1.transfers.create(params)

    own, guarded = [request.form for request in simulator.requests if request.method == "POST"]
    assert guarded == own
    assert (judge.events[0].account.id, judge.events[0].amount.minor) == (ACCT, 900)


def test_an_iban_in_small_letters_is_one(client, judge):
    bank = {
        "object": "bank_account",
        "country": "DE",
        "currency": "eur",
        "account_number": "de89 3704 0044 0532 0130 00",
    }

    client.v1.accounts.external_accounts.create(ACCT, {"external_account": bank})

    assert ("iban", "DE89370400440532013000") in {(str(i.kind), i.value) for i in judge.events[0].identifiers}


def test_an_account_of_v2_is_screened_as_one_of_v1_is(client, judge, simulator):
    client.v2.core.accounts.create(
        {
            "contact_email": "new@shop.example",
            "display_name": "New Synthetic",
            "identity": {"country": "de", "business_details": {"registered_name": "New Synthetic GmbH"},
                         "individual": {"given_name": "Ann", "surname": "Synthetic"}},
            "defaults": {"profile": {"business_url": "https://new.example"}},
            "metadata": {"paycordon_merchant": "42"},
        }
    )  # fmt: skip

    event, opened = judge.events
    assert opened.account.at_gateway
    assert event.type == "merchant.onboarding"
    assert event.account.id.startswith("pending-")
    assert (event.merchant.id, event.merchant.name, event.merchant.country) == ("42", "New Synthetic", "DE")
    assert {(str(i.kind), i.value) for i in event.identifiers} == {
        ("email", "new@shop.example"),
        ("url", "https://new.example"),
        ("domain", "new.example"),
        ("legal_entity", "New Synthetic GmbH"),
        ("person", "Ann Synthetic"),
    }
    assert [request.path for request in simulator.requests] == ["/v2/core/accounts"]


def test_an_outbound_payment_is_a_payout_to_its_recipient(client, judge):
    judge.rule = lambda _: Outcome.HOLD

    with pytest.raises(Held):
        client.v2.money_management.outbound_payments.create(
            {
                "amount": {"value": 700, "currency": "eur"},
                "from": {"currency": "eur", "financial_account": "fa_1"},
                "to": {"recipient": ACCT, "payout_method": "usba_1"},
            }
        )

    (event,) = judge.events
    assert (event.type, event.account.id, str(event.amount)) == ("payout.requested", ACCT, "7.00 EUR")
    assert event.payout.destination == "usba_1"


def test_switching_a_capability_off_is_never_stopped(client, judge, simulator):
    judge.rule = lambda _: Outcome.BLOCK

    client.v1.accounts.capabilities.update(ACCT, "card_payments", {"requested": False})

    assert judge.events == []
    assert simulator.account(ACCT)["requested"]["card_payments"] is False


def test_a_refund_reaches_the_payer_whatever_holds(client, backend, judge, simulator):
    """It gives back what somebody paid; and as its delivery is recorded, screening it here would count it twice."""
    judge.rule = lambda _: Outcome.BLOCK
    charge = backend.v1.charges.create({"amount": 900, "currency": "usd", "source": "tok_visa"}, TO_ACCOUNT)

    refund = client.v1.refunds.create({"charge": charge.id}, TO_ACCOUNT)

    assert refund.status == "succeeded"
    assert judge.events == []


def test_objects_that_stripe_returned_are_guarded_too(client, judge, simulator):
    account = client.v1.accounts.retrieve(ACCT)
    judge.rule = lambda _: Outcome.HOLD

    with pytest.raises(Held):
        account._request("post", f"/v1/accounts/{ACCT}", params={"email": "next@shop.example"}, base_address="api")

    assert [request.method for request in simulator.requests] == ["GET"]


def test_parameters_in_the_url_of_a_screened_request_are_not_sent(client, simulator):
    with pytest.raises(PayloadInvalid):
        client.raw_request("post", "/v1/payouts?amount=99999900", amount=1, currency="usd", stripe_account=ACCT)

    assert simulator.requests == []


def test_one_held_call_of_a_batch_stops_neither_those_before_nor_those_after(client, judge, simulator):
    judge.rule = lambda event: Outcome.HOLD if event.amount.minor == 3 else Outcome.ALLOW

    outcomes = []
    for amount in range(1, 6):
        try:
            outcomes.append(client.v1.payouts.create({"amount": amount, "currency": "usd"}, TO_ACCOUNT).amount)
        except Held as held:
            outcomes.append(held.decision_id)

    assert [outcomes[0], outcomes[1], outcomes[3], outcomes[4]] == [1, 2, 4, 5]
    assert outcomes[2].startswith("dec-")
    assert sorted(payout["amount"] for payout in simulator.payouts(ACCT)) == [1, 2, 4, 5]


def test_a_batch_for_asyncio_tells_which_of_its_calls_was_held(client, judge, simulator):
    judge.rule = lambda event: Outcome.HOLD if event.amount.minor in (2, 4) else Outcome.ALLOW

    async def batch():
        calls = [
            client.v1.payouts.create_async({"amount": n, "currency": "usd"}, {**TO_ACCOUNT, "idempotency_key": f"k{n}"})
            for n in range(1, 6)
        ]
        try:
            return await asyncio.gather(*calls, return_exceptions=True)
        finally:
            await client._requestor._client.close_async()

    outcomes = asyncio.run(batch())

    assert [type(outcome).__name__ for outcome in outcomes] == ["Payout", "Held", "Payout", "Held", "Payout"]
    assert len({outcomes[1].decision_id, outcomes[3].decision_id}) == 2
    assert sorted(request.idempotency_key for request in simulator.requests) == ["k1", "k3", "k5"]
