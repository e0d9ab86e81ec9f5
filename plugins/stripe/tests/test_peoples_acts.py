"""What people may have done at Stripe: each act once, whatever fails, and nothing that was not decided."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import stripe
from pydantic import ValidationError

import paycordon_stripe
from paycordon.errors import OutcomeUnknown, Refused, RetryLater
from paycordon.gateways import Act, Grade, Support, fenced
from paycordon_stripe import peoples_acts as acts
from paycordon_stripe.gateway import StripeGateway
from paycordon_stripe.simulator import Fault, FaultKind

_DAY = timedelta(days=1)
POSSIBLE = [name for name, act in acts.ACTS.items() if act.support.grade is not Grade.IMPOSSIBLE]
SILENCE = [
    FaultKind.LOST_AFTER,
    FaultKind.LOST_BEFORE,
    FaultKind.ERROR_AFTER,
    FaultKind.ERROR_BEFORE,
    FaultKind.GARBLED,
]


class Scene:
    """An account with something of everything that can be acted on."""

    def __init__(self, simulator, subject_of):
        self.simulator = simulator
        self.account = simulator.create_account(id="acct_1Acts", country="US", balance={"usd": 50_000})
        self.subject = subject_of(self.account)
        self.backend = stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url})
        self.at = {"stripe_account": self.account}

    def given(self, name):
        """Make what an act is about, and return its parameters."""
        return getattr(self, f"_{name}", self._external_account)()

    def _reject(self):
        return acts.Reject(reason="fraud_other")

    def _unreject(self):
        self.backend.v1.accounts.reject(self.account, {"reason": "fraud_other"})
        return acts.Nothing()

    def _cancel_payout(self):
        return acts.OnePayout(payout=self.backend.v1.payouts.create({"amount": 100, "currency": "usd"}, self.at).id)

    def _reverse_payout(self):
        made = self._cancel_payout()
        self.simulator.advance(_DAY * 3)
        return made

    def _reverse_transfer(self):
        asked = {"amount": 900, "currency": "usd", "destination": self.account}
        made = self.backend.v1.transfers.create(asked).id
        return acts.ReverseTransfer(transfer=made, amount=300, reversed_before=0)

    def _refund_charge(self):
        asked = {"amount": 900, "currency": "usd", "source": "tok_visa"}
        return acts.RefundCharge(
            charge=self.backend.v1.charges.create(asked, self.at).id, amount=300, refunded_before=0
        )

    def _switch_off_capability(self):
        return acts.Capability(capability="card_payments")

    def _switch_on_capability(self):
        self.backend.v1.accounts.capabilities.update(self.account, "transfers", {"requested": False})
        return acts.Capability(capability="transfers")

    def _set_delay_days(self):
        return acts.Delay(days=21)

    def _draft_evidence(self):
        charge = self.simulator.charge(account=self.account, amount=900, currency="usd")
        made = self.simulator.open_dispute(account=self.account, charge=charge, reason="fraudulent")
        return acts.Evidence(dispute=made, text="delivered on time")

    def _external_account(self):
        return acts.OneExternalAccount(external_account=self._second_bank_account())

    def _second_bank_account(self):
        made = [
            self.backend.v1.accounts.external_accounts.create(
                self.account,
                {"external_account": {"object": "bank_account", "country": "US", "currency": "usd",
                                      "routing_number": "110000000", "account_number": number}},
            ).id
            for number in ("000123456789", "000111111116")
        ]  # fmt: skip
        return made[1]

    def sent(self):
        return [request for request in self.simulator.requests if request.method != "GET"]


@pytest.fixture
def scene(simulator, subject_of):
    return Scene(simulator, subject_of)


@pytest.mark.parametrize("name", POSSIBLE)
def test_an_act_is_done_read_back_and_not_done_again(scene, gateway, name):
    given = scene.given(name)
    before = len(scene.sent())

    first = gateway.perform(scene.subject, name, given, "act-1")
    again = gateway.perform(scene.subject, name, given, "act-1")
    anew = gateway.perform(scene.subject, name, given, "act-2")

    assert (first.already, again.already, anew.already) == (False, True, True)
    assert first.state == again.state == anew.state
    assert len(scene.sent()) == before + 1


@pytest.mark.parametrize("kind", SILENCE)
@pytest.mark.parametrize("name", POSSIBLE)
def test_an_act_whose_answer_never_came_is_done_once(scene, gateway, simulator, name, kind):
    given = scene.given(name)
    simulator.inject(Fault(kind, "DELETE" if name == "remove_external_account" else "POST", seconds=0))
    with pytest.raises(OutcomeUnknown):
        gateway.perform(scene.subject, name, given, "act-1")

    done = gateway.perform(scene.subject, name, given, "act-1")

    assert done.already is (kind in (FaultKind.LOST_AFTER, FaultKind.ERROR_AFTER, FaultKind.GARBLED))
    assert gateway.perform(scene.subject, name, given, "act-1").already


@pytest.mark.parametrize("name", ["reverse_transfer", "refund_charge"])
def test_money_is_moved_once_even_when_stripe_has_forgotten_the_key(scene, gateway, simulator, name):
    """Stripe forgets idempotency keys after a day; a worker may take an act up later than that."""
    given = scene.given(name)
    simulator.inject(Fault(FaultKind.LOST_AFTER, "POST"))
    with pytest.raises(OutcomeUnknown):
        gateway.perform(scene.subject, name, given, "act-1")

    simulator.advance(_DAY * 2)

    assert gateway.perform(scene.subject, name, given, "another-key").already


@pytest.mark.parametrize("name", ["reverse_transfer", "refund_charge"])
def test_what_has_changed_since_the_person_looked_is_not_acted_on(scene, gateway, name):
    given = scene.given(name)
    gateway.perform(scene.subject, name, given, "act-1")
    other = given.model_copy(update={"amount": 100})
    sent = len(scene.sent())

    with pytest.raises(Refused, match="look again"):
        gateway.perform(scene.subject, name, other, "act-2")

    assert len(scene.sent()) == sent


@pytest.mark.parametrize("name", POSSIBLE)
def test_behind_a_closed_fence_no_act_is_done(scene, gateway, name):
    given = scene.given(name)
    sent = len(scene.sent())

    with fenced(lambda _: False), pytest.raises(RetryLater):
        gateway.perform(scene.subject, name, given, "act-1")

    assert len(scene.sent()) == sent


@pytest.mark.parametrize("name", POSSIBLE)
def test_what_stripe_refuses_is_for_a_person(scene, gateway, simulator, name):
    given = scene.given(name)
    simulator.inject(Fault(FaultKind.ANSWER, "DELETE" if name == "remove_external_account" else "POST", status=403))

    with pytest.raises(Refused):
        gateway.perform(scene.subject, name, given, "act-1")


def test_a_transfer_to_another_account_is_not_reversed(scene, gateway, simulator, subject_of):
    given = scene.given("reverse_transfer")
    other = subject_of(simulator.create_account())

    with pytest.raises(Refused, match="did not go to this account"):
        gateway.perform(other, "reverse_transfer", given, "act-1")


def test_evidence_is_a_draft_and_never_handed_in(scene, gateway, simulator):
    given = scene.given("draft_evidence")

    gateway.perform(scene.subject, "draft_evidence", given, "act-1")

    dispute = scene.backend.v1.disputes.retrieve(given.dispute, {}, scene.at)
    assert dispute.status == "needs_response"
    assert scene.sent()[-1].params["submit"] == "false"


@pytest.mark.parametrize("action", ["pause", "none"])
def test_a_rejection_says_what_becomes_of_the_balance(scene, gateway, action):
    gateway.perform(scene.subject, "reject", acts.Reject(reason="fraud_other", payouts_action=action), "act-1")

    assert scene.sent()[-1].params["payouts_action"] == action


@pytest.mark.parametrize("name", [*sorted(set(acts.ACTS) - set(POSSIBLE)), "close_dispute"])
def test_what_stripe_cannot_do_is_refused_without_a_request(scene, gateway, simulator, name):
    asked = len(simulator.requests)

    with pytest.raises(Refused):
        gateway.perform(scene.subject, name, acts.Nothing(), "act-1")

    assert len(simulator.requests) == asked


def test_parameters_of_another_act_are_refused(scene, gateway):
    with pytest.raises(Refused):
        gateway.perform(scene.subject, "reject", acts.Nothing(), "act-1")


@pytest.mark.parametrize("reason", ["fraud", "fraud_other ", ""])
def test_a_reason_that_stripe_has_given_up_is_none(reason):
    with pytest.raises(ValidationError):
        acts.Reject(reason=reason)


@pytest.mark.parametrize("id_", ["po_1/../../accounts", "po_", "ch_1", "po_1\n", "po_1?x", ""])
def test_what_is_no_id_of_a_payout_never_reaches_a_path(id_):
    with pytest.raises(ValidationError):
        acts.OnePayout(payout=id_)


def test_what_cannot_be_undone_takes_two_people():
    for name, act in StripeGateway.acts.items():
        assert isinstance(act, Act)
        assert isinstance(act.support, Support)
        assert act.two_people or act.undone_by, name
        assert (act.undone_by is not None) == act.support.reversible, name
        assert act.undone_by is None or act.undone_by in StripeGateway.acts
    assert acts.ACTS["reject"].two_people


def test_no_code_of_this_adapter_accepts_a_dispute():
    """It cannot be undone: neither a call of the SDK nor its path is anywhere outside the simulator."""
    sources = Path(paycordon_stripe.__file__).parent.glob("*.py")
    code = "\n".join(re.sub(r'""".*?"""', "", source.read_text(), flags=re.DOTALL) for source in sources)

    assert not re.search(r"disputes\s*\.\s*close|disputes/[^\"']*close|\bclose_async", code)
