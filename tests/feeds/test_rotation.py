"""Replacing the identifier key takes nothing back, and misses nobody who was seen before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes
from paycordon.decisions import Decision, Finding
from paycordon.events import Identifier
from paycordon.feeds.contract import Surroundings
from paycordon.feeds.items import indicators_of, item_of
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.rescreening import Rescreening
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, schema
from paycordon.store.feeding import Applied, apply_changes
from paycordon.store.keyuse import Advice, KeyUse, key_uses
from paycordon.testing import FrozenClock, make_event

OLD, NEW = b"o" * 32, b"n" * 32
BEFORE, AFTER = Digester({"k1": OLD}, "k1"), Digester({"k1": OLD, "k2": NEW}, "k2")
POLICY = """\
policy: onboarding
version: 1
on_error: review
rules:
  - id: known
    on: [merchant.onboarding]
    when: findings.exists(f, f.code == "indicator.match")
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""
OWNER, RANGE = "owner@shop.example", "198.51.100.0/23"


class Scene:
    """A source that says values, and an engine, under one key or the next."""

    def __init__(self, store: Store, clock: FrozenClock, directory: Path) -> None:
        (directory / "policy.yaml").write_text(POLICY)
        self.policies = load_policies([directory / "policy.yaml"])
        self.store, self.clock = store, clock
        self.digester = BEFORE
        self.made: list[Cordon] = []

    @property
    def cordon(self) -> Cordon:
        limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
        plugins = Plugins({"checks": builtin_checks})
        self.made.append(Cordon(self.store, self.policies, plugins, self.digester, limits=limits, clock=self.clock))
        return self.made[-1]

    def say(self, *said: tuple[str, str], complete: bool = True, **fields: Any) -> Applied:
        surroundings = Surroundings("IWF", self.digester, Path(), self.clock)
        items = [
            item_of({"kind": kind, "value": value, "reference": f"case of {value}", "confidence": 90, **fields}, "item")
            for kind, value in said
        ]
        indicators = [each for item in items for each in indicators_of(item, surroundings, "item")]
        return apply_changes(self.store, Changes("IWF", said=indicators, complete=complete), self.clock())

    def screen(self, number: int, merchant: str, *values: str) -> Decision:
        identifiers: Iterable[Identifier] = [Identifier.model_validate({"kind": "email", "value": v}) for v in values]
        about = {"merchant": {"id": merchant, "country": "NL"}, "account": {"id": f"acct_{merchant}"}}
        type_ = "merchant.onboarding" if values else "payout.requested"
        return self.cordon.screen(make_event(type_, id=f"evt_{number}", identifiers=tuple(identifiers), **about))

    def counting(self) -> set[str]:
        table = schema.indicators.c
        with self.store.read() as connection:
            return set(connection.execute(select(table.digest).where(table.withdrawn_at.is_(None))).scalars())

    def uses(self) -> dict[str, KeyUse]:
        with self.store.read() as connection:
            found = key_uses(connection, {"k1", "k2"}, "k2", self.clock(), timedelta(days=365))
        return {each.key: each for each in found}


@pytest.fixture
def scene(store: Store, clock: FrozenClock, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(store, clock, tmp_path)
    yield made
    for cordon in made.made:
        cordon.close()


def matches(decision: Decision) -> list[Finding]:
    assert decision.errors == ()
    return [each for each in decision.findings if each.code == "indicator.match"]


@pytest.mark.parametrize("complete", [True, False])
def test_what_is_said_again_under_the_next_key_takes_nothing_back(scene: Scene, complete: bool) -> None:
    scene.say(("email", OWNER), ("ip", RANGE), complete=complete)
    (match,) = matches(scene.screen(1, "m_1", OWNER))
    stored = scene.counting()
    scene.digester = AFTER
    again = scene.say(("email", OWNER), ("ip", RANGE), complete=complete)
    assert (again.withdrawn, again.begun) == (0, ()), "a decision that rests on it still does"
    assert stored < scene.counting()
    assert len(scene.counting()) == 2 * len(stored)
    assert scene.say(("email", OWNER), ("ip", RANGE), complete=complete).position is None, "once"

    (now,) = matches(scene.screen(2, "m_2", OWNER))
    assert now.evidence["digest"] == match.evidence["digest"], "one finding, on what people may have cleared before"
    (known,) = matches(scene.screen(3, "m_2"))
    assert known.evidence["relation"] == "known"


def test_what_its_source_corrects_or_takes_back_then_reaches_decisions_of_before(scene: Scene) -> None:
    scene.say(("email", OWNER))
    scene.screen(1, "m_1", OWNER)
    scene.digester = AFTER
    scene.say(("email", OWNER), ("email", "another@shop.example"))
    (corrected,) = scene.say(("email", OWNER), confidence=20).begun
    assert corrected.key.startswith('["k1:'), "under which it was used"
    scene.clock.advance(timedelta(seconds=1))
    gone = scene.say()
    assert (gone.withdrawn, [each.key for each in gone.begun]) == (2, [corrected.key])
    assert scene.counting() == set()


def test_whoever_was_seen_before_is_met_by_what_is_new_after(scene: Scene) -> None:
    scene.screen(1, "m_1", OWNER)
    scene.digester = AFTER
    assert scene.say(("email", OWNER), ("email", "stranger@shop.example")).matches == 1
    assert len(scene.counting()) == 3, "of a stranger only under the key that is current"
    assert Rescreening(scene.store, scene.cordon, scene.clock).step()
    with scene.store.read() as connection:
        bodies = connection.execute(select(schema.decisions.c.body)).scalars().all()
    screened = [matches(Decision.model_validate_json(body)) for body in bodies]
    assert sum(map(len, screened)) == 1


def test_two_values_of_one_item_are_not_taken_for_one(scene: Scene) -> None:
    values = {"reference": "both"}
    scene.screen(1, "m_1", "first@shop.example")
    scene.screen(2, "m_2", OWNER)
    scene.digester = AFTER
    scene.screen(3, "m_1", "second@shop.example")
    scene.screen(4, "m_2", OWNER)
    scene.say(("email", "first@shop.example"), ("email", "second@shop.example"), **values)
    keys = {str(each.evidence["digest"])[:2] for each in matches(scene.screen(5, "m_1"))}
    assert keys == {"k1", "k2"}, "it is known by one under the former key and by the other under the current one"
    scene.say(("email", OWNER), complete=False)
    assert [str(each.evidence["digest"])[:2] for each in matches(scene.screen(6, "m_2"))] == ["k1"], "the same, once"


def test_a_key_may_go_once_all_is_said_under_the_next_and_nothing_that_stands_rests_on_it(scene: Scene) -> None:
    scene.say(("email", OWNER), ("ip", RANGE))
    scene.digester = AFTER
    assert (scene.uses()["k1"].indicators, scene.uses()["k1"].advice) == (3, Advice.NEEDED)
    scene.say(("email", OWNER), ("ip", RANGE))
    assert (scene.uses()["k1"].indicators, scene.uses()["k1"].advice) == (0, Advice.UNUSED)
    assert scene.uses()["k2"].indicators == 3
    scene.screen(1, "m_1", OWNER)
    assert (scene.uses()["k1"].held, scene.uses()["k1"].advice) == (1, Advice.NEEDED)
