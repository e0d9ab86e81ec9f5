from __future__ import annotations

import json
from pathlib import Path

import pytest

from paycordon.store import Store

ADD = ("indicator", "add", "--kind", "email", "--source", "IWF", "--reference", "case-7", "--confidence", "90")
ADD = (*ADD, "--status", "confirmed", "--value-file")
NAMED = ("--source", "IWF", "--reference", "case-7", "--by", "ada", "--reason", "taken back by the source")


def everything_stored(deployment: Path) -> str:
    stored = deployment.glob("paycordon.db*")
    return "".join(path.read_bytes().decode("latin-1").casefold() for path in stored)


def log_of(deployment: Path) -> list[tuple[str, dict[str, object]]]:
    store = Store.open(f"sqlite:///{deployment / 'paycordon.db'}")
    try:
        with store.read() as connection:
            rows = connection.exec_driver_sql("SELECT kind, payload FROM log ORDER BY seq").all()
    finally:
        store.close()
    return [(kind, json.loads(payload)) for kind, payload in rows]


def test_an_indicator_is_added_matched_withdrawn_and_matched_no_more(cli, known: str, make_event) -> None:
    assert cli("screen", stdin=json.dumps(make_event())).code == 1

    assert cli("indicator", "withdraw", *NAMED, "--digest", known).code == 0

    other_account = make_event(1, id="evt_8", account={"id": "acct_8"}, merchant={"id": "m_8"})
    decision = cli("screen", "--json", stdin=json.dumps(other_account)).json
    assert "indicator.match" not in {finding["code"] for finding in decision["findings"]}
    assert cli("indicator", "list", "--json").json == []
    (withdrawn,) = cli("indicator", "list", "--all", "--json").json
    assert withdrawn["withdrawn_at"] is not None


def test_only_digests_are_stored_and_each_change_is_logged(cli, deployment: Path) -> None:
    Path("values.txt").write_text("first@shop.example\n\n  Second@Shop.example \nsecond@shop.example\n")
    added = cli(*ADD, "values.txt", "--json")

    assert added.code == 0
    assert len(added.json) == 2
    for command in (("list",), ("list", "--json")):
        assert "shop.example" not in cli("indicator", *command).out
    assert "shop.example" not in everything_stored(deployment)
    assert cli("indicator", "withdraw", *NAMED, "--kind", "email", "--value-file", "values.txt").code == 0
    entries = log_of(deployment)
    assert [kind for kind, _ in entries] == ["indicator.added"] * 2 + ["indicator.withdrawn", "withdrawal.begun"] * 2
    of_indicators = [payload for kind, payload in entries if kind.startswith("indicator.")]
    assert {str(payload["digest"]) for payload in of_indicators} == {each["digest"] for each in added.json}
    assert all((payload["source"], payload["reference"]) == ("IWF", "case-7") for payload in of_indicators)
    assert cli("log", "verify").code == 0


def test_adding_again_replaces_and_revives(cli, known: str) -> None:
    assert cli("indicator", "withdraw", *NAMED, "--digest", known).code == 0
    changed = ("--confidence", "40", "--valid-until", "2030-01-31T00:00:00+01:00")
    assert cli(*ADD, "-", *changed, stdin="seller1@shop.example").code == 0

    (found,) = cli("indicator", "list", "--json").json
    assert (found["digest"], found["confidence"]) == (known, 40)
    assert found["valid_until"] == "2030-01-30T23:00:00Z"
    assert found["withdrawn_at"] is None


@pytest.mark.parametrize(
    ("stdin", "options", "told"),
    [
        ("good@shop.example\n4242424242424242\n", (), "<stdin>:2:1: looks like a card number"),
        ("good@shop.example\n" + "x" * 3_000, (), "<stdin>:2:1: the value is too long"),
        ("", (), "the input is empty"),
        (b"caf\xe9", (), "<stdin>:1:4: the input is not UTF-8"),
        ("good@shop.example", ("--valid-until", "tomorrow"), "`--valid-until`"),
        ("good@shop.example", ("--valid-until", "2030-01-31T00:00:00"), "`--valid-until`"),
        ("good@shop.example", ("--confidence", "101"), "--confidence"),
        ("good@shop.example", ("--source", " "), "`--source`"),
        ("good@shop.example", ("--kind", "E-Mail!"), "`--kind`"),
    ],
)
def test_bad_values_are_located_and_none_is_added(cli, deployment: Path, stdin, options, told: str) -> None:
    done = cli(*ADD, "-", *options, stdin=stdin)

    assert done.code == 2
    assert told in done.err
    assert "4242" not in done.err
    assert cli("indicator", "list", "--all", "--json").json == []


def test_withdrawing_what_is_not_there_changes_nothing(cli, known: str) -> None:
    withdraw = ("indicator", "withdraw", *NAMED)
    values = "seller1@shop.example\nother@shop.example"
    done = cli(*withdraw, "--kind", "email", "--value-file", "-", stdin=values)

    assert done.code == 2
    assert "no indicator `case-7` of `IWF`" in done.err
    assert len(cli("indicator", "list", "--json").json) == 1
    assert cli(*withdraw).code == 2


def test_an_empty_list_says_what_to_do_next(cli, deployment: Path) -> None:
    assert "`paycordon indicator add --help`" in cli("indicator", "list").out


def test_a_kind_that_nobody_knows_is_taken_with_a_note(cli, deployment: Path) -> None:
    done = cli(*ADD, "-", "--kind", "emial", stdin="seller1@shop.example")

    assert done.code == 0
    assert "`emial` is no kind that this version knows" in done.err
    assert cli(*ADD, "-", stdin="seller1@shop.example").err == ""
