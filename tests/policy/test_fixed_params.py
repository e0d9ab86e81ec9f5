"""Parameters in the windows and conditions of aggregates: filled in when the policy is read, the same everywhere."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from paycordon.aggregates.definition import Column
from paycordon.errors import PolicyError
from paycordon.policy import PolicyFiles, load_set
from paycordon.policy.cases import cases_from
from paycordon.policy.load import policy_from

POLICY = """\
policy: p
version: 1
on_error: review
params: {month: 30d, low: 10 EUR, step: 5 EUR, alike: [EUR, USD], night: [22, 23], many: 0.5}
aggregates:
  even:
    share: payment.succeeded
    where: {amount: {at_least: params.low, multiple_of: params.step}, currency: params.alike, payer_hour: params.night}
    window: params.month
rules:
  - id: r
    on: [payout.requested]
    where: {aggregates.even: ">= params.many"}
    then: review
"""
BINDINGS = "bindings:\n  - {id: b, policy: p, mode: enforce, params: {%s}}\n"


def test_an_aggregate_takes_parameters_wherever_it_takes_values() -> None:
    policy = policy_from(POLICY.encode(), "p.yaml")

    even = policy.aggregates["even"]
    by_column = {condition.column: condition for condition in even.where}
    assert even.window == timedelta(days=30)
    assert (by_column[Column.AMOUNT].at_least, by_column[Column.AMOUNT].multiple_of) == (1_000, 500)
    assert by_column[Column.PAYER_HOUR].any_of == (22, 23)
    assert policy.fixed == {"month", "low", "step", "alike", "night"}


def test_an_amount_counts_alike_in_the_currencies_that_stand_beside_it() -> None:
    where = policy_from(POLICY.encode(), "p.yaml").aggregates["even"].where

    assert [each.any_of for each in where if each.column is Column.CURRENCY] == [("EUR", "USD")]
    with pytest.raises(PolicyError, match="only in currencies with as many decimals"):
        policy_from(POLICY.replace("USD", "JPY").encode(), "p.yaml")


def test_a_parameter_that_is_not_there_is_said_at_its_place() -> None:
    with pytest.raises(PolicyError) as caught:
        policy_from(POLICY.replace("window: params.month", "window: params.moth").encode(), "p.yaml")

    assert "p.yaml:9:13" in str(caught.value)
    assert "`params.moth` is not a window" in str(caught.value)


def test_no_binding_and_no_test_sets_what_an_aggregate_uses(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(POLICY)
    bindings = tmp_path / "bindings.yaml"
    bindings.write_text(BINDINGS % "many: 0.6")
    files = PolicyFiles((tmp_path / "p.yaml",), bindings)
    assert load_set(files).bindings is not None

    bindings.write_text(BINDINGS % "month: 60d")
    with pytest.raises(PolicyError, match="aggregates of `p` use `month`, which is the same under each binding"):
        load_set(files)
    case = "cases:\n  - {name: a, event: {type: payout.requested}, params: {month: 60d}, expect: {outcome: allow}}\n"
    with pytest.raises(PolicyError, match="aggregates of `p` use `month`"):
        cases_from(case.encode(), tmp_path / "p.test.yaml", POLICY.encode(), tmp_path / "p.yaml")
