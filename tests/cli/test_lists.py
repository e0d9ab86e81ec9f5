from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

WHO = ("--by", "ann", "--reason", "seen in case 7")
RULE = """\
policy: watching
version: 1
on_error: review
child_protection: true
lists: {seen: {store: watched}}
rules:
  - id: watched-account
    on: [merchant.onboarding]
    when: listed(event.account.id, lists.seen)
    then: hold
    merchant_reason: additional_information_required
"""


@pytest.fixture
def watching(deployment: Path) -> Path:
    """A deployment with a rule that looks accounts up in the list `watched`."""
    (deployment / "policies" / "watching.yaml").write_text(RULE)
    return deployment


def logged(deployment: Path) -> str:
    with closing(sqlite3.connect(deployment / "paycordon.db")) as connection:
        return "\n".join(row[0] for row in connection.execute("SELECT kind || payload FROM log"))


def test_a_value_on_a_list_decides_until_it_is_taken_off(cli, watching: Path, make_event) -> None:
    assert cli("screen", stdin=json.dumps(make_event(1))).code == 0
    assert cli("list", "add", "watched", "--file", "-", *WHO, stdin="acct_2\nacct_3\n").code == 0
    done = cli("screen", "--json", stdin=json.dumps(make_event(2)))
    assert done.code == 1
    assert "list:watched" in json.dumps([ref["name"] for ref in done.json["policies"]])
    removed = cli("list", "remove", "watched", "acct_3", "--by", "bob", "--reason", "cleared")
    assert removed.code == 0
    assert "watching/watched-account" in removed.err
    assert cli("screen", stdin=json.dumps(make_event(3))).code == 0
    assert '"guarded":["watching/watched-account"]' in logged(watching)


def test_values_are_shown_with_who_and_why_and_nothing_is_lost(cli, watching: Path) -> None:
    assert cli("list", "add", "watched", *WHO, "--file", "-", "--until", "2099-01-31", stdin="a\n\n b \na\n").code == 0
    assert cli("list", "remove", "watched", "a", "--by", "bob", "--reason", "cleared").code == 0
    (left,) = cli("list", "show", "watched", "--json").json
    assert (left["value"], left["added_by"], left["reason"]) == ("b", "ann", "seen in case 7")
    assert left["expires_at"] == "2099-01-31T00:00:00Z"
    assert len(cli("list", "show", "--all", "--json").json) == 2
    assert "cleared" in cli("list", "show", "--all").out
    assert "nothing" in cli("list", "show", "other").out


def test_the_log_holds_no_value(cli, watching: Path) -> None:
    cli("list", "add", "watched", "acct_unspoken", *WHO)
    assert "list.added" in logged(watching)
    assert "unspoken" not in logged(watching)


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        (("watched", "a", "--by", " ", "--reason", "x"), "", "must say something"),
        (("watched", "a", "--by", "x"), "", "--reason"),
        (("Bad-Name", "a", *WHO), "", "the name of a list"),
        (("watched", *WHO), "", "give a value, or several"),
        (("watched", "a", "--file", "-", *WHO), "b\n", "give a value, or several"),
        (("watched", " ", *WHO), "", "1 to 255 characters"),
        (("watched", "--file", "-", *WHO), "a\n" + "b" * 300 + "\n", "<stdin>:2:1"),
        (("watched", "--file", "-", *WHO), "a\n4242 4242 4242 4242\n", "<stdin>:2:1: looks like a card number"),
        (("watched", "a", *WHO, "--until", "soon"), "", "`--until`"),
        (("watched", "a", *WHO, "--until", "2027-01-31T00:00:00"), "", "`--until`"),
    ],
)
def test_what_cannot_be_taken_is_refused_as_a_whole(cli, watching: Path, arguments, stdin: str, told: str) -> None:
    done = cli("list", "add", *arguments, stdin=stdin)
    assert done.code == 2
    assert told in done.err
    assert cli("list", "show", "--json").json == []


def test_removing_what_is_not_there_says_so(cli, watching: Path) -> None:
    done = cli("list", "remove", "watched", "nosuch", *WHO)
    assert done.code == 2
    assert "value 1 is not on the list `watched`" in done.err


def test_a_list_can_be_changed_while_the_policies_are_broken(cli, watching: Path) -> None:
    cli("list", "add", "watched", "a", *WHO)
    (watching / "policies" / "watching.yaml").write_text("policy: [")
    done = cli("list", "remove", "watched", "a", *WHO, "--json")
    assert (done.code, done.json["removed"]) == (0, 1)
    assert "cannot be read" in done.err
