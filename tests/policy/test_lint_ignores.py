"""Comments that ignore issues: where they count, what they need, and that they cannot outlive the issue."""

from __future__ import annotations

from pathlib import Path

import pytest

from paycordon.policy import lint
from paycordon.policy.lint import Files, Known, examined

REASON = "because the source is our own terms of use"
POLICY = """\
policy: p
version: 1
description: A test.
on_error: hold
rules:
{above}  - id: payout-known{id_}
{over}    on: [payout.requested]
{before}    when: >-{when}
      findings.exists(f,
        f.code == "no.such"){inside}
    then: review{then}
    internal_reason: "Why # lint: ignore P301 {reason}"
"""


@pytest.fixture
def found(tmp_path: Path):
    """Lint the policy with comments in the given places; returns the ids of what is left and of what is ignored."""

    def find(codes=frozenset({"x.y"}), **places):
        path = tmp_path / "p.yaml"
        empty = dict.fromkeys(("above", "id_", "over", "before", "when", "inside", "then"), "")
        path.write_text(POLICY.format(**{**empty, "reason": REASON, **places}))
        report = examined(Files((path,)), Known(codes=codes))
        return [issue.id for issue in report.issues], [issue.id for issue, _ in report.ignored]

    return find


@pytest.mark.parametrize(
    "places",
    [
        {"when": f"  # lint: ignore P101 {REASON}"},
        {"before": f"    # lint: ignore P101 {REASON}\n"},
        {"before": f"    # lint: ignore P101 {REASON}\n\n    # and another comment\n"},
        {"before": f"    #lint:ignore P101  {REASON}\n"},
    ],
    ids=["at the end of the line of the key", "above it", "above it and more", "with other spaces"],
)
def test_a_comment_ignores_an_issue_of_the_expression_below(found, places):
    assert found() == (["P101"], [])
    assert found(**places) == ([], ["P101"])


@pytest.mark.parametrize(
    "places",
    [
        {"then": f"  # lint: ignore P101 {REASON}"},
        {"over": f"    # lint: ignore P101 {REASON}\n"},
        {"above": f"  # lint: ignore P101 {REASON}\n"},
        {"before": f"    # lint: ignore P102 {REASON}\n"},
    ],
    ids=["on another line", "above another line", "on the whole rule", "of another issue"],
)
def test_a_comment_about_something_else_is_a_bug_itself(found, places):
    left, ignored = found(**places)

    assert sorted(left) == ["P101", "P123"]
    assert ignored == []


@pytest.mark.parametrize(
    "comment",
    [
        "ignore P101",
        "ignore P101 because",
        "ignore P101 because no",
        "ignore because it is so and not otherwise",
        "ignore P999 because it is so and not otherwise",
        "ignore P100 because it is so and not otherwise",
        "ignore P123 because it is so and not otherwise",
        "ignore all because it is so and not otherwise",
        "ignore p101 because it is so and not otherwise",
        "off",
    ],
)
def test_a_comment_without_id_or_reason_is_a_bug_and_ignores_nothing(found, comment):
    left, ignored = found(before=f"    # lint: {comment}\n")

    assert sorted(left) == ["P101", "P122"]
    assert ignored == []


def test_several_ids_are_told_apart(found):
    assert found(before=f"    # lint: ignore P101, P305 {REASON}\n") == (["P123"], ["P101"])


def test_what_is_inside_a_value_is_no_comment(found):
    assert found(inside=f"\n        // # lint: ignore P101 {REASON}") == (["P101"], [])


def test_nothing_is_said_of_comments_about_what_was_not_looked_for(found):
    assert found(codes=None, before=f"    # lint: ignore P101 {REASON}\n") == ([], [])


def test_a_policy_that_cannot_be_loaded_cannot_be_ignored(tmp_path: Path):
    path = tmp_path / "p.yaml"
    path.write_text(f"# lint: ignore P100 {REASON}\npolicy: p\n")

    assert {issue.id for issue in lint([path])} == {"P100"}


def test_comments_count_in_bindings_too(tmp_path: Path):
    policy, bindings = tmp_path / "p.yaml", tmp_path / "bindings.yaml"
    policy.write_text(
        "policy: p\nversion: 1\ndescription: A test.\non_error: hold\nrules:\n  - id: payout-known\n"
        "    on: [payout.requested]\n    when: findings.size() > 1\n    then: review\n    internal_reason: Why.\n"
    )
    text = "bindings:\n  - id: a\n    policy: p\n    mode: enforce"
    bindings.write_text(f"{text}\n")
    assert [issue.id for issue in lint([policy], bindings=bindings)] == ["P208"]
    bindings.write_text(f"{text}  # lint: ignore P208 {REASON}\n")
    assert lint([policy], bindings=bindings) == []
