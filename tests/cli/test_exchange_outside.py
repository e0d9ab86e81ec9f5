"""What two people agreed to reaches the simulated MATCH and ThreatExchange, as people run it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from paycordon.simulated.match.command import CONSUMER_KEY, SimulatedMatch
from paycordon.simulated.match.server import PREFIX
from paycordon.simulated.threatexchange.command import GROUP, OTHER, TOKEN, SimulatedThreatExchange
from paycordon.simulators import Described, SimulatorOptions

POLICY = """\
policy: large
version: 1
on_error: review
rules:
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor > 100000
    then: block
    merchant_reason: additional_information_required
    references: [synthetic]
"""
EVENT = {
    "id": "evt_1",
    "type": "payout.requested",
    "occurred_at": "2026-03-02T12:00:00Z",
    "gateway": "acme",
    "instance": "acme",
    "account": {"id": "acct_1"},
    "merchant": {"id": "m-17"},
    "payout": {"id": "po_1", "amount": {"minor": 200_000, "currency": "EUR"}},
    "identifiers": [{"kind": "email", "value": "owner@bait.example"}],
}
PARTY = {
    "legal_name": "Bait Shop Ltd",
    "merchant_id": "m-17",
    "mcc": "5734",
    "address": {"street": "1 Elm Avenue", "city": "Dublin", "country": "IE"},
    "phone": "+353 1 555 0100",
    "opened_on": "2025-03-02",
}


@pytest.fixture
def match() -> Iterator[Described]:
    simulator = SimulatedMatch(SimulatorOptions())
    yield simulator.start()
    simulator.stop()


@pytest.fixture
def lantern() -> Iterator[Described]:
    simulator = SimulatedThreatExchange(SimulatorOptions())
    yield simulator.start()
    simulator.stop()


def configure(deployment: Path, **sections: Any) -> None:
    config = deployment / "paycordon.yaml"
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | sections))


def seen(described: Described, what: str) -> Any:
    return urllib3.request("GET", f"{described.control}{what}", timeout=10).json()


def test_a_terminated_merchant_is_listed_and_taken_off_by_hand(
    cli: Any, deployment: Path, match: Described, monkeypatch: pytest.MonkeyPatch
) -> None:
    (deployment / "match_key.pem").write_bytes(urllib3.request("GET", f"{match.control}signing_key", timeout=10).data)
    monkeypatch.setenv("MATCH_CONSUMER", CONSUMER_KEY)
    listed = {"format": "match", "url": f"{match.address}{PREFIX}", "acquirer_id": "1996"}
    listed |= {"consumer_key": "env:MATCH_CONSUMER", "signing_key": "file:match_key.pem"}
    configure(deployment, exchange={"terminated": listed})
    (deployment / "policies" / "large.yaml").write_text(POLICY)
    assert cli("screen", stdin=json.dumps(EVENT)).code == 1
    draft = {"recipient": "terminated", "kind": "termination", "merchant": "m-17", "reason": "match:13"}
    draft |= {"ended_on": "2026-03-02", "tlp": "green", "party": PARTY}
    (deployment / "termination.yaml").write_text(yaml.safe_dump(draft))

    made = cli("exchange", "draft", "termination.yaml", "--by", "ann", "--reason", "police", "--json")
    assert made.code == 1, made.err
    assert cli("work", "--once").code == 0
    assert seen(match, "listed") == []
    proposal = made.json["proposed"]["id"]
    assert cli("proposal", "agree", proposal, "--by", "ben", "--reason", "looked").code == 0
    for _ in range(2):
        assert cli("work", "--once").code == 0

    (there,) = seen(match, "listed")
    assert (there["acquirer"], there["name"]) == ("1996", "Bait Shop Ltd")
    (known,) = cli("exchange", "list", "--json").json["contributions"]
    assert (known["state"], known["theirs"]) == ("sent", "1996/m-17")
    back = cli("exchange", "retract", known["id"], "--by", "ann", "--reason", "an error")
    assert (back.code, "`--by-hand`" in back.err) == (2, True), back.err
    by_hand = cli("exchange", "retract", known["id"], "--by-hand", "--by", "ann", "--reason", "an error", "--json")
    assert by_hand.code == 1, by_hand.err
    second = by_hand.json["proposed"]["id"]
    assert cli("proposal", "agree", second, "--by", "ben", "--reason", "taken off").code == 0
    assert cli("exchange", "list", "--all", "--json").json["contributions"][0]["state"] == "retracted"
    assert cli("log", "verify").code == 0


def test_what_people_made_of_an_indicator_is_told_to_its_source(
    cli: Any, deployment: Path, lantern: Described, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANTERN", TOKEN)
    feed = {"format": "threatexchange", "source": f"{lantern.address}/v19.0/{GROUP}", "token": "env:LANTERN"}
    told = {"format": "threatexchange", "url": f"{lantern.address}/v19.0", "group": GROUP, "token": "env:LANTERN"}
    configure(deployment, feeds={"lantern": feed}, exchange={"lantern": {**told, "source": "lantern"}})
    body = json.dumps({"app": OTHER, "type": "EMAIL_ADDRESS", "indicator": "owner@bait.example"}).encode()
    urllib3.request("POST", f"{lantern.control}descriptors", body=body, timeout=10)
    assert cli("feed", "pull", "lantern").code == 0
    (indicator,) = cli("indicator", "list", "--source", "lantern", "--json").json

    given = cli(
        *("exchange", "feedback", "lantern", indicator["reference"], "false_positive"),
        *("--by", "ann", "--reason", "another shop"),
    )
    assert given.code == 0, given.err
    for _ in range(2):
        assert cli("work", "--once").code == 0

    (descriptor,) = seen(lantern, "descriptors")
    assert descriptor["reactions"] == [{"key": "NON_MALICIOUS", "value": TOKEN.partition("|")[0]}]
    assert cli("exchange", "list", "--json").json["feedback"] == []
    (told,) = cli("exchange", "list", "--all", "--json").json["feedback"]
    assert (told["about"]["reference"], told["state"]) == (indicator["reference"], "taken")
    assert "false_positive" in cli("exchange", "list", "--all").out
    assert cli("exchange", "show", told["id"], "--json").json == told
    assert "taken" in cli("exchange", "show", told["id"]).out
    assert cli("log", "verify").code == 0
