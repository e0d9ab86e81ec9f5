"""The example policies and the starter policy: lint has nothing against them, and their own tests try all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from paycordon.decisions import Outcome
from paycordon.plugins import load_all
from paycordon.policy import load_set, starter_policy
from paycordon.policy.lint import Files, Known, examined
from paycordon.policy.load import PolicyFiles
from paycordon.policy.model import PolicySet

EXAMPLES = Path(__file__).parents[2] / "examples" / "policies"
NAMES = ("disputes", "many-small-payments", "onboarding", "payouts")
POLICIES = tuple(EXAMPLES / f"{name}.yaml" for name in NAMES)
WRITTEN = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("starter")
    (directory / "starter.yaml").write_text(starter_policy(), encoding="utf-8")
    tests = Path(__file__).with_name("starter.test.yaml").read_bytes()
    (directory / "starter.test.yaml").write_bytes(tests)
    return directory


@pytest.fixture(scope="module")
def tried(starter: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "paycordon", "policy", "test", "--json", str(EXAMPLES), str(starter)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture(scope="module")
def policies() -> PolicySet:
    return load_set(PolicyFiles(POLICIES, EXAMPLES / "bindings.yaml", EXAMPLES / "rates.csv"))


def test_each_policy_has_its_tests(tried: dict[str, Any]) -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml") if ".test" not in path.name} == {*NAMES, "bindings"}
    assert [file["policy"] for file in tried["files"]] == [*NAMES, "starter"]
    assert all(len(file["cases"]) > 15 for file in tried["files"])


def test_the_tests_see_each_rule_match_and_not_match(tried: dict[str, Any]) -> None:
    rules = [gap["rule"] for file in tried["files"] for gap in file["gaps"] if gap["text"] == "rule"]

    assert rules == []


def test_the_tests_see_each_condition_true_and_false(tried: dict[str, Any]) -> None:
    # `where` asks whether an aggregate is there, which a number of events always is.
    gaps = [gap["text"] for file in tried["files"] for gap in file["gaps"]]

    assert [gap for gap in gaps if not gap.startswith("has(aggregates.")] == []


def test_lint_has_nothing_against_the_examples() -> None:
    plugins = load_all()
    codes = frozenset(code for check in plugins.checks.values() for code in check.emits)
    known = Known(codes, frozenset(plugins.gateways), WRITTEN)

    report = examined(Files(POLICIES, EXAMPLES / "bindings.yaml"), known)

    assert (report.issues, report.ignored) == ([], [])


def test_lint_has_nothing_against_the_starter_policy_with_tests_beside_it(starter: Path) -> None:
    report = examined(Files((starter / "starter.yaml",)), Known(None, None, WRITTEN))

    # With tests of your own the comment in it has nothing left to ignore.
    assert {issue.id for issue in report.issues} <= {"P123"}


def test_the_bindings_say_what_their_comments_do(policies: PolicySet) -> None:
    assert policies.bindings is not None
    by_id = {binding.id: binding for binding in policies.bindings}

    assert by_id["many-small-payments"].mode == "shadow"
    assert by_id["payouts-of-new-travel"].written.rollout == 25.0
    enforced = [binding for binding in policies.bindings if binding.mode == "enforce"]
    assert all(binding.written.caps is not None for binding in enforced)
    assert policies.is_exempt("payouts", "payouts", "known-destination")
    assert not policies.is_exempt("payouts", "payouts", "fast")


def test_behaviour_alone_never_blocks(policies: PolicySet) -> None:
    assert {f"{rule.policy}/{rule.id}" for rule in policies.rules if rule.then is Outcome.BLOCK} == {
        "onboarding/known-and-returning"
    }
    typologies = [each for policy in policies.policies for each in policy.typologies.values()]
    assert [outcome for each in typologies for _, outcome in each.thresholds] == [Outcome.REVIEW, Outcome.HOLD]


def test_every_rule_that_stops_money_has_a_date_and_a_source(policies: PolicySet) -> None:
    stops = [rule for rule in policies.rules if rule.then in (Outcome.HOLD, Outcome.BLOCK)]

    assert [rule.id for rule in stops if not rule.references or rule.review_after is None] == []
