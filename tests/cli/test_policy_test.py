from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from paycordon.cli.policy_test import EXAMPLE, watching
from paycordon.errors import PolicyError

POLICY = """\
policy: payouts
version: 1
on_error: hold
rules:
  - id: known-destination
    on: [payout.requested]
    when: findings.exists(f, f.code == "indicator.match")
    then: hold
    merchant_reason: additional_information_required
"""
FAILS = EXAMPLE.replace("expect: {outcome: hold,", "expect: {outcome: block,")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("payouts.yaml").write_text(POLICY)
    return tmp_path


def test_without_tests_it_shows_one_to_copy_which_then_passes(cli, here: Path) -> None:
    empty = cli("policy", "test")
    assert empty.code == 2
    assert "there are no tests yet" in empty.err
    Path("payouts.test.yaml").write_text(empty.out)

    done = cli("policy", "test")

    assert (done.code, done.err) == (0, "")
    assert "1 files, 2 cases, none failed, coverage 75.0 %" in done.out


def test_a_failure_exits_with_1_and_shows_what_was_expected_and_what_came(cli, here: Path) -> None:
    Path("payouts.test.yaml").write_text(FAILS)

    done = cli("policy", "test", "payouts.yaml")

    assert done.code == 1
    assert "FAIL payouts.test.yaml:6:5 a known destination is held\n  outcome\n    - block\n    + hold" in done.out


def test_programs_get_everything_as_json_and_build_servers_as_junit(cli, here: Path) -> None:
    Path("payouts.test.yaml").write_text(FAILS)

    done = cli("policy", "test", "--json", "--junit", "results.xml")

    assert (done.code, done.json["passed"], done.json["failed"]) == (1, 1, 1)
    (case, near) = done.json["files"][0]["cases"]
    assert case["differences"] == [{"what": "outcome", "expected": "block", "got": "hold", "why": []}]
    assert (near["name"], near["passed"]) == ("a known destination is held / nothing is known", True)
    assert ElementTree.parse("results.xml").getroot()[0].get("failures") == "1"


def test_a_slip_in_a_test_exits_with_2_at_its_place(cli, here: Path) -> None:
    Path("payouts.test.yaml").write_text(EXAMPLE.replace("findings: []", "finding: []"))

    done = cli("policy", "test")

    assert done.code == 2
    assert done.err.startswith("error: payouts.test.yaml:9:9: unknown key `finding` (did you mean `findings`?)")


def test_only_chosen_cases_run(cli, here: Path) -> None:
    Path("payouts.test.yaml").write_text(FAILS)

    assert cli("policy", "test", "-k", "nothing is known").code == 0
    nothing = cli("policy", "test", "-k", "no such case")
    assert nothing.code == 2
    assert "no case has `no such case`" in nothing.err


def test_coverage_below_the_limit_fails_and_the_gaps_have_places(cli, here: Path) -> None:
    Path("payouts.test.yaml").write_text(EXAMPLE.split("    but:")[0])

    done = cli("policy", "test", "--fail-under", "90", "--gaps")

    assert done.code == 1
    assert "coverage is below 90 %" in done.err
    assert "payouts.yaml:5:9: known-destination: this rule was never false" in done.out
    assert cli("policy", "test", "--fail-under", "50").code == 0


def test_the_policies_of_the_configuration_are_tested(cli, deployment: Path) -> None:
    (deployment / "policies" / "payouts.yaml").write_text(POLICY)
    (deployment / "policies" / "payouts.test.yaml").write_text(EXAMPLE)

    done = cli("policy", "test")

    assert done.code == 0
    assert "2 cases, none failed" in done.out


def test_watching_runs_again_when_a_file_has_changed_and_survives_a_broken_one(capsys) -> None:
    contents = iter(["a", "a", "a", "b", "b", "c", "c"])
    runs: list[str] = []
    sleeps: list[float] = []

    def once() -> int:
        runs.append("run")
        if len(runs) == 2:
            raise PolicyError("broken")
        return 0

    code = watching(once, lambda: next(contents), sleeps.append, rounds=3)

    assert (code, len(runs), len(sleeps)) == (0, 3, 2)
    assert "broken" in capsys.readouterr().err


def test_a_change_of_a_policy_or_a_list_is_a_change(here: Path) -> None:
    from paycordon.cli.policy_test import _fingerprint

    seen = [_fingerprint(None, Path("paycordon.yaml"))]
    Path("payouts.yaml").write_text(POLICY + "# more\n")
    seen.append(_fingerprint(None, Path("paycordon.yaml")))
    Path("trusted.csv").write_text("value\n")
    seen.append(_fingerprint(None, Path("paycordon.yaml")))

    assert seen[0] != seen[1] != seen[2]


def test_the_examples_pass(cli) -> None:
    examples = Path(__file__).parents[2] / "examples" / "policies"

    done = cli("policy", "test", examples, "--fail-under", "95")

    assert done.code == 0, done.out
