from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

import pytest
import stripe

from paycordon.decisions import Decision, Outcome
from paycordon.errors import Blocked, Held, PayloadInvalid, Stopped
from paycordon.events import Event
from paycordon.testing.clock import NOON
from paycordon_stripe import guard

# The SDK's own way of using httpx, which httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
REASON = "additional_information_required"
ACCT = "acct_1Guarded"
TO_ACCOUNT: stripe.RequestOptions = {"stripe_account": ACCT}


class Judge:
    """Screens by one function, remembers decisions by event, and lets people release them."""

    def __init__(self) -> None:
        self.rule: Callable[[Event], Outcome] = lambda _: Outcome.ALLOW
        self.events: list[Event] = []
        self._decisions: dict[str, Decision] = {}
        self._released: set[str] = set()

    def screen(self, event: Event) -> Decision:
        self.events.append(event)
        if event.id not in self._decisions:
            self._decisions[event.id] = Decision(
                id=f"dec-{secrets.token_hex(4)}",
                event_id=event.id,
                event_type=event.type,
                instance=event.instance,
                mode=event.mode,
                merchant=event.account.id,
                subject=event.subject,
                outcome=self.rule(event),
                merchant_reason=REASON,
                decided_at=NOON,
            )
        return self._decisions[event.id]

    async def screen_async(self, event: Event) -> Decision:
        await asyncio.sleep(0)
        return self.screen(event)

    def in_force(self, decision: Decision) -> Outcome:
        return Outcome.ALLOW if decision.id in self._released else decision.outcome

    async def in_force_async(self, decision: Decision) -> Outcome:
        await asyncio.sleep(0)
        return self.in_force(decision)

    def release(self, decision_id: str) -> None:
        self._released.add(decision_id)


@pytest.fixture
def judge():
    return Judge()


@pytest.fixture
def backend(simulator):
    """The facilitator's own client, as it had it before."""
    simulator.create_account(id=ACCT)
    return stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url})


@pytest.fixture
def client(backend, judge, clock):
    return guard(backend, judge, "stripe_sim", clock=clock)


PAYOUT = {"amount": 12_500, "currency": "usd"}
TRANSFER = {"amount": 900, "currency": "isk", "destination": ACCT}
SIGN_UP = {
    "type": "express",
    "country": "DE",
    "email": "new@shop.example",
    "business_profile": {"name": "New Synthetic", "url": "https://new.example"},
    "company": {"name": "New Synthetic GmbH", "tax_id": "DE999999999"},
    "external_account": {
        "object": "bank_account",
        "country": "DE",
        "currency": "eur",
        "account_number": "DE89 3704 0044 0532 0130 00",
        "account_holder_name": "New Synthetic GmbH",
        "account_holder_type": "company",
    },
    "metadata": {"paycordon_merchant": 42},
}
CALLS = {
    "payouts.create": lambda client, **o: client.v1.payouts.create(PAYOUT, {**TO_ACCOUNT, **o}),
    "transfers.create": lambda client, **o: client.v1.transfers.create(TRANSFER, o),
    "accounts.create": lambda client, **o: client.v1.accounts.create(SIGN_UP, o),
    "accounts.update": lambda client, **o: client.v1.accounts.update(ACCT, {"email": "next@shop.example"}, o),
}
ASYNC_CALLS = {
    "payouts.create": lambda client, **o: client.v1.payouts.create_async(PAYOUT, {**TO_ACCOUNT, **o}),
    "transfers.create": lambda client, **o: client.v1.transfers.create_async(TRANSFER, o),
    "accounts.create": lambda client, **o: client.v1.accounts.create_async(SIGN_UP, o),
    "accounts.update": lambda client, **o: client.v1.accounts.update_async(ACCT, {"email": "next@shop.example"}, o),
}


def called(client, verb, twin, **options):
    """Make a call, plainly or through its async twin."""
    if twin:
        return asyncio.run(_close_after(client, ASYNC_CALLS[verb](client, **options)))
    return CALLS[verb](client, **options)


async def _close_after(client, call):
    answer = await call
    await client.v1._requestor._client.close_async()
    return answer


twins = pytest.mark.parametrize("twin", [False, True], ids=["sync", "async"])
verbs = pytest.mark.parametrize("verb", CALLS)


@verbs
@twins
def test_an_allowed_call_reaches_stripe_unchanged(client, backend, simulator, verb, twin):
    guarded = called(client, verb, twin)
    direct = CALLS[verb](backend)

    assert type(guarded) is type(direct)
    first, second = [r for r in simulator.requests if r.method == "POST"]
    assert (first.method, first.path, first.form, first.account) == (
        second.method,
        second.path,
        second.form,
        second.account,
    )


@verbs
@twins
@pytest.mark.parametrize(("outcome", "error"), [(Outcome.HOLD, Held), (Outcome.BLOCK, Blocked)])
def test_a_stopped_call_never_reaches_stripe(client, judge, simulator, verb, twin, outcome, error):
    judge.rule = lambda _: outcome

    with pytest.raises(error) as caught:
        called(client, verb, twin)

    assert simulator.requests == []
    assert caught.value.merchant_reason == REASON
    assert vars(caught.value).keys() == {"decision_id", "merchant_reason"}


@verbs
@twins
def test_a_released_call_passes_with_the_same_idempotency_key_only(client, judge, simulator, verb, twin):
    judge.rule = lambda _: Outcome.HOLD
    with pytest.raises(Held) as caught:
        called(client, verb, twin, idempotency_key="backend-1")
    judge.release(caught.value.decision_id)

    with pytest.raises(Held):
        called(client, verb, twin, idempotency_key="backend-2")
    called(client, verb, twin, idempotency_key="backend-1")

    assert [request.idempotency_key for request in simulator.requests] == ["backend-1"]


def test_a_release_of_one_payout_does_not_let_a_larger_one_pass_under_its_key(client, judge, simulator):
    judge.rule = lambda _: Outcome.HOLD
    options = {**TO_ACCOUNT, "idempotency_key": "backend-1"}
    with pytest.raises(Held) as caught:
        client.v1.payouts.create(PAYOUT, options)
    judge.release(caught.value.decision_id)

    with pytest.raises(Held):
        client.v1.payouts.create({**PAYOUT, "amount": 99_999_999}, options)

    assert simulator.requests == []


def test_calls_without_a_key_are_each_screened_anew(client, judge):
    for _ in range(2):
        client.v1.payouts.create(PAYOUT, TO_ACCOUNT)

    assert len({event.id for event in judge.events}) == 2


def test_a_review_lets_the_call_go_on(client, judge, simulator):
    judge.rule = lambda _: Outcome.REVIEW

    client.v1.payouts.create(PAYOUT, TO_ACCOUNT)

    assert len(simulator.payouts(ACCT)) == 1


def test_a_payout_is_screened_as_what_it_asks_for(client, judge):
    client.v1.payouts.create(
        {"amount": 70_000, "currency": "eur", "method": "instant", "destination": "ba_1"}, TO_ACCOUNT
    )

    (event,) = judge.events
    assert (event.type, event.account.id, event.instance, event.mode) == (
        "payout.requested",
        ACCT,
        "stripe_sim",
        "live",
    )
    assert event.occurred_at == NOON
    assert (str(event.payout.amount), event.payout.method, event.payout.destination) == (
        "700.00 EUR",
        "instant",
        "ba_1",
    )
    assert event.payout.id is None


def test_a_transfer_is_a_payout_to_the_account_it_goes_to(client, judge):
    client.v1.transfers.create(TRANSFER)

    (event,) = judge.events
    assert (event.type, event.account.id, str(event.amount)) == ("payout.requested", ACCT, "9 ISK")


def test_a_new_account_is_screened_with_all_that_names_the_merchant(client, judge):
    made = client.v1.accounts.create(SIGN_UP)

    event, opened = judge.events
    assert (opened.account.id, opened.account.at_gateway, opened.type) == (made.id, True, event.type)
    assert opened.identifiers == event.identifiers
    assert event.type == "merchant.onboarding"
    assert event.account.id.startswith("pending-")
    assert (event.merchant.id, event.merchant.name, event.merchant.country) == ("42", "New Synthetic", "DE")
    assert {(str(i.kind), i.value) for i in event.identifiers} == {
        ("email", "new@shop.example"),
        ("url", "https://new.example"),
        ("domain", "new.example"),
        ("legal_entity", "New Synthetic GmbH"),
        ("tax_id", "DE999999999"),
        ("iban", "DE89370400440532013000"),
    }


def test_a_changed_account_is_screened_with_what_changes(client, judge):
    client.v1.accounts.update(ACCT, {"business_profile": {"url": "https://other.example"}})

    (event,) = judge.events
    assert (event.type, event.account.id, event.merchant.url) == ("merchant.changed", ACCT, "https://other.example")


@pytest.mark.parametrize(
    "options",
    [
        {"stripe_account": ACCT},
        {"stripe_context": ACCT},
        {"stripe_context": f"acct_1Platform/{ACCT}"},
        {"headers": {"Stripe-Account": ACCT}},
    ],
    ids=lambda options: next(iter(options)),
)
def test_whichever_way_the_account_is_named_its_payout_is_screened(client, judge, simulator, options):
    judge.rule = lambda _: Outcome.BLOCK

    with pytest.raises(Blocked):
        client.v1.payouts.create(PAYOUT, options)

    assert judge.events[0].account.id == ACCT
    assert simulator.requests == []


def test_a_client_made_for_one_account_is_screened_for_it(simulator, judge):
    simulator.create_account(id=ACCT)
    own = stripe.StripeClient(simulator.api_key, stripe_account=ACCT, base_addresses={"api": simulator.base_url})

    guard(own, judge, "stripe_sim").v1.payouts.create(PAYOUT)

    assert judge.events[0].account.id == ACCT
    assert len(simulator.payouts(ACCT)) == 1


def test_the_platforms_own_payouts_are_not_screened(client, judge, simulator):
    judge.rule = lambda _: Outcome.BLOCK

    client.v1.payouts.create(PAYOUT)

    assert judge.events == []
    assert len(simulator.payouts("platform")) == 1


def test_everything_else_passes_untouched(client, backend, judge, simulator):
    judge.rule = lambda _: Outcome.BLOCK
    payout = backend.v1.payouts.create(PAYOUT, TO_ACCOUNT)

    assert client.v1.accounts.retrieve(ACCT).id == ACCT
    assert client.v1.payouts.cancel(payout.id, {}, TO_ACCOUNT).status == "canceled"
    assert len(client.v1.payouts.list({}, TO_ACCOUNT).data) == 1
    assert client.v1.accounts.capabilities.list(ACCT).data
    assert isinstance(client, stripe.StripeClient)
    assert client.v1.customers is not None
    assert judge.events == []


def test_the_clients_old_top_level_services_are_guarded_too(client, judge):
    judge.rule = lambda _: Outcome.HOLD

    with pytest.warns(DeprecationWarning, match="StripeClient.payouts"), pytest.raises(Held):
        client.payouts.create(PAYOUT, TO_ACCOUNT)


def test_the_backends_own_client_is_not_changed(client, backend, judge):
    judge.rule = lambda _: Outcome.BLOCK

    assert backend.v1.payouts.create(PAYOUT, TO_ACCOUNT).status == "pending"


def test_stripes_own_errors_pass_untouched(client):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payouts.create({**PAYOUT, "amount": "0"}, TO_ACCOUNT)

    assert not isinstance(caught.value, Stopped)
    assert caught.value.code == "parameter_invalid_integer"


@pytest.mark.parametrize(
    "params",
    [{"amount": "many", "currency": "usd"}, {"amount": 1, "currency": 5}, {"amount": 1.5, "currency": "usd"}, {}],
)
def test_what_cannot_be_screened_is_not_sent(client, simulator, params):
    with pytest.raises(PayloadInvalid):
        client.v1.payouts.create(params, TO_ACCOUNT)

    assert simulator.requests == []


def test_an_amount_written_as_text_is_screened_as_the_number_stripe_takes(client, judge):
    client.v1.payouts.create({"amount": "12500", "currency": "usd"}, TO_ACCOUNT)

    assert judge.events[0].amount.minor == 12_500


def test_a_card_number_is_neither_sent_nor_repeated(client, simulator):
    with pytest.raises(PayloadInvalid) as caught:
        client.v1.accounts.update(ACCT, {"business_profile": {"name": "4111111111111111"}})

    assert "4111" not in str(caught.value)
    assert simulator.requests == []


@pytest.mark.parametrize(("key", "mode"), [("sk_test_1", "test"), ("rk_test_1", "test"), ("sk_live_1", "live")])
def test_the_key_says_the_mode(judge, key, mode):
    judge.rule = lambda _: Outcome.HOLD
    client = guard(stripe.StripeClient(key), judge, "stripe_sim")

    with pytest.raises(Held):
        client.v1.payouts.create(PAYOUT, TO_ACCOUNT)

    assert judge.events[0].mode == mode


def test_a_call_with_a_key_of_its_own_that_is_of_the_other_mode_is_not_sent(client, judge, simulator):
    with pytest.raises(PayloadInvalid, match="mode"):
        client.v1.payouts.create(PAYOUT, {**TO_ACCOUNT, "api_key": "sk_test_1"})

    assert (judge.events, simulator.requests) == ([], [])


@pytest.mark.parametrize("verb", CALLS)
def test_a_repeated_call_that_was_allowed_is_stopped_by_a_hold_of_today(client, judge, simulator, verb):
    judge.in_force = lambda _: Outcome.HOLD

    with pytest.raises(Held) as caught:
        CALLS[verb](client, idempotency_key="k-1")

    assert caught.value.merchant_reason
    assert simulator.requests == []


def test_what_is_sent_is_what_was_screened_even_if_somebody_changes_it_meanwhile(client, judge, simulator):
    params = {"amount": 100, "currency": "usd", "metadata": {"order": "1"}}
    options = dict(TO_ACCOUNT)
    simulator.create_account(id="acct_1Other")

    def tampering(event: Event) -> Outcome:
        params["amount"] = 999_999
        params["metadata"]["order"] = "2"
        options["stripe_account"] = "acct_1Other"
        return Outcome.ALLOW

    judge.rule = tampering

    payout = client.v1.payouts.create(params, options)

    assert (payout.amount, payout.metadata["order"]) == (100, "1")
    assert judge.events[0].amount.minor == 100


def test_a_generator_among_the_parameters_is_read_once(client, judge):
    fields = ["balance_transaction"]

    client.v1.payouts.create({**PAYOUT, "expand": (f for f in fields)}, {**TO_ACCOUNT, "idempotency_key": "k"})
    client.v1.payouts.create({**PAYOUT, "expand": (f for f in fields)}, {**TO_ACCOUNT, "idempotency_key": "k"})

    assert judge.events[0].id == judge.events[1].id


def test_an_idempotency_key_among_the_headers_names_the_call_as_well(client, judge):
    for _ in range(2):
        client.v1.payouts.create(PAYOUT, {**TO_ACCOUNT, "headers": {"Idempotency-Key": "k-1"}})

    assert judge.events[0].id == judge.events[1].id
