from __future__ import annotations

import json
from pathlib import Path

POLICY = """\
policy: large
version: 1
on_error: review
rules:
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor > 10000
    then: hold
    merchant_reason: additional_information_required
  - id: some
    on: [payout.requested]
    when: event.payout.amount.minor > 100
    then: review
"""


def payout(make_event, number: int, minor: int) -> str:
    amount = {"minor": minor, "currency": "EUR"}
    return json.dumps(make_event(number, type="payout.requested", payout={"id": f"po_{number}", "amount": amount}))


def test_without_decisions_it_says_what_is_in_force_and_what_to_do(cli, deployment: Path) -> None:
    done = cli("policy", "status")

    assert done.code == 0
    assert "starter" in done.out
    assert "enforce" in done.out
    assert "policy backtest" in done.out
    assert "not yet; the first process that starts takes these files" in " ".join(done.out.split())


def test_it_compares_shadow_with_what_is_in_force(cli, deployment: Path, make_event) -> None:
    Path("policies/large.yaml").write_text(POLICY)
    Path("policies/bindings.yaml").write_text(
        "bindings:\n  - {id: live, policy: large, mode: enforce, rules: {large: shadow}}\n"
    )
    events = "\n".join(payout(make_event, number, minor) for number, minor in enumerate((50, 500, 50_000, 70_000)))
    assert cli("screen", stdin=events).code == 0

    done = cli("policy", "status", "--json")

    assert done.code == 0
    found = done.json
    assert found["in_force"]["digest"] == found["digest"]
    assert (found["decisions"], found["outcomes"]) == (4, {"allow": 1, "review": 3})
    assert found["rules"] == {
        "large/some": {
            "live": {"events": 3, "merchants": 3, "money": {"EUR": 120_500}},
            "shadow": {"events": 0, "merchants": 0, "money": {}},
        },
        "large/large": {
            "live": {"events": 0, "merchants": 0, "money": {}},
            "shadow": {"events": 2, "merchants": 2, "money": {"EUR": 120_000}},
        },
    }
    assert found["changed"] == [
        {"from": "review", "to": "hold", "events": 2, "merchants": 2, "money": {"EUR": 120_000}}
    ]
    assert [(each["policy"], each["mode"]) for each in found["bindings"]] == [("large", "enforce"), ("starter", "off")]
    text = cli("policy", "status", "--since", "24h").out
    assert "review → hold" in text
    assert "1,200.00 EUR" in text


def test_a_span_that_is_none_is_refused(cli, deployment: Path) -> None:
    done = cli("policy", "status", "--since", "yesterday")

    assert done.code == 2
    assert "`--since` is a duration" in done.err
