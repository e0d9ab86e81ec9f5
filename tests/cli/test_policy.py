from __future__ import annotations

from pathlib import Path

import pytest

from paycordon.policy import ISSUES

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


CLEAN = """\
policy: mine
version: 1
description: A test.
on_error: hold
{params}rules:
  - id: known-destination
    on: [payout.requested]
    when: findings.exists(f, f.code == "indicator.match")
    then: review
{reason}"""
REASON = "    internal_reason: Why.\n"


@pytest.mark.parametrize(
    ("policy", "ids", "code"),
    [
        (CLEAN.format(params="", reason=REASON), [], 0),
        (CLEAN.format(params="", reason=""), ["P301"], 0),
        (CLEAN.format(params="params: {spare: 1}\n", reason=REASON), ["P102"], 1),
        (CLEAN.format(params="", reason=REASON).replace("on_error: hold", "on_error: block"), ["P211"], 1),
    ],
    ids=["clean", "style", "bug", "risk"],
)
def test_bugs_and_risks_end_with_1_and_style_with_0(
    cli, tmp_path: Path, policy: str, ids: list[str], code: int
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(policy)

    done = cli("policy", "lint", path, "--json")

    assert ([issue["id"] for issue in done.json], done.code) == (ids, code)


def test_a_repair_is_shown_and_what_is_left_decides_the_exit_code(cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(CLEAN.format(params="params: {spare: 1}\n", reason=REASON))
    assert "`--fix` repairs 1" in cli("policy", "lint", path).out

    done = cli("policy", "lint", path, "--fix")

    assert done.code == 0
    assert "\n-params: {spare: 1}\n" in done.out
    assert "raise its `version`" in done.out
    assert done.out.endswith("1 files, no issues\n")
    assert path.read_text() == CLEAN.format(params="", reason=REASON)


def test_a_repair_does_not_mix_with_json(cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(CLEAN.format(params="params: {spare: 1}\n", reason=""))

    done = cli("policy", "lint", path, "--fix", "--json")

    assert [issue["id"] for issue in done.json] == ["P301"]
    assert "-params: {spare: 1}" in done.err


def test_sarif_names_files_relative_to_the_working_directory(cli, deployment: Path) -> None:
    done = cli("policy", "lint", "--sarif")

    (run,) = done.json["runs"]
    assert done.code == 0
    assert run["artifacts"] == [{"location": {"uri": "policies/starter.yaml", "uriBaseId": "ROOT"}}]
    assert {result["suppressions"][0]["kind"] for result in run["results"]} == {"inSource"}


@pytest.mark.parametrize("where", ["configured", "directory", "file"])
def test_bindings_beside_the_policies_are_looked_at(cli, deployment: Path, where: str) -> None:
    Path("policies/bindings.yaml").write_text("bindings:\n  - {id: everywhere, policy: starter, mode: enforce}\n")
    paths = {"configured": [], "directory": ["policies"], "file": ["policies/starter.yaml", "policies/bindings.yaml"]}

    done = cli("policy", "lint", "--json", *paths[where])

    assert done.code == 1
    assert [(issue["id"], Path(issue["file"]).name) for issue in done.json] == [("P208", "bindings.yaml")]


def test_two_bindings_cannot_be_looked_at_together(cli, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bindings.yaml").write_text("bindings: []\n")

    done = cli("policy", "lint", tmp_path / "a", tmp_path / "b")

    assert done.code == 2
    assert "more than one `bindings.yaml`" in done.err


def test_issues_are_explained_without_a_configuration(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    listed = cli("policy", "lint", "--explain", "all")
    explained = cli("policy", "lint", "--explain", "p206")
    unknown = cli("policy", "lint", "--explain", "P999")

    assert [line.split()[0] for line in listed.out.splitlines()] == sorted(ISSUES)
    assert explained.out.startswith("# P206\n")
    assert "## Without" in explained.out
    assert (listed.code, explained.code, unknown.code) == (0, 0, 2)
    assert "`P999`" in unknown.err
