"""Names against lists, as a risk team uses them: build, check, screen, clear."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

LINES = [
    {"id": "q1", "name": "Tomasin Verlaek", "kind": "person", "aliases": ["Tomas Verlaek"]},
    {"id": "q2", "name": "Brundelo Trading Limited", "kind": "organisation", "reference": "https://list.example/q2"},
]


@pytest.fixture
def listed(deployment: Path) -> Path:
    (deployment / "names.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in LINES))
    config = deployment / "paycordon.yaml"
    lists = {"watch": {"file": "names.jsonl", "two_people": False}}
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"name_lists": lists}))
    policy = {
        "policy": "names",
        "version": 1,
        "on_error": "review",
        "rules": [
            {
                "id": "name",
                "on": ["merchant.onboarding"],
                "where": {"finding": "name.match"},
                "then": "review",
            }
        ],
    }
    (deployment / "policies" / "names.yaml").write_text(yaml.safe_dump(policy))
    return deployment


def screened(cli, make_event, number: int, **overrides):
    done = cli("screen", "--json", stdin=json.dumps(make_event(number, **overrides)))
    assert done.code in (0, 1), done.err
    return json.loads(done.out.splitlines()[0])


def matches(decision) -> list:
    return [each for each in decision["findings"] if each["code"] == "name.match"]


def test_a_name_is_found_explained_and_cleared_for_one_merchant(cli, listed, make_event) -> None:
    assert cli("names", "status").code == 1
    assert cli("names", "build").out == "watch: 2 entries\n"
    assert cli("names", "status", "--json").json[0]["state"] == "current"
    person = {"kind": "person", "value": "Tomasim Verlaek"}
    decision = screened(cli, make_event, 1, identifiers=[person])
    (found,) = matches(decision)
    assert (found["evidence"]["list"], found["evidence"]["entry"]) == ("watch", "q1")
    assert found["evidence"]["why"] == "the same: verlaek; alike: tomasin (90%)"
    assert "tomasim" not in json.dumps(decision).lower(), "the name asked about is kept as a digest only"
    assert decision["outcome"] == "review"

    clearance = found["evidence"]["clearance"]
    acts = ("--merchant", "m_1", "--until", "2027-01-31", "--by", "ana", "--reason", "another date of birth")
    done = cli("names", "clear", clearance, *acts)
    assert done.code == 0, done.err
    changed = {"account": {"id": "acct_1"}, "merchant": {"id": "m_1"}, "identifiers": [person]}
    assert matches(screened(cli, make_event, 2, **changed)) == []
    other_name = {**changed, "identifiers": [{"kind": "person", "value": "Tomas Verlaek"}]}
    assert matches(screened(cli, make_event, 3, **other_name)), "cleared is this name, not every name like it"
    assert matches(screened(cli, make_event, 4, identifiers=[person])), "cleared for this merchant only"
    assert cli("snooze", "list", "--json").json[0]["rule"] == clearance
    assert cli("log", "verify").code == 0


def test_what_was_cleared_under_a_former_key_stays_cleared(cli, listed, make_event) -> None:
    cli("names", "build")
    merchant = {"account": {"id": "acct_1"}, "merchant": {"id": "m_1", "name": "Brundelo Trading Ltd."}}
    (found,) = matches(screened(cli, make_event, 1, **merchant))
    acts = ("--merchant", "m_1", "--until", "2027-01-31", "--by", "ana", "--reason", "another company")
    assert cli("names", "clear", found["evidence"]["clearance"], *acts).code == 0
    (listed / ".paycordon" / "next.key").write_text("8" * 64 + "\n")
    (listed / ".paycordon" / "next.key").chmod(0o600)
    config = yaml.safe_load((listed / "paycordon.yaml").read_text())
    keys = {"k2": "file:.paycordon/next.key", "k1": "file:.paycordon/identifier.key"}
    config["identifier_keys"] = {"current": "k2", "keys": keys}
    (listed / "paycordon.yaml").write_text(yaml.safe_dump(config))
    assert matches(screened(cli, make_event, 2, **merchant)) == []
    (old, _) = cli("indicator", "keys", "--json").json
    assert (old["key"], old["cleared"], old["advice"]) == ("k1", 1, "needed")


def test_a_merchants_own_name_is_compared_too(cli, listed, make_event) -> None:
    cli("names", "build")
    decision = screened(cli, make_event, 1, merchant={"id": "m_1", "name": "Brundelo Trading Ltd."})
    (found,) = matches(decision)
    assert (found["evidence"]["name"], found["confidence"]) == ("Brundelo Trading Limited", 1.0)


def test_names_are_checked_by_hand(cli, listed) -> None:
    cli("names", "build")
    done = cli("names", "check", "-", "--kind", "person", "--json", stdin="Verlaek Tomasin\nSomeone Else\n")
    assert done.code == 1
    assert [(each["asked"], each["entry"]["id"]) for each in done.json] == [("Verlaek Tomasin", "q1")]
    assert done.json[0]["why"] == "the same: verlaek, tomasin"
    assert cli("names", "check", "-", stdin="Someone Else\n").out == "no entry is like any of them\n"
    assert cli("names", "check", "-", "--list", "absent", stdin="x\n").code == 2


def test_without_an_index_nothing_starts_and_without_a_list_all_is_empty(cli, listed, make_event) -> None:
    done = cli("screen", stdin=json.dumps(make_event(1)))
    assert done.code == 2
    assert "`paycordon names build` makes it" in done.err
    config = listed / "paycordon.yaml"
    config.write_text(
        yaml.safe_dump({k: v for k, v in yaml.safe_load(config.read_text()).items() if k != "name_lists"})
    )
    for command in (("build",), ("status",), ("check", "-")):
        done = cli("names", *command, stdin="x\n")
        assert done.code == 0
        assert "no list of names is configured" in done.out


def test_a_clearance_that_is_none_is_refused(cli, listed) -> None:
    acts = ("--merchant", "m_1", "--until", "2027-01-31", "--by", "ana", "--reason", "x")
    assert "that is no clearance" in cli("names", "clear", "starter/rule", *acts).err
    assert cli("names", "clear", "names/absent/q1#k:00", *acts).code == 2


def test_a_list_that_is_malformed_leaves_the_index_as_it_was(cli, listed) -> None:
    cli("names", "build")
    (listed / "names.jsonl").write_text('{"id": "q9"}\n')
    done = cli("names", "build", "--json")
    assert (done.code, done.error["line"]) == (2, 1)
    assert cli("names", "status", "--json").json[0] == {
        "list": "watch",
        "entries": 2,
        "threshold": 85,
        "state": "file has changed",
    }
