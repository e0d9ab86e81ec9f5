from __future__ import annotations

from pathlib import Path

import pytest

RULE = """\
policy: mine
version: 1
on_error: hold
rules:
  - id: first
    on: [payout.requested]
    when: {when}
    then: {then}
    merchant_reason: additional_information_required
    references: [synthetic]
"""


def test_the_starter_policy_has_no_issues(cli, deployment: Path) -> None:
    done = cli("policy", "lint", "--json")

    assert (done.code, done.json) == (0, [])


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("policy: [", "1:10"),
        ("", "1:1"),
        ("policy: mine\nrulez: []\n", "2:1"),
        (RULE.format(when='"event.payout.amount.minor >"', then="hold"), "7:"),
        (RULE.format(when='"event.nosuch == 1"', then="hold"), "7:"),
        (RULE.format(when='"true"', then="explode"), "8:"),
        ("a: " + "[" * 500, "1:"),
        (b"policy: \xff", "1:9"),
    ],
    ids=["malformed", "empty", "unknown key", "CEL syntax", "CEL field", "wrong word", "deep", "not UTF-8"],
)
def test_a_policy_that_cannot_be_loaded_is_located(cli, deployment: Path, content: str | bytes, place: str) -> None:
    bad = Path("bad.yaml")
    bad.write_bytes(content if isinstance(content, bytes) else content.encode())

    done = cli("policy", "lint", "bad.yaml")
    assert done.code == 1
    assert f"bad.yaml:{place}" in done.out

    bad.rename("policies/bad.yaml")
    for command in (("screen",), ("work", "--once")):
        started = cli(*command, stdin='{"id": "x"}')
        assert started.code == 2
        assert started.out == ""
    doctor = cli("doctor", "--json")
    assert doctor.code == 1
    failed = [each["message"] for each in doctor.json["found"] if each["health"] == "fail"]
    assert any(f"bad.yaml:{place}" in message for message in failed)


def test_a_rule_for_a_code_no_check_emits_is_found(cli, deployment: Path) -> None:
    Path("mine.yaml").write_text(RULE.format(when="'findings.exists(f, f.code == \"no.such\")'", then="hold"))

    done = cli("policy", "lint", "mine.yaml", "--json")

    assert done.code == 1
    (issue,) = (each for each in done.json if each["severity"] == "bug")
    assert (issue["id"], issue["file"], issue["line"]) == ("P101", "mine.yaml", 7)


def test_a_directory_stands_for_its_policies_and_needs_no_configuration(cli, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("some").mkdir()
    Path("some/mine.yaml").write_text(RULE.format(when='"true"', then="allow"))
    Path("some/mine.test.yaml").write_text("not: a policy")

    done = cli("policy", "lint", "some")

    assert "some/mine.test.yaml" not in done.out
    assert "1 files" in done.out
