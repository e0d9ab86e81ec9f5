from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest


def release(cli, hold: str, by: str = "anna"):
    """Propose the release of a hold on an indicator, and let another person agree."""
    done = cli("hold", "release", hold, "--by", by, "--reason", "documents seen", "--yes", "--json")
    assert done.code == 1, done.err
    return cli("proposal", "agree", done.json["proposed"]["id"], "--by", "ben", "--reason", "seen too", "--json")


def test_an_empty_list_says_what_to_do_next(cli, deployment: Path) -> None:
    assert "`paycordon screen`" in cli("hold", "list").out
    assert cli("hold", "list", "--json").json == []
    assert "merchant m_9" in cli("hold", "list", "--merchant", "m_9").out


def test_a_hold_is_listed_by_merchant_and_until_it_is_released(cli, hold: str) -> None:
    def ids(*options: str) -> list[str]:
        return [each["id"] for each in cli("hold", "list", "--json", *options).json]

    assert ids() == ids("--merchant", "m_1") == [hold]
    assert ids("--merchant", "m_2") == []
    assert release(cli, hold).code == 0
    assert ids() == []
    assert ids("--all") == [hold]
    assert "anna" in cli("hold", "list", "--all").out


def test_a_hold_is_shown_with_its_decision_and_the_accounts_it_restricts(cli, hold: str, known: str) -> None:
    done = cli("hold", "show", hold, "--json")

    assert done.code == 0
    assert done.json["hold"]["rule"] == "starter/indicator-certain"
    (finding,) = done.json["decision"]["findings"]
    assert finding["evidence"] == {
        "kind": "email", "digest": known, "source": "IWF", "status": "confirmed", "reference": "case-7",
        "stated": 90, "trust": 100, "relation": "exact", "tlp": "amber+strict",
    }  # fmt: skip
    (restriction,) = done.json["restrictions"]
    assert (restriction["account"], restriction["state"]) == ("acct_1", "pending")

    text = cli("hold", "show", hold).out
    for shown in ("starter/indicator-certain", "indicator.match 0.90", "payouts_held", f"release {hold} --by"):
        assert shown in text


def test_a_release_says_who_and_why_and_leaves_a_log_entry(cli, hold: str) -> None:
    assert release(cli, hold).json["decided_by"] == "ben"

    released = cli("hold", "show", hold, "--json").json["hold"]
    assert released["released_by"] == "anna"
    assert released["release_reason"] == "documents seen"
    assert cli("log", "verify", "--json").json["ok"] is True
    again = cli("hold", "release", hold, "--by", "ben", "--reason", "me too", "--yes")
    assert again.code == 2
    assert "released before" in again.err
    assert cli("hold", "show", hold, "--json").json["hold"]["released_by"] == "anna"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--by", "anna", "--yes"), "--reason"),
        (("--reason", "why", "--yes"), "--by"),
        (("--by", " ", "--reason", "why", "--yes"), "`--by`"),
        (("--by", "anna", "--reason", "", "--yes"), "`--reason`"),
        (("--by", "anna", "--reason", "why"), "`--yes`"),
        (("--by", "anna", "--reason", "paid with 4242 4242 4242 4242", "--yes"), "card number"),
    ],
)
def test_a_release_needs_a_name_a_reason_and_a_yes(cli, hold: str, options: tuple[str, ...], told: str) -> None:
    done = cli("hold", "release", hold, *options)

    assert done.code == 2
    assert told in done.err
    assert cli("hold", "show", hold, "--json").json["hold"]["released_at"] is None


@pytest.mark.parametrize(("answer", "code", "released"), [(b"n\n", 2, False), (b"y\n", 1, True)])
def test_on_a_terminal_a_release_asks(cli, hold: str, answer: bytes, code: int, released: bool) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    command = [sys.executable, "-m", "paycordon", "hold", "release", hold, "--by", "anna", "--reason", "seen"]
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False, timeout=60)
    os.close(ours)
    os.close(theirs)

    assert done.returncode == code, done.stderr
    assert "release hold on account acct_1 of m_1?" in done.stderr
    assert bool(cli("proposal", "list", "--json").json) is released


@pytest.mark.parametrize("command", [("show",), ("release", "--by", "a", "--reason", "b", "--yes")])
def test_a_hold_that_is_not_there_is_named(cli, deployment: Path, command: tuple[str, ...]) -> None:
    done = cli("hold", command[0], "hold_nosuch", *command[1:], "--json")

    assert done.code == 2
    assert done.error == {"kind": "NotFound", "message": "there is no hold `hold_nosuch`"}


def test_stored_text_cannot_steer_the_terminal(cli, known: str, make_event) -> None:
    hostile = "m\x9d0;owned\x9c[red]\u202e"  # of C1; an id with an escape or a bell is refused at the door
    event = make_event(1, merchant={"id": hostile})
    assert cli("screen", stdin=json.dumps(event)).code == 1

    for command in (("hold", "list"), ("screen",)):
        shown = cli(*command, stdin=json.dumps(event)).out
        assert "\x9d" not in shown
        assert "\u202e" not in shown
        assert "[red]" in shown
