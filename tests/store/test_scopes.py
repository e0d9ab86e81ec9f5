"""What holds of each scope stop, while others of other scopes stand beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from paycordon.decisions import Decision, Outcome, Scope
from paycordon.policy import load_policies
from paycordon.record.verify import verify
from paycordon.screening import Cordon
from paycordon.store import Store, cases, holds
from paycordon.store.holds import Hold
from paycordon.store.snapshot import restriction_of
from paycordon.testing import NOON, make_event

POLICY = """\
policy: p
version: 1
on_error: review
rules:
  - {id: this, on: [payout.requested], when: event.payout.amount.minor == 1, then: hold, scope: payout,
     merchant_reason: review_pending, references: [synthetic]}
  - {id: all, on: [payout.requested], when: event.payout.amount.minor == 2, then: hold,
     merchant_reason: review_pending, references: [synthetic]}
  - {id: charges, on: [payout.requested], when: event.payout.amount.minor == 3, then: hold, scope: charges,
     merchant_reason: review_pending, references: [synthetic]}
  - {id: new, on: [merchant.onboarding], when: 'event.merchant.name == "Synthetic"', then: hold, scope: onboarding,
     merchant_reason: review_pending, references: [synthetic]}
  - {id: gate, on: [merchant.onboarding], when: 'event.merchant.name == "New"', then: hold, scope: outflow,
     merchant_reason: review_pending, references: [synthetic]}
"""


class Desk:
    """An engine under rules of every scope."""

    def __init__(self, store: Store, cordon: Cordon) -> None:
        self.store = store
        self.cordon = cordon

    def asked(self, number: int, minor: int, *, at_gateway: bool = False) -> Decision:
        """A payout that a backend asks for; or one that the gateway tells of."""
        payout = {"id": f"po_{number}" if at_gateway else None, "amount": {"minor": minor, "currency": "EUR"}}
        event = make_event("payout.requested", id=f"evt_{number}", merchant={"id": "m"}, payout=payout)
        return self.cordon.screen(event)

    def holds(self) -> list[Hold]:
        with self.store.read() as connection:
            return list(holds.listed(connection))

    def restriction(self) -> str:
        with self.store.read() as connection:
            return restriction_of(connection, "m", "acme", "acct_1")

    def release(self, hold: Hold) -> None:
        with self.store.write() as connection:
            holds.release(connection, hold.id, by="ana", reason="r", now=NOON)


@pytest.fixture
def desk(store: Store, make_cordon: Callable[..., Cordon], tmp_path: Path) -> Desk:
    path = tmp_path / "p.yaml"
    path.write_text(POLICY)
    cordon = make_cordon(store)
    cordon.adopt(load_policies([path]))
    return Desk(store, cordon)


def test_one_payout_is_stopped_and_no_other(desk: Desk) -> None:
    first = desk.asked(1, minor=1)
    assert first.outcome is Outcome.HOLD
    assert desk.asked(2, minor=100).outcome is Outcome.ALLOW
    assert desk.restriction() == "none"
    (hold,) = desk.holds()
    assert (hold.scope, hold.subject_id, hold.amount, hold.currency) == (Scope.PAYOUT, "evt_1", 1, "EUR")

    assert desk.cordon.in_force(first) is Outcome.HOLD
    desk.release(hold)
    assert desk.cordon.in_force(first) is Outcome.ALLOW
    assert verify(desk.store).ok


def test_a_payout_that_is_under_way_is_held_with_all_others(desk: Desk) -> None:
    desk.asked(1, minor=1, at_gateway=True)
    (hold,) = desk.holds()
    assert hold.scope is Scope.PAYOUTS
    assert desk.restriction() == "payouts_held"
    assert desk.asked(2, minor=100).outcome is Outcome.HOLD
    assert verify(desk.store).ok


def test_each_of_several_scopes_lasts_until_its_own_release(desk: Desk) -> None:
    for number, minor in ((1, 1), (2, 2), (3, 3)):
        desk.asked(number, minor)
    assert desk.restriction() == "blocked"
    by_scope = {hold.scope: hold for hold in desk.holds()}
    desk.release(by_scope[Scope.CHARGES])
    assert desk.restriction() == "payouts_held"
    desk.release(by_scope[Scope.PAYOUTS])
    assert desk.restriction() == "none"
    with desk.store.read() as connection:
        assert len(cases.queue(connection)) == 1  # something is still held
    desk.release(by_scope[Scope.PAYOUT])
    with desk.store.read() as connection:
        assert cases.queue(connection) == []
    assert verify(desk.store).ok


def test_an_onboarding_that_is_held_keeps_everything_back(desk: Desk) -> None:
    desk.cordon.screen(make_event("merchant.onboarding", merchant={"id": "m", "name": "Synthetic"}))
    assert desk.restriction() == "blocked"
    assert desk.asked(1, minor=100).outcome is Outcome.HOLD


def test_a_scope_that_was_changed_in_the_database_is_found(desk: Desk) -> None:
    desk.asked(1, minor=2)
    with desk.store.write() as connection:
        connection.exec_driver_sql("UPDATE holds SET scope = 'payout'")
    assert any("is not what its decision says" in problem.text for problem in verify(desk.store).problems)


def test_who_is_being_signed_is_paid_nothing_and_stopped_in_nothing_else(desk: Desk) -> None:
    applied = make_event("merchant.onboarding", id="evt_1", merchant={"id": "m", "name": "New"})
    assert desk.cordon.screen(applied).outcome is Outcome.HOLD
    assert desk.restriction() == "payouts_held"
    changed = desk.cordon.screen(make_event("merchant.changed", id="evt_2", merchant={"id": "m"}))
    assert (changed.outcome, desk.cordon.in_force(changed)) == (Outcome.ALLOW, Outcome.ALLOW)
    asked = desk.asked(3, minor=100)
    assert (asked.outcome, asked.rule) == (Outcome.HOLD, "paycordon/standing_hold")
    assert desk.cordon.in_force(asked) is Outcome.HOLD
    (hold,) = desk.holds()
    desk.release(hold)
    assert desk.asked(4, minor=100).outcome is Outcome.ALLOW
    assert verify(desk.store).ok
