"""What Stripe could not deliver while nobody answered is taken in afterwards, once, and screened."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from paycordon.cli import build
from paycordon.deployment import create
from paycordon.errors import Refused, RetryLater
from paycordon.gateways import Gateway
from paycordon.screening import utc_now
from paycordon_stripe.gateway import StripeGateway
from paycordon_stripe.simulator import Fault, FaultKind, StripeSimulator

DEAD = "http://127.0.0.1:9/webhooks/stripe_sim"


@pytest.fixture
def simulator() -> Any:
    with StripeSimulator() as running:
        yield running


@pytest.fixture
def undelivered(simulator: StripeSimulator) -> str:
    """An account of which Stripe has had things to tell, while nobody listened."""
    simulator.add_webhook(DEAD, dropped=1.0)
    account = simulator.create_account(balance={"usd": 50_000})
    simulator.onboard(account)
    simulator.charge(account, 4_000, "usd")
    assert simulator.settle()
    return account


def test_events_of_the_platform_and_of_each_account_are_read_as_their_deliveries_would_be(
    undelivered: str, simulator: StripeSimulator, make_gateway: Callable[..., StripeGateway]
) -> None:
    found = list(make_gateway(simulator.base_url, timeout_seconds=5).missed(utc_now() - timedelta(days=1)))
    told = {each["id"]: each for each in simulator.events(undelivered)}
    of_account = [each for each in found if each.id in told]
    assert {each.id for each in of_account} == set(told)
    assert {each.body.get("account") for each in of_account} == {undelivered}
    times = [each.body["created"] for each in of_account]
    assert times == sorted(times)


def test_nothing_older_than_asked_for_is_read(
    undelivered: str, simulator: StripeSimulator, make_gateway: Callable[..., StripeGateway]
) -> None:
    gateway = make_gateway(simulator.base_url, timeout_seconds=5)
    assert list(gateway.missed(utc_now() + timedelta(hours=1))) == []


def test_what_was_delivered_is_not_missed(simulator: StripeSimulator, make_gateway) -> None:
    simulator.onboard(simulator.create_account())
    assert list(make_gateway(simulator.base_url, timeout_seconds=5).missed(utc_now() - timedelta(days=1))) == []


def test_many_pages_are_followed_to_their_end(simulator: StripeSimulator, make_gateway) -> None:
    simulator.add_webhook(DEAD, dropped=1.0)
    account = simulator.create_account(balance={"usd": 50_000})
    for _ in range(130):
        simulator.charge(account, 100, "usd")
    assert simulator.settle(30)
    found = list(make_gateway(simulator.base_url, timeout_seconds=5).missed(utc_now() - timedelta(days=1)))
    assert len({each.id for each in found}) == len(found) >= 130


def test_an_account_that_was_disconnected_keeps_no_other_from_being_read(
    undelivered: str, simulator: StripeSimulator, make_gateway
) -> None:
    refused = Fault(FaultKind.ANSWER, method="GET", path="/v1/events", times=1, status=403)
    gateway = make_gateway(simulator.base_url, timeout_seconds=5)
    messages = iter(gateway.missed(utc_now() - timedelta(days=1)))
    simulator.faults.add(refused)  # meets the list of the platform, without which there is nothing to go on with
    with pytest.raises(Refused):
        next(messages)
    simulator.deauthorize(undelivered)
    other = simulator.create_account(balance={"usd": 50_000})
    simulator.charge(other, 100, "usd")
    assert simulator.settle()
    found = list(gateway.missed(utc_now() - timedelta(days=1)))
    assert other in {each.body.get("account") for each in found}


@pytest.mark.parametrize("kind", [FaultKind.GARBLED, FaultKind.LOST_BEFORE, FaultKind.ANSWER])
def test_a_list_that_cannot_be_read_is_a_declared_error(
    undelivered: str, simulator: StripeSimulator, make_gateway, kind: FaultKind
) -> None:
    simulator.faults.add(Fault(kind, method="GET", path="/v1/", times=1))
    with pytest.raises(RetryLater):
        list(make_gateway(simulator.base_url, timeout_seconds=5).missed(utc_now() - timedelta(days=1)))


def test_a_gateway_without_such_a_list_says_so() -> None:
    assert Gateway.keeps_missed is None
    with pytest.raises(Refused, match="keeps no list"):
        list(Gateway.missed(StripeGateway.__new__(StripeGateway), utc_now()))


def run(*arguments: str) -> Any:
    done = CliRunner().invoke(build(arguments), [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_after_downtime_everything_is_taken_in_once_and_screened(
    undelivered: str, simulator: StripeSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRIPE_KEY", simulator.api_key)
    monkeypatch.setenv("STRIPE_SECRET", simulator.webhook_secret)
    config = tmp_path / "paycordon.yaml"
    gateway = {"adapter": "stripe", "mode": "live", "base_url": simulator.base_url, "timeout_seconds": 5}
    secrets = {"api_key": "env:STRIPE_KEY", "webhook_secrets": ["env:STRIPE_SECRET"]}
    written = yaml.safe_load(config.read_text()) | {"gateways": {"stripe_sim": {**gateway, **secrets}}}
    config.write_text(yaml.safe_dump(written))

    (first,) = run("delivery", "catch-up")
    assert first["new"] > 0
    assert first["read"] >= first["new"]
    waiting = {each["type"] for each in run("delivery", "list", "--waiting")}
    assert {"account.updated", "charge.succeeded"} <= waiting
    (again,) = run("delivery", "catch-up", "--instance", "stripe_sim")
    assert (again["read"], again["new"]) == (first["read"], 0)

    done = CliRunner().invoke(build(["work"]), ["work", "--once"])
    assert done.exit_code == 0, done.output
    assert run("delivery", "list", "--waiting") == []
    (after,) = run("delivery", "catch-up")
    assert after["new"] == 0
    (nothing,) = run("delivery", "catch-up", "--since", f"{utc_now() + timedelta(days=1):%Y-%m-%d}")
    assert nothing["read"] == 0
