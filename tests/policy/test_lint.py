"""Lint as a whole: every id is documented, fires at its place, and does not fire on its near miss."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest

from paycordon import checks
from paycordon.decisions import Finding, Outcome
from paycordon.policy import ISSUES, Severity, evaluate, lint, load_policies, starter_policy
from paycordon.policy.lint import FIXABLE, explanation

CODES = {code for check in checks.register_checks() for code in check.emits}
NOW = datetime(2026, 3, 1, tzinfo=UTC)
FILE = re.compile(r"^```yaml (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STARTER = Path(str(files("paycordon.policy").joinpath("packs", "starter.yaml")))
HEAD = "policy: p\nversion: 1\ndescription: A test.\non_error: hold\n"
RULE = """\
rules:
  - id: payout-known
    on: [payout.requested]
    when: {when}
    then: {then}
    merchant_reason: some_reason
    internal_reason: Why.
    references: [a source]
    review_after: 1d
"""
PLACES = {
    "P100": (8, 23),
    "P101": (8, 40),
    "P102": (5, 10),
    "P103": (6, 3),
    "P104": (8, 11),
    "P105": (6, 3),
    "P106": (6, 3),
    "P107": (6, 3),
    "P108": (9, 9),
    "P109": (8, 9),
    "P110": (8, 11),
    "P111": (7, 9),
    "P112": (11, 9),
    "P113": (8, 86),
    "P114": (7, 18),
    "P115": (1, 1),
    "P116": (5, 5),
    "P117": (2, 3),
    "P118": (8, 9),
    "P119": (8, 9),
    "P120": (5, 14),
    "P121": (5, 16),
    "P122": (6, 3),
    "P123": (6, 3),
    "P201": (7, 9),
    "P202": (6, 9),
    "P203": (7, 9),
    "P204": (7, 9),
    "P205": (6, 9),
    "P206": (6, 9),
    "P207": (4, 1),
    "P208": (4, 5),
    "P209": (9, 31),
    "P210": (11, 5),
    "P211": (4, 1),
    "P212": (9, 11),
    "P213": (13, 9),
    "P214": (13, 9),
    "P215": (10, 9),
    "P216": (10, 9),
    "P217": (10, 9),
    "P218": (8, 45),
    "P219": (4, 31),
    "P301": (6, 9),
    "P302": (1, 1),
    "P303": (8, 5),
    "P304": (9, 7),
    "P305": (10, 35),
    "P306": (6, 9),
}


def example(id_: str, directory: Path, part: int) -> list[str]:
    """Lint the files that the explanation of an id shows, as `ID line:column`; part 0 has the issue and 1 has not."""
    shown = explanation(id_).split("## Without")[part]
    for name, text in FILE.findall(shown):
        (directory / name).write_text(text)
    paths = [path for path in sorted(directory.iterdir()) if path.name in ("policy.yaml", "other.yaml")]
    bindings = directory / "bindings.yaml"
    found = lint(paths, CODES, bindings=bindings if bindings.exists() else None, gateways={"stripe"}, now=NOW)
    return [f"{issue.id} {issue.position.line}:{issue.position.column}" for issue in found]


@pytest.mark.parametrize("id_", ISSUES)
def test_every_issue_fires_at_its_place_in_the_example_of_its_explanation(tmp_path: Path, id_):
    line, column = PLACES[id_]

    assert example(id_, tmp_path, 0) == [f"{id_} {line}:{column}"]


@pytest.mark.parametrize("id_", ISSUES)
def test_no_issue_fires_on_the_near_miss_of_its_explanation(tmp_path: Path, id_):
    assert example(id_, tmp_path, 1) == []


@pytest.mark.parametrize("id_", ISSUES)
def test_every_issue_is_documented_by_its_sentence_and_the_reason_why_it_matters(id_):
    title, sentence, why, *_ = explanation(id_).split("\n\n")
    meaning = ISSUES[id_]

    assert title == f"# {id_}"
    assert sentence == f"{meaning[0].upper()}{meaning[1:]}."
    assert len(why) > 30
    assert not why.startswith("#")


def test_nothing_else_is_explained_or_repaired():
    folder = files("paycordon.policy.lint").joinpath("explained")

    assert {entry.name.removesuffix(".md") for entry in folder.iterdir()} == set(ISSUES)
    assert set(ISSUES) >= FIXABLE
    with pytest.raises(KeyError):
        explanation("../P100")


def test_the_first_digit_says_how_bad_it_is(tmp_path: Path):
    path = tmp_path / "p.yaml"
    path.write_text(
        "policy: p\nversion: 1\non_error: block\n" + RULE.format(when="event.dispute.id == '1'", then="hold")
    )

    assert [(issue.id, issue.severity) for issue in lint([path])] == [
        ("P302", Severity.STYLE),
        ("P211", Severity.RISK),
        ("P110", Severity.BUG),
    ]


def test_all_problems_of_all_files_are_collected(tmp_path: Path):
    broken, fine, twin = tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "c.yaml"
    broken.write_text(HEAD + RULE.format(when="event.typo == 1 || nope", then="rveiew"))
    for path in (fine, twin):
        path.write_text(HEAD + RULE.format(when="findings.size() > 1", then="review"))
    issues = lint([broken, tmp_path / "missing.yaml", fine, twin])
    assert [(issue.id, str(issue.position.file)) for issue in issues] == [
        ("P100", str(broken)),
        ("P100", str(tmp_path / "missing.yaml")),
        ("P100", str(twin)),
    ]
    assert "two policies named `p`" in issues[-1].message


def test_all_problems_of_bindings_are_collected_and_the_policies_still_looked_at(tmp_path: Path):
    policy, bindings = tmp_path / "p.yaml", tmp_path / "bindings.yaml"
    policy.write_text("policy: p\nversion: 1\non_error: hold\n" + RULE.format(when="findings.size() > 1", then="hold"))
    bindings.write_text(
        "bindings:\n  - {id: a, policy: q, mode: off}\n  - {id: a, policy: p, mode: off, rules: {no: off}}\n"
    )

    issues = lint([policy], bindings=bindings)

    assert [issue.id for issue in issues if issue.position.file == policy] == ["P302"]
    of_bindings = [issue for issue in issues if issue.position.file == bindings]
    assert len(of_bindings) >= 2
    assert {issue.id for issue in of_bindings} == {"P100"}
    assert {issue.position.line for issue in of_bindings} == {2, 3}


def test_a_file_of_tests_that_cannot_be_read_tests_nothing(tmp_path: Path):
    path = tmp_path / "p.yaml"
    when = "\"findings.exists(f, f.code == 'x.y')\""
    path.write_text(HEAD + RULE.format(when=when, then="block"))
    (tmp_path / "p.test.yaml").write_text("cases: nonsense\n")

    assert [issue.id for issue in lint([path])] == ["P203"]


def test_the_tests_of_a_policy_with_a_longer_name_do_not_count(tmp_path: Path):
    tests = "cases:\n  - {name: a, findings: [x.y], expect: {outcome: block, rules: [payout-known]}}\n"
    when = "\"findings.exists(f, f.code == 'x.y')\""
    for name in ("p", "p2"):
        (tmp_path / f"{name}.yaml").write_text(HEAD + RULE.format(when=when, then="block"))
    (tmp_path / "p2.test.yaml").write_text(tests)

    assert [issue.id for issue in lint([tmp_path / "p.yaml"])] == ["P203"]
    (tmp_path / "p.more.test.yaml").write_text(tests)
    assert lint([tmp_path / "p.yaml"]) == []


def test_the_starter_policy_loads_and_has_no_issue_with_the_built_in_checks():
    assert lint([STARTER], CODES, now=NOW) == []
    assert starter_policy().startswith("# A first policy")
    assert {type_ for rule in load_policies([STARTER]).rules for type_ in rule.on} >= {
        "merchant.onboarding",
        "payout.requested",
        "dispute.opened",
    }


def test_the_starter_policy_blocks_only_when_two_findings_agree(event):
    policies = load_policies([STARTER])
    values = dict.fromkeys(policies.aggregates, 0)
    known = Finding(check="indicator_match", code="indicator.match", confidence=0.9)
    weak = Finding(check="indicator_match", code="indicator.match", confidence=0.3)
    shared = Finding(check="shared_identifier", code="identifier.shared_with_blocked", confidence=0.9)
    changed = Finding(check="payout_destination_changed", code="payout.destination_changed")
    expected = [([], "allow"), ([weak], "review"), ([known], "hold"), ([known, shared], "block"), ([changed], "hold")]
    for findings, outcome in expected:
        evaluation = evaluate(policies, event, findings, values)
        assert evaluation.outcome is Outcome(outcome)
        assert not evaluation.errors
        assert bool(evaluation.merchant_reason) is evaluation.outcome.stops


def test_a_thousand_rules_are_linted_in_a_few_seconds(tmp_path: Path):
    body = "".join(
        f"  - id: known-destination-{index}\n    on: [payout.requested]\n    when: >-\n"
        f'      findings.exists(f, f.code == "indicator.match" && f.confidence >= params.certain)\n'
        f"      && has(event.payout.destination) && event.payout.destination == 'ba_{index}'\n"
        f"      && event.payout.amount.currency == params.large.currency\n"
        f"      && event.payout.amount.minor >= params.large.minor && aggregates.payouts_1d > params.many\n"
        f"    then: hold\n    merchant_reason: additional_information_required\n    internal_reason: Why.\n"
        f"    references: [a source]\n"
        for index in range(1_000)
    )
    head = (
        "review_after: 3d\nparams: {certain: 0.8, large: 5000 EUR, many: 5}\n"
        "aggregates: {payouts_1d: {count: payout.requested, window: 1d}}\nrules:\n"
    )
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + head + body)

    started = time.process_time()
    issues = lint([path], CODES)
    took = time.process_time() - started

    assert issues == []
    assert took < 20  # seconds of the processor; about a quarter of that on two busy cores
