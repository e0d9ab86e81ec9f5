"""`scope:` of rules: what it may say, and that changing it is a change like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from paycordon.decisions import Outcome, Scope
from paycordon.errors import ConfigError
from paycordon.gateways import Restriction
from paycordon.policy import evaluate, load_policies
from paycordon.testing import make_event

RULE = """\
policy: p
version: 1
on_error: review
rules:
  - id: r
    on: [{on}]
    when: "true"
    then: {then}
    merchant_reason: additional_information_required
    references: [synthetic]
    {scope}
"""


def loaded(tmp_path: Path, *, on: str = "payout.requested", then: str = "hold", scope: str | None = None):
    path = tmp_path / "p.yaml"
    path.write_text(RULE.format(on=on, then=then, scope=f"scope: {scope}" if scope else ""))
    return load_policies([path])


@pytest.mark.parametrize("scope", [None, "payout", "payouts", "charges"])
def test_a_match_says_what_its_rule_says(tmp_path: Path, scope: str | None) -> None:
    judged = evaluate(loaded(tmp_path, scope=scope), make_event("payout.requested"), [], {})
    (match,) = judged.matches
    assert match.scope == scope


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"then": "review", "scope": "payouts"}, "`then: hold` or `then: block`"),
        ({"on": "merchant.onboarding", "scope": "payout"}, "of the kind `payout.*` alone"),
        ({"on": "payout.requested, dispute.opened", "scope": "payout"}, "of the kind `payout.*` alone"),
        ({"on": "payout.requested", "scope": "onboarding"}, "of the kind `merchant.*` alone"),
        ({"on": "payout.requested", "scope": "outflow"}, "of the kind `merchant.*` alone"),
        ({"scope": "everything"}, "scope"),
    ],
)
def test_a_scope_that_makes_no_sense_is_refused_where_it_stands(tmp_path: Path, rule, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, **rule)
    assert said in str(refused.value)
    assert "p.yaml:" in str(refused.value)


@pytest.mark.parametrize(
    ("scopes", "restriction"),
    [
        ([], "none"),
        ([Scope.PAYOUT], "none"),
        ([Scope.PAYOUT, Scope.PAYOUTS], "payouts_held"),
        ([Scope.PAYOUTS, Scope.CHARGES], "blocked"),
        ([Scope.ONBOARDING], "blocked"),
        ([Scope.OUTFLOW], "payouts_held"),
    ],
)
def test_holds_together_ask_for_the_most_severe_restriction(scopes, restriction: str) -> None:
    assert Restriction.for_scopes(scopes) == restriction


def test_without_a_scope_the_outcome_says_what_is_usual() -> None:
    assert (Scope.usual(Outcome.HOLD), Scope.usual(Outcome.BLOCK)) == (Scope.PAYOUTS, Scope.CHARGES)
