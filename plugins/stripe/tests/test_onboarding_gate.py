"""New accounts wait for their first decision: what policy says in the README holds what leaves, and nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe

from paycordon.coalition.identifiers import Digester
from paycordon.enforcement import Reconciler, Timing
from paycordon.errors import Held
from paycordon.gateways import Delivery
from paycordon.intake import DeliveryWorker, Intake
from paycordon.metrics import Metrics
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.record.verify import verify
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, holds
from paycordon.testing import FrozenClock
from paycordon_stripe import StripeGateway, guard
from paycordon_stripe.simulator import Fault, FaultKind, StripeSimulator

# The SDK's own way of using httpx, which httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
README = Path(__file__).parents[1] / "README.md"
WEEKLY = {"interval": "weekly", "weekly_anchor": "friday"}


@dataclass
class Platform:
    """A facilitator's backend, its worker, and the simulated Stripe."""

    cordon: Cordon
    gateway: StripeGateway
    simulator: StripeSimulator
    backend: stripe.StripeClient
    clock: FrozenClock
    taken: int = 0

    def holds(self) -> list[holds.Hold]:
        with self.cordon.store.read() as connection:
            return list(holds.listed(connection))

    def release(self) -> None:
        with self.cordon.store.write() as connection:
            for hold in holds.listed(connection):
                holds.release(connection, hold.id, by="ana", reason="documents seen", now=self.clock())

    def work(self) -> None:
        """Let a worker do all there is."""
        timing = Timing(try_pause=timedelta(milliseconds=1))
        options: Any = {"owner": "w", "clock": self.clock, "sleep": lambda _: None, "timing": timing}
        screener = DeliveryWorker(self.cordon.store, {"stripe_sim": self.gateway}, self.cordon, self.clock, "w")
        reconciler = Reconciler(self.cordon.store, self.gateway, **options)
        while screener.run_once() or reconciler.run_once():
            pass

    def deliver(self, account: str) -> None:
        """Take what Stripe has to tell of an account, as the door does."""
        door = Intake({"stripe_sim": self.gateway}, self.cordon.store, self.clock, Metrics())
        for event in self.simulator.events(account):
            headers, body = self.simulator.signed_delivery(event)
            door.take(self.gateway, Delivery({name.lower(): value for name, value in headers.items()}, body))
        self.work()

    def interval(self, account: str) -> str:
        return str(self.simulator.schedule(account)["interval"])

    def pay_out(self, account: str) -> Any:
        return self.backend.v1.payouts.create({"amount": 100, "currency": "usd"}, {"stripe_account": account})


@pytest.fixture
def platform(
    simulator: StripeSimulator, make_gateway: Callable[..., StripeGateway], clock: FrozenClock, tmp_path: Path
) -> Iterator[Platform]:
    (written,) = re.findall(r"```yaml\n(policy: onboarding-gate\n.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "gate.yaml").write_text(written)
    cordon = Cordon(
        Store.open(f"sqlite:///{tmp_path / 'gate.db'}"),
        load_policies([tmp_path / "gate.yaml"]),
        Plugins({}),
        Digester({"k1": b"k" * 32}, "k1"),
        limits=Limits(budget=timedelta(seconds=10), check_deadline=timedelta(seconds=5)),
        clock=clock,
    )
    client = stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url})
    backend = guard(client, cordon, "stripe_sim", clock=clock)
    yield Platform(cordon, make_gateway(simulator.base_url, timeout_seconds=5), simulator, backend, clock)
    cordon.close()


ASKED: Any = {"country": "US", "type": "custom", "settings": {"payouts": {"schedule": WEEKLY}}}


def test_an_account_that_the_backend_creates_is_held_before_the_call_returns(platform: Platform) -> None:
    account = platform.backend.v1.accounts.create(ASKED).id

    (hold,) = platform.holds()
    assert (hold.account, hold.scope, hold.rule) == (account, "outflow", "onboarding-gate/new-account")
    with pytest.raises(Held):
        platform.pay_out(account)
    platform.work()
    assert platform.interval(account) == "manual"


def test_signing_goes_on_while_nothing_leaves(platform: Platform) -> None:
    account = platform.backend.v1.accounts.create(ASKED).id
    platform.work()

    platform.backend.v1.accounts.persons.create(account, {"first_name": "Ada", "last_name": "Synthetic"})
    platform.backend.v1.accounts.update(account, {"business_profile": {"url": "https://shop.example"}})
    platform.backend.v1.accounts.capabilities.update(account, "transfers", {"requested": True})

    with pytest.raises(Held):
        platform.backend.v1.transfers.create({"amount": 1, "currency": "usd", "destination": account})


def test_the_release_writes_what_the_backend_had_asked_for(platform: Platform) -> None:
    account = platform.backend.v1.accounts.create(ASKED).id
    before = platform.simulator.schedule(account)
    platform.work()
    platform.simulator.onboard(account)
    platform.simulator.fund(account, 5_000)
    platform.release()
    platform.work()

    assert platform.simulator.schedule(account) == before
    assert platform.pay_out(account).amount == 100
    assert verify(platform.cordon.store).ok


def test_what_follows_after_the_release_is_not_held_again(platform: Platform) -> None:
    account = platform.backend.v1.accounts.create(ASKED).id
    platform.release()
    platform.simulator.onboard(account)
    platform.deliver(account)

    assert platform.holds() == []


@pytest.mark.parametrize("by", ["delivery", "delivery of a guarded account"])
def test_an_account_that_comes_by_a_delivery_is_held_once(platform: Platform, by: str) -> None:
    client = platform.backend if by.endswith("account") else stripe.StripeClient(
        platform.simulator.api_key, base_addresses={"api": platform.simulator.base_url}
    )  # fmt: skip
    account = client.v1.accounts.create(ASKED).id
    platform.deliver(account)

    assert [hold.account for hold in platform.holds()] == [account]
    assert platform.interval(account) == "manual"


def test_a_daily_schedule_pays_out_nothing_of_a_new_account(platform: Platform) -> None:
    account = platform.backend.v1.accounts.create({**ASKED, "settings": {}}).id
    platform.work()
    platform.simulator.onboard(account)
    platform.simulator.fund(account, 5_000)
    platform.simulator.advance(timedelta(days=8))

    assert platform.simulator.payouts(account) == []


def test_an_account_of_v2_is_held_too(platform: Platform) -> None:
    account = platform.backend.v2.core.accounts.create({"contact_email": "v2@shop.example"}).id

    assert [hold.account for hold in platform.holds()] == [account]


def test_an_async_backend_is_no_different(platform: Platform) -> None:
    client = stripe.StripeClient(
        platform.simulator.api_key,
        base_addresses={"api": platform.simulator.base_url},
        http_client=stripe.HTTPXClient(),
    )
    backend = guard(client, platform.cordon, "stripe_sim", clock=platform.clock)

    account = asyncio.run(backend.v1.accounts.create_async(ASKED)).id

    assert [hold.account for hold in platform.holds()] == [account]


@pytest.mark.parametrize("kind", [FaultKind.ANSWER, FaultKind.ERROR_BEFORE, FaultKind.LOST_BEFORE])
def test_a_call_that_opens_no_account_holds_nothing(platform: Platform, kind: FaultKind) -> None:
    platform.simulator.inject(Fault(kind, "POST", status=400))

    with pytest.raises(stripe.StripeError):
        platform.backend.v1.accounts.create(ASKED)

    assert platform.holds() == []


def test_an_account_whose_answer_never_came_is_held_by_its_first_delivery(platform: Platform) -> None:
    platform.simulator.inject(Fault(FaultKind.LOST_AFTER, "POST"))
    with pytest.raises(stripe.StripeError):
        platform.backend.v1.accounts.create(ASKED)
    (account,) = platform.simulator.ledger.accounts
    platform.deliver(account)

    assert [hold.account for hold in platform.holds()] == [account]
    assert platform.interval(account) == "manual"
