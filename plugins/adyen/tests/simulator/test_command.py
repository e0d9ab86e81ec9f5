"""`paycordon simulate adyen`, in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import Adyen
import pytest
import requests
from Adyen.util import is_valid_hmac_notification, is_valid_hmac_payload

from paycordon.errors import ConfigError
from paycordon.simulators import SimulatedWebhook, SimulatorOptions
from paycordon_adyen.simulator.command import SimulatedAdyen

KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"


def test_it_runs_until_it_is_told_to_stop_delivers_signed_and_ends_cleanly(receiver, tmp_path):
    (tmp_path / "key").write_text(KEY)
    command = [sys.executable, "-c", "from paycordon.cli import main; main()", "simulate", "adyen", "--json"]
    command += ["--webhook", receiver.url, "--secret", f"file:{tmp_path / 'key'}", "--clock", "2026-03-02T12:00:00Z"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            found = json.loads(process.stdout.readline())
            holder = requests.post(f"{found['control']}account_holders", json={}, timeout=20).json()["id"]
            requests.post(f"{found['control']}payments", json={"holder": holder, "amount": 100}, timeout=20)
            api = Adyen.Adyen(xapikey="simulated-api-key", platform="test").balancePlatform.account_holders_api
            api.baseUrl = f"{found['address']}/bcl/v2"
            assert api.get_account_holder(holder).message["status"] == "active"
            while len(receiver.got) < 5:
                requests.get(f"{found['control']}clock", timeout=20)
            process.send_signal(signal.SIGTERM)
            assert (process.wait(20), process.stderr.read()) == (0, "")
        finally:
            process.kill()
    assert found["simulator"] == "adyen"
    for headers, body in receiver.got:
        if "hmacsignature" in headers:
            assert is_valid_hmac_payload(headers["hmacsignature"], KEY, body)
        else:
            assert is_valid_hmac_notification(json.loads(body), KEY)
    assert [item["eventCode"] for item in receiver.items] == ["AUTHORISATION"]


@pytest.mark.parametrize(("url", "key"), [("http://hooks.example/", KEY), ("http://127.0.0.1:9/", "whsec_notHex")])
def test_a_webhook_elsewhere_or_a_key_that_is_none_is_a_config_error(url, key):
    with pytest.raises(ConfigError, match="cannot deliver"):
        SimulatedAdyen(SimulatorOptions(webhooks=[SimulatedWebhook(url, key)]))


def test_it_says_how_to_point_the_sdk_and_an_instance_at_it():
    simulator = SimulatedAdyen(SimulatorOptions(api_key="own-key"))
    described = simulator.start()
    try:
        said = "\n".join(described.use)
        assert f"{described.address}/btl/v4" in said
        assert f"base_url: {described.address}" in said
        assert "own-key" not in said
        assert requests.get(f"{described.control}clock", timeout=5).ok
    finally:
        simulator.stop()
