from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

NAMED = ("--source", "IWF", "--reference", "case-7", "--by", "ada", "--reason", "taken back by the source")


@pytest.fixture
def withdrawal(cli, hold: str, known: str) -> str:
    """A withdrawal of the indicator that the hold rests on; returns its id."""
    done = cli("indicator", "withdraw", *NAMED, "--digest", known, "--json")
    assert done.code == 0, done.err
    (begun,) = done.json["withdrawals"]
    assert begun["decisions"] == 1
    return str(begun["id"])


def test_empty_lists_say_what_to_do_next(cli, deployment: Path) -> None:
    assert "`paycordon indicator withdraw`" in cli("withdrawal", "list").out
    assert cli("withdrawal", "list", "--json").json == []
    assert "nothing is left" in cli("withdrawal", "run").out
    missing = cli("withdrawal", "show", "wd_none")
    assert (missing.code, "`paycordon withdrawal list`" in missing.err) == (2, True)


def test_the_list_is_there_at_once_and_its_verdicts_after_a_run(cli, withdrawal: str, hold: str) -> None:
    (before,) = cli("withdrawal", "show", withdrawal, "--json").json["items"]
    assert (before["how"], before["verdict"], before["active_holds"]) == ("direct", None, 1)
    assert "1 to be judged" in cli("withdrawal", "list").out

    assert cli("withdrawal", "run", "--json").json["steps"] == 2

    shown = cli("withdrawal", "show", withdrawal, "--json").json
    assert shown["decisions"] == {"unsupported": 1}
    assert shown["items"][0]["holds"] == [{"hold": hold, "verdict": "unsupported", "rule": None}]
    assert "unsupported" in cli("withdrawal", "show", withdrawal).out
    assert [each["id"] for each in cli("hold", "list", "--json").json] == [hold]
    assert cli("log", "verify").code == 0


def test_the_worker_judges_it_too(cli, withdrawal: str) -> None:
    assert cli("work", "--once").code == 0
    assert cli("withdrawal", "show", withdrawal, "--json").json["decisions"] == {"unsupported": 1}


def test_the_list_goes_out_as_csv(cli, withdrawal: str, deployment: Path) -> None:
    written = cli("withdrawal", "show", withdrawal, "--csv", "list.csv")
    assert written.code == 0
    (row,) = csv.DictReader(io.StringIO(Path("list.csv").read_text()))
    assert (row["merchant"], row["event"], row["outcome"], row["holds_in_force"]) == ("m_1", "evt_1", "hold", "1")
    assert cli("withdrawal", "show", withdrawal, "--csv", "-").out.splitlines()[1].startswith(row["decision"])
    failed = cli("withdrawal", "show", withdrawal, "--csv", "no/such/place.csv")
    assert (failed.code, "cannot be written" in failed.err) == (2, True)


def test_ids_that_a_spreadsheet_would_take_for_formulas_are_quoted(cli, known: str, make_event) -> None:
    event = make_event(1, id="=cmd|' /C calc'!A0", merchant={"id": "@m"})
    assert cli("screen", stdin=json.dumps(event)).code == 1
    assert cli("indicator", "withdraw", *NAMED, "--digest", known).code == 0
    (begun,) = cli("withdrawal", "list", "--json").json
    (row,) = csv.DictReader(io.StringIO(cli("withdrawal", "show", begun["id"], "--csv", "-").out))
    assert (row["merchant"], row["event"]) == ("'@m", "'=cmd|' /C calc'!A0")


def test_what_nothing_supports_is_proposed_where_a_release_takes_two(cli, withdrawal: str, hold: str) -> None:
    cli("withdrawal", "run")
    done = cli("withdrawal", "release", withdrawal, "--by", "ada", "--reason", "nothing is left of it", "--json")
    assert (done.code, done.json["released"], len(done.json["proposed"])) == (1, [], 1)
    assert [each["id"] for each in cli("hold", "list", "--json").json] == [hold]
    again = cli("withdrawal", "release", withdrawal, "--by", "ada", "--reason", "nothing is left of it", "--json")
    assert (again.code, again.json) == (0, {"released": [], "proposed": []})


def test_a_second_person_agrees_to_many_at_once(cli, withdrawal: str, hold: str) -> None:
    cli("withdrawal", "run")
    done = cli("withdrawal", "release", withdrawal, "--by", "ada", "--reason", "nothing is left of it", "--json")
    (made,) = done.json["proposed"]
    agree = ("proposal", "agree", made, "prop_none", made, "--by", "ben", "--reason", "seen too")

    agreed = cli(*agree)

    assert agreed.code == 1
    assert f"agreed {made}: release of {hold}" in agreed.out
    assert agreed.out.count(made) == 1
    assert "left prop_none as it is: there is no proposal" in agreed.out
    assert cli("hold", "list", "--json").json == []
    again = cli(*agree, "--json")
    assert (again.code, [each["id"] for each in again.json]) == (1, [made, "prop_none"])
    assert all(each["error"] for each in again.json)


def test_a_correction_says_that_decisions_had_used_it(cli, hold: str) -> None:
    add = ("indicator", "add", "--kind", "email", "--value-file", "-", "--source", "IWF", "--reference", "case-7")
    done = cli(*add, "--confidence", "20", "--status", "doubtful", *NAMED[4:], stdin="seller1@shop.example")
    assert "decisions had used what it said before: paycordon withdrawal show wd_" in done.out


def test_a_policy_version_is_withdrawn_once_another_is_in_force(cli, hold: str, deployment: Path) -> None:
    named = ("withdrawal", "policy", "--name", "starter", "--by", "ada", "--reason", "it was wrong")
    policy = Path("policies/starter.yaml")
    version = int(next(line for line in policy.read_text().splitlines() if line.startswith("version:")).split()[1])
    early = cli(*named, "--version", str(version))
    assert (early.code, "is in force" in early.err) == (2, True)
    policy.write_text(policy.read_text().replace(f"version: {version}", f"version: {version + 1}", 1))
    assert cli("screen", stdin=json.dumps({**_EVENT, "id": "evt_2"})).code in (0, 1)

    done = cli(*named, "--version", str(version), "--json")

    assert done.code == 0, done.err
    assert (done.json["decisions"], done.json["judged_while_in_force"]) == (1, 1)
    assert cli(*named, "--version", str(version)).code == 2
    assert cli(*named).code == 2
    assert "no such policy version" in cli(*named, "--version", "99").err


_EVENT = {
    "type": "merchant.onboarding", "occurred_at": "2026-03-02T12:00:00Z", "gateway": "stripe",
    "instance": "stripe_main", "account": {"id": "acct_2"}, "merchant": {"id": "m_2", "mcc": "5734"},
}  # fmt: skip


def test_the_configuration_says_what_happens_to_holds_without_a_reason(cli, withdrawal: str, hold: str) -> None:
    config = Path("paycordon.yaml")
    config.write_text(config.read_text() + "\nwithdrawal: {unsupported: release}\n")
    assert cli("withdrawal", "run").code == 0
    assert [each["id"] for each in cli("hold", "list", "--json").json] == [hold]  # its release takes two people
    config.write_text(config.read_text().replace("unsupported: release", "unsupported: forget"))
    refused = cli("withdrawal", "run")
    assert (refused.code, "unsupported" in refused.err) == (2, True)
