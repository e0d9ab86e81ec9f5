"""P213 to P219: what is asked of soft rules, unverified rules and packs, beside the examples of the explanations."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from paycordon.policy import lint

HEAD = "policy: p\nversion: 1\ndescription: A test.\non_error: review\n"
PACK = "pack: {source: A publication, review_by: 2027-01-01}\n"
RULE = """\
rules:
  - id: many
    on: [payout.requested]
    when: %s
    then: review
    weight: hard
    status: test
    false_positives: [many]
    internal_reason: Why.
    references: [a source]
"""
NOW = datetime(2027, 1, 1, 23, tzinfo=UTC)


@pytest.fixture
def found(tmp_path: Path):
    """Lint a policy, with the tests beside it, for what governance asks; as (id, message)."""

    def look(text: str, tests: str = "", bindings: str = "") -> list[tuple[str, str]]:
        (tmp_path / "p.yaml").write_text(text)
        if tests:
            (tmp_path / "p.test.yaml").write_text(tests)
        if bindings:
            (tmp_path / "bindings.yaml").write_text(bindings)
        issues = lint([tmp_path / "p.yaml"], bindings=tmp_path / "bindings.yaml" if bindings else None, now=NOW)
        return [(issue.id, issue.message) for issue in issues if "P213" <= issue.id <= "P219"]

    return look


@pytest.mark.parametrize(
    ("outcome", "adds", "thresholds", "ids"),
    [
        ("then: review", "", "", ["P214"]),
        ("then: hold", "", "", ["P214"]),
        ("then: block", "", "", ["P213"]),
        ("adds: {t: 1}", "", "review: 2, hold: 3", []),
        ("adds: {t: 2}", "", "review: 2, hold: 3", ["P214"]),
        ("adds: {t: 1}", "", "review: 2, block: 9", ["P213"]),
        ("adds: {t: -1}", "", "review: 2, block: 9", []),
    ],
)
def test_a_soft_rule_adds_less_than_it_takes_and_never_to_a_block(found, outcome, adds, thresholds, ids):
    reason = "merchant_reason: additional_information_required"
    typology = f"typologies:\n  t: {{thresholds: {{{thresholds}}}, {reason}}}\n" if thresholds else ""
    rule = (
        f'rules:\n  - {{id: many, on: [payout.requested], when: \'"a" == "b"\', {outcome}, weight: soft, {reason}}}\n'
    )

    assert [id_ for id_, _ in found(HEAD + typology + rule)] == ids


def test_a_policy_states_weight_and_status_for_its_rules(found):
    text = HEAD + "weight: soft\nstatus: unverified\n" + RULE % "event.payout.method == 'instant'"
    own = text.replace("    weight: hard\n    status: test\n", "")

    assert found(text) == []
    assert [id_ for id_, _ in found(own)] == ["P214", "P217"]


@pytest.mark.parametrize(
    ("mode", "rules", "ids"),
    [
        ("enforce", "", ["P217"]),
        ("shadow", "", []),
        ("off", "", []),
        ("enforce", ", rules: {many: shadow}", []),
        ("shadow", ", rules: {many: enforce}", ["P217"]),
    ],
)
def test_an_unverified_rule_is_in_force_where_bindings_say_so(found, mode, rules, ids):
    text = HEAD + RULE.replace("status: test", "status: unverified") % "event.payout.method == 'instant'"
    bindings = f"bindings:\n  - {{id: b, policy: p, mode: {mode}{rules}, caps: {{holds_per_hour: 5}}}}\n"

    assert [id_ for id_, _ in found(text, bindings=bindings)] == ids


def test_all_that_a_rule_of_a_pack_does_not_say_is_named(found):
    text = HEAD + PACK + 'rules:\n  - {id: many, on: [payout.requested], when: "true || false", then: review}\n'

    documented = dict(found(text))["P215"]
    assert documented.endswith("has no `references`, `status`, `weight`, `false_positives`")


@pytest.mark.parametrize(
    ("condition", "declared"),
    [
        ("event.payout.amount.minor > 5000", ""),
        ("event.account.country == 'NL' && event.payout.amount.minor % 100 == 0", ""),
        ("has(event.account.created_at) && event.occurred_at - event.account.created_at < duration('24h')", ""),
        ("variables.much", "variables: {much: event.payout.amount.minor > 5000}\n"),
        ("aggregates.a > 0", "aggregates: {a: {count: payout.requested, window: 7d}}\n"),
        (
            "aggregates.a > 0",
            "params: {w: 7d}\n"
            "aggregates: {a: {count: payment.succeeded, where: {payer_hour: [1]}, window: params.w}}\n",
        ),
        (
            "aggregates.a > 0",
            "params: {w: 7d}\n"
            "aggregates: {a: {count: payment.succeeded, where: {amount: {below: 5 EUR}}, window: params.w}}\n",
        ),
    ],
)
def test_no_number_stands_in_a_pack_but_under_params(found, condition, declared):
    pack = HEAD + PACK + declared + RULE % condition

    assert "P218" in dict(found(pack))
    assert "P218" not in dict(found(HEAD + declared + RULE % condition))


def test_zero_one_and_texts_are_no_thresholds(found):
    text = HEAD + PACK + RULE % "event.payout.amount.minor > 0 && event.payout.method in ['instant', 'fast']"

    assert "P218" not in dict(found(text))


def test_what_the_tests_do_not_try_is_named(found):
    text = HEAD + PACK + RULE % "event.payout.method == 'instant'"
    case = "cases:\n  - {name: a, event: {type: payout.requested%s}, expect: {rules: [%s]}}\n"

    lacking = dict(found(text))["P216"]
    assert lacking.endswith("that it matches, or that it does not match, or that it nearly matches")
    only_met = dict(found(text, case % (", payout: {method: instant}", "many")))["P216"]
    assert only_met.endswith("no test has it that it does not match, or that it nearly matches")


def test_a_pack_is_out_of_date_from_the_day_after(found):
    text = HEAD + PACK + RULE % "event.payout.method == 'instant'"

    assert "P219" not in dict(found(text))
    assert "P219" in dict(found(text.replace("2027-01-01", "2026-12-31")))
