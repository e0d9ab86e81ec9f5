"""Who may do what with a referral, what is refused, and that nobody without the role sees any of it."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta

import pytest

from paycordon.decisions import Outcome, Scope
from paycordon.errors import Conflict, NotFound
from paycordon.exchange.referral import State, Step
from paycordon.people import Forbidden, Person, Role
from paycordon.review import referral_holds, referral_release, referring
from paycordon.store import holds
from paycordon.store.holds import NewHold, Source
from paycordon.store.referral_outcomes import outcome_of

from .desk import ADAM, DAYS, PRACTICE, RHEA, ROSS, Desk, on_one_database

# Who, twice, at once, and never.


@on_one_database
def test_a_release_takes_a_second_person_of_both_roles_unless_the_house_says_otherwise(desk: Desk) -> None:
    id_ = desk.receive()
    desk.release(id_)
    assert desk.release(id_).history == desk.get(id_).history  # again: nothing more
    with pytest.raises(Forbidden, match="`approver`"):
        desk.release(id_, Person("rita", frozenset({Role.RESTRICTED})))
    with pytest.raises(Forbidden, match="`restricted`"):
        desk.release(id_, ADAM)
    desk.clock.advance(timedelta(days=8))
    assert desk.release(id_, ROSS).state is State.RECEIVED  # the first word has lapsed: this is a new one
    assert desk.undo(id_).last.step is Step.UNDO
    alone = replace(PRACTICE, settings=DAYS.model_copy(update={"two_people": False}))
    assert desk.release(id_, practice=alone).state is State.RELEASED
    assert desk.sound()


@on_one_database
def test_a_feed_of_the_same_name_would_withdraw_it(desk: Desk) -> None:
    with pytest.raises(Conflict, match="is the name of a feed"):
        desk.receive(source="lantern")
    id_ = desk.receive()
    with pytest.raises(Conflict, match="is the name of a feed"):
        desk.release(id_, practice=replace(PRACTICE, feeds={"clearing house"}))


@on_one_database
def test_only_what_people_decided_counts_as_acted_on(desk: Desk) -> None:
    """What a keep-open request had covered is held again by this package itself: nobody has decided that."""
    whom = ("m_1", "acme", "acct_m_1", "account", "acct_m_1")
    by_hand = NewHold(*whom, Outcome.HOLD, Scope.PAYOUTS, "by_hand", "additional", Source.PERSON)
    desk.payout(email="other@goods.example")
    id_ = desk.receive()
    desk.released(id_)
    for placed_by, decided in (("paycordon", False), ("ana", True)):
        with desk.store.write() as connection:
            wanted = replace(by_hand, placed_by=placed_by, internal_reason="judged again")
            holds.place_by_hand(connection, wanted, desk.clock(), secrets.token_bytes)
            assert outcome_of(connection, desk.get(id_)).decided is decided


@on_one_database
def test_a_key_that_was_taken_off_meanwhile_is_missed_before_nothing_matches(desk: Desk) -> None:
    """The count of what is stored under which key is for everybody, and so counts no referrals."""
    id_ = desk.receive()
    with pytest.raises(Conflict, match="under the key `k1`, which is not configured"):
        desk.release(id_, practice=replace(PRACTICE, keys={"k2"}))
    assert desk.release(id_, practice=replace(PRACTICE, keys={"k1", "k2"})).last.step is Step.PROPOSE


@on_one_database
def test_the_same_tip_again_is_the_same_referral_and_another_is_refused(desk: Desk) -> None:
    id_ = desk.receive()
    desk.clock.advance(timedelta(hours=1))
    assert desk.receive() == id_
    with pytest.raises(Conflict, match="says something else"):
        desk.receive(merchants=["m_9"])


@on_one_database
def test_nobody_without_the_role_can_do_or_see_anything(desk: Desk) -> None:
    id_ = desk.receive()
    for by in (ADAM, desk.office.ana):
        for act in (
            lambda by=by: desk.receive(by=by, reference="T-2"),
            lambda by=by: desk.offer(id_, by),
            lambda by=by: desk.hold(id_, by=by),
            lambda by=by: desk.release(id_, by),
            lambda by=by: desk.withdraw("ref_unknown", by),
            lambda by=by: desk.step(referring.act, id_, by=by),
            lambda by=by: desk.step(referring.close, "ref_unknown", by=by),
            lambda by=by: desk.step(referral_release.feed_back, id_, "told", by=by),
            lambda by=by: desk.step(referral_holds.undo, id_, by=by),
            lambda by=by: looked(desk, by, id_),
        ):
            with pytest.raises(Forbidden, match="takes the role `restricted`"):
                act()
    assert looked(desk, RHEA, id_) == ([id_], [])
    with pytest.raises(NotFound):
        desk.offer("ref_unknown")


def looked(desk: Desk, by: Person, id_: str) -> tuple[list[str], list[str]]:
    with desk.store.write() as connection:
        found = referring.listed(connection, by=by, now=desk.clock())
        shown = referring.show(connection, id_, by=by, now=desk.clock())
    return [each.id for each in found], list(shown.outcome.decisions)
