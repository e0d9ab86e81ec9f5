"""Bindings: where a policy applies, how hard, to whom it is rolled out, and what it says in shadow."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from paycordon.decisions import CheckError, ErrorKind, Outcome
from paycordon.errors import PolicyError
from paycordon.policy import PolicyFiles, evaluate, load_set

POLICY = """\
policy: p
version: 1
on_error: hold
params: {limit: 100 EUR, days: 3}
rules:
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor > params.limit.minor
    then: hold
    merchant_reason: additional_information_required
  - id: small
    on: [payout.requested]
    when: event.payout.amount.minor <= params.limit.minor
    then: review
"""


@pytest.fixture
def bound(tmp_path: Path):
    """Load the policy under the given bindings."""

    def build(bindings: str, policy: str = POLICY):
        (tmp_path / "p.yaml").write_text(policy)
        (tmp_path / "bindings.yaml").write_text(bindings)
        return load_set(PolicyFiles((tmp_path / "p.yaml",), tmp_path / "bindings.yaml"))

    return build


def one(selection: str = "", mode: str = "enforce") -> str:
    lines = "".join(f"    {line}\n" for line in selection.splitlines())
    return f"bindings:\n  - id: b\n    policy: p\n    mode: {mode}\n{lines}"


def test_a_policy_in_force_says_under_which_binding(bound, event):
    found = evaluate(bound(one()), event, (), {})

    assert (found.outcome, found.bindings, found.shadow) == (Outcome.HOLD, ("b",), None)
    assert [(match.rule, match.binding) for match in found.matches] == [("large", "b")]


def test_a_policy_in_shadow_changes_nothing_and_says_what_it_would(bound, event):
    found = evaluate(bound(one(mode="shadow")), event, (), {})

    assert (found.outcome, found.matches, found.bindings) == (Outcome.ALLOW, (), ("b",))
    assert found.shadow is not None
    assert (found.shadow.outcome, found.shadow.matches[0].rule) == (Outcome.HOLD, "large")


@pytest.mark.parametrize("bindings", [one(mode="off"), one("gateways: [adyen]"), one("until: 2026-01-01")])
def test_a_policy_that_is_off_or_not_selected_says_nothing(bound, event, bindings):
    found = evaluate(bound(bindings), event, (), {})

    assert (found.outcome, found.shadow, found.bindings) == (Outcome.ALLOW, None, ())


def test_a_policy_that_no_binding_names_judges_nothing(bound, event, tmp_path):
    (tmp_path / "q.yaml").write_text(POLICY.replace("policy: p", "policy: q"))
    bound(one())
    policies = load_set(PolicyFiles((tmp_path / "p.yaml", tmp_path / "q.yaml"), tmp_path / "bindings.yaml"))

    assert {match.policy for match in evaluate(policies, event, (), {}).matches} == {"p"}


@pytest.mark.parametrize(
    ("selection", "applies"),
    [
        ("gateways: [stripe, adyen]", True),
        ("instances: [stripe_eu]", True),
        ("instances: [stripe_us]", False),
        ("countries: [DE]", True),  # the account's, as the merchant's is not known
        ("countries: [NL]", False),
        ("mccs: ['5967']", True),  # not known, so not excluded
        ("since: 2026-03-01", True),
        ("since: 2026-03-02", False),
        ("until: 2026-03-02", True),
        ("until: 2026-03-01T12:00:00Z", False),
        ("when: event.payout.method == 'instant'", True),
        ("when: event.payout.method == 'standard'", False),
    ],
)
def test_a_binding_selects(bound, event, selection, applies):
    found = evaluate(bound(one(selection)), event, (), {})

    assert bool(found.matches) is applies


@pytest.mark.parametrize(("mcc", "applies"), [("5967", True), ("5970", True), ("5971", False), ("7995", True)])
def test_categories_are_selected_one_by_one_or_in_ranges(bound, event, mcc, applies):
    known = event.model_copy(update={"merchant": event.merchant.model_copy(update={"mcc": mcc})})

    assert bool(evaluate(bound(one("mccs: ['5967-5970', '7995']")), known, (), {}).matches) is applies


def test_segments_are_named_selectors_and_all_must_hold(bound, event):
    segments = "segments:\n  instant: event.payout.method == 'instant'\n  huge: event.payout.amount.minor > 10000000\n"

    assert evaluate(bound(segments + one("segments: [instant]")), event, (), {}).matches
    assert not evaluate(bound(segments + one("segments: [instant, huge]")), event, (), {}).matches


def test_a_selector_without_an_answer_counts_as_an_error_of_the_policy(bound, event):
    found = evaluate(bound(one("when: event.merchant.mcc > '5000'")), event, (), {})

    assert (found.outcome, found.matches[0].rule) == (Outcome.HOLD, "on_error")
    assert found.errors[0].rule == "binding.b"


def test_params_are_overridden_for_one_binding_alone(bound, event):
    bindings = one("params: {limit: 1000 EUR}") + "  - {id: other, policy: p, mode: shadow}\n"
    found = evaluate(bound(bindings), event, (), {})

    assert [(match.rule, match.binding) for match in found.matches] == [("small", "b")]
    assert found.shadow is not None
    assert {(match.rule, match.binding) for match in found.shadow.matches} == {("small", "b"), ("large", "other")}


def test_a_single_rule_can_stay_in_shadow_or_off(bound, event):
    found = evaluate(bound(one("rules: {large: shadow}")), event, (), {})

    assert found.outcome is Outcome.ALLOW
    assert found.shadow is not None
    assert found.shadow.outcome is Outcome.HOLD
    assert evaluate(bound(one("rules: {large: off}")), event, (), {}).shadow is None


def test_a_rollout_reaches_the_same_merchants_for_ever_and_only_ever_more(bound, event):
    merchants = [f"m_{n}" for n in range(2_000)]
    reached: list[set[str]] = []
    for share in ("0%", "10%", "50%", "99.5%", "100%"):
        policies = bound(one(f"rollout: {share}"))
        again = bound(one(f"rollout: {share}"))
        held = {m for m in merchants if evaluate(policies, event, (), {}, merchant=m).outcome is Outcome.HOLD}
        assert held == {m for m in merchants if evaluate(again, event, (), {}, merchant=m).outcome is Outcome.HOLD}
        reached.append(held)

    assert [len(held) for held in (reached[0], reached[-1])] == [0, 2_000]
    assert all(fewer < more for fewer, more in pairwise(reached))
    assert abs(len(reached[1]) - 200) < 60
    assert abs(len(reached[2]) - 1_000) < 120


def test_whom_a_rollout_does_not_reach_yet_is_judged_in_shadow(bound, event):
    found = evaluate(bound(one("rollout: 0%")), event, (), {})

    assert found.outcome is Outcome.ALLOW
    assert found.shadow is not None
    assert found.shadow.outcome is Outcome.HOLD


def test_a_failed_check_means_what_the_policy_says_where_it_applies_only(bound, event):
    late = [CheckError(check="slow", kind=ErrorKind.LATE)]

    assert evaluate(bound(one("rules: {large: off}")), event, (), {}, check_errors=late).outcome is Outcome.HOLD
    assert evaluate(bound(one("gateways: [adyen]")), event, (), {}, check_errors=late).outcome is Outcome.ALLOW
    in_shadow = evaluate(bound(one(mode="shadow")), event, (), {}, check_errors=late)
    assert in_shadow.outcome is Outcome.ALLOW
    assert in_shadow.shadow is not None
    assert {match.rule for match in in_shadow.shadow.matches} == {"large", "on_error"}


@pytest.mark.parametrize(
    ("bindings", "complaint"),
    [
        (one().replace("policy: p", "policy: q"), "3:13: there is no policy `q`"),
        (one("params: {limits: 1 EUR}"), "5:14: the policy `p` has no parameter `limits` (did you mean `limit`?)"),
        (one("params: {limit: 12}"), "the parameter `limit` of `p` is of another kind (write an amount)"),
        (one("rules: {larg: shadow}"), "5:13: the policy `p` has no rule `larg` (did you mean `large`?)"),
        (one("segments: [eu]"), "there is no segment `eu`"),
        (one("when: event.payout.amont.minor > 3"), "has no field `amont` (did you mean `amount`?)"),
        (one("rollout: 101%"), "`bindings.0.rollout`"),
        (one("mccs: ['5967-5960']"), "the range ends before it begins"),
        (one("since: 2026-02-01\nuntil: 2026-01-01"), "`until` is not after `since`"),
        (one() + one().split("\n", 1)[1], "the binding id `b` is given twice"),
        (one(mode="enforced"), "did you mean `enforce`?"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(bound, bindings, complaint):
    with pytest.raises(PolicyError) as caught:
        bound(bindings)

    assert complaint in str(caught.value)


def test_bindings_are_part_of_what_judged(bound):
    strict, lenient = bound(one()), bound(one(mode="shadow"))

    assert [ref.name for ref in strict.refs] == ["p", "bindings"]
    assert strict.digest != lenient.digest
    assert strict.digest == bound(one()).digest


def test_a_moment_counts_to_the_second(bound, event):
    policies = bound(one("until: 2026-03-01T12:00:01Z"))
    later = event.model_copy(update={"occurred_at": datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)})

    assert evaluate(policies, event, (), {}).matches
    assert not evaluate(policies, later, (), {}).matches
