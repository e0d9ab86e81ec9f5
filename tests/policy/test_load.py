"""Loading policy files: every complaint at its place."""

import contextlib
import hashlib
import re
import time
from datetime import timedelta
from pathlib import Path

import pytest

from paycordon.aggregates import Aggregate, Function
from paycordon.decisions import Outcome
from paycordon.errors import PolicyError
from paycordon.policy import load_policies, load_policy
from paycordon.policy.cel import MAX_SOURCE
from paycordon.policy.load import policy_from

TEXT = """\
policy: payouts
version: 3
on_error: hold
params: {small: 200 EUR, young: 14d, names: [a, b]}
aggregates:
  payouts_1d: {count: payout.requested, window: 24h}
rules:
  - id: one
    on: [payout.requested]
    when: aggregates.payouts_1d > 3 && event.payout.amount.minor > params.small.minor
    then: hold
    merchant_reason: additional_information_required
  - id: two
    on: [merchant.onboarding, payout.requested]
    when: >-
      event.account.id in params.names
      || event.occurred_at - event.account.created_at < params.young
    then: review
"""


def failure(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        policy_from(text.encode(), "p.yaml")
    return str(caught.value)


def test_a_policy_is_loaded_with_the_digest_of_its_bytes(tmp_path: Path):
    path = tmp_path / "payouts.yaml"
    path.write_text(TEXT)
    policy = load_policy(path)
    assert (policy.ref.name, policy.ref.version) == ("payouts", 3)
    assert policy.ref.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert policy.on_error is Outcome.HOLD
    assert [(rule.id, sorted(rule.on), rule.then) for rule in policy.rules] == [
        ("one", ["payout.requested"], Outcome.HOLD),
        ("two", ["merchant.onboarding", "payout.requested"], Outcome.REVIEW),
    ]


def test_aggregates_are_named_by_policy_and_only_asked_for_where_rules_run(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(TEXT)
    other = TEXT.replace("payouts\n", "other\n", 1).replace("[payout.requested]", "[dispute.opened]")
    (tmp_path / "b.yaml").write_text(other.replace("merchant.onboarding, payout.requested", "dispute.updated"))
    policies = load_policies([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    expected = Aggregate(function=Function.COUNT, of="payout.requested", window=timedelta(days=1))
    assert dict(policies.aggregates) == {"other.payouts_1d": expected, "payouts.payouts_1d": expected}
    assert list(policies.aggregates_for("payout.requested")) == ["payouts.payouts_1d"]
    assert list(policies.aggregates_for("dispute.updated")) == ["other.payouts_1d"]
    assert not policies.aggregates_for("payment.succeeded")
    assert [ref.name for ref in policies.refs] == ["other", "payouts"]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("version: 3", "vesion: 3", "2:1", "unknown key `vesion` (did you mean `version`?)"),
        ("version: 3", "version: three", "2:10", "valid integer"),
        ("version: 3", "version: '3'", "2:10", "valid integer"),
        ("on_error: hold\n", "", "1:1", "`on_error` is missing"),
        ("on_error: hold", "on_error: hodl", "3:11", "(did you mean `hold`?)"),
        ("policy: payouts", "policy: paycordon", "1:9", "the engine's own"),
        ("policy: payouts", "policy: a.b", "1:9", "pattern"),
        ("200 EUR", "200 XQX", "4:17", "`XQX` is not a currency"),
        ("200 EUR", "200.005 EUR", "4:17", "EUR has 2 decimals, not 3"),
        ("[a, b]", "[a, 1]", "4:45", "a parameter is"),
        ("[a, b]", "[]", "4:45", "a parameter is"),
        ("[a, b]", "{a: b}", "4:45", "a parameter is"),
        ("names: [a, b]", "in: 1", "4:38", "a word of the expression language"),
        ("24h", "5m", "6:49", "a window lies between 10m and 180d"),
        ("24h", "1 day", "6:49", "write it as `10m`"),
        ("count: payout.requested", "count: payout.requestd", "6:23", "did you mean `payout.requested`?"),
        ("count: payout.requested, ", "", "6:15", "exactly one function is needed"),
        ("count: payout", "sum: payout.requested, count: payout", "6:15", "exactly one function is needed"),
        ("count: payout.requested", "sum: merchant.changed", "6:15", "has no `amount`"),
        ("on: [payout.requested]", "on: [payout.requestd]", "9:10", "did you mean `payout.requested`?"),
        ("on: [payout.requested]", "on: [payment.succeeded]", "9:10", "is context and cannot be stopped"),
        ("on: [payout.requested]", "on: []", "9:9", "at least 1 item"),
        ("then: hold\n", "then: allow\n", "11:11", "should be `review`, `hold` or `block`"),
        ("    merchant_reason: additional_information_required\n", "", "8:5", "needs a `merchant_reason`"),
        ("additional_information_required", "Wir wissen alles", "12:22", "pattern"),
        ("id: two", "id: one", "13:9", "the rule id `one` is given twice (first on line 8)"),
        ("id: two", "id: Two!", "13:9", "pattern"),
        (
            "payouts_1d > 3",
            "payout_1d > 3",
            "10:21",
            "no `aggregates.payout_1d` (did you mean `aggregates.payouts_1d`?)",
        ),
        ("amount.minor >", "amout.minor >", "10:52", "`Payout` has no field `amout` (did you mean `amount`?)"),
        ("params.young", "params.yung", "17:63", "did you mean `params.young`?"),
        ("event.account.id in", "event.account.identity in", "16:20", "`Account` has no field `identity`"),
        ("> params.small.minor", "> params.small", "10:66", "no matching overload"),
        ("event.account.id in", "event.account.id isin", "16:24", "yntax error"),
        ("event.payout.amount.minor > params.small.minor", "event.extra.x == 1", "10:45", "no field `extra`"),
        ("aggregates.payouts_1d > 3 &&", "event.identifiers[0].value == 'x' &&", "10:31", "no field `value`"),
    ],
)
def test_what_is_wrong_is_named_with_file_line_and_column(old, new, place, words):
    assert old in TEXT
    message = failure(TEXT.replace(old, new, 1))
    assert any(line.startswith(f"p.yaml:{place}: ") and words in line for line in message.split("\n")), message
    assert "*error*" not in message


@pytest.mark.parametrize(
    ("when", "yields"),
    [("event.payout.amount.minor", "int"), ("event.mode", "string"), ("findings", "list"), ("'null'", "null")],
)
def test_a_condition_has_to_yield_true_or_false(when, yields):
    message = failure(TEXT.replace("aggregates.payouts_1d > 3 && event.payout.amount.minor > params.small.minor", when))
    assert re.match(rf"p\.yaml:10:1[12]: rule `one`: yields {yields}", message)


def test_all_expressions_with_problems_are_reported():
    message = failure(TEXT.replace("payouts_1d > 3", "nope > 3").replace("params.young", "params.yung"))
    assert [line.split(": ")[0] for line in message.split("\n")] == ["p.yaml:10:21", "p.yaml:17:63"]


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("(" * 10_000 + "true" + ")" * 10_000, "longer than"),
        ("(" * 1_000 + "true" + ")" * 1_000, "nests deeper than"),
        ("[" * 33 + "]" * 33, "nests deeper than"),
        ("'" + "x" * 900_000 + "' == 'x'", "longer than"),
        ("event" + ".account" * 500 + " == 'x'", "rule `one`"),
        ("true?" * 800 + "true" + ":true" * 800, "longer than"),
        ("true?" * 400 + "true" + ":true" * 400, "rule `one`"),
    ],
)
def test_hostile_expressions_are_refused_within_a_second(when, words):
    started = time.process_time()
    message = failure(
        TEXT.replace("aggregates.payouts_1d > 3 && event.payout.amount.minor > params.small.minor", f'"{when}"')
    )
    assert time.process_time() - started < 1
    assert words in message
    assert len(message) < 20 * MAX_SOURCE


@pytest.mark.parametrize("when", ["!" * 4_000 + "true", "-" * 4_000 + "1 > 0", " + ".join(["1"] * 1_000) + " > 0"])
def test_long_chains_compile_or_are_refused_within_a_second(when):
    started = time.process_time()
    with contextlib.suppress(PolicyError):
        policy_from(TEXT.replace("aggregates.payouts_1d > 3 &&", f"{when} &&").encode(), "p.yaml")
    assert time.process_time() - started < 1


def test_two_policies_of_one_name_are_refused(tmp_path: Path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(TEXT)
    with pytest.raises(PolicyError, match="two policies named `payouts`"):
        load_policies([tmp_path / "a.yaml", tmp_path / "b.yaml"])


@pytest.mark.parametrize("content", [b"", b"rules: [", b"policy: \xff", b"a: &x 1", b"policy: x"])
def test_files_that_are_no_policies_are_policy_errors_with_a_position(content):
    with pytest.raises(PolicyError) as caught:
        policy_from(content, "p.yaml")
    assert caught.value.position is not None
