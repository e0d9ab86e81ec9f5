from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from pydantic import ValidationError

import paycordon_adyen
from paycordon.errors import ConfigError
from paycordon_adyen import AdyenGateway, AdyenSettings, client, installed

from .conftest import HOLDER, KEYS, settings_of

GIVEN = {"adapter": "adyen", "mode": "live", "api_key": "key_live_1", "hmac_keys": KEYS[:1]}


def test_the_entry_point_brings_the_adapter():
    (found,) = [entry for entry in entry_points(group="paycordon") if entry.name == "adyen"]

    assert found.load().register_gateways() == [AdyenGateway]


def test_public_names_are_sorted_and_there():
    assert paycordon_adyen.__all__ == sorted(paycordon_adyen.__all__)
    assert all(callable(getattr(paycordon_adyen, name)) for name in paycordon_adyen.__all__)
    with pytest.raises(AttributeError):
        _ = paycordon_adyen.nonsense


def test_verifying_and_translating_need_no_sdk():
    code = "import sys, paycordon_adyen.plugin; sys.exit('Adyen' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"hmac_keys": []},
        {"hmac_keys": [""]},
        {"hmac_keys": ["not hexadecimal, but long enough to be one"]},
        {"hmac_keys": ["AB"]},
        {"hmac_keys": ["ABC" * 11]},
        {"api_key": ""},
        {"webhook_logins": ["nocolon"]},
        {"webhook_logins": [":nobody"]},
        {"base_url": "http://adyen.example"},
        {"base_url": "127.0.0.1:80"},
        {"base_url": "https://my-test.example"},
        {"base_url": "https://proxy-live.example"},
        {"own_account_holders": ["BA00000000000000000000001"]},
        {"merchant_accounts": {"M": "../x"}},
        {"account_metadata_key": "with.dot"},
        {"balance_platform": "a/b"},
        {"payments_from": "both"},
        {"timeout_seconds": 0},
        {"nonsense": 1},
    ],
    ids=str,
)
def test_settings_that_are_wrong_or_unsafe_stop_the_start_and_are_not_shown(wrong):
    with pytest.raises(ValidationError) as caught:
        AdyenSettings(**{**GIVEN, **wrong})

    assert "key_live_1" not in str(caught.value)
    assert KEYS[0] not in str(caught.value)


@pytest.mark.parametrize("url", [None, "https://proxy.example/adyen", "http://127.0.0.1:8420", "http://localhost:1"])
def test_safe_settings_are_taken_and_secrets_not_shown(url):
    logins = ["paycordon:pass-word"]
    settings = AdyenSettings(**GIVEN, base_url=url, webhook_logins=logins, own_account_holders=[HOLDER])

    assert settings.base_url == url
    for secret in ("key_live_1", KEYS[0], "pass-word"):
        assert secret not in repr(settings)
        assert secret not in settings.model_dump_json()


class TestTheInstalledSdk:
    """What is installed is looked over before anything is asked of it."""

    @pytest.mark.parametrize("version", ["15.2.0", "17.0.0"])
    def test_another_major_version_stops_the_start(self, monkeypatch, version, make_gateway):
        monkeypatch.setattr(installed, "version", lambda _: version)

        with pytest.raises(ConfigError, match=version):
            make_gateway()

    def test_a_missing_transport_stops_the_start(self, monkeypatch, make_gateway):
        monkeypatch.setattr(installed, "find_spec", lambda _: None)

        with pytest.raises(ConfigError, match="requests"):
            make_gateway()

    def test_every_call_is_there_and_speaks_the_version_it_was_written_for(self):
        client.connect(settings_of(None), "key")

    def test_mode_15_a_name_that_the_sdk_has_not_is_found_at_the_start(self, monkeypatch):
        """The SDK answers with `None` for whatever it has not, and fails at the call."""
        monkeypatch.setitem(client.USED, ("transfers", "transfers_api"), ("/btl/v4", ("transfer_found",)))

        with pytest.raises(ConfigError, match="transfer_found"):
            client.connect(settings_of(None), "key")

    def test_a_service_that_the_sdk_has_not_is_found_at_the_start(self, monkeypatch):
        monkeypatch.setitem(client.USED, ("payouts", "payouts_api"), ("/x", ("pay",)))

        with pytest.raises(ConfigError, match="payouts"):
            client.connect(settings_of(None), "key")

    def test_mode_13_another_version_of_the_api_is_found_at_the_start(self, monkeypatch):
        monkeypatch.setitem(client.USED, ("transfers", "transfers_api"), ("/btl/v5", ("get_transfer",)))

        with pytest.raises(ConfigError, match="/btl/v4"):
            client.connect(settings_of(None), "key")

    def test_a_version_that_is_set_breaks_other_addresses_and_is_refused(self):
        sdk = client.connect(settings_of(None), "key")
        sdk.client.api_balance_platform_version = 2

        with pytest.raises(ConfigError, match="api_balance_platform_version"):
            client.require_calls(sdk)

    @pytest.mark.parametrize("mode", ["live", "test"])
    def test_addresses_are_those_of_the_mode(self, mode):
        sdk = client.connect(settings_of(None, mode=mode), "key")
        sent = []
        sdk.client.http_client.request = lambda method, url, **_: (sent.append(url), ("{}", None, 200, {}))[1]

        sdk.balancePlatform.account_holders_api.get_account_holder(HOLDER)
        sdk.legalEntityManagement.legal_entities_api.get_legal_entity("LE1")
        sdk.disputes.disputes_api.retrieve_applicable_defense_reasons({})
        assert [url.split("/")[2] for url in sent] == [
            f"balanceplatform-api-{mode}.adyen.com",
            f"kyc-{mode}.adyen.com",
            f"ca-{mode}.adyen.com",
        ]
