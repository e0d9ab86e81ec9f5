"""Referrals: what a source corrects takes the place of what it said, which stays on record; nobody is stopped early."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from paycordon.decisions import Outcome
from paycordon.errors import Conflict, NotFound
from paycordon.exchange.referral import State, Step
from paycordon.people import Forbidden, Person
from paycordon.record.restrictedcheck import verify as verify_restricted
from paycordon.review import referral_correction, referring
from paycordon.store import referrals, withdrawals
from paycordon.store.referrals import Referral

from .desk import ADAM, EMAIL, RHEA, ROSS, Desk, on_one_database

OTHER = "other@goods.example"


def clues(*values: str) -> list[dict[str, str]]:
    return [{"kind": "email", "value": value} for value in values]


def correct(desk: Desk, by: Person = RHEA, **changed: object) -> Referral:
    return referral_correction.correct(desk.store, desk.about(**changed), desk.doing(by, "as the source writes"))


@on_one_database
def test_before_its_release_it_stands_where_it_stood_and_waits_for_two_people_again(desk: Desk) -> None:
    id_ = desk.receive()
    offered = desk.offer(id_)
    desk.release(id_, freed=True)
    desk.clock.advance(timedelta(hours=1))
    found = correct(desk, identifiers=clues(OTHER), merchants=["m_2"])
    assert (found.id, found.state, found.due_at) == (id_, State.WITH_LAW_ENFORCEMENT, offered.due_at)
    assert found.about.merchants == ("m_2",)
    assert correct(desk, identifiers=clues(OTHER), merchants=["m_2"]).history == found.history  # twice is once
    (line,) = [line for line in found.history if line.step is Step.CORRECT]
    before = json.loads(line.detail["before"]["body"])
    assert (before["merchants"], len(before["indicators"])) == (["m_1"], 1)
    assert EMAIL not in str(line)

    assert desk.release(id_, ROSS, freed=True).state is State.WITH_LAW_ENFORCEMENT  # what ross agreed to is gone
    with pytest.raises(Forbidden):  # what rhea proposed is gone as well, and she is no approver
        desk.release(id_, RHEA, freed=True)
    assert desk.sound()


def test_after_its_release_what_it_says_no_more_counts_no_more_and_what_is_new_waits(desk: Desk) -> None:
    id_ = desk.receive(identifiers=clues(EMAIL, "kept@goods.example"))
    desk.released(id_)
    held = desk.payout(email=EMAIL)
    assert held.outcome is Outcome.HOLD
    found = correct(desk, identifiers=clues("kept@goods.example", OTHER))
    assert (found.state, found.last.step) == (State.RECEIVED, Step.CORRECT)
    assert desk.payout("m_2", EMAIL).outcome is Outcome.ALLOW
    assert desk.payout("m_3", "kept@goods.example").outcome is Outcome.HOLD
    assert desk.payout("m_4", OTHER).outcome is Outcome.ALLOW
    with desk.store.read() as connection:  # what was held for it is judged again
        (begun,) = withdrawals.listed(connection)
        assert [each.decision_id for each in withdrawals.items(connection, begun.id)] == [held.id]
    desk.work()

    desk.released(id_)
    assert desk.payout("m_5", OTHER).outcome is Outcome.HOLD
    assert desk.payout("m_6", EMAIL).outcome is Outcome.ALLOW
    correct(desk, identifiers=clues("kept@goods.example", OTHER), confidence=40)
    assert desk.payout("m_7", OTHER).outcome is Outcome.ALLOW  # said otherwise: two people look before it counts so
    desk.withdraw(id_)
    assert desk.payout("m_8", "kept@goods.example").outcome is Outcome.ALLOW
    with pytest.raises(Conflict, match="was taken back by its source"):
        correct(desk)
    assert desk.sound()


@on_one_database
def test_a_correction_cannot_be_taken_back_and_opens_what_was_closed(desk: Desk) -> None:
    id_ = desk.receive()
    desk.offer(id_)
    correct(desk, merchants=["m_2"])
    with pytest.raises(Conflict, match="`correct` cannot be taken back"):
        desk.undo(id_)
    desk.step(referring.close, id_)
    assert correct(desk, merchants=["m_3"]).state is State.RECEIVED
    assert desk.get(id_).ended_at is None
    assert desk.sound()


@on_one_database
def test_who_may_not_and_what_is_not_there_is_refused(desk: Desk) -> None:
    with pytest.raises(NotFound, match="no `T-1` of `clearing house`"):
        correct(desk)
    desk.receive()
    with pytest.raises(Forbidden):
        correct(desk, ADAM)


class Died(Exception):
    """The process dies here."""


def test_a_death_in_the_middle_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = desk.receive()
    desk.released(id_)
    before = desk.everything()

    def died(*_: object, **__: object) -> None:
        raise Died

    for broken in ("_write", "_name"):
        with monkeypatch.context() as patched:
            patched.setattr(referrals, broken, died)
            with pytest.raises(Died):
                correct(desk, identifiers=clues(OTHER))
        assert desk.everything() == before
    assert correct(desk, identifiers=clues(OTHER)).state is State.RECEIVED
    assert desk.payout().outcome is Outcome.ALLOW
    assert desk.sound()


@on_one_database
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE referrals SET body = replace(body, 'm_2', 'm_9')", "does not say what the restricted log says"),
        ("UPDATE referral_steps SET body = replace(body, 'm_1', 'm_9')", "its history is not what"),
        ("DELETE FROM referral_merchants WHERE merchant = 'm_1'", "does not name the merchants"),
    ],
)
def test_what_it_said_before_is_proved_as_well(desk: Desk, statement: str, said: str) -> None:
    desk.receive()
    correct(desk, merchants=["m_2"])
    with desk.store.write() as connection:
        connection.execute(text(statement))
        problems = verify_restricted(connection, None)[1]
    assert any(said in problem for problem in problems), problems
