"""The adapter, its guard and the whole core together, on a real store, against the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.decisions import Outcome
from paycordon.enforcement import Reconciler, Timing
from paycordon.errors import Held
from paycordon.events import Identifier, Mode
from paycordon.gateways import Delivery, Restriction
from paycordon.intake import DeliveryWorker
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.record.verify import verify
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, deliveries, holds, indicators, restrictions
from paycordon.testing import FrozenClock
from paycordon_stripe import StripeGateway, guard
from paycordon_stripe.gateway import StripeSettings
from paycordon_stripe.simulator import Fault, FaultKind, StripeSimulator
from paycordon_stripe.simulator import events as synthetic

POLICY = """\
policy: end-to-end
version: 1
on_error: review
rules:
  - id: known
    on: [merchant.onboarding, merchant.changed, payout.requested]
    when: findings.exists(f, f.code == "indicator.match")
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""
KNOWN = "fpSyntheticKnown"


@dataclass
class Deployment:
    cordon: Cordon
    gateway: StripeGateway
    simulator: StripeSimulator
    clock: FrozenClock
    reconciler: Reconciler
    screener: DeliveryWorker

    @property
    def store(self) -> Store:
        return self.cordon.store

    def deliver(self, type_: str, object_: dict[str, Any], account: str) -> None:
        """Take a signed delivery as the door does, and screen it as a worker does."""
        event = synthetic.event(type_, object_, self.clock(), account=account)
        headers, body = self.simulator.signed_delivery(event)
        lowered = {name.lower(): value for name, value in headers.items()}
        messages = self.gateway.verify(Delivery(lowered, body), self.clock())
        deliveries.store_messages(self.store, self.gateway.instance, messages, self.clock())
        while self.screener.run_once():
            pass

    def apply_with(self, fingerprint: str) -> str:
        """Onboard an account that is paid out to a bank account of this fingerprint."""
        account = self.simulator.create_account()
        bank = synthetic.bank_account("ba_1Sim1", account, fingerprint)
        self.deliver(
            "account.updated",
            synthetic.account(account, self.clock(), external_accounts={"object": "list", "data": [bank]}),
            account,
        )
        return account

    def settle(self, rounds: int = 12) -> None:
        for _ in range(rounds):
            while self.reconciler.run_once():
                pass
            self.clock.advance(timedelta(seconds=30))

    def row(self, account: str) -> restrictions.RestrictionRow:
        with self.store.read() as connection:
            return next(r for r in restrictions.listed(connection) if r.account == account)

    def release_all(self) -> None:
        with self.store.write() as connection:
            for hold in holds.listed(connection):
                holds.release(connection, hold.id, by="ana", agreed_by="ben", reason="documents seen", now=self.clock())

    def intervals(self, account: str) -> list[str]:
        """Every payout schedule that took effect, in order."""
        return [str(c.new) for c in self.simulator.changes(account) if c.what.endswith("schedule.interval")]


@pytest.fixture
def deployment(tmp_path: Path, contract: Any) -> Iterator[Deployment]:
    clock = FrozenClock(datetime(2026, 7, 1, tzinfo=UTC))
    (tmp_path / "policy.yaml").write_text(POLICY)
    store = Store.open(f"sqlite:///{tmp_path / 'e2e.db'}")
    digester = Digester({"k1": b"k" * 32}, "k1")
    known = indicators.Indicator(
        digest=digester.digest(Identifier(kind="bank_account", value=KNOWN)),  # type: ignore[arg-type]
        kind="bank_account",
        source="synthetic",
        reference="R-1",
        confidence=90,
        status="investigation",
    )
    with store.write() as connection:
        indicators.add(connection, known, clock())
    limits = Limits(budget=timedelta(seconds=10), check_deadline=timedelta(seconds=5))
    cordon = Cordon(
        store,
        load_policies([tmp_path / "policy.yaml"]),
        Plugins({"checks": builtin_checks}),
        digester,
        limits=limits,
        clock=clock,
    )
    with StripeSimulator(clock=clock) as simulator:
        settings = StripeSettings(
            adapter="stripe",
            mode=Mode.LIVE,
            api_key=simulator.api_key,  # type: ignore[arg-type]
            webhook_secrets=[simulator.webhook_secret],  # type: ignore[list-item]
            base_url=simulator.base_url,
            timeout_seconds=2,
        )
        gateway = StripeGateway("stripe_eu", settings, clock=clock)
        timing = Timing(give_up_after=50, last_retry=timedelta(seconds=20), try_pause=timedelta(milliseconds=1))
        reconciler = Reconciler(store, gateway, owner="w", clock=clock, sleep=lambda _s: None, timing=timing)
        screener = DeliveryWorker(store, {"stripe_eu": gateway}, cordon, clock, "w")
        yield Deployment(cordon, gateway, simulator, clock, reconciler, screener)
        for sent in simulator.requests if contract else ():
            contract.check(sent)
    cordon.close()


def test_from_a_signed_delivery_to_a_held_and_released_account(deployment: Deployment) -> None:
    honest, hit = deployment.apply_with("fpHonest"), deployment.apply_with(KNOWN)
    before = deployment.simulator.schedule(hit)
    deployment.settle()
    assert deployment.simulator.schedule(hit)["interval"] == "manual"
    assert deployment.intervals(honest) == []
    # Stripe ends manual payouts of accounts in the United States after two years.
    expires_at = deployment.row(hit).expires_at
    assert expires_at is not None
    assert expires_at - deployment.clock() > timedelta(days=700)
    deployment.release_all()
    deployment.settle()
    assert deployment.simulator.schedule(hit) == before
    assert deployment.intervals(hit) == ["manual", "daily"]
    assert verify(deployment.store).ok


@pytest.mark.parametrize(
    "kind",
    [FaultKind.ERROR_BEFORE, FaultKind.ERROR_AFTER, FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER, FaultKind.GARBLED],
)
@pytest.mark.parametrize("phase", ["hold", "release"])
def test_failures_of_the_gateway_neither_lose_nor_double_the_change(
    deployment: Deployment, kind: FaultKind, phase: str
) -> None:
    hit = deployment.apply_with(KNOWN)
    if phase == "release":
        deployment.settle()
        deployment.release_all()
    deployment.simulator.inject(Fault(kind, method="POST", path="/v1/accounts", times=2))
    deployment.settle()
    assert deployment.intervals(hit) == (["manual"] if phase == "hold" else ["manual", "daily"])
    row = deployment.row(hit)
    assert (row.state, row.baseline is None) == ("settled", phase == "release")


def test_a_dead_gateway_is_never_recorded_as_held_or_released(deployment: Deployment) -> None:
    hit = deployment.apply_with(KNOWN)
    port = int(deployment.simulator.base_url.rsplit(":", 1)[1])
    deployment.simulator.stop()
    deployment.settle(rounds=2)
    assert deployment.row(hit).applied is Restriction.NONE
    deployment.simulator._port = port
    deployment.simulator.start()
    deployment.settle()
    assert deployment.row(hit).applied is Restriction.PAYOUTS_HELD
    deployment.release_all()
    deployment.simulator.stop()
    deployment.settle(rounds=2)
    assert deployment.row(hit).applied is Restriction.PAYOUTS_HELD
    assert deployment.row(hit).baseline is not None
    deployment.simulator.start()
    deployment.settle()
    assert deployment.intervals(hit) == ["manual", "daily"]


def test_a_schedule_changed_by_hand_is_put_back_and_noted(deployment: Deployment) -> None:
    hit = deployment.apply_with(KNOWN)
    deployment.settle()
    deployment.simulator.set_by_hand(hit, "settings.payouts.schedule.interval", "daily")
    deployment.clock.advance(timedelta(minutes=20))
    deployment.settle()
    assert deployment.simulator.schedule(hit)["interval"] == "manual"
    report = verify(deployment.store)
    assert report.ok
    with deployment.store.read() as connection:
        kinds = connection.exec_driver_sql("SELECT kind FROM log").scalars().all()
    assert "restriction.drift" in kinds


def test_the_guard_holds_a_payout_and_lets_the_same_call_pass_after_the_release(deployment: Deployment) -> None:
    simulator = deployment.simulator
    hit = deployment.apply_with(KNOWN)
    deployment.settle()
    own = stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url})
    client = guard(own, deployment.cordon, "stripe_eu", clock=deployment.clock)
    params: Any = {"amount": 1_000, "currency": "usd"}
    options: Any = {"stripe_account": hit, "idempotency_key": "payout-1"}
    with pytest.raises(Held) as held:
        client.v1.payouts.create(params, options)
    assert held.value.merchant_reason == "additional_information_required"
    assert "known" not in str(held.value)
    assert simulator.payouts(hit) == []
    deployment.release_all()
    assert client.v1.payouts.create(params, options).amount == 1_000
    assert len(simulator.payouts(hit)) == 1
    assert client.v1.accounts.retrieve(hit).id == hit


LARGE = """\
policy: large
version: 1
on_error: review
aggregates:
  payouts: {count: payout.requested, window: 7d}
rules:
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor >= 1000 || aggregates.payouts > 1
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""


def paid_out(deployment: Deployment, account: str, amount: int) -> None:
    """Take in the delivery of the latest payout, as Stripe tells of it."""
    created = [each for each in deployment.simulator.events(account) if each["type"] == "payout.created"][-1]
    assert created["data"]["object"]["amount"] == amount
    headers, body = deployment.simulator.signed_delivery(created)
    lowered = {name.lower(): value for name, value in headers.items()}
    messages = deployment.gateway.verify(Delivery(lowered, body), deployment.clock())
    deliveries.store_messages(deployment.store, deployment.gateway.instance, messages, deployment.clock())
    while deployment.screener.run_once():
        pass
    deployment.settle(rounds=2)


@pytest.mark.parametrize("key", [None, "payout-1"])
def test_a_payout_that_the_guard_let_through_is_not_asked_for_again_by_its_delivery(
    deployment: Deployment, tmp_path: Path, key: str | None
) -> None:
    """Else what people have released would be held once more, and with it all payouts of the account."""
    (tmp_path / "policy.yaml").write_text(LARGE)
    deployment.cordon.adopt(load_policies([tmp_path / "policy.yaml"]))
    simulator, account = deployment.simulator, deployment.simulator.create_account(balance={"usd": 50_000})
    own = stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url})
    client = guard(own, deployment.cordon, "stripe_eu", clock=deployment.clock)
    options: Any = {"stripe_account": account, **({"idempotency_key": key} if key else {})}
    if key:
        with pytest.raises(Held):
            client.v1.payouts.create({"amount": 1_000, "currency": "usd"}, options)
        deployment.release_all()
    amount = 1_000 if key else 900
    client.v1.payouts.create({"amount": amount, "currency": "usd"}, options)

    paid_out(deployment, account, amount)

    with deployment.store.read() as connection:
        types = connection.exec_driver_sql("SELECT type FROM events ORDER BY position").scalars().all()
        assert [hold for hold in holds.listed(connection) if hold.released_at is None] == []
    assert types == ["payout.requested", "payout.updated"]
    assert simulator.schedule(account)["interval"] == "daily"


@pytest.mark.parametrize("held_before", [False, True])
def test_a_payout_around_the_guard_is_asked_for_by_its_delivery(
    deployment: Deployment, tmp_path: Path, held_before: bool
) -> None:
    (tmp_path / "policy.yaml").write_text(LARGE)
    deployment.cordon.adopt(load_policies([tmp_path / "policy.yaml"]))
    simulator, account = deployment.simulator, deployment.simulator.create_account(balance={"usd": 50_000})
    own = stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url})
    params: Any = {"amount": 1_000, "currency": "usd"}
    options: Any = {"stripe_account": account, "idempotency_key": "payout-1"}
    if held_before:
        with pytest.raises(Held):
            guard(own, deployment.cordon, "stripe_eu", clock=deployment.clock).v1.payouts.create(params, options)
    own.v1.payouts.create(params, options)

    paid_out(deployment, account, 1_000)

    assert simulator.schedule(account)["interval"] == "manual"


def test_a_dispute_and_a_payment_are_screened_and_recorded(deployment: Deployment) -> None:
    account = deployment.apply_with("fpHonest")
    deployment.deliver("charge.succeeded", synthetic.charge("ch_1", deployment.clock()), account)
    deployment.deliver("charge.dispute.created", synthetic.dispute("dp_1", deployment.clock()), account)
    with deployment.store.read() as connection:
        types = connection.exec_driver_sql("SELECT type FROM events ORDER BY seq").scalars().all()
        outcomes = connection.exec_driver_sql("SELECT outcome FROM decisions").scalars().all()
    assert types == ["merchant.changed", "payment.succeeded", "dispute.opened"]
    assert set(outcomes) == {Outcome.ALLOW.value}
