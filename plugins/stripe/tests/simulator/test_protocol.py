"""Rate limits, versions, request ids, idempotency and the control endpoint of the simulator."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import requests
import stripe

from paycordon_stripe.simulator import Fault, FaultKind, StripeSimulator
from paycordon_stripe.simulator.events import API_VERSION

PAYOUT = {"amount": 100, "currency": "usd"}


@pytest.fixture
def limited(clock):
    with StripeSimulator(clock=clock, rate_limit=3) as running:
        yield running


def test_a_rate_limit_answers_429_which_the_sdk_does_not_retry(limited, clock):
    client = stripe.StripeClient(limited.api_key, base_addresses={"api": limited.base_url}, max_network_retries=2)
    account = limited.create_account()
    for _ in range(3):
        client.v1.accounts.retrieve(account)

    with pytest.raises(stripe.RateLimitError) as refused:
        client.v1.accounts.retrieve(account)
    assert len(limited.requests) == 4
    assert "Stripe-Should-Retry" not in refused.value.headers
    assert refused.value.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    clock.advance(timedelta(seconds=1))
    assert client.v1.accounts.retrieve(account).id == account


def test_a_limited_request_is_not_kept_under_its_key(limited, clock):
    client = stripe.StripeClient(limited.api_key, base_addresses={"api": limited.base_url})
    of = {"stripe_account": limited.create_account(), "idempotency_key": "k"}
    for _ in range(3):
        client.v1.accounts.list()
    with pytest.raises(stripe.RateLimitError):
        client.v1.payouts.create(PAYOUT, of)
    clock.advance(timedelta(seconds=1))

    assert client.v1.payouts.create(PAYOUT, of).status == "pending"


def test_there_is_no_limit_by_default(client):
    for _ in range(150):
        client.v1.accounts.list()


def test_an_answer_repeats_what_it_was_asked_with(client, account, of):
    options = {**of, "idempotency_key": "k", "stripe_version": "2026-08-26.dahlia"}
    answer = client.v1.payouts.create(PAYOUT, options).last_response
    default = client.v1.accounts.list().last_response

    shown = {name: answer.headers[name] for name in ("Stripe-Version", "Stripe-Account", "Idempotency-Key")}
    assert shown == {"Stripe-Version": "2026-08-26.dahlia", "Stripe-Account": account, "Idempotency-Key": "k"}
    assert default.headers["Stripe-Version"] == stripe.api_version == API_VERSION
    assert answer.request_id != default.request_id


def test_a_replay_names_the_request_it_repeats(client, simulator, account, of):
    first, second = (client.v1.payouts.create(PAYOUT, {**of, "idempotency_key": "k"}) for _ in range(2))

    assert first.id == second.id
    assert second.last_response.headers["Original-Request"] == first.last_response.request_id
    assert second.last_response.headers["Idempotent-Replayed"] == "true"


def test_a_key_with_other_parameters_is_an_error_until_a_day_has_passed(client, simulator, account, of):
    with_key = {**of, "idempotency_key": "k"}
    client.v1.payouts.create(PAYOUT, with_key)
    with pytest.raises(stripe.IdempotencyError):
        client.v1.payouts.create({**PAYOUT, "amount": 200}, with_key)
    simulator.advance(timedelta(hours=24))
    simulator.fund(account, 1_000)

    assert client.v1.payouts.create({**PAYOUT, "amount": 200}, with_key).amount == 200


def test_retries_of_the_sdk_after_a_lost_answer_do_the_work_once(simulator, account, of):
    client = stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url}, max_network_retries=1)
    simulator.inject(Fault(FaultKind.LOST_AFTER, "POST"))

    assert client.v1.payouts.create(PAYOUT, of).id == simulator.payouts(account)[0]["id"]
    assert (len(simulator.payouts(account)), simulator.account(account)["object"]) == (1, "account")


@pytest.mark.parametrize("version", ["latest", "2026", "2026-13"])
def test_a_version_that_is_none_is_refused(client, version):
    with pytest.raises(stripe.InvalidRequestError, match="version"):
        client.v1.accounts.list({}, {"stripe_version": version})


@pytest.mark.parametrize(
    ("body", "type_"),
    [("{", "application/json"), ("[]", "application/json"), ("a=1", "application/x-www-form-urlencoded")],
)
def test_v2_takes_json_only(simulator, account, body, type_):
    headers = {"Authorization": f"Bearer {simulator.api_key}", "Content-Type": type_}
    url = f"{simulator.base_url}/v2/core/accounts/{account}"

    assert requests.post(url, data=body, headers=headers, timeout=5).status_code == 400


@pytest.fixture
def control(simulator):
    def ask(path, body=None, method=None):
        url = f"{simulator.base_url}/_simulator/{path}"
        answer = requests.request(method or ("GET" if body is None else "POST"), url, json=body, timeout=5)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


def test_everything_can_be_steered_from_another_process(control, simulator, client, httpserver):
    httpserver.expect_request("/hook", method="POST").respond_with_data(status=200)
    hook = control("webhooks", {"url": httpserver.url_for("/hook"), "secret": "whsec_x", "events": ["payout.*"]})["id"]
    account = control("accounts", {"country": "US", "balance": {"usd": 5_000}})["id"]
    mine = {"account": account}
    control("funds", {**mine, "amount": 700, "pending_days": 2})
    charge = control("charges", {**mine, "amount": 900})["id"]
    dispute = control("disputes", {**mine, "charge": charge, "reason": "fraudulent"})["id"]
    control("decisions", {**mine, "dispute": dispute, "status": "won"})
    control("warnings", {**mine, "charge": charge, "fraud_type": "unauthorized_use_of_card"})
    control("reviews", {**mine, "charge": charge})
    before = control("clock")["now"]
    assert control("clock", {"advance_seconds": 86_400})["now"] > before
    payout = control(f"accounts/{account}")["payouts"][0]["id"]
    control("failures", {**mine, "payout": payout, "code": "no_account"})
    control("rate_limit", {"per_second": None})
    control("rejections", {**mine, "reason": "listed"})
    assert simulator.settle()

    assert control(f"accounts/{account}")["requirements"]["disabled_reason"] == "rejected.listed"
    assert [each["id"] for each in control("webhooks")] == [hook]
    assert {each["type"] for each in control("deliveries")} == {"payout.created", "payout.failed"}
    assert control("events/platform") == []
    assert control(f"events/{account}")[-1]["type"] == "account.updated"
    control(f"webhooks/{hook}", method="DELETE")
    control("deauthorizations", mine)
    new = client.v1.accounts.create({"country": "DE"}).id
    control("onboard", {"account": new})
    assert client.v1.accounts.retrieve(new).payouts_enabled is True


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("clock", {"advance_seconds": -1}),
        ("clock", {"advance_seconds": 1e300}),
        ("clock", {}),
        ("webhooks", {"url": "http://shop.example/"}),
        ("webhooks", {"url": "http://127.0.0.1:1/", "nonsense": 1}),
        ("funds", {"account": None}),
        ("disputes", {"charge": "ch_none"}),
    ],
)
def test_a_step_that_cannot_be_is_an_error_and_not_a_crash(simulator, path, body):
    answer = requests.post(f"{simulator.base_url}/_simulator/{path}", json=body, timeout=5)

    assert answer.status_code in (400, 404), answer.text


def test_what_the_readme_shows_as_a_test_is_one_and_passes(tmp_path):
    page = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "@pytest.fixture" in block)
    (tmp_path / "test_shown.py").write_text(shown, encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_shown.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
