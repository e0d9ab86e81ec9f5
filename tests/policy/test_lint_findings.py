"""Issues one by one: the forms in which each appears, and the honest forms that look like it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from paycordon.policy import lint

CODES = {"indicator.match", "payout.velocity", "identifier.shared", "identifier.near_blocked", "acme.proof"}
SURE = "findings.exists(f, f.code == 'indicator.match' && f.confidence >= params.certain)"
HEAD = """\
policy: p
version: 1
description: A test.
on_error: hold
review_after: 3d
params: {certain: 0.8, many: 5, few: 2, young: 14d, large: 5000 EUR}
aggregates:
  payouts_1d: {count: payout.requested, window: 1d}
  paid_1d: {sum: payout.requested, window: 1d}
  most_1d: {max: payout.requested, window: 1d}
  first_1d: {first: payout.requested, window: 1d}
  to_it_1d: {count: payout.requested, by: destination, window: 1d}
  paid_in_euro_1d: {sum: payout.requested, window: 1d, where: {currency: EUR}}
"""
BESIDE = {"P102", "P103", "P303"}


def rule(when, *, id_="a-rule", on="payout.requested", then="review", rest=""):
    lines = [f"  - id: {id_}", f"    on: [{on}]", "    when: >-", *(f"      {line}" for line in when.split("\n"))]
    if then:
        lines += [f"    then: {then}", "    internal_reason: Why."]
    if then in ("hold", "block"):
        lines += ["    merchant_reason: additional_information_required", "    references: [a source]"]
    return "\n".join(lines) + f"\n{rest}"


@pytest.fixture
def found(tmp_path: Path):
    """The ids that lint finds in a policy of these rules, apart from the order of keys and what the head declares."""

    def find(*rules, head="", known=CODES, **more):
        path = tmp_path / "p.yaml"
        path.write_text(f"{HEAD}{head}rules:\n{''.join(rules)}")
        return [issue.id for issue in lint([path], known, **more) if issue.id not in BESIDE]

    return find


@pytest.mark.parametrize(
    "when",
    [
        "findings.exists(f, 'indicator.mach' == f.code)",
        "findings.exists(f, f.code in ['indicator.match', 'indicator.mach'])",
        "findings.exists(f, f.code != 'indicator.mach')",
        "findings.filter(f, f.code == 'indicator.mach').size() > 1",
    ],
)
def test_unknown_codes_are_found_however_they_are_compared(found, when):
    assert found(rule(when)) == ["P101"]
    assert found(rule(when), known=None) == []


def test_unknown_codes_are_found_in_readable_conditions_at_their_key(tmp_path: Path):
    path = tmp_path / "p.yaml"
    path.write_text(
        "policy: p\nversion: 1\ndescription: A test.\non_error: hold\n"
        "rules:\n  - id: a-rule\n    on: [payout.requested]\n"
        "    where:\n      event.mode: live\n      finding: indicator.mach\n"
        "    then: review\n    internal_reason: Why.\n"
    )

    (issue,) = lint([path], CODES)

    assert (issue.id, issue.position.line, issue.hint) == ("P101", 10, "did you mean `indicator.match`?")


@pytest.mark.parametrize("part", ["", ".currency"])
def test_a_parameter_counts_as_used_wherever_it_is_used(tmp_path: Path, part):
    path = tmp_path / "p.yaml"
    used = f"event.payout.amount{part} == params.mine{part}"
    for key in ("when", "unless"):
        other = "" if key == "when" else "    when: findings.size() > 1\n"
        path.write_text(
            "policy: p\nversion: 1\ndescription: A test.\non_error: hold\nparams: {mine: 1 EUR}\nrules:\n"
            f"  - id: a-rule\n    on: [payout.requested]\n{other}    {key}: {used}\n    then: review\n"
            "    internal_reason: Why.\n"
        )
        assert lint([path]) == []


def test_a_variable_that_only_an_unused_variable_uses_is_left_for_the_next_time(found):
    head = "variables:\n  live: event.mode == 'live'\n  many: variables.live && findings.size() > 1\n"

    assert found(rule(SURE), head=head) == ["P105"]
    assert found(rule("variables.many"), head=head) == []


def test_contradictions_are_found_through_variables_exceptions_and_readable_conditions(found):
    head = "variables:\n  many: aggregates.payouts_1d > params.many\n"
    assert found(rule("variables.many && aggregates.payouts_1d < params.few"), head=head) == ["P108"]
    assert found(rule("aggregates.payouts_1d > params.many", rest="    unless: variables.many\n"), head=head) == [
        "P108"
    ]
    where = "    where: {event.payout.method: instant}\n"
    assert found(rule("event.payout.method == 'standard'", rest=where)) == ["P108"]
    assert found(rule("event.payout.method == 'instant'", rest=where)) == []


@pytest.mark.parametrize(
    "when",
    [
        "event.type == 'dispute.opened'",
        "event.mode == 'sandbox'",
        "findings.exists(f, f.confidence > 1.0)",
        "findings.exists(f, f.confidence < 0.0)",
        "findings.size() < 0",
        "aggregates.payouts_1d < 0",
        "false",
        "'a' == 'b'",
    ],
)
def test_what_no_event_can_be_never_matches(found, when):
    assert found(rule(when)) == ["P108"]


@pytest.mark.parametrize("when", ["true", "findings.size() >= 0", "event.type in ['payout.requested', 'x.y']"])
def test_what_every_event_is_always_matches(found, when):
    assert found(rule(when)) == ["P109"]
    assert found(rule(f"{when} && findings.size() > 1")) == []


def test_limits_that_a_binding_sets_apart_are_no_contradiction(tmp_path: Path, found):
    between = rule("aggregates.payouts_1d > params.many && aggregates.payouts_1d < params.few")
    bindings = tmp_path / "bindings.yaml"
    bindings.write_text("bindings:\n  - {id: a, policy: p, mode: shadow, params: {few: 50}}\n")

    assert found(between) == ["P108"]
    assert found(between, bindings=bindings) == []


def test_a_switch_in_the_parameters_is_no_contradiction(found):
    assert found(rule("params.many > 9 && findings.size() > 1")) == ["P305"]


def test_parts_of_an_event_are_only_missed_where_no_type_has_them(found):
    reads = "has(event.dispute.reason) && event.dispute.reason == 'fraudulent'"

    assert found(rule(reads)) == ["P110"]
    assert found(rule(reads, on="payout.requested, dispute.opened")) == []
    assert found(rule("event.payment.payer == 'x'", on="dispute.opened")) == ["P110"]


def test_a_rule_is_covered_only_by_one_that_stops_as_hard_on_all_its_events(found):
    narrow, wide = "findings.size() > 5 && event.mode == 'live'", "findings.size() > 3"
    narrow = narrow.replace("5", "params.many")
    wide = wide.replace("3", "params.few")
    one, other = {"id_": "narrow-one"}, {"id_": "wide-one"}

    assert found(rule(narrow, **one), rule(wide, **other)) == ["P111"]
    assert found(rule(wide, **other), rule(narrow, **one)) == ["P111"]
    assert found(rule(narrow, then="hold", **one), rule(wide, **other)) == []
    assert found(rule(narrow, on="payout.requested, payout.updated", **one), rule(wide, **other)) == []
    assert found(rule(narrow, **one), rule(wide, rest="    unless: event.mode == 'live'\n", **other)) == []


def test_a_rule_that_adds_points_is_not_covered(found):
    head = "typologies:\n  t:\n    thresholds: {review: 1}\n    internal_reason: Why.\n"
    adds = rule("findings.size() > params.many", id_="adding-one", rest="    adds: {t: 1}\n")

    assert found(adds, rule("findings.size() > params.few"), head=head) == []


def test_a_rule_is_not_covered_by_one_that_a_binding_takes_out_of_force(tmp_path: Path, found):
    rules = (
        rule("findings.size() > params.many", id_="narrow-one"),
        rule("findings.size() > params.few", id_="wide-one"),
    )
    bindings = tmp_path / "bindings.yaml"
    bindings.write_text("bindings:\n  - {id: a, policy: p, mode: shadow}\n")
    assert found(*rules, bindings=bindings) == ["P111"]
    bindings.write_text("bindings:\n  - {id: a, policy: p, mode: shadow, rules: {wide-one: off}}\n")
    assert found(*rules, bindings=bindings) == []


def test_equal_rules_are_named_once_at_the_later_one(tmp_path: Path):
    path = tmp_path / "p.yaml"
    rules = rule(SURE, id_="one-rule"), rule(SURE.replace("f.", "g.").replace("(f", "(g"), id_="other-rule")
    path.write_text(f"{HEAD}rules:\n{''.join(rules)}")

    (issue,) = [issue for issue in lint([path], CODES) if issue.id not in BESIDE]

    assert issue.id == "P112"
    assert "`other-rule`" in issue.message
    assert "`one-rule`" in issue.message


@pytest.mark.parametrize(
    "when",
    [
        "event.occurred_at - event.account.created_at < params.young",
        "findings.size() > 1 || event.occurred_at - event.account.created_at < params.young",
        "has(event.merchant.created_at) && event.account.created_at < event.occurred_at",
        "!has(event.account.created_at) && event.account.created_at < event.occurred_at",
        "event.account.created_at == event.occurred_at",
        "event.payout.automatic",
        "!event.payout.automatic",
        "event.merchant.country.startsWith('N')",
        "event.payout.method != 'instant'",
        "findings.exists(f, f.evidence.score == 1)",
        "event.identifiers.exists(i, i.digest.startsWith('a'))",
        "aggregates.payouts_1d > aggregates.most_1d",
        "aggregates.to_it_1d > params.many",
        "aggregates.first_1d < event.occurred_at",
        "aggregates.first_1d != null && aggregates.first_1d < event.occurred_at",
    ],
)
def test_values_that_may_be_missing_are_found(found, when):
    assert found(rule(when)) == ["P209"]


@pytest.mark.parametrize(
    "when",
    [
        "has(event.account.created_at) && event.occurred_at - event.account.created_at < params.young",
        "event.occurred_at - event.account.created_at < params.young && has(event.account.created_at)",
        "!has(event.account.created_at) || event.occurred_at - event.account.created_at < params.young",
        "has(event.account.created_at) ? event.account.created_at < event.occurred_at : findings.size() > 1",
        "!(!has(event.payout.automatic) || event.payout.automatic)",
        "event.payout.automatic == true",
        "event.payout.method == 'instant' && event.payout.method.size() > 1",
        "event.payout.method in ['instant'] && event.payout.method != 'x'",
        "event.payout.amount.minor < 0",
        "findings.exists(f, has(f.evidence.score) && f.evidence.score == 1)",
        "event.merchant.country != null",
        "event.merchant.country != null && event.merchant.country.startsWith('N')",
        "event.merchant.country == null || event.merchant.country.startsWith('N')",
        "has(aggregates.most_1d) && aggregates.payouts_1d > aggregates.most_1d",
        "aggregates.to_it_1d != null && aggregates.to_it_1d > params.many",
        "has(aggregates.first_1d) && aggregates.first_1d < event.occurred_at",
        "findings.exists(f, f.confidence > params.certain)",
    ],
)
def test_values_that_are_certainly_there_are_not_complained_of(found, when):
    assert found(rule(when)) == []


def test_a_part_that_only_some_of_the_types_have_is_asked_for_first(found):
    types = {"on": "payout.requested, merchant.changed"}

    assert found(rule("event.payout.amount.minor < 0", **types)) == ["P209"]
    assert found(rule("has(event.payout) && event.payout.amount.minor < 0", **types)) == []
    assert found(rule("event.type == 'payout.requested' && event.payout.amount.minor < 0", **types)) == []


@pytest.mark.parametrize(
    "when",
    [
        "findings.exists(f, f.code == 'indicator.match')",
        "findings.exists(f, f.code == 'indicator.match' && f.confidence >= 0.5)",
        "findings.exists(f, f.code in ['indicator.match', 'acme.proof'])",
        "findings.exists(f, f.code == 'payout.velocity') && findings.exists(f, f.code == 'identifier.shared')",
        "findings.exists(f, f.code == 'identifier.near_blocked')",
        f"{SURE} || findings.exists(f, f.code == 'payout.velocity')",
        "findings.size() > 3",
        f"!{SURE}",
    ],
)
def test_a_block_on_soft_indicators_is_found(found, when):
    assert "P205" in found(rule(when, then="block"))
    assert "P205" not in found(rule(when, then="hold"))


@pytest.mark.parametrize(
    "when",
    [
        SURE,
        "findings.exists(f, f.code == 'acme.proof')",
        "findings.exists(f, (f.code == 'indicator.match' && f.confidence > 0.9) || f.code == 'acme.proof')",
        f"{SURE} && findings.exists(f, f.code == 'payout.velocity')",
    ],
)
def test_a_block_on_more_than_that_is_not(found, when):
    assert "P205" not in found(rule(when, then="block"))


def test_a_typology_that_one_soft_rule_alone_brings_to_a_block_is_found(found):
    thresholds = "typologies:\n  t:\n    thresholds: {{block: {least}}}\n    merchant_reason: agreement_not_met\n"
    says = "    internal_reason: Why.\n    references: [a source]\n"
    soft = "findings.exists(f, f.code == 'payout.velocity')"
    adds = (
        rule(soft, then=None, rest="    adds: {t: 5}\n"),
        rule(SURE, id_="b-rule", then=None, rest="    adds: {t: 5}\n"),
    )

    assert found(*adds, head=thresholds.format(least=5) + says) == ["P205"]
    assert found(*adds, head=thresholds.format(least=10) + says) == []


@pytest.mark.parametrize(
    ("when", "complains"),
    [
        ("event.merchant.country == 'NL'", True),
        ("has(event.account.country) && event.account.country in ['NL', 'BE']", True),
        ("event.merchant.name.startsWith('A') && has(event.merchant.name)", True),
        (f"{SURE} || event.merchant.country == 'NL'", True),
        ("listed(event.merchant.country, countries.EEA) && has(event.merchant.country)", True),
        (f"{SURE} && event.merchant.country == 'NL'", False),
        ("event.merchant.country == 'NL' && aggregates.payouts_1d > params.many", False),
        ("event.merchant.mcc == '7273'", False),
    ],
)
def test_origin_alone_stops_nobody(found, when, complains):
    assert ("P206" in found(rule(when, then="hold"))) is complains
    assert "P206" not in found(rule(when, then="review"))


@pytest.mark.parametrize(
    ("reason", "complains"),
    [
        *(
            (word, True)
            for word in ("suspicious_activity", "on_our_watchlist", "reported_to_authorities", "child_safety")
        ),
        *((word, True) for word in ("indicator_match", "risk_too_high", "known_to_coalition", "aml_review")),
        ("additional_information_required", False),
        ("agreement_not_met", False),
        ("business_category_not_supported", False),
        ("payout_details_verification_required", False),
    ],
)
def test_reasons_that_tell_what_was_found_are_named(found, reason, complains):
    text = rule(SURE, then="hold").replace("additional_information_required", reason)

    assert found(text) == (["P210"] if complains else [])


@pytest.mark.parametrize(
    ("when", "complains"),
    [
        ("event.payout.amount.minor > params.many", True),
        ("params.large.minor <= event.payout.amount.minor", True),
        ("aggregates.paid_1d > params.many", True),
        ("aggregates.paid_in_euro_1d > params.many", False),
        ("aggregates.paid_1d > params.many && event.payout.amount.currency == 'EUR'", False),
        ("event.payout.amount.minor > aggregates.paid_1d", False),
        ("event.payout.amount.minor < 0", False),
        ("event.payout.amount.at_least(params.large, event.occurred_at)", False),
    ],
)
def test_amounts_are_compared_in_their_currency(found, when, complains):
    assert found(rule(when)) == (["P212"] if complains else [])


def test_rules_in_shadow_need_no_tests_and_bindings_in_force_need_caps(tmp_path: Path, found):
    bindings = tmp_path / "bindings.yaml"
    block = rule(SURE, then="block")
    for text, expected in [
        ("{id: a, policy: p, mode: shadow}", []),
        ("{id: a, policy: p, mode: enforce, rules: {a-rule: shadow}, caps: {holds_per_hour: 5}}", []),
        ("{id: a, policy: p, mode: enforce, caps: {holds_per_hour: 5}}", ["P203"]),
        ("{id: a, policy: p, mode: enforce}", ["P203", "P208"]),
    ]:
        bindings.write_text(f"bindings:\n  - {text}\n")
        assert found(block, bindings=bindings) == expected


def test_bindings_that_contradict_themselves_or_wait_for_codes_nobody_emits_are_found(tmp_path: Path, found):
    bindings = tmp_path / "bindings.yaml"
    bindings.write_text(
        "segments:\n  dutch: event.merchant.country == 'NL'\n"
        "bindings:\n  - {id: a, policy: p, mode: shadow, segments: [dutch], when: event.merchant.country == 'BE'}\n"
        "  - {id: b, policy: p, mode: enforce, caps: {holds_per_hour: 5, exempt: [indicator.mach]}}\n"
    )

    assert found(rule(SURE), bindings=bindings) == ["P116", "P101"]


def test_what_expires_is_judged_by_the_given_time(found):
    head = "lists:\n  l:\n    items:\n      - {value: a, until: 2026-03-01}\n      - b\n".replace(
        "2026-03-01", '"2026-03-01"'
    )
    looks = rule("has(event.payout.method) && listed(event.payout.method, lists.l)")
    day = datetime(2026, 3, 1, tzinfo=UTC)

    assert found(looks, head=head, now=day) == ["P118"]
    assert found(looks, head=head, now=day.replace(year=2025)) == []
    assert found(looks, head=head) == []


def test_numbers_are_magic_only_in_comparisons_of_order(found):
    assert found(rule("aggregates.payouts_1d > 5")) == ["P305"]
    assert found(rule("event.occurred_at - event.occurred_at < duration('3h')")) == ["P305"]
    assert found(rule("aggregates.payouts_1d > 1 && event.merchant.mcc == '7273'")) == []


def test_an_expression_that_only_the_engine_understands_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from paycordon.policy.lint import subject
    from paycordon.policy.syntax import SyntaxInvalid

    def refuse(source):
        raise SyntaxInvalid("not for us", 0)

    path = tmp_path / "p.yaml"
    path.write_text(f"{HEAD}rules:\n{rule(SURE, then='block')}")
    monkeypatch.setattr(subject, "parse", refuse)

    assert [issue.id for issue in lint([path], CODES) if issue.id not in BESIDE] == ["P203"]
