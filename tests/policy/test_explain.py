"""Explanations: which part had which value, and what would have had to differ."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paycordon.decisions import CheckError, Finding, Outcome
from paycordon.policy import PolicySet, evaluate
from paycordon.policy.bindings import bindings_from
from paycordon.policy.cel import Unclear
from paycordon.policy.explain import document_of, explain, lines_of, picture_of
from paycordon.policy.explain.parts import Form, parts_of
from paycordon.policy.explain.trace import trace
from paycordon.policy.explain.values import Engine
from paycordon.policy.load import policy_from
from paycordon.policy.schema import bind

MATCH = Finding(
    check="indicator_match",
    code="indicator.match",
    confidence=0.7,
    evidence={"kind": "iban", "digest": "k:1", "source": "synthetic-feed", "reference": "ref-7", "status": "confirmed"},
)
HEAD = """\
params: {large: 500 EUR, certain: 0.8}
aggregates:
  payouts_1d: {count: payout.requested, window: 1d}
"""


@pytest.fixture
def explained(policies, event):
    """Explain the event under rules; they hold, in the order given."""

    def build(*expressions: str, findings=(), number: int | None = 3, head: str = HEAD, **kwargs):
        return explain(policies(*expressions, head=head), event, findings, {"p.payouts_1d": number}, **kwargs)

    return build


@pytest.fixture
def traced(policies, event):
    """Trace one expression on the event."""

    def build(source: str, *findings: Finding):
        (policy,) = policies(source, head=HEAD).policies
        variables = {**bind(event, findings), "aggregates.payouts_1d": 3}
        return trace(source, Engine(policy.language, variables))

    return build


def texts(explanation, **kwargs) -> str:
    return "\n".join("  " * line.depth + line.text for line in lines_of(explanation, **kwargs))


def changes(found) -> list[list[tuple[str, str, str]]]:
    return [[(change.what, change.now, change.needed) for change in each.changes] for each in found]


def test_an_expression_is_taken_apart_down_to_conditions() -> None:
    whole = parts_of("a && (b || !c) && (d ? e : f)")

    assert [(part.form, part.text) for part in whole.within()] == [
        (Form.ALL, "a && (b || !c) && (d ? e : f)"),
        (Form.LEAF, "a"),
        (Form.ANY, "(b || !c)"),
        (Form.LEAF, "b"),
        (Form.NOT, "!c"),
        (Form.LEAF, "c"),
        (Form.CHOICE, "(d ? e : f)"),
        (Form.LEAF, "d"),
        (Form.LEAF, "e"),
        (Form.LEAF, "f"),
    ]


def test_every_part_has_its_value_and_what_it_compared(traced) -> None:
    whole = traced('event.payout.amount.minor >= params.large.minor && event.payout.method == "instant"')

    amount, method = whole.inside
    assert (whole.answer, amount.answer, method.answer) == (False, False, True)
    assert {each.text: each.words for each in amount.shown} == {
        "event.payout.amount.minor": "30000",
        "event.payout.amount": "300.00 EUR",
        "params.large.minor": "50000",
        "params.large": "500.00 EUR",
    }


def test_a_loop_shows_which_finding_satisfied_it(traced) -> None:
    other = Finding(check="x", code="other.code", confidence=0.9)
    whole = traced('findings.exists(f, f.code == "indicator.match" && f.confidence >= 0.6)', other, MATCH)

    assert whole.answer is True
    assert [(each.item, each.answer) for each in whole.inside] == [
        ("other.code 0.90 by x", False),
        ("indicator.match 0.70 by indicator_match", True),
    ]


def test_a_loop_within_a_loop_knows_both_items(traced) -> None:
    whole = traced('findings.exists(f, event.identifiers.exists(i, i.kind == "iban" && f.confidence > 0.5))', MATCH)

    assert [part.answer for part in whole.within()] == [True] * 5


def test_what_is_missing_is_neither_true_nor_false(traced) -> None:
    whole = traced('event.merchant.country == "NL" && event.merchant.created_at < event.occurred_at')

    assert isinstance(whole.inside[1].answer, Unclear)
    assert {each.text: each.words for each in whole.inside[1].shown}["event.merchant.created_at"] == "missing"


def test_rules_that_were_not_considered_say_why(event) -> None:
    text = (
        "policy: p\nversion: 1\non_error: review\nrules:\n"
        "- {id: here, on: [payout.requested], when: 'true', then: review}\n"
        "- {id: there, on: [dispute.opened], when: 'true', then: review}\n"
        "- {id: quiet, on: [payout.requested], when: 'true', then: review}\n"
    )
    policy = policy_from(text.encode(), "p.yaml")
    written = "bindings: [{id: b, policy: p, mode: shadow, rules: {quiet: 'off'}}]"
    rules = {"p": [rule.id for rule in policy.rules]}
    found = explain(PolicySet([policy], bindings_from(written.encode(), "b.yaml", {"p": {}}, rules)), event, (), {})

    here, there, quiet = found.policies[0].rules
    assert (here.skipped, here.answer, here.mode) == ("", True, "shadow")
    assert there.skipped == "runs on dispute.opened, not on payout.requested"
    assert quiet.skipped == "the binding switches it off"
    assert "with what runs in shadow: review: also p/here → review" in texts(found)


def test_the_indicator_behind_a_finding_is_named(explained) -> None:
    found = explained('findings.exists(f, f.code == "indicator.match")', findings=[MATCH])

    assert "behind it: indicator ref-7 of synthetic-feed, confidence 0.70" in texts(found)


def test_the_nearest_amount_that_lowers_the_outcome_is_named(explained) -> None:
    found = explained("event.payout.amount.minor >= 20000")

    assert (found.outcome, [each.outcome for each in found.lower]) == (Outcome.HOLD, [Outcome.ALLOW])
    assert changes(found.lower) == [[("event.payout.amount", "300.00 EUR", "at most 199.99 EUR")]]


def test_the_nearest_values_that_raise_the_outcome_are_named(explained) -> None:
    found = explained("aggregates.payouts_1d > 5", "event.payout.amount.minor >= params.large.minor")

    assert found.outcome is Outcome.ALLOW
    assert changes(found.higher) == [
        [("event.payout.amount", "300.00 EUR", "at least 500.00 EUR")],
        [("aggregates.payouts_1d", "3", "at least 6")],
    ] or changes(found.higher) == [
        [("aggregates.payouts_1d", "3", "at least 6")],
        [("event.payout.amount", "300.00 EUR", "at least 500.00 EUR")],
    ]


def test_two_rules_that_hold_both_have_to_go(explained) -> None:
    found = explained("aggregates.payouts_1d > 2", 'event.payout.method == "instant"')

    (one,) = changes(found.lower)
    assert sorted(one) == [
        ("aggregates.payouts_1d", "3", "at most 2"),
        ("event.payout.method", '"instant"', 'other than "instant"'),
    ]


def test_a_change_that_lets_another_rule_match_is_no_way_out(explained) -> None:
    # Below 20,000 the first rule is quiet, but then the second one holds: no amount helps.
    found = explained("event.payout.amount.minor >= 20000", "event.payout.amount.minor < 20000")

    assert found.lower == ()


def test_one_value_that_quiets_several_rules_is_one_change(explained) -> None:
    found = explained("aggregates.payouts_1d > 2", "aggregates.payouts_1d >= 2", "aggregates.payouts_1d > 0")

    assert changes(found.lower) == [[("aggregates.payouts_1d", "3", "at most 0")]]


def test_conditions_that_no_value_can_satisfy_together_are_not_offered(explained) -> None:
    found = explained("aggregates.payouts_1d > 10 && aggregates.payouts_1d < 5")

    assert found.higher == ()


def test_taking_a_value_away_takes_the_answers_away_that_need_it(explained) -> None:
    found = explained(
        "has(event.payout.method) && event.payout.amount.minor > 1", 'event.payout.method == "slow"', head=HEAD
    )

    # Without a method the second rule has no answer, and `on_error` asks for a review: lower, but not `allow`.
    gone = [each for each in found.lower if each.changes[0].needed == "missing"]
    assert [each.outcome for each in gone] == [Outcome.REVIEW]


def test_a_standing_hold_and_a_failed_check_would_have_to_go(explained) -> None:
    found = explained(
        "false", check_errors=[CheckError(check="slow", kind="late")], standing=Outcome.HOLD, findings=[MATCH]
    )

    assert found.outcome is Outcome.HOLD
    everything = changes(found.lower)
    assert [("the hold in force", "hold", "released")] in everything


def test_points_reach_a_threshold_together(event) -> None:
    text = (
        "policy: p\nversion: 1\non_error: review\n"
        "typologies: {t: {thresholds: {hold: 20}, merchant_reason: some_reason}}\nrules:\n"
        "- {id: a, on: [payout.requested], when: event.payout.amount.minor > 10, adds: {t: 12}}\n"
        "- {id: b, on: [payout.requested], when: event.payout.amount.minor > 40000, adds: {t: 12}}\n"
    )
    found = explain(PolicySet([policy_from(text.encode(), "p.yaml")]), event, (), {})

    assert found.outcome is Outcome.ALLOW
    assert changes(found.higher) == [[("event.payout.amount", "300.00 EUR", "at least 400.01 EUR")]]
    assert "score p/t: 12 points from a" in texts(found)


@settings(max_examples=60, deadline=None)
@given(
    bounds=st.lists(
        st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.integers(0, 9)), min_size=2, max_size=5
    ),
    joins=st.lists(st.sampled_from(["&&", "||"]), min_size=4, max_size=4),
    number=st.integers(0, 9),
)
def test_what_is_said_to_change_the_outcome_does_change_it(bounds, joins, number) -> None:
    """Every counterfactual that names one exact value is tried in the real engine."""
    from datetime import UTC, datetime

    from paycordon.testing import make_event

    expression = " ".join(
        f"{joins[n - 1] if n else ''} (aggregates.payouts_1d {operator} {bound})"
        for n, (operator, bound) in enumerate(bounds)
    )
    text = (
        f"policy: p\nversion: 1\non_error: review\n{HEAD}rules:\n"
        f"- {{id: r, on: [payout.requested], when: '{expression}', then: hold, merchant_reason: some_reason}}\n"
    )
    policies = PolicySet([policy_from(text.encode(), "p.yaml")])
    event = make_event("payout.requested", occurred_at=datetime(2026, 3, 1, tzinfo=UTC))
    found = explain(policies, event, (), {"p.payouts_1d": number})

    for each in (*found.lower, *found.higher):
        needed = {change.needed.split()[-1] for change in each.changes}
        fits = [n for n in range(-2, 12) if evaluate(policies, event, (), {"p.payouts_1d": n}).outcome is each.outcome]
        assert fits, f"{expression} at {number}: {each} can never be"
        if len(needed) == 1:
            assert int(needed.pop()) in fits


def test_an_explanation_is_json(explained) -> None:
    found = document_of(explained("findings.exists(f, f.confidence > 0.5)", findings=[MATCH]))

    rule = json.loads(json.dumps(found))["policies"][0]["rules"][0]
    assert (rule["rule"], rule["answer"]) == ("r0", True)
    loop = rule["expressions"]["when"]
    assert (loop["start"], loop["end"], loop["inside"][0]["values"]) == (0, 38, {"f.confidence": "0.7"})


def test_the_picture_is_escaped_xml_without_script_and_names_every_part(explained) -> None:
    source = '"<script>alert(1)</script>" != "" && event.payout.amount.minor < 10 && event.payout.method == "instant"'
    svg = picture_of(explained(source))

    root = ElementTree.fromstring(svg)
    names = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
    assert names <= {"svg", "title", "style", "text", "g", "rect", "path"}
    assert b"<script" not in svg
    titles = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any("event.payout.amount.minor < 10: false" in str(title) for title in titles)
    assert b"prefers-color-scheme: dark" in svg


def test_control_characters_do_not_break_the_picture(explained) -> None:
    hostile = Finding(check="x\u200b", code="a.b", evidence={})
    svg = picture_of(explained('findings.exists(f, f.check == "\\u0001")', findings=[hostile]))

    ElementTree.fromstring(svg)


def test_a_recorded_decision_that_does_not_come_out_again_is_said(explained) -> None:
    found = explained("false")

    assert found.agrees
    assert "does not come out again" not in texts(found)
