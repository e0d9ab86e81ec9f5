"""`paycordon inquiry` against the simulated list, as people run it."""

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
from paycordon.simulators import Described, SimulatorOptions

PARTY = {"legal_name": "Bait Shop Ltd", "tax_id": "IE6388047V", "address": {"country": "IE"}}
LISTED = {
    "Name": "Bait Shop Ltd",
    "MerchantId": "m1",
    "MerchantCategory": "5734",
    "Address": {"Line1": "1 Elm Avenue", "City": "Dublin", "Country": "IRL"},
    "PhoneNumber": "15550100",
    "NationalTaxId": "IE6388047V",
    "CountrySubdivisionTaxId": "",
    "CATFlag": "N",
    "DateOpened": "04/12/2024",
    "DateClosed": "03/19/2026",
    "ReasonCode": "13",
}


@pytest.fixture
def described() -> Iterator[Described]:
    simulator = SimulatedMatch(SimulatorOptions())
    yield simulator.start()
    simulator.stop()


@pytest.fixture
def configured(deployment: Path, described: Described, monkeypatch: pytest.MonkeyPatch) -> Path:
    key = urllib3.request("GET", f"{described.control}signing_key", timeout=10).data
    (deployment / "match_key.pem").write_bytes(key)
    monkeypatch.setenv("MATCH_CONSUMER", CONSUMER_KEY)
    listed = {"format": "match", "url": f"{described.address}{PREFIX}", "acquirer_id": "1996", "keep": "360d"}
    listed |= {"consumer_key": "env:MATCH_CONSUMER", "signing_key": "file:match_key.pem"}
    config = deployment / "paycordon.yaml"
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"inquiries": {"terminated": listed}}))
    (deployment / "party.json").write_text(json.dumps(PARTY))
    return deployment


def test_a_merchant_is_asked_about_and_what_the_list_says_is_shown(
    cli: Any, configured: Path, described: Described
) -> None:
    first = cli("inquiry", "ask", "m-17", "party.json", "--by", "ann")
    assert (first.code, "nobody is listed who may be meant" in first.out) == (0, True), first.err
    body = json.dumps({"acquirer": "2001", "merchant": LISTED}).encode()
    urllib3.request("POST", f"{described.control}listed", body=body, timeout=10)

    asked = cli("inquiry", "ask", "m-17", "-", "--by", "ann", "--at", "terminated", "--json", stdin=json.dumps(PARTY))
    assert asked.code == 1
    (match,) = asked.json["matches"]
    assert (match["reason"], match["listed_by"]) == ("match:13", "2001")
    assert "tax_id: exact" in match["about"]
    shown = cli("inquiry", "show", asked.json["id"])
    assert (shown.code, "a lead, never a proof" in shown.out) == (1, True)
    listed = cli("inquiry", "list", "--merchant", "m-17", "--json")
    assert (listed.code, [len(each["matches"]) for each in listed.json]) == (1, [1, 0])
    assert cli("inquiry", "list").code == 1
    reference = cli("indicator", "list", "--source", "terminated", "--json").json[0]["reference"]
    for listing, number in ((reference, 1), ("0" * 24, 0), ("%", 0)):
        assert len(cli("inquiry", "list", "--listing", listing, "--json").json) == number
    assert len(cli("indicator", "list", "--source", "terminated", "--json").json) == 2
    (case,) = cli("case", "list", "--json").json
    assert case["merchant"] == "m-17"
    assert cli("log", "verify").code == 0
    assert "`terminated` can be asked; 0 have no answer" in cli("doctor").out
    assert cli("plugins", "match", "--json").json["inquiries"][0]["format"] == "match"
    for done in (first, asked, shown, listed):
        assert "Bait" not in done.out + done.err
        assert "6388047" not in done.out + done.err


def test_what_cannot_be_asked_is_said_and_repeats_nothing(cli: Any, configured: Path, deployment: Path) -> None:
    wrong = json.dumps({**PARTY, "tax": "IE6388047V"})
    for stdin, args, said in (
        (wrong, (), "`tax` cannot be taken"),
        ("{", (), "cannot be taken"),
        (json.dumps(PARTY), ("--at", "other"), "there is no list `other`; configured: `terminated`"),
    ):
        done = cli("inquiry", "ask", "m-17", "-", "--by", "ann", *args, stdin=stdin)
        assert (done.code, said in done.err) == (2, True), done.err
        assert "6388047" not in done.err
    assert "nobody was asked" in cli("inquiry", "list").out
    assert cli("inquiry", "show", "inq_none").code == 2


def test_without_a_list_it_says_how_to_have_one(cli: Any, deployment: Path) -> None:
    assert "inquiries: {NAME: {format: match" in cli("inquiry", "list").out
    done = cli("inquiry", "ask", "m-17", "-", "--by", "ann", stdin=json.dumps(PARTY))
    assert (done.code, "format: match" in done.err) == (2, True), done.err
