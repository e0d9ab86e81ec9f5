"""Caps: a policy that goes wrong cannot hold everybody; a certain indicator still stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from paycordon.decisions import Finding, Outcome
from paycordon.policy import PolicyFiles, evaluate, load_set
from paycordon.policy.limiter import Usage, limited, summed

POLICY = """\
policy: p
version: 1
on_error: review
rules:
  - id: known
    on: [payout.requested]
    when: findings.exists(f, f.code == "indicator.match")
    then: block
    merchant_reason: agreement_not_met
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor > 100
    then: hold
    merchant_reason: additional_information_required
"""
MATCH = Finding(check="indicator_match", code="indicator.match")


@pytest.fixture
def capped(tmp_path: Path):
    def build(caps: str):
        (tmp_path / "p.yaml").write_text(POLICY)
        bindings = f"bindings:\n  - {{id: b, policy: p, mode: enforce, caps: {caps}}}\n"
        (tmp_path / "bindings.yaml").write_text(bindings)
        return load_set(PolicyFiles((tmp_path / "p.yaml",), tmp_path / "bindings.yaml"))

    return build


@pytest.mark.parametrize(
    ("caps", "usage", "expected"),
    [
        ("{holds_per_hour: 3}", Usage(10, 2, 0), Outcome.HOLD),
        ("{holds_per_hour: 3}", Usage(10, 3, 0), Outcome.REVIEW),
        ("{holds_per_hour: 0}", Usage(), Outcome.REVIEW),
        ("{blocks_per_hour: 0}", Usage(10, 9, 9), Outcome.HOLD),
        ("{share_percent: 5%}", Usage(99, 50, 0), Outcome.HOLD),  # too few to speak of a share
        ("{share_percent: 5%}", Usage(100, 4, 0), Outcome.HOLD),
        ("{share_percent: 5%}", Usage(100, 5, 0), Outcome.REVIEW),
        ("{share_percent: 5%, from_screened: 10}", Usage(10, 0, 1), Outcome.REVIEW),
        ("{}", Usage(1000, 1000, 0), Outcome.HOLD),
    ],
)
def test_beyond_a_cap_a_person_looks_instead(capped, event, caps, usage, expected):
    policies = capped(caps)

    found = limited(policies, evaluate(policies, event, (), {}), {"b": usage})

    assert found.outcome is expected
    (match,) = found.matches
    if expected is Outcome.REVIEW:
        assert (match.limited, match.merchant_reason) == (Outcome.HOLD, "")
        assert [(cap.binding, cap.outcome, cap.used) for cap in found.caps] == [
            ("b", Outcome.HOLD, usage.held + (usage.blocked if "share" in caps else 0))
        ]
    else:
        assert (match.limited, found.caps) == (None, ())


def test_what_the_caps_do_not_count_stops_whatever_was_held(capped, event):
    policies = capped("{holds_per_hour: 0, blocks_per_hour: 0, exempt: [indicator.match]}")

    found = limited(policies, evaluate(policies, event, [MATCH], {}), {})

    assert found.outcome is Outcome.BLOCK
    assert {match.rule: match.outcome for match in found.matches} == {"known": Outcome.BLOCK, "large": Outcome.REVIEW}


def test_without_an_exemption_a_block_is_capped_too(capped, event):
    policies = capped("{blocks_per_hour: 1}")

    found = limited(policies, evaluate(policies, event, [MATCH], {}), {"b": Usage(5, 0, 1)})

    assert (found.outcome, found.matches[0].limited) == (Outcome.HOLD, Outcome.BLOCK)


def test_counts_of_many_rows_add_up():
    assert summed([("b", 1, 0, 0), ("b", 2, 1, 0), ("c", 5, 0, 3)]) == {"b": Usage(3, 1, 0), "c": Usage(5, 0, 3)}
