"""Lint: every issue fires where it should, and nowhere in the starter policy."""

from importlib.resources import files
from pathlib import Path

import pytest

from paycordon.decisions import Outcome
from paycordon.policy import ISSUES, Severity, evaluate, lint, load_policies, starter_policy

CODES = {"indicator.match", "payout.velocity"}
HEAD = "policy: p\nversion: 1\non_error: hold\n"
RULE = """\
rules:
  - id: one
    on: [payout.requested]
    when: {when}
    then: {then}
    merchant_reason: some_reason
"""
CASES = {
    "P100": (HEAD + "rules: []\n", "4:8"),
    "P101": (HEAD + RULE.format(when='findings.exists(f, f.code == "indicator.mach")', then="review"), "7:41"),
    "P102": (HEAD + "params: {used: 1, spare: 2}\n" + RULE.format(when="params.used > 0", then="review"), "4:19"),
    "P103": (
        HEAD + "aggregates:\n  n: {count: payout.requested, window: 1d}\n" + RULE.format(when="1 == 1", then="review"),
        "5:3",
    ),
    "P104": (HEAD + RULE.format(when="event.payout != null", then="review"), "7:11"),
    "P201": (HEAD + RULE.format(when="findings.size() > 0", then="hold"), "5:9"),
    "P202": (HEAD + RULE.format(when="event.mode == 'live'", then="block") + "    references: [x]\n", "5:9"),
}


@pytest.mark.parametrize("id_", sorted(ISSUES))
def test_every_documented_issue_fires_at_its_place(tmp_path: Path, id_):
    text, place = CASES[id_]
    path = tmp_path / "p.yaml"
    path.write_text(text)
    (issue,) = lint([path], CODES)
    assert (issue.id, str(issue.position)) == (id_, f"{path}:{place}")
    assert issue.severity is (Severity.BUG if id_ < "P2" else Severity.RISK)


def test_all_problems_of_all_files_are_collected(tmp_path: Path):
    broken, fine, twin = tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "c.yaml"
    broken.write_text(HEAD + RULE.format(when="event.typo == 1 || nope", then="rveiew"))
    for path in (fine, twin):
        path.write_text(HEAD + RULE.format(when="1 == 1", then="review"))
    issues = lint([broken, tmp_path / "missing.yaml", fine, twin])
    assert [(issue.id, str(issue.position.file)) for issue in issues] == [
        ("P100", str(broken)),
        ("P100", str(tmp_path / "missing.yaml")),
        ("P100", str(twin)),
    ]
    assert "two policies named `p`" in issues[-1].message


@pytest.mark.parametrize("when", ["'indicator.mach' == f.code", "f.code in ['indicator.match', 'indicator.mach']"])
def test_unknown_codes_are_found_however_they_are_compared(tmp_path: Path, when):
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + RULE.format(when=f'"findings.exists(f, {when})"', then="review"))
    (issue,) = lint([path], CODES)
    assert (issue.id, issue.hint) == ("P101", "did you mean `indicator.match`?")
    assert lint([path]) == []


def test_the_starter_policy_loads_and_has_no_issue_with_the_built_in_checks():
    from paycordon import checks

    codes = {code for check in checks.register_checks() for code in check.emits}
    with_path = Path(str(files("paycordon.policy").joinpath("packs", "starter.yaml")))
    assert lint([with_path], codes) == []
    assert starter_policy().startswith("# A first policy")
    assert {type_ for rule in load_policies([with_path]).rules for type_ in rule.on} >= {
        "merchant.onboarding",
        "payout.requested",
        "dispute.opened",
    }


def test_the_starter_policy_blocks_only_when_two_findings_agree(event):
    from paycordon.decisions import Finding

    policies = load_policies([Path(str(files("paycordon.policy").joinpath("packs", "starter.yaml")))])
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
