"""What the adapter, its acts and the guard send, judged by Prism from the description, through Stripe's own SDK."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import stripe

from paycordon.decisions import Decision, Outcome
from paycordon.errors import OutcomeUnknown, PayloadInvalid
from paycordon.gateways import Change, Grade, Message, NotCarried, Restriction
from paycordon.testing.clock import NOON
from paycordon_stripe import guard
from paycordon_stripe import peoples_acts as acts
from paycordon_stripe.simulator import events

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
ACCT = "acct_1Prism"
AT: stripe.RequestOptions = {"stripe_account": ACCT}
BASELINE = {
    "schedule": {"interval": "monthly", "delay_days": 9, "monthly_anchor": 15, "monthly_payout_days": [15, 28]},
    "capabilities": {"card_payments": True, "transfers": False},
}


@pytest.fixture
def lawful_for_prism(answered):
    """Nothing that was sent, and nothing that came back, breaks the description."""
    yield answered
    assert answered, "nothing was sent"
    assert [each for each in answered if each.violations or each.status >= 400] == []


@pytest.fixture
def gateway(prism, make_gateway):
    def make(**settings):
        return make_gateway(prism.url, timeout_seconds=10, **settings)

    return make


@pytest.fixture
def client(prism):
    return stripe.StripeClient("sk_test_prism", base_addresses={"api": prism.url})


def sent(answered):
    return [f"{each.method} {each.path}" for each in answered if each.method != "GET"]


@pytest.mark.parametrize("schedules", ["accounts", "balance_settings"])
@pytest.mark.parametrize("to", list(Restriction))
def test_restrictions_are_read_and_written_lawfully(gateway, subject_of, lawful_for_prism, schedules, to):
    adapter = gateway(schedules=schedules, cancel_pending_payouts=True)
    adapter.read(subject_of(ACCT))
    # Prism keeps no state: what is read back is its example, and neither has to be what was asked for.
    with contextlib.suppress(OutcomeUnknown):
        adapter.apply(subject_of(ACCT), Change(to, BASELINE), "change-1")

    expected = "/v1/balance_settings" if schedules == "balance_settings" else f"/v1/accounts/{ACCT}"
    assert f"POST {expected}" in sent(lawful_for_prism)


@pytest.mark.parametrize(
    ("type_", "object_"),
    [
        ("account.updated", events.account(ACCT, NOON)),
        ("payout.created", events.payout("po_1", NOON)),
        ("charge.dispute.created", events.dispute("dp_1", NOON)),
    ],
)
def test_events_are_resolved_lawfully(gateway, lawful_for_prism, type_, object_):
    adapter = gateway()
    (event,) = adapter.translate(Message("evt_1", type_, events.event(type_, object_, NOON, account=ACCT)))

    assert adapter.resolve(event).account.id == ACCT


def test_what_a_thin_event_names_is_fetched_lawfully(gateway, lawful_for_prism):
    thin = {
        "id": "evt_thin_1", "object": "v2.core.event", "type": "v1.payout.created", "livemode": True, "context": ACCT,
        "created": "2026-03-02T12:00:00.000Z", "snapshot_event": "evt_1",
    }  # fmt: skip
    message = Message("evt_thin_1", thin["type"], thin)
    adapter = gateway()
    with pytest.raises(NotCarried):
        adapter.translate(message)

    with pytest.raises(PayloadInvalid):  # the example is of another type than the notification
        adapter.fetch(message)

    assert [each.path for each in lawful_for_prism] == ["/v1/events/evt_1"]


def test_what_was_missed_is_asked_for_lawfully(gateway, lawful_for_prism):
    list(gateway().missed(NOON))

    assert [each.path for each in lawful_for_prism if each.path.endswith("/events")]


GIVEN = {
    "reject": acts.Reject(reason="fraud_other"),
    "unreject": acts.Nothing(),
    "cancel_payout": acts.OnePayout(payout="po_1"),
    "reverse_payout": acts.OnePayout(payout="po_1"),
    "reverse_transfer": acts.ReverseTransfer(transfer="tr_1", amount=300, reversed_before=0),
    "refund_charge": acts.RefundCharge(charge="ch_1", amount=40, refunded_before=0, fraudulent=True),
    "switch_off_capability": acts.Capability(capability="card_payments"),
    "switch_on_capability": acts.Capability(capability="card_payments"),
    "set_delay_days": acts.Delay(days=21),
    "choose_external_account": acts.OneExternalAccount(external_account="ba_1"),
    "remove_external_account": acts.OneExternalAccount(external_account="ba_1"),
    "draft_evidence": acts.Evidence(dispute="dp_1", text="delivered on time"),
}
POSSIBLE = [name for name, act in acts.ACTS.items() if act.support.grade is not Grade.IMPOSSIBLE]
DONE_BY_THE_EXAMPLE = {
    "unreject": lambda client: client.v1.accounts.unreject(ACCT),
    "switch_on_capability": lambda client: client.v1.accounts.capabilities.update(
        ACCT, "card_payments", {"requested": True}
    ),
}
"""Acts that the example needs not: it is how they would leave things. Their request is sent without the adapter."""
NOT_DESCRIBED = {"choose_external_account"}
"""The description, a part of Stripe's API, leaves its path out."""


@pytest.mark.parametrize("name", sorted({*POSSIBLE} - NOT_DESCRIBED))
def test_acts_of_people_are_lawful(gateway, client, subject_of, lawful_for_prism, name):
    account, given = ACCT, GIVEN[name]
    if name == "reverse_transfer":
        account = client.v1.transfers.retrieve("tr_1").destination
    if name == "remove_external_account":
        given = acts.OneExternalAccount(external_account=client.v1.accounts.external_accounts.list(ACCT).data[0].id)
    # Prism keeps no state: after the act it shows the same example as before.
    with contextlib.suppress(OutcomeUnknown):
        gateway().perform(subject_of(account), name, given, "act-1")
    if name in DONE_BY_THE_EXAMPLE:
        DONE_BY_THE_EXAMPLE[name](client)

    assert len(sent(lawful_for_prism)) == 1


class Allowing:
    """Decides at once."""

    def screen(self, event):
        return Decision(
            id="dec-1",
            event_id=event.id,
            event_type=event.type,
            instance=event.instance,
            mode=event.mode,
            merchant=event.account.id,
            subject=event.subject,
            outcome=Outcome.ALLOW,
            merchant_reason="",
            decided_at=NOON,
        )

    async def screen_async(self, event):
        return self.screen(event)

    def in_force(self, decision):
        return decision.outcome

    async def in_force_async(self, decision):
        return decision.outcome


ACCOUNT = {
    "type": "express",
    "country": "DE",
    "email": "new@shop.example",
    "business_profile": {"name": "New Synthetic", "url": "https://new.example", "mcc": "5942"},
    "company": {"name": "New Synthetic GmbH", "tax_id": "DE999999999"},
    "metadata": {"paycordon_merchant": "42"},
}
GUARDED = {
    "payouts.create": ({"amount": 100, "currency": "usd", "metadata": {"order": "1"}}, AT),
    "transfers.create": ({"amount": 900, "currency": "usd", "destination": ACCT}, {}),
    "accounts.create": (ACCOUNT, {}),
    "accounts.update": (ACCT, {"email": "next@shop.example"}, {}),
    # In a form, Prism reads what may be a text or an object as a text only.
    "accounts.external_accounts.create": (ACCT, {"external_account": "btok_1Synthetic"}, {}),
    "accounts.external_accounts.delete": (ACCT, "ba_1", {}, {}),
    "accounts.capabilities.update": (ACCT, "card_payments", {"requested": True}, {}),
}


def verb_of(client, name):
    for part in name.split("."):
        client = getattr(client, part)
    return client


@pytest.mark.parametrize("name", GUARDED)
def test_guarded_calls_are_lawful(client, lawful_for_prism, name):
    guarded = guard(client, Allowing(), "stripe_sim")

    answer = verb_of(guarded.v1, name)(*GUARDED[name])

    assert isinstance(answer, stripe.StripeObject)


def test_guarded_calls_for_asyncio_are_lawful(client, lawful_for_prism):
    guarded = guard(client, Allowing(), "stripe_sim")

    async def all_of_them():
        try:
            return await asyncio.gather(*(verb_of(guarded.v1, f"{n}_async")(*given) for n, given in GUARDED.items()))
        finally:
            await guarded._requestor._client.close_async()

    assert len(asyncio.run(all_of_them())) == len(GUARDED)


def test_an_account_of_v2_is_made_lawfully(client, lawful_for_prism):
    guarded = guard(client, Allowing(), "stripe_sim")

    guarded.v2.core.accounts.create({"contact_email": "new@shop.example", "identity": {"country": "de"}})


def test_prism_bites(client, answered):
    """What Stripe refuses since 2026-09-30, Prism refuses as well."""
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.accounts.reject(ACCT, {"reason": "fraud"})

    assert answered[-1].violations


def test_prism_does_not_see_unknown_fields_of_forms(client, answered):
    """That is why requests are also held to the description by `tests/conftest.py`, which does."""
    client.v1.payouts.create({"amount": 1, "currency": "usd", "nonsense": 1}, AT)

    assert answered[-1].violations == ()
