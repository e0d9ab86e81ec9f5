"""What people see of the exchange on the command line, and what they are told when something is wrong."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from paycordon.testing import make_event

MAIL = "owner@shop.example"
EXCHANGE = "exchange:\n  coalition: {format: bundle, to: public, publisher: .paycordon/publisher}\n"
WORDS = f"""\
recipient: coalition
kind: sighting
merchant: m_1
tlp: green
items: [{{kind: email, value: {MAIL}}}]
"""
ANA, BEN = ("--by", "ana", "--reason", "looked at it"), ("--by", "ben", "--reason", "read it")


@pytest.fixture
def member(cli, deployment: Path) -> Path:
    """A deployment with a recipient, at which a person holds a merchant."""
    path = deployment / "paycordon.yaml"
    path.write_text(path.read_text() + EXCHANGE)
    event = make_event("payout.requested", merchant={"id": "m_1"}, identifiers=[{"kind": "email", "value": MAIL}])
    cli("screen", "-", stdin=event.model_dump_json(exclude_none=True))
    held = cli("hold", "place", "--merchant", "m_1", "--merchant-reason", "other", *ANA)
    assert held.code == 0, held.err
    return deployment


def test_nothing_told_yet_says_how_to_begin(cli, deployment: Path) -> None:
    assert "`paycordon exchange draft --help`" in cli("exchange", "list").out
    assert "name a recipient under `exchange`" in cli("exchange", "recipients").out
    none = cli("exchange", "draft", "-", *ANA, stdin=WORDS)
    assert (none.code, "there is no recipient `coalition`" in none.err) == (2, True)


def test_reasons_are_listed_without_a_deployment(cli) -> None:
    codes = {each["code"]: each for each in cli("exchange", "reasons", "--json").json}
    assert list(codes) == [f"match:{number:02}" for number in range(1, 15)]
    assert codes["match:13"]["name"] == "illegal transactions"
    assert "1 %" in codes["match:04"]["criteria"]
    assert not codes["match:06"]["usable"]
    assert "match:13" in cli("exchange", "reasons").out


def test_a_draft_goes_its_way_and_each_step_says_what_comes_next(cli, member: Path) -> None:
    drafted = cli("exchange", "draft", "-", *ANA, stdin=WORDS)
    assert drafted.code == 1
    assert "item 1: email, seen with the merchant" in drafted.out
    assert "somebody else agrees" in drafted.out
    assert MAIL not in drafted.out
    listed = cli("exchange", "list", "--json").json["contributions"]
    id_, proposal = listed[0]["id"], cli("proposal", "list", "--json").json[0]["id"]
    assert MAIL not in cli("exchange", "show", id_).out
    shown = cli("exchange", "show", id_, "--by", "ben").out
    assert (MAIL in shown, "seen with the merchant" in shown) == (True, True)
    agreed = cli("proposal", "agree", proposal, *BEN)
    assert "a worker (`paycordon work`) tells the recipient" in agreed.out
    cli("work", "--once")
    assert cli("exchange", "show", id_, "--json").json["state"] == "sent"
    assert MAIL not in cli("exchange", "show", id_, "--by", "ben").out
    assert "sent" in cli("exchange", "list").out

    corrected = cli("exchange", "correct", id_, "-", *ANA, "--json", stdin='{"reason": "match:10"}')
    assert corrected.json["proposed"]["kind"] == "correction"
    again = cli("exchange", "correct", id_, "-", *ANA, stdin='{"reason": "match:10"}')
    assert (again.code, "under way already" in again.err) == (2, True)
    retracting = cli("exchange", "retract", id_, *ANA, "--json")
    assert retracting.code == 1, retracting.err
    retracted = retracting.json["proposed"]
    assert cli("proposal", "decline", retracted["id"], *BEN).code == 0
    assert cli("log", "verify").code == 0


def test_what_is_wrong_is_named_by_its_place_and_never_repeated(cli, member: Path) -> None:
    wrong = cli("exchange", "draft", "-", *ANA, stdin=WORDS.replace("kind: email", "kind: E-Mail"))
    assert wrong.code == 2
    assert "<stdin>:5" in wrong.err
    assert MAIL not in wrong.err
    unknown = cli("exchange", "draft", "-", *ANA, stdin=WORDS + "note: secret words\n")
    assert (unknown.code, "unknown key `note`" in unknown.err, "secret words" in unknown.err) == (2, True, False)
    strict = cli("exchange", "draft", "-", *ANA, stdin=WORDS.replace("tlp: green\n", ""))
    assert "TLP:AMBER+STRICT does not go" in strict.err
    worth = cli("exchange", "feedback", "a", "b", "great", *ANA)
    assert "useful, not_useful, false_positive" in worth.err
    for command in (("show", "ctr_1"), ("retract", "ctr_1", *ANA), ("retry", "msg_1", *ANA)):
        assert cli("exchange", *command).code == 2


def test_what_is_stuck_is_found_by_the_doctor_and_sent_again(cli, member: Path) -> None:
    cli("exchange", "draft", "-", *ANA, stdin=WORDS)
    cli("proposal", "agree", cli("proposal", "list", "--json").json[0]["id"], *BEN)
    with closing(sqlite3.connect(member / "paycordon.db")) as connection, connection:
        connection.execute("UPDATE exchange_messages SET state = 'stuck', last_error = 'Refused: wrong form'")
        (message,) = connection.execute("SELECT id FROM exchange_messages").fetchone()
    found = [each for each in cli("doctor", "--json").json["found"] if each["part"] == "exchange"]
    assert [each["health"] for each in found] == ["ok", "fail"]
    assert cli("exchange", "list").code == 1
    assert cli("exchange", "retry", message, *ANA).code == 0
    cli("work", "--once")
    assert cli("exchange", "list", "--json").json["contributions"][0]["state"] == "sent"
    path = member / "paycordon.yaml"
    path.write_text(path.read_text().replace("publisher: .paycordon/publisher", "publisher: public/keys"))
    (found,) = [each for each in cli("doctor", "--json").json["found"] if each["health"] == "fail"]
    assert "lies within `to`" in json.dumps(found)
