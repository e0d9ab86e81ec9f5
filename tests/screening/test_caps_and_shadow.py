"""What runs in shadow is recorded beside what is in force; what goes beyond a cap is looked at instead of stopped."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from paycordon.coalition.identifiers import Digester
from paycordon.decisions import Decision, Outcome
from paycordon.plugins import Plugins
from paycordon.policy import PolicyFiles, PolicySet, load_set
from paycordon.screening import Cordon, Limits
from paycordon.store import Store
from paycordon.testing import FrozenClock, make_event

POLICY = """\
policy: p
version: 1
on_error: review
rules:
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor > 100
    then: hold
    merchant_reason: additional_information_required
"""


def policies_under(tmp_path: Path, binding: str) -> PolicySet:
    (tmp_path / "p.yaml").write_text(POLICY)
    (tmp_path / "bindings.yaml").write_text(f"bindings:\n  - {{id: b, policy: p, {binding}}}\n")
    return load_set(PolicyFiles((tmp_path / "p.yaml",), tmp_path / "bindings.yaml"))


@pytest.fixture
def cordon(store: Store, tmp_path: Path, digester: Digester, clock: FrozenClock) -> Iterator[Callable[[str], Cordon]]:
    made: list[Cordon] = []

    def build(binding: str) -> Cordon:
        limits = Limits(budget=timedelta(seconds=30))
        policies = policies_under(tmp_path, binding)
        made.append(Cordon(store, policies, Plugins({}), digester, limits=limits, clock=clock))
        return made[-1]

    yield build
    for each in made:
        each.close()


def payout(number: int, merchant: str | None = None) -> object:
    name = merchant or f"m_{number}"
    return make_event("payout.requested", id=f"evt_{number}", account={"id": f"acct_{name}"}, merchant={"id": name})


def screened(engine: Cordon, number: int, merchant: str | None = None) -> Decision:
    return engine.screen(payout(number, merchant))  # type: ignore[arg-type]


def test_shadow_is_recorded_and_stops_nothing(store, cordon):
    decision = screened(cordon("mode: shadow"), 1)

    assert (decision.outcome, decision.bindings) == (Outcome.ALLOW, ("b",))
    with store.read() as connection:
        row = connection.execute(text("SELECT outcome, shadow_outcome, body FROM decisions")).one()
        holds = connection.execute(text("SELECT COUNT(*) FROM holds")).scalar()
    assert (row.outcome, row.shadow_outcome, holds) == ("allow", "hold", 0)
    assert Decision.model_validate_json(row.body).shadow == decision.shadow


def test_beyond_the_cap_of_an_hour_decisions_ask_for_a_look(store, cordon, clock, caplog):
    engine = cordon("mode: enforce, caps: {holds_per_hour: 2}")
    with caplog.at_level(logging.CRITICAL, logger="paycordon"):
        outcomes = [screened(engine, n).outcome for n in range(4)]

    assert outcomes == [Outcome.HOLD, Outcome.HOLD, Outcome.REVIEW, Outcome.REVIEW]
    assert "binding `b` has reached its cap on `hold`" in caplog.text
    assert engine.metrics.registry.get_sample_value("paycordon_caps_reached_total", {"binding": "b"}) == 2
    with store.read() as connection:
        held = connection.execute(text("SELECT COUNT(*) FROM holds")).scalar()
        noted = connection.execute(text("SELECT COUNT(*) FROM case_events WHERE kind = 'cap'")).scalar()
        logged = [json.loads(row[0]) for row in connection.execute(text("SELECT payload FROM log ORDER BY seq"))]
    assert (held, noted) == (2, 2)
    assert [entry.get("caps") for entry in logged] == [None, None, ["b"], ["b"]]

    clock.advance(timedelta(minutes=62))
    assert screened(engine, 5).outcome is Outcome.HOLD


def test_a_merchant_that_is_held_anyway_uses_up_no_cap(cordon):
    engine = cordon("mode: enforce, caps: {holds_per_hour: 2}")
    first = [screened(engine, n, "same").outcome for n in range(5)]

    assert first == [Outcome.HOLD] * 5
    assert [screened(engine, n).outcome for n in range(10, 13)] == [Outcome.HOLD, Outcome.REVIEW, Outcome.REVIEW]


def test_a_share_counts_all_that_the_binding_judged(cordon):
    engine = cordon("mode: enforce, caps: {share_percent: 50%, from_screened: 4}")
    small = {"id": "po", "amount": {"minor": 50, "currency": "EUR"}}
    for n in range(4):
        event = make_event(
            "payout.requested", id=f"s_{n}", account={"id": f"a_{n}"}, merchant={"id": f"s_{n}"}, payout=small
        )
        assert engine.screen(event).outcome is Outcome.ALLOW

    # Of 5, 6, 7, 8 and 9 screened, 1, 2, 3 and 4 held are at most half; 5 of 9 would be more.
    outcomes = [screened(engine, n).outcome for n in range(5)]
    assert outcomes == [Outcome.HOLD] * 4 + [Outcome.REVIEW]


def test_other_policies_are_adopted_between_two_screenings(cordon, tmp_path):
    engine = cordon("mode: enforce")
    before = screened(engine, 1)
    engine.adopt(policies_under(tmp_path, "mode: shadow"))
    after = screened(engine, 2)

    assert (before.outcome, after.outcome) == (Outcome.HOLD, Outcome.ALLOW)
    assert before.policies != after.policies
    assert engine.policies.refs == after.policies
