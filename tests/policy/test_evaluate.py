"""Evaluation: pure, errors are never answers, safe between threads."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paycordon.decisions import CheckError, ErrorKind, Finding, Outcome
from paycordon.errors import PolicyError
from paycordon.events import Account, Merchant
from paycordon.policy import PolicySet, evaluate
from paycordon.policy.load import policy_from

MATCH = Finding(
    check="indicator_match", code="indicator.match", confidence=0.9, evidence={"kind": "iban", "n": 3, "gone": None}
)
LATE = CheckError(check="slow", kind=ErrorKind.LATE)


def summary(evaluation):
    return evaluation.outcome, [f"{match.policy}/{match.rule}" for match in evaluation.matches]


def answer(policies, event, expression, head="", aggregates=None, findings=(MATCH,)):
    """True, False or the text of the error."""
    found = evaluate(policies(expression, head=head), event, findings, aggregates or {})
    return found.errors[0].detail if found.errors else bool(found.matches)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("event.type == 'payout.requested' && event.mode == 'live'", True),
        ("event.payout.amount.minor >= 30000 && event.payout.amount.currency == 'EUR'", True),
        ("event.identifiers.exists(i, i.kind == 'iban' && i.digest == 'd1')", True),
        ("event.occurred_at - event.account.created_at < duration('96h')", True),
        ("event.occurred_at == timestamp('2026-03-01T12:00:00Z')", True),
        ("event.occurred_at.getHours() == 12", True),
        ("findings.exists(f, f.code == 'indicator.match' && f.confidence >= 0.8)", True),
        ("findings.exists(f, f.evidence.kind == 'iban' && f.evidence.n > 2 && f.check == 'indicator_match')", True),
        ("findings.exists(f, has(f.evidence.other))", False),
        ("has(event.payout) && !has(event.dispute)", True),
        ("has(event.merchant.created_at)", False),
        ("event.payout.status == null", True),
        ("event.payout.status == 'paid'", False),
        ("true // a comment at the end", True),
        ("event.payout.destination.matches('^(a+)+$')", False),
    ],
)
def test_rules_see_the_event_and_its_findings(policies, event, expression, expected):
    assert answer(policies, event, expression) is expected


@pytest.mark.parametrize(
    "expression",
    [
        "event.payout.automatic",
        "!event.payout.automatic",
        "event.payout.status > 'a'",
        "event.payout.status.startsWith('a')",
        "event.dispute.amount.minor > 100",
        "event.dispute.amount.minor < 100",
        "event.merchant.created_at < event.occurred_at",
        "event.merchant.created_at == null",
        "findings.exists(f, f.evidence.gone > 3)",
    ],
)
def test_computing_with_a_missing_value_is_an_error_and_never_a_default(policies, event, expression):
    assert "missing" in str(answer(policies, event, expression))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("1 / (event.payout.amount.minor - 30000) > 2", "divide by zero"),
        ("findings.exists(f, f.evidence.nope == 'x')", "not found in map"),
        ("duration('30d') < duration('1h')", "Duration"),
        ("9223372036854775807 + event.payout.amount.minor > 0", "overflow"),
        ("event.identifiers[5].kind == 'x'", "index"),
    ],
)
def test_an_error_is_no_answer_although_the_engine_hands_it_out_as_a_truthy_value(policies, event, expression, words):
    found = evaluate(policies(expression), event, [MATCH], {})
    assert words in found.errors[0].detail
    assert summary(found) == (Outcome.REVIEW, ["p/on_error"])


def test_one_error_does_not_touch_the_rules_beside_it(policies, event):
    found = evaluate(policies("true", "1 / 0 > 2", "event.payout.automatic", "true", "false"), event, [], {})
    assert summary(found) == (Outcome.HOLD, ["p/r0", "p/r3", "p/on_error"])
    assert [error.rule for error in found.errors] == ["r1", "r2"]


def test_true_or_error_is_true_as_the_language_has_it(policies, event):
    assert answer(policies, event, "true || 1 / 0 > 2") is True
    assert answer(policies, event, "1 / 0 > 2 || true") is True
    assert answer(policies, event, "false && 1 / 0 > 2") is False


def test_parameters_have_their_types(policies, event):
    head = (
        "params: {money: 199.99 EUR, yen: 500 JPY, age: 4d, days: 14, ratio: 0.5, flag: true, names: [a, ba_1],"
        " word: 200 euros}\n"
    )
    expression = (
        "params.money.minor == 19999 && params.yen.minor == 500 && params.money.currency == 'EUR'"
        " && event.occurred_at - event.account.created_at < params.age && params.days == 14 && params.ratio < 0.6"
        " && params.flag && event.payout.destination in params.names && params.word == '200 euros'"
    )
    assert answer(policies, event, expression, head) is True


def test_aggregates_come_by_policy_and_a_missing_one_is_an_error(policies, event):
    head = "aggregates: {n: {count: payout.requested, window: 1d}}\n"
    assert answer(policies, event, "aggregates.n == 4", head, {"p.n": 4, "q.n": 9}) is True
    assert "missing" in str(answer(policies, event, "aggregates.n > 3", head, {"q.n": 4}))
    assert answer(policies, event, "has(aggregates.n) && aggregates.n == 4", head, {"q.n": 4}) is False


@pytest.mark.parametrize(
    ("on_error", "outcome", "reason"),
    [
        ("allow", Outcome.ALLOW, ""),
        ("review", Outcome.REVIEW, ""),
        ("hold", Outcome.HOLD, "additional_information_required"),
        ("block", Outcome.BLOCK, "additional_information_required"),
    ],
)
def test_on_error_says_what_a_failed_check_means(policies, event, on_error, outcome, reason):
    found = evaluate(policies("false", on_error=on_error), event, [], {}, check_errors=[LATE])
    assert summary(found) == (outcome, ["p/on_error"])
    assert found.merchant_reason == reason
    assert "slow" in found.matches[0].internal_reason


def test_a_failed_check_means_nothing_to_policies_without_a_rule_on_the_event(policies, event):
    other = event.model_copy(update={"type": "merchant.changed"})
    assert summary(evaluate(policies("true"), other, [], {}, check_errors=[LATE])) == (Outcome.ALLOW, [])
    assert summary(evaluate(PolicySet(), event, [], {}, check_errors=[LATE])) == (Outcome.ALLOW, [])


@pytest.mark.parametrize("standing", [Outcome.REVIEW, Outcome.HOLD, Outcome.BLOCK])
def test_a_hold_in_force_stands(policies, event, standing):
    found = evaluate(policies("false"), event, [], {}, standing=standing)
    assert summary(found) == (standing, ["paycordon/standing_hold"])
    assert evaluate(PolicySet(), event, [], {}, standing=standing).outcome is standing


def test_matches_are_ordered_by_policy_and_then_by_the_file(policies, event):
    sets = [policies("true", "true", name=name) for name in ("z", "a")]
    both = PolicySet(policy for each in sets for policy in each.policies)
    found = evaluate(both, event, [], {}, standing=Outcome.HOLD)
    assert summary(found)[1] == ["a/r0", "a/r1", "paycordon/standing_hold", "z/r0", "z/r1"]


EXPRESSIONS = ["true", "false", "1 / 0 > 2", "event.payout.automatic", "findings.size() > 0"]
OUTCOMES = ["review", "hold", "block"]
RULES = st.lists(st.tuples(st.sampled_from(EXPRESSIONS), st.sampled_from(OUTCOMES)), min_size=1, max_size=40)


def rules_policy(rules):
    lines = [
        f"  - {{id: r{index}, on: [payout.requested], when: '{when}', then: {then}, merchant_reason: abc}}"
        for index, when, then in rules
    ]
    return PolicySet([policy_from("\n".join(["policy: p\nversion: 1\non_error: hold\nrules:", *lines]).encode(), "p")])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RULES, st.randoms(use_true_random=False))
def test_the_outcome_does_not_depend_on_the_order_of_rules_and_is_the_same_every_time(event, rules, rng: random.Random):
    numbered = [(index, *rule) for index, rule in enumerate(rules)]
    shuffled = rng.sample(numbered, len(numbered))
    first = evaluate(rules_policy(numbered), event, [MATCH], {})
    again = evaluate(rules_policy(numbered), event, [MATCH], {})
    other = evaluate(rules_policy(shuffled), event, [MATCH], {})
    assert first == again
    assert first.outcome is other.outcome
    assert {match.rule for match in first.matches} == {match.rule for match in other.matches}


def test_a_policy_set_is_shared_between_threads(policies, event):
    head = "params: {small: 200 EUR}\naggregates: {n: {count: payout.requested, window: 1d}}\n"
    shared = policies(
        "event.payout.amount.minor > params.small.minor", "aggregates.n % 2 == 0", "1 / aggregates.n > 0", head=head
    )
    expected = {n: evaluate(shared, event, [MATCH], {"p.n": n}) for n in range(8)}
    numbers = [n % 8 for n in range(4_000)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: evaluate(shared, event, [MATCH], {"p.n": n}), numbers))
    assert all(each == expected[n] for n, each in zip(numbers, found, strict=True))


def test_a_catastrophic_pattern_is_bounded(policies, event):
    name = Merchant(name="a" * 2_000 + "!")
    expression = "event.merchant.name.matches('^(([a-z])+.)+[A-Z]([a-z])+$')"
    policy = policies(expression)
    started = time.process_time()
    evaluate(policy, event.model_copy(update={"merchant": name}), [], {})
    assert time.process_time() - started < 1


def test_doubling_lists_are_refused(policies):
    with pytest.raises(PolicyError, match="may not build lists"):
        policies("[1].map(x, [x, x]).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).size() > 0")


def test_times_are_compared_as_times(policies, event):
    old = event.model_copy(update={"account": Account(id="a", created_at=event.occurred_at - timedelta(days=400))})
    expression = "event.occurred_at - event.account.created_at < duration('336h')"
    assert answer(policies, event, expression) is True
    assert answer(policies, old, expression) is False


def test_many_rules_of_the_greatest_length_are_evaluated(policies, event):
    long = " || ".join(["event.gateway == '" + "x" * 4_000 + "'", "true"])
    found = evaluate(policies(*[long] * 70), event, [], {})
    assert len(found.matches) == 70


def test_a_loop_that_is_too_long_is_an_error_of_its_rule_alone(policies, event):
    many = [MATCH.model_copy(update={"confidence": i / 100}) for i in range(100)]
    endless = "findings.all(a, findings.all(b, b.confidence >= 0.0))"
    found = evaluate(policies("event.type == 'payout.requested'", endless, on_error="block"), event, many, {})
    assert summary(found) == (Outcome.BLOCK, ["p/r0", "p/on_error"])
    assert [error.rule for error in found.errors] == ["r1"]
