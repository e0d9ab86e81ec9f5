"""Tests beside policies: what they state, what is filled in, how they are judged, and where complaints point."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from paycordon.cli.rehearsal import rehearsal
from paycordon.errors import PolicyError
from paycordon.policy.cases import Meter, junit, load_cases, policy_beside, rules_tried, run, schema

POLICY = """\
policy: payouts
version: 1
on_error: review
params: {small: 200 EUR, many: 3}
lists:
  trusted: {store: trusted}
  own: {items: [ba_own]}
aggregates:
  payers_7d: {distinct: payment.succeeded, window: 7d}
  last_paid: {last: payout.requested, window: 30d, include_current: false}
typologies:
  layering: {thresholds: {review: 10, hold: 20}, merchant_reason: additional_information_required}
rules:
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor >= params.small.minor && event.payout.amount.currency == params.small.currency
    unless: listed(event.payout.destination, lists.trusted)
    then: hold
    merchant_reason: additional_information_required
  - id: known
    on: [payout.requested]
    when: findings.exists(f, f.code == "indicator.match" && f.confidence >= 0.8)
    then: hold
    merchant_reason: identity_verification_required
  - id: crowd
    on: [payout.requested]
    when: aggregates.payers_7d >= params.many
    adds: {layering: 12}
  - id: soon
    on: [payout.requested]
    when: has(aggregates.last_paid) && event.occurred_at - aggregates.last_paid < duration("2h")
    adds: {layering: 12}
  - id: to-strangers
    on: [payout.requested]
    when: event.merchant.url == "https://shop.example/"
    then: review
"""
HEAD = "defaults:\n  event: {type: payout.requested}\ncases:\n"


@pytest.fixture(scope="module")
def past():
    with rehearsal() as opened:
        yield opened


@pytest.fixture
def load(tmp_path: Path):
    def make(cases: str, *, policy: str = POLICY, head: str = HEAD):
        (tmp_path / "payouts.yaml").write_text(policy)
        path = tmp_path / "payouts.test.yaml"
        path.write_text(head + cases)
        return load_cases(path)

    return make


@pytest.fixture
def results(load, past):
    """Run cases and return what became of each, by name."""

    def of(cases: str, **kwargs):
        return {result.case.name: result for result in run(load(cases, **kwargs).cases, past)}

    return of


MERCHANT = "merchant: {url: https://other.example/}"


def test_only_what_matters_is_stated_and_the_rest_is_an_ordinary_event(load) -> None:
    (case,) = load("  - {name: a, event: {payout: {amount: 900.50 EUR}}, expect: {outcome: hold}}\n").cases

    event = case.event
    assert (event.type, event.payout.amount.minor, event.payout.amount.currency) == ("payout.requested", 90_050, "EUR")
    assert event.payout.destination == "ba_1"
    assert event.account.created_at < event.occurred_at


def test_null_takes_an_ordinary_value_away(load) -> None:
    (case,) = load("  - {name: a, event: {payout: {destination: null}}, expect: {outcome: hold}}\n").cases

    assert case.event.payout.destination is None


def test_times_are_relative_to_the_event(load) -> None:
    (case,) = load("  - {name: a, event: {account: {created_at: -90m}}, expect: {outcome: allow}}\n").cases

    assert (case.event.occurred_at - case.event.account.created_at).total_seconds() == 5_400


def test_what_is_as_expected_passes_and_what_is_not_is_told_with_the_reason(results) -> None:
    found = results(
        f"  - {{name: right, event: {{{MERCHANT}, payout: {{amount: 900 EUR}}}}, "
        "expect: {outcome: hold, rules: [large], merchant_reason: additional_information_required}}\n"
        f"  - {{name: wrong, event: {{{MERCHANT}, payout: {{amount: 199.99 EUR}}}}, "
        "expect: {outcome: hold, rules: [large]}}\n"
    )

    assert found["right"].passed
    outcome, rules = found["wrong"].differences
    assert (outcome.what, outcome.expected, outcome.got) == ("outcome", "hold", "allow")
    assert (rules.expected, rules.got) == ("large", "nothing")
    assert any("event.payout.amount.minor >= params.small.minor` is false" in line for line in rules.why)
    assert any("199.99 EUR" in line for line in rules.why)


def test_an_error_that_is_not_expected_fails_a_case_that_has_the_right_outcome(results) -> None:
    cases = "  - {name: a, event: {merchant: {url: null}, payout: {destination: null, amount: 900 EUR}}, expect: %s}\n"

    (failed,) = results(cases % "{outcome: review}").values()
    (passed,) = results(cases % "{outcome: review, errors: [large]}").values()

    assert [each.what for each in failed.differences] == ["errors"]
    assert failed.differences[0].got == "large"
    assert passed.passed


def test_a_near_miss_is_the_same_case_but_for_its_change(results) -> None:
    found = results(
        f"""\
  - name: large
    event: {{{MERCHANT}, payout: {{amount: 900 EUR}}}}
    expect: {{rules: [large]}}
    but:
      - {{name: small, event: {{payout: {{amount: 199.99 EUR}}}}, expect: {{outcome: allow, rules: []}}}}
      - {{name: lenient, params: {{small: 1000 EUR}}, expect: {{rules: []}}}}
      - {{name: trusted, lists: {{trusted: [ba_1]}}, expect: {{rules: []}}}}
      - {{name: tried out, binding: {{mode: shadow}}, expect: {{outcome: allow, shadow: hold}}}}
      - {{name: held already, standing: block, expect: {{includes: [standing_hold, large], outcome: block}}}}
      - {{name: blind, check_errors: [slow], expect: {{includes: [on_error], excludes: [known]}}}}
"""
    )

    assert [each.differences for each in found.values()] == [()] * 7
    assert list(found)[1] == "large / small"


def test_aggregates_are_computed_from_the_history_or_stated(results) -> None:
    found = results(
        f"""\
  - name: history
    event: {{{MERCHANT}}}
    history:
      - {{type: payment.succeeded, occurred_at: -6d, times: 2, every: +1h, payment: {{payer: "p{{n}}"}}}}
      - {{type: payment.succeeded, occurred_at: -1h, payment: {{payer: other}}}}
      - {{type: payout.requested, occurred_at: -1h}}
    expect: {{outcome: hold, scores: {{layering: 24}}, rules: [crowd, soon, typology.layering]}}
    but:
      - name: the payers were there before the window
        history: [{{type: payment.succeeded, occurred_at: -8d, times: 9, payment: {{payer: "p{{n}}"}}}}]
        expect: {{scores: {{layering: 0}}, rules: []}}
      - name: a redelivered payment counts once
        history: [{{id: same, type: payment.succeeded, occurred_at: -1d, times: 9, payment: {{payer: "p{{n}}"}}}}]
        expect: {{rules: []}}
      - name: stated
        aggregates: {{payers_7d: 3, last_paid: -3h}}
        expect: {{scores: {{layering: 12}}, rules: [crowd, typology.layering], outcome: review}}
"""
    )

    assert [each.differences for each in found.values()] == [()] * 4


def test_one_case_leaves_nothing_behind_for_the_next(results) -> None:
    past = '{type: payment.succeeded, occurred_at: -1d, times: 9, payment: {payer: "p{n}"}}'
    found = results(
        f"  - {{name: a, event: {{{MERCHANT}}}, history: [{past}], expect: {{includes: [crowd]}}}}\n"
        f"  - {{name: b, event: {{{MERCHANT}}}, expect: {{rules: []}}}}\n"
    )

    assert [each.differences for each in found.values()] == [(), ()]


@pytest.mark.parametrize(
    ("case", "place", "words"),
    [
        ("{name: a, event: {payuot: {}}, expect: {outcome: hold}}", "4:23", "did you mean `payout`"),
        ("{name: a, expect: {rules: [larg]}}", "4:32", "did you mean `large`"),
        ("{name: a, expect: {errors: [larg]}}", "4:33", "did you mean `large`"),
        ("{name: a, expect: {scores: {layer: 1}}}", "4:33", "no typology `layer`"),
        ("{name: a, params: {smal: 1 EUR}, expect: {rules: []}}", "4:24", "did you mean `small`"),
        ("{name: a, params: {small: 1}, expect: {rules: []}}", "4:31", "write an amount"),
        ("{name: a, aggregates: {payers: 1}, expect: {rules: []}}", "4:28", "did you mean `payers_7d`"),
        ("{name: a, aggregates: {payers_7d: 1.5}, expect: {rules: []}}", "4:39", "whole number"),
        ("{name: a, lists: {truste: [x]}, expect: {rules: []}}", "4:23", "did you mean `trusted`"),
        ("{name: a, lists: {own: [x]}, expect: {rules: []}}", "4:23", "policy's own"),
        ("{name: a, event: {payout: {amount: 900}}, expect: {rules: []}}", "4:40", "900 EUR"),
        ("{name: a, event: {account: {created_at: 3d}}, expect: {rules: []}}", "4:45", "-3d"),
        ("{name: a, history: [{type: payment.succeeded}], expect: {rules: []}}", "4:25", "`occurred_at` is missing"),
        ("{name: a, binding: {mode: enforce, segments: [vip]}, expect: {rules: []}}", "4:24", "no segment `vip`"),
        ("{name: a, expect: {}}", "4:23", "expect at least"),
        ("{name: a, expect: {outcome: holt}}", "4:33", "did you mean `hold`"),
    ],
)
def test_a_slip_in_a_case_is_located(load, case: str, place: str, words: str) -> None:
    with pytest.raises(PolicyError) as raised:
        load(f"  - {case}\n")

    assert f"payouts.test.yaml:{place}: " in str(raised.value)
    assert words in str(raised.value)


def test_all_slips_are_told_at_once(load) -> None:
    with pytest.raises(PolicyError) as raised:
        load("  - {name: a, expect: {rules: [larg]}}\n  - {name: a, expect: {rules: [knwon]}}\n")

    text = str(raised.value)
    assert "larg" in text
    assert "knwon" in text
    assert "two cases have this name" in text


def test_a_history_is_bounded(load) -> None:
    past = ", ".join(["{type: payment.succeeded, occurred_at: -1d, times: 9000}"] * 2)

    with pytest.raises(PolicyError, match="at most 10000 events"):
        load(f"  - {{name: a, history: [{past}], expect: {{rules: []}}}}\n")


def test_a_card_number_is_never_taken(load) -> None:
    with pytest.raises(PolicyError, match="looks like a card number"):
        load("  - {name: a, event: {merchant: {name: '4111 1111 1111 1111'}}, expect: {rules: []}}\n")


def test_the_policy_lies_beside_its_tests(tmp_path: Path) -> None:
    (tmp_path / "payouts.yaml").write_text(POLICY)

    assert policy_beside(tmp_path / "payouts.limits.test.yaml") == tmp_path / "payouts.yaml"
    with pytest.raises(PolicyError, match=r"no policy `other.yaml` beside"):
        policy_beside(tmp_path / "other.test.yaml")


def test_rules_that_are_expected_to_match_count_as_tested(tmp_path: Path) -> None:
    content = b"cases:\n- {name: a, expect: {rules: [x]}, but: [{name: b, expect: {includes: [y], excludes: [z]}}]}\n"

    assert rules_tried(content, tmp_path / "p.test.yaml").met == {"x", "y"}


def test_coverage_names_what_was_never_true_and_never_false(load, past) -> None:
    file = load(
        f"  - {{name: a, event: {{{MERCHANT}, payout: {{amount: 900 EUR}}}}, findings: [other.code], "
        "expect: {rules: [large]}}\n"
    )
    meter = Meter(file)
    for result in run(file.cases, past):
        meter.add(result)

    gaps = {(gap.rule, gap.text): gap for gap in meter.coverage().gaps}
    assert gaps["large", "rule"].missing == "false"
    currency = gaps["large", "event.payout.amount.currency == params.small.currency"]
    assert (currency.missing, currency.position.line) == ("false", 16)
    assert POLICY.splitlines()[15][currency.position.column - 1 :].startswith("event.payout.amount.currency ==")
    assert gaps["known", 'f.code == "indicator.match"'].missing == "true"
    assert ("large", "listed(event.payout.destination, lists.trusted)") in gaps
    assert 0 < meter.coverage().percent < 100


def test_every_answer_seen_is_full_coverage(load, past) -> None:
    policy = POLICY.split("typologies:")[0] + POLICY[POLICY.index("rules:") : POLICY.index("  - id: crowd")]
    file = load(
        """\
  - name: all
    event: {payout: {amount: 900 EUR}}
    findings: [indicator.match]
    expect: {rules: [large, known]}
    but:
      - name: small
        event: {payout: {amount: 1 EUR}}
        findings: [{code: indicator.match, confidence: 0.7}]
        expect: {rules: []}
      - {name: dollars, event: {payout: {amount: 900 USD}}, findings: [other.code], expect: {rules: []}}
      - {name: trusted, lists: {trusted: [ba_1]}, findings: [], expect: {rules: []}}
""",
        policy=policy,
    )
    meter = Meter(file)
    outcomes = []
    for result in run(file.cases, past):
        outcomes.append(result.passed)
        meter.add(result)

    assert outcomes == [True] * 4
    assert meter.coverage().gaps == []
    assert meter.coverage().percent == 100


def test_a_shared_variable_is_covered_once_where_it_is_written(load, past) -> None:
    policy = POLICY.replace(
        "rules:\n", "variables:\n  big: event.payout.amount.minor >= params.small.minor\nrules:\n", 1
    ).replace("when: event.payout.amount.minor >= params.small.minor &&", "when: variables.big &&")
    file = load("  - {name: a, expect: {rules: []}}\n", policy=policy)
    meter = Meter(file)
    for result in run(file.cases, past):
        meter.add(result)

    (gap,) = [gap for gap in meter.coverage().gaps if gap.rule == "variables.big"]
    assert gap.missing == "true"
    assert gap.position.line == policy.splitlines().index("  big: event.payout.amount.minor >= params.small.minor") + 1


def test_results_are_written_for_build_servers(load, past) -> None:
    file = load('  - {name: "<b> & \\u0007", expect: {outcome: block}}\n')
    root = ElementTree.fromstring(junit([("payouts.test.yaml", list(run(file.cases, past)))]))

    (suite,) = root
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert "expected block, got" in str(suite[0][0].get("message"))


def test_the_schema_takes_what_the_loader_takes(load) -> None:
    case = {
        "name": "a",
        "event": {"payout": {"amount": "900 EUR"}, "account": {"created_at": "-3d"}},
        "findings": ["indicator.match", {"code": "x.y", "confidence": 0.5}],
        "history": [{"type": "payment.succeeded", "occurred_at": "-3d", "times": 2, "every": "+1h"}],
        "expect": {"outcome": "hold"},
    }
    jsonschema.validate({"defaults": {"event": {"type": "payout.requested"}}, "cases": [case]}, schema())
    load(f"  - {json.dumps(case)}\n")

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"cases": [{**case, "event": {"payuot": {}}}]}, schema())
