from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from paycordon.events import Mode, Subject, SubjectKind
from paycordon.gateways import Change, Restriction
from paycordon.testing.clock import FrozenClock
from paycordon_stripe.gateway import StripeGateway, StripeSettings
from paycordon_stripe.simulator import StripeSimulator

INSTANCE = "stripe_sim"
TIMEOUT_SECONDS = 0.4


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe, "enable_telemetry", False)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def simulator(clock: FrozenClock) -> Iterator[StripeSimulator]:
    with StripeSimulator(clock=clock) as running:
        yield running


@pytest.fixture
def make_gateway(clock: FrozenClock) -> Callable[..., StripeGateway]:
    def make(base_url: str = "http://127.0.0.1:9", **settings: Any) -> StripeGateway:
        given = {
            "adapter": "stripe",
            "mode": Mode.LIVE,
            "api_key": "sk_simulated",
            "webhook_secrets": ["whsec_simulated"],
            "base_url": base_url,
            "timeout_seconds": TIMEOUT_SECONDS,
        }
        return StripeGateway(INSTANCE, StripeSettings(**{**given, **settings}), clock=clock)

    return make


@pytest.fixture
def gateway(simulator: StripeSimulator, make_gateway: Callable[..., StripeGateway]) -> StripeGateway:
    return make_gateway(simulator.base_url)


@pytest.fixture
def subject_of() -> Callable[[str], Subject]:
    return lambda account: Subject(instance=INSTANCE, kind=SubjectKind.ACCOUNT, id=account, account=account)


@pytest.fixture
def specs() -> Path:
    """The folder with the vendors' published descriptions; tests that need it skip where it is absent."""
    named = os.environ.get("PAYCORDON_SPECS")
    found = Path(named) if named else Path(__file__).resolve().parents[4] / "shared" / "specs"
    if not found.is_dir():
        pytest.skip("the vendors' API descriptions are not here; set PAYCORDON_SPECS to their folder")
    return found


@pytest.fixture
def held() -> Callable[[Any], Change]:
    return lambda baseline: Change(to=Restriction.PAYOUTS_HELD, baseline=baseline)


@pytest.fixture
def blocked() -> Callable[[Any], Change]:
    return lambda baseline: Change(to=Restriction.BLOCKED, baseline=baseline)


@pytest.fixture
def released() -> Callable[[Any], Change]:
    return lambda baseline: Change(to=Restriction.NONE, baseline=baseline)
