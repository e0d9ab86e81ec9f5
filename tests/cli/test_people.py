"""What people do by hand, on the command line: who they are is proved, and what takes two takes two."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

WHY = ("--reason", "looked at it")


@pytest.fixture
def people(hold: str, deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three people, whose token is their name."""
    lines = "".join(
        f"  {name}: {{roles: [{role}], token_sha256: {hashlib.sha256(name.encode()).hexdigest()}}}\n"
        for name, role in (("ana", "analyst"), ("ben", "approver"), ("vic", "viewer"))
    )
    config = deployment / "paycordon.yaml"
    config.write_text(config.read_text() + "people:\n" + lines)
    monkeypatch.setenv("PAYCORDON_TOKEN", "ana")


def test_a_token_is_recognised_by_the_line_that_was_printed(cli, deployment: Path, monkeypatch) -> None:
    assert "paycordon person token" in cli("person", "list").out
    made = cli("person", "token", "eva", "--role", "approver")
    token, *lines = made.out.splitlines()
    config = deployment / "paycordon.yaml"
    config.write_text(config.read_text() + "\n".join(lines) + "\n")
    assert cli("person", "list", "--json").json == [{"name": "eva", "roles": ["approver"]}]
    assert token not in config.read_text()

    command = ("proposal", "agree", "prop_none", "--by", "eva", *WHY, "--json")
    assert cli(*command).error["kind"] == "Forbidden"
    monkeypatch.setenv("PAYCORDON_TOKEN", token)
    assert cli(*command).error["kind"] == "NotFound"


@pytest.mark.usefixtures("people")
def test_a_person_must_be_who_they_say_and_have_the_role(cli, hold: str, monkeypatch) -> None:
    command = ("hold", "release", hold, *WHY, "--yes", "--json")
    assert cli(*command, "--by", "ben").error["kind"] == "Forbidden"
    assert cli(*command, "--by", "eve").error["kind"] == "Forbidden"
    monkeypatch.setenv("PAYCORDON_TOKEN", "vic")
    assert "the role `analyst`" in cli(*command, "--by", "vic").error["message"]
    assert cli("proposal", "list", "--json").json == []


@pytest.mark.usefixtures("people")
def test_what_the_coalition_is_said_to_know_is_added_by_somebody_who_may(cli, monkeypatch) -> None:
    add = ("indicator", "add", "--kind", "email", "--value-file", "-", "--source", "IWF", "--reference", "case-8")
    command = (*add, "--confidence", "90", "--status", "allegation", *WHY, "--json")
    value = "other@shop.example\n"
    assert cli(*command, "--by", "ben", stdin=value).error["kind"] == "Forbidden"
    assert cli(*command, "--by", "ana", stdin=value).code == 0
    monkeypatch.setenv("PAYCORDON_TOKEN", "vic")
    assert "the role `analyst`" in cli(*command, "--by", "vic", stdin=value).error["message"]
    (added,) = [each for each in cli("indicator", "list", "--json").json if each["reference"] == "case-8"]
    assert added["changed_by"] == "ana"


@pytest.mark.usefixtures("people")
def test_a_release_on_the_coalitions_knowledge_waits_for_the_second_person(cli, hold: str, monkeypatch) -> None:
    done = cli("hold", "release", hold, "--by", "ana", *WHY, "--yes")
    assert done.code == 1
    assert "paycordon proposal agree" in done.out
    (proposal,) = cli("proposal", "list", "--json").json
    assert cli("proposal", "agree", proposal["id"], "--by", "ana", *WHY).code == 2
    monkeypatch.setenv("PAYCORDON_TOKEN", "ben")
    assert cli("proposal", "agree", proposal["id"], "--by", "ben", *WHY).code == 0
    assert cli("hold", "list", "--json").json == []
    assert cli("proposal", "list", "--json").json == []
    assert cli("log", "verify").code == 0


def test_one_person_without_configured_people_cannot_agree_to_themselves(cli, hold: str) -> None:
    made = cli("hold", "release", hold, "--by", "anna", *WHY, "--yes", "--json").json["proposed"]
    again = cli("proposal", "agree", made["id"], "--by", " ANNA ", *WHY, "--json")
    assert again.error["kind"] == "ApprovalRequired"
    assert cli("proposal", "decline", made["id"], "--by", "anna", *WHY).code == 0


def test_a_case_is_worked_on_from_the_list_to_its_end(cli, hold: str) -> None:
    (case,) = cli("case", "list", "--json").json
    assert (case["merchant"], case["state"], case["priority"]) == ("m_1", "open", 0)
    id_ = case["id"]
    assert cli("case", "take", id_, "--by", "anna", "--json").json["assignee"] == "anna"
    assert cli("case", "note", id_, "--text", "called", "--by", "anna").code == 0
    assert cli("case", "attach", id_, "dms:1", "--text", "papers", "--by", "anna").code == 0
    assert cli("case", "request-information", id_, "--by", "anna", *WHY, "--json").json["state"] == "waiting"
    assert cli("case", "resume", id_, "--by", "anna", *WHY, "--json").json["state"] == "open"
    assert cli("case", "escalate", id_, "--by", "anna", *WHY, "--json").json["state"] == "escalated"
    assert cli("case", "assign", id_, "--to", "ben", "--by", "anna", *WHY, "--json").json["assignee"] == "ben"
    assert cli("case", "refer", id_, "--to", "hotline", "--by", "anna", *WHY).code == 1
    assert cli("case", "block", id_, "--merchant-reason", "review_pending", "--by", "anna", *WHY).code == 1
    assert cli("case", "release", id_, "--by", "anna", *WHY, "--yes").code == 1
    assert {each["kind"] for each in cli("proposal", "list", "--json").json} == {"referral", "block", "release"}
    assert cli("case", "uphold", id_, "--by", "anna", *WHY, "--json").json["resolution"] == "uphold"
    assert cli("case", "list", "--json").json == []
    assert "`--all`" in cli("case", "list").out
    assert cli("case", "reopen", id_, "--by", "anna", *WHY, "--json").json["state"] == "open"

    shown = cli("case", "show", id_, "--json").json
    assert [line["kind"] for line in shown["timeline"]][:4] == ["decision", "assign", "note", "attachment"]
    assert [each["id"] for each in shown["holds"]] == [hold]
    assert "What happened" in cli("case", "show", id_).out
    assert cli("log", "verify").code == 0


def test_many_cases_are_counted_first_and_then_taken_assigned_and_upheld(cli, hold: str, make_event) -> None:
    assert cli("screen", stdin=json.dumps(make_event(2))).code == 0
    place = ("hold", "place", "--by", "anna", *WHY, "--merchant-reason", "review_pending", "--json")
    assert cli(*place, "--merchant", "m_2").code == 0
    before = {each["id"] for each in cli("case", "list", "--json").json}
    assert len(before) == 2, before
    dry = cli("case", "take", "--unassigned", "--by", "anna", "--dry-run", "--json")
    assert (dry.code, set(dry.json["cases"])) == (0, before)
    assert {each["assignee"] for each in cli("case", "list", "--json").json} == {None}
    assert cli("case", "take", "--unassigned", "--by", "anna").code == 2, "not without being asked"

    taken = cli("case", "take", "--unassigned", "--by", "anna", "--yes", "--json")
    assert (taken.code, set(taken.json["done"]), taken.json["refused"]) == (0, before, {})
    to = ("--to", "ben", "--by", "anna", *WHY)
    assert "done to 2 of 2" in cli("case", "assign", "--assignee", "anna", *to, "--yes").out
    assert "no open case is meant" in cli("case", "assign", "--assignee", "anna", *to, "--yes").out
    by_hand = ("--rule", "paycordon/by_hand", "--by", "anna", *WHY, "--yes", "--json")
    (upheld,) = cli("case", "uphold", *by_hand).json["done"]
    both = cli("case", "uphold", *sorted(before), "--by", "anna", *WHY, "--yes", "--json")
    assert (both.code, both.json["done"], list(both.json["refused"])) == (1, list(before - {upheld}), [upheld])
    assert cli("case", "list", "--json").json == []
    assert len(cli("hold", "list", "--json").json) == 2, "what is upheld stays held"
    assert cli("log", "verify").code == 0


def test_which_cases_are_meant_must_be_clear(cli, hold: str) -> None:
    (case,) = cli("case", "list", "--json").json
    for wrong in ((), (case["id"], "--unassigned"), ("--since", "2027-01-01"), ("--assignee", "a", "--unassigned")):
        assert cli("case", "uphold", *wrong, "--by", "anna", *WHY, "--yes").code == 2, wrong
    done = cli("case", "uphold", case["id"], "case_none", "--by", "anna", *WHY, "--yes", "--json")
    assert (done.code, done.error["kind"]) == (2, "NotFound")
    assert len(cli("case", "list", "--json").json) == 1


def test_the_content_of_an_attachment_is_refused(cli, hold: str) -> None:
    (case,) = cli("case", "list", "--json").json
    for reference in ("data:text/plain;base64,AAAA", "a whole sentence", ""):
        done = cli("case", "attach", case["id"], reference, "--text", "x", "--by", "anna")
        assert done.code == 2, reference
    assert cli("case", "attach", case["id"], "dms:1", "--sha256", "x", "--text", "x", "--by", "anna").code == 2


def test_a_hold_by_hand_stands_until_it_is_released(cli, hold: str) -> None:
    place = ("hold", "place", "--by", "anna", *WHY, "--merchant-reason", "review_pending", "--json")
    done = cli(*place, "--account", "stripe_main/acct_1", "--amount", "1234 EUR")
    assert done.code == 0, done.err
    assert (done.json["source"], done.json["scope"], done.json["amount"]) == ("person", "payouts", 1234)
    assert cli(*place, "--merchant", "m_none").error["kind"] == "NotFound"
    assert cli(*place, "--merchant", "m_1", "--outcome", "block").code == 1
    for wrong in (("--merchant", "m_1", "--account", "a/b"), (), ("--merchant", "m_1", "--amount", "12.34 EUR")):
        assert cli(*place, *wrong).code == 2
    text = cli("hold", "show", done.json["id"])
    assert "anna" in text.out
    assert cli("log", "verify").code == 0
    assert cli("hold", "release", done.json["id"], "--by", "anna", *WHY, "--yes").code == 0
    assert cli("log", "verify").code == 0


def test_many_holds_are_counted_first_and_then_released_or_proposed(cli, hold: str, make_event) -> None:
    place = ("hold", "place", "--by", "anna", *WHY, "--merchant-reason", "review_pending", "--json")
    assert cli(*place, "--merchant", "m_1").code == 0
    release = ("hold", "release", "--by", "anna", *WHY, "--merchant", "m_1", "--json")
    dry = cli(*release, "--dry-run")
    assert (dry.code, len(dry.json["holds"]), dry.json["two_people"]) == (0, 2, [hold])
    assert len(cli("hold", "list", "--json").json) == 2

    done = cli(*release, "--yes")
    assert (done.code, len(done.json["released"]), len(done.json["proposed"])) == (1, 1, 1)
    again = cli(*release, "--yes")
    assert (again.code, list(again.json["refused"])) == (1, [hold])
    assert cli("hold", "release", "--by", "a", *WHY, "--yes").code == 2
    assert cli("hold", "release", hold, "--case", "x", "--by", "a", *WHY, "--yes").code == 2


def test_a_rule_is_snoozed_for_a_while_by_two_people_where_it_guards(cli, deployment: Path, make_event) -> None:
    assert "snooze add" in cli("snooze", "list").out
    add = ("snooze", "add", "starter/indicator-certain", "--merchant", "m_1", "--by", "anna", *WHY)
    done = cli(*add, "--until", "2999-01-01", "--json")
    assert done.code == 2
    assert "90 days" in done.error["message"]
    assert cli("snooze", "add", "starter/none", *add[3:], "--until", "2999-01-01").code == 2
    from datetime import UTC, datetime, timedelta

    soon = (datetime.now(UTC) + timedelta(days=5)).date().isoformat()
    made = cli(*add, "--until", soon, "--json")
    assert (made.code, made.json["proposed"]["kind"]) == (1, "snooze")
    assert cli("proposal", "agree", made.json["proposed"]["id"], "--by", "ben", *WHY).code == 0
    (snooze,) = cli("snooze", "list", "--json").json
    assert snooze["agreed_by"] == "ben"

    done = cli(
        *("indicator", "add", "--kind", "email", "--value-file", "-", "--source", "IWF", "--reference", "case-7"),
        *("--confidence", "90", "--status", "confirmed", "--by", "anna", *WHY),
        stdin="seller1@shop.example\n",
    )
    assert done.code == 0
    assert cli("screen", stdin=json.dumps(make_event(1))).code == 0
    assert cli("snooze", "end", snooze["id"], "--by", "anna", *WHY).code == 0
    assert cli("screen", stdin=json.dumps(make_event(1, id="evt_2"))).code == 1
    assert cli("log", "verify").code == 0
