from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import requests
import stripe
from pytest_httpserver import HTTPServer

from paycordon.gateways import Delivery
from paycordon.testing.clock import NOON
from paycordon_stripe.deliveries import verify
from paycordon_stripe.simulator import Fault, FaultKind, StripeSimulator, events
from paycordon_stripe.simulator.forms import BadForm, decode

PAYOUT = {"amount": "12500", "currency": "usd"}


@pytest.fixture(autouse=True)
def lawful():
    """Let these tests ask for what Stripe would refuse."""


@pytest.fixture
def account(simulator):
    return simulator.create_account()


@pytest.fixture
def post(simulator):
    """Speak plain HTTP, so that what is checked is the simulator and not the SDK."""

    def send(path, form=None, *, key=None, account=None, api_key="sk_simulated"):
        headers = {"Authorization": f"Bearer {api_key}"}
        headers |= {"Idempotency-Key": key} if key else {}
        headers |= {"Stripe-Account": account} if account else {}
        return requests.post(f"{simulator.base_url}{path}", data=form, headers=headers, timeout=5)

    return send


@pytest.fixture
def get(simulator):
    def send(path):
        headers = {"Authorization": "Bearer sk_simulated"}
        return requests.get(f"{simulator.base_url}{path}", headers=headers, timeout=5)

    return send


def test_the_same_key_and_parameters_repeat_the_first_answer(post, simulator, account):
    first, second = (post("/v1/payouts", PAYOUT, key="k", account=account) for _ in range(2))

    assert first.json() == second.json()
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(simulator.payouts(account)) == 1


def test_other_parameters_under_a_key_are_an_error(post, simulator, account):
    post("/v1/payouts", PAYOUT, key="k", account=account)

    second = post("/v1/payouts", {**PAYOUT, "amount": "99"}, key="k", account=account)

    assert (second.status_code, second.json()["error"]["type"]) == (400, "idempotency_error")
    assert len(simulator.payouts(account)) == 1


@pytest.mark.parametrize(("kind", "made"), [(FaultKind.ERROR_BEFORE, 0), (FaultKind.ERROR_AFTER, 1)])
def test_an_internal_error_is_stored_under_its_key(post, simulator, account, kind, made):
    simulator.inject(Fault(kind, "POST"))

    answers = [post("/v1/payouts", PAYOUT, key="k", account=account) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [500, 500, 500]
    assert len(simulator.payouts(account)) == made
    assert post("/v1/payouts", PAYOUT, key="other", account=account).status_code == 200


@pytest.mark.parametrize("status", [429, 409, 403])
def test_what_is_refused_before_it_runs_is_not_stored(post, simulator, account, status):
    simulator.inject(Fault(FaultKind.ANSWER, "POST", status=status))

    answers = [post("/v1/payouts", PAYOUT, key="k", account=account).status_code for _ in range(2)]

    assert answers == [status, 200]


def test_a_bad_request_is_not_stored(post, account):
    assert post("/v1/payouts", {"currency": "usd"}, key="k", account=account).status_code == 400
    assert post("/v1/payouts", PAYOUT, key="k", account=account).status_code == 200


def test_an_answer_that_was_lost_is_repeated(post, simulator, account):
    simulator.inject(Fault(FaultKind.LOST_AFTER, "POST"))
    with pytest.raises(requests.ConnectionError):
        post("/v1/payouts", PAYOUT, key="k", account=account)

    assert post("/v1/payouts", PAYOUT, key="k", account=account).json() == simulator.payouts(account)[0]
    assert len(simulator.payouts(account)) == 1


def test_a_key_in_use_is_a_conflict(post, simulator, account):
    simulator.inject(Fault(FaultKind.SLOW, "POST", seconds=30))
    slow = threading.Thread(target=lambda: post_quietly(post, account))
    slow.start()
    pause = threading.Event()
    for _ in range(1_000):
        if simulator.payouts(account):
            break
        pause.wait(0.01)

    assert post("/v1/payouts", PAYOUT, key="k", account=account).status_code == 409
    simulator.stop()
    slow.join(5)
    assert not slow.is_alive(), "stopping lets go of what hangs"


def post_quietly(post, account):
    try:
        post("/v1/payouts", PAYOUT, key="k", account=account)
    except requests.RequestException:
        return


def test_keys_are_forgotten_after_a_day_and_belong_to_one_account(post, simulator, account, clock):
    other = simulator.create_account()
    post("/v1/payouts", PAYOUT, key="k", account=account)
    post("/v1/payouts", PAYOUT, key="k", account=other)
    clock.advance(timedelta(hours=24))
    post("/v1/payouts", PAYOUT, key="k", account=account)

    assert (len(simulator.payouts(account)), len(simulator.payouts(other))) == (2, 1)


@pytest.mark.parametrize(
    ("path", "form", "options", "status"),
    [
        ("/v1/payouts", PAYOUT, {"api_key": "sk_wrong"}, 401),
        ("/v1/payouts", PAYOUT, {"account": "acct_none"}, 403),
        ("/v1/payouts/po_none/cancel", {}, {}, 404),
        ("/v1/nothing", {}, {}, 404),
        ("/v1/payouts", {**PAYOUT, "nonsense": "1"}, {}, 400),
        ("/v1/payouts", {"amount": "-1", "currency": "usd"}, {}, 400),
        ("/v1/payouts", "amount[a]=1&amount=2", {}, 400),
        ("/v1/transfers", {**PAYOUT, "destination": "acct_none"}, {}, 403),
    ],
)
def test_errors_are_stripes(post, path, form, options, status):
    answer = post(path, form, **options)

    assert answer.status_code == status
    assert answer.json()["error"].keys() >= {"type", "message"}
    assert answer.headers["Request-Id"].startswith("req_")


@pytest.mark.parametrize(
    "form",
    [
        {"settings[payouts][schedule][interval]": "weekly"},
        {"settings[payouts][schedule][interval]": "hourly"},
        {"settings[payouts][schedule][interval]": "monthly", "settings[payouts][schedule][monthly_anchor]": "32"},
        {"settings[payouts][schedule][weekly]": "x"},
        {"settings[payouts][schedule][delay_days]": "1"},
    ],
)
def test_a_schedule_stripe_would_not_take_changes_nothing(post, simulator, account, form):
    before = simulator.account(account)

    assert post(f"/v1/accounts/{account}", form).status_code == 400
    assert simulator.account(account) == before


def test_days_are_shown_with_their_interval_only(post, simulator, account):
    path, name = f"/v1/accounts/{account}", "settings[payouts][schedule]"
    post(path, {f"{name}[interval]": "weekly", f"{name}[weekly_anchor]": "friday", f"{name}[delay_days]": "9"})
    weekly = simulator.schedule(account)
    post(path, {f"{name}[interval]": "manual"})

    days = {"weekly_anchor": "friday", "weekly_payout_days": ["friday"]}
    assert weekly == {"interval": "weekly", "delay_days": 9, **days}
    assert simulator.schedule(account) == {"interval": "manual", "delay_days": 9}


def test_only_pending_payouts_made_by_hand_can_be_cancelled(post, simulator, account):
    simulator.put("payouts", account, events.payout("po_auto", NOON, automatic=True))
    simulator.put("payouts", account, events.payout("po_paid", NOON, automatic=False, status="paid"))
    by_hand = post("/v1/payouts", PAYOUT, account=account).json()["id"]

    statuses = [
        post(f"/v1/payouts/{id_}/cancel", {}, account=account).status_code for id_ in ("po_auto", "po_paid", by_hand)
    ]

    assert statuses == [400, 400, 200]


def test_the_log_has_each_effective_change_once(post, simulator, account):
    for _ in range(2):
        post(f"/v1/accounts/{account}", {"email": "a@shop.example", "metadata[x]": "1"})
    simulator.set_by_hand(account, "metadata.x", "2")

    found = [(change.what, change.old, change.new, change.request > 0) for change in simulator.changes(account)]
    assert found == [
        ("email", None, "a@shop.example", True),
        ("metadata.x", None, "1", True),
        ("metadata.x", "1", "2", False),
    ]


def test_capabilities_are_read_one_by_one_too(get, account):
    assert get(f"/v1/accounts/{account}/capabilities/transfers").json()["requested"] is True
    assert get(f"/v1/accounts/{account}/capabilities/none").status_code == 404
    assert get(f"/v1/accounts/{account}/external_accounts").json()["data"] == []


def test_an_account_made_over_the_api_can_be_onboarded(simulator):
    client = stripe.StripeClient("sk_simulated", base_addresses={"api": simulator.base_url})

    made = client.v1.accounts.create({"country": "DE", "capabilities": {"transfers": {"requested": True}}})
    client.v1.accounts.update(made.id, {"external_account": "btok_1", "metadata": {"a": "1", "b": "2"}})
    client.v1.accounts.update(made.id, {"metadata": {"a": ""}})

    found = simulator.account(made.id)
    assert (found["country"], found["requested"], found["metadata"]) == ("DE", {"transfers": True}, {"b": "2"})
    assert found["external_accounts"]["data"][0]["object"] == "bank_account"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a[b][c]=1&a[b][d]=", {"a": {"b": {"c": "1", "d": ""}}}),
        ("a[1]=y&a[0]=x", {"a": ["x", "y"]}),
        ("a[]=x&a[]=y", {"a": ["x", "y"]}),
        ("a[0][b]=x", {"a": [{"b": "x"}]}),
        ("a=%C3%A9%20b", {"a": "é b"}),
    ],
)
def test_nested_forms_are_decoded(text, value):
    assert decode(text) == value


@pytest.mark.parametrize("text", ["a[=1", "=1", "a=1&a[b]=2", "a[b]=2&a=1", "[a]=1", "a[b]c=1"])
def test_forms_that_are_none_are_refused(text):
    with pytest.raises(BadForm):
        decode(text)


def test_deliveries_arrive_signed(simulator, httpserver: HTTPServer):
    httpserver.expect_request("/hook", method="POST").respond_with_data(status=202)
    event = events.event("payout.paid", events.payout("po_1", NOON), NOON, account="acct_1")

    assert simulator.send(httpserver.url_for("/hook"), event) == 202

    request = httpserver.log[0][0]
    headers = {name.lower(): value for name, value in request.headers}
    (message,) = verify(Delivery(headers, request.data), [simulator.webhook_secret], NOON)
    assert message.body == event


@pytest.fixture
def alone():
    """The simulator in a process of its own."""
    command = [sys.executable, "-m", "paycordon_stripe.simulator", "--port", "0", "--api-key", "sk_simulated"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent) as process:
        yield process.stdout.readline().strip()
        process.terminate()
        assert process.wait(10) == 0


def test_it_runs_by_itself_and_is_steered_over_http(alone, make_gateway, subject_of):
    control = f"{alone}/_simulator"
    account = requests.post(f"{control}/accounts", json={"country": "TH"}, timeout=5).json()["id"]
    gateway = make_gateway(alone)

    assert gateway.read(subject_of(account)).restriction == "none"
    requests.post(f"{control}/set", json=by_hand(account, "manual"), timeout=5).raise_for_status()
    requests.post(f"{control}/faults", json={"kind": "answer", "times": 9}, timeout=5).raise_for_status()
    requests.delete(f"{control}/faults", timeout=5).raise_for_status()
    assert gateway.read(subject_of(account)).restriction == "payouts_held"

    (change,) = requests.get(f"{control}/changes/{account}", timeout=5).json()
    assert (change["old"], change["new"], change["request"]) == ("daily", "manual", 0)
    seen = requests.get(f"{control}/accounts/{account}", timeout=5).json()
    assert (seen["requested"]["transfers"], seen["payouts"]) == (True, [])
    assert {r["method"] for r in requests.get(f"{control}/requests", timeout=5).json()} == {"GET"}


def by_hand(account, interval):
    return {"account": account, "path": "settings.payouts.schedule.interval", "value": interval}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "accounts/acct_none", None, 403),
        ("GET", "nothing", None, 404),
        ("POST", "nothing", {}, 404),
        ("POST", "faults", {"kind": "none such"}, 400),
        ("POST", "set", {}, 400),
        ("POST", "faults", "not json", 400),
    ],
)
def test_steering_it_wrongly_is_an_error_not_a_crash(simulator, method, path, body, status):
    data = body if isinstance(body, str) else json.dumps(body)
    url = f"{simulator.base_url}/_simulator/{path}"

    assert requests.request(method, url, data=data, timeout=5).status_code == status


def test_it_has_no_address_while_it_does_not_run():
    with pytest.raises(RuntimeError):
        _ = StripeSimulator().base_url
