from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from pydantic import ValidationError

import paycordon_stripe
from paycordon.errors import OutcomeUnknown
from paycordon.gateways import Change, Restriction
from paycordon_stripe import StripeGateway, StripeSettings
from paycordon_stripe.simulator import Fault, FaultKind

GIVEN = {"adapter": "stripe", "mode": "live", "api_key": "rk_live_1", "webhook_secrets": ["whsec_1"]}


def test_the_entry_point_brings_the_adapter():
    (found,) = [entry for entry in entry_points(group="paycordon") if entry.name == "stripe"]

    assert found.load().register_gateways() == [StripeGateway]


def test_public_names_are_sorted_and_there():
    assert paycordon_stripe.__all__ == sorted(paycordon_stripe.__all__)
    assert all(callable(getattr(paycordon_stripe, name)) for name in paycordon_stripe.__all__)
    with pytest.raises(AttributeError):
        _ = paycordon_stripe.nonsense


def test_verifying_and_translating_need_no_sdk():
    code = "import sys, paycordon_stripe.plugin; sys.exit('stripe' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook_secrets": []},
        {"webhook_secrets": [""]},
        {"api_key": ""},
        {"api_key": "sk_test_1"},
        {"api_key": "rk_test_1"},
        {"api_key": "sk_live_1", "mode": "test"},
        {"base_url": "http://stripe.example"},
        {"base_url": "ftp://127.0.0.1"},
        {"base_url": "127.0.0.1:80"},
        {"timeout_seconds": 0},
        {"timeout_seconds": 1_000},
        {"nonsense": 1},
    ],
    ids=str,
)
def test_settings_that_are_wrong_or_unsafe_stop_the_start_and_are_not_shown(wrong):
    with pytest.raises(ValidationError) as caught:
        StripeSettings(**{**GIVEN, **wrong})

    assert "live_1" not in str(caught.value)
    assert "whsec_1" not in str(caught.value)


@pytest.mark.parametrize("url", [None, "https://proxy.example/stripe", "http://127.0.0.1:8420", "http://localhost:1"])
def test_safe_settings_are_taken_and_secrets_not_shown(url):
    settings = StripeSettings(**GIVEN, base_url=url)

    assert settings.base_url == url
    assert "live_1" not in repr(settings)
    assert "whsec_1" not in repr(settings)


@pytest.mark.parametrize(("kind", "answered"), [(FaultKind.ERROR_AFTER, True), (FaultKind.LOST_AFTER, False)])
def test_an_unknown_outcome_says_whether_there_was_an_answer(simulator, gateway, subject_of, kind, answered):
    account = simulator.create_account()
    baseline = gateway.read(subject_of(account)).settings
    simulator.inject(Fault(kind, "POST"))

    with pytest.raises(OutcomeUnknown) as caught:
        gateway.apply(subject_of(account), Change(Restriction.PAYOUTS_HELD, baseline), "key-1")

    assert caught.value.answered is answered
