"""Referrals go their way: law enforcement first, then two people release, then it counts; each step where it may be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from paycordon.decisions import Outcome
from paycordon.errors import Conflict, PaycordonError
from paycordon.exchange.contract import Here, Worth
from paycordon.exchange.post import PostRecipient, PostSettings
from paycordon.exchange.referral import ENDED, NEXT, State, Step, must_wait, next_state, undone
from paycordon.exchange.sharing import Exchange
from paycordon.review import proposals, referral_release, referring
from paycordon.store import cases, directives, holds, messages, withdrawals

from .desk import ROSS, Desk, on_one_database

# The machine: every state with every step.

DONE = {
    State.RECEIVED: {Step.CORRECT, Step.OFFER, Step.PROPOSE, Step.RELEASE, Step.CLOSE, Step.WITHDRAW},
    State.WITH_LAW_ENFORCEMENT: {Step.CORRECT, Step.HOLD, Step.PROPOSE, Step.RELEASE, Step.CLOSE, Step.WITHDRAW},
    State.HELD: {Step.CORRECT, Step.HOLD, Step.PROPOSE, Step.RELEASE, Step.CLOSE, Step.WITHDRAW},
    State.RELEASED: {Step.CORRECT, Step.ACT, Step.CLOSE, Step.WITHDRAW},
    State.ACTED: {Step.CORRECT, Step.FEED_BACK, Step.WITHDRAW},
    State.FED_BACK: {Step.CORRECT, Step.WITHDRAW},
    State.CLOSED: {Step.CORRECT, Step.FEED_BACK, Step.WITHDRAW},
    State.WITHDRAWN: {Step.FEED_BACK},
}


@pytest.mark.parametrize("state", State)
def test_from_each_state_only_these_steps_lead_on(state: State) -> None:
    assert {step for step in Step if next_state(state, step) is not None} == DONE[state]


def test_what_counts_can_be_undone_by_its_source_alone_and_once() -> None:
    assert {undone(state, Step.OFFER, State.RECEIVED) for state in (State.RELEASED, *ENDED)} == {None}
    assert next_state(State.FED_BACK, Step.WITHDRAW, taken_back=True) is None


def test_every_state_is_reached_and_every_one_can_end() -> None:
    reached, new = {State.RECEIVED}, {State.RECEIVED}
    while new:
        new = {after for (state, _), after in NEXT.items() if state in reached} - reached
        reached |= new
    assert reached == set(State)
    ends = set(ENDED)
    for _ in State:
        ends |= {state for (state, _), after in NEXT.items() if after in ends}
    assert ends == set(State)


@on_one_database
def test_nothing_is_released_past_law_enforcement_before_its_time(office) -> None:
    now = office.clock()
    soon, late = now + timedelta(hours=1), now
    waits = {state for state in State if must_wait(state, soon, now)}
    assert waits == {State.WITH_LAW_ENFORCEMENT, State.HELD}
    assert not any(must_wait(state, late, now) or must_wait(state, None, now) for state in State)


# The whole way, on both databases.


def test_a_tip_is_held_as_asked_then_released_by_two_and_acted_on(desk: Desk) -> None:
    assert desk.payout().outcome is Outcome.ALLOW
    id_ = desk.receive()
    before = desk.public()
    desk.offer(id_)
    held = desk.hold(id_)
    assert (held.state, held.due_at, desk.kept_open()) == (State.HELD, desk.letter().until, ["m_1"])
    restricted_cases = ("cases", "case_events")
    after = desk.public()
    assert {name for name in after if after[name] != before[name]} <= set(restricted_cases)
    assert desk.payout().outcome is Outcome.ALLOW  # paid as ever
    with pytest.raises(Conflict, match="is with law enforcement until"):
        desk.release(id_)

    desk.clock.advance(timedelta(days=31))
    desk.work()
    assert desk.kept_open() == []
    assert desk.get(id_).overdue(desk.clock())
    assert desk.payout().outcome is Outcome.ALLOW  # no date releases anything
    first = desk.release(id_)
    assert (first.state, first.last.step, first.last.detail["matches"]) == (State.HELD, Step.PROPOSE, 1)
    assert desk.payout().outcome is Outcome.ALLOW
    second = desk.release(id_, ROSS)
    assert (second.state, second.last.by, second.last.agreed_by) == (State.RELEASED, "rhea", "ross")

    decision = desk.payout()
    assert (decision.outcome, decision.rule) == (Outcome.HOLD, "payouts/known")
    assert decision.findings[0].evidence["source"] == "clearing house"
    with pytest.raises(Conflict, match="nobody has decided anything"):
        desk.step(referring.act, id_)
    desk.decide()
    acted = desk.step(referring.act, id_)
    assert acted.last.detail["decisions"] == [decision.id]
    assert [each["resolution"] for each in acted.last.detail["cases"]] == ["uphold"]
    done = desk.step(referral_release.feed_back, id_, "told by telephone")
    assert (done.state, done.due_at, done.ended_at) == (State.FED_BACK, None, desk.clock())
    assert desk.sound()
    with desk.store.read() as connection:
        said = connection.execute(text("SELECT kind, payload FROM log")).all()
    assert not any("ref" in kind or "rhea" in payload or "ross" in payload for kind, payload in said)


@on_one_database
def test_a_tip_that_need_not_be_offered_counts_at_once(desk: Desk) -> None:
    desk.payout("m_2")
    desk.released(desk.receive(merchants=[]))
    assert desk.payout("m_2").outcome is Outcome.HOLD
    assert desk.sound()


def test_what_a_source_takes_back_is_judged_again_and_let_go(desk: Desk) -> None:
    id_ = desk.receive()
    desk.released(id_)
    decision = desk.payout()
    assert decision.outcome is Outcome.HOLD
    withdrawn = desk.withdraw(id_)
    assert withdrawn.state is State.WITHDRAWN
    with desk.store.read() as connection:
        (begun,) = withdrawals.listed(connection)
        assert [each.decision_id for each in withdrawals.items(connection, begun.id)] == [decision.id]
        assert begun.withdrawn_by == "the source"
    desk.work()
    with desk.store.write() as connection:
        (hold,) = holds.listed(connection)
        made = proposals.release(connection, hold.id, desk.office.wish(desk.office.ana))
        proposals.agree(connection, made.id, desk.office.wish(desk.office.ben))
    assert desk.payout().outcome is Outcome.ALLOW
    with pytest.raises(Conflict, match="cannot do `withdraw`"):
        desk.withdraw(id_, ROSS)
    assert desk.step(referral_release.feed_back, id_, "told").state is State.FED_BACK
    assert desk.sound()


@on_one_database
def test_what_is_taken_back_before_it_counted_never_counts(desk: Desk) -> None:
    id_ = desk.receive()
    desk.offer(id_)
    assert desk.withdraw(id_).state is State.WITHDRAWN
    assert desk.payout().outcome is Outcome.ALLOW
    with pytest.raises(Conflict, match="cannot do `release`"):
        desk.release(id_)
    assert desk.sound()


@on_one_database
def test_law_enforcement_lets_go_before_its_time(desk: Desk) -> None:
    id_ = desk.receive()
    desk.offer(id_)
    desk.hold(id_)
    desk.payout()
    released = desk.released(id_, freed=True)
    assert (desk.kept_open(), released.last.detail["freed"]) == ([], True)
    assert len(released.last.detail["ended"]) == 1
    assert desk.payout().outcome is Outcome.HOLD
    assert desk.sound()


@on_one_database
def test_a_merchant_that_is_named_is_put_before_people_once_it_is_released(desk: Desk) -> None:
    desk.payout(email="other@goods.example")
    released = desk.released(desk.receive(identifiers=[], merchants=["m_1", "m_never_seen"]))
    assert released.last.detail["never_seen"] == ["m_never_seen"]
    with desk.store.read() as connection:
        (case,) = cases.queue(connection)
        assert [each.note for each in cases.timeline(connection, case.id)] == ["named by clearing house: T-1"]
    assert desk.sound()


def listener(desk: Desk, source: str) -> Callable[[], Exchange]:
    """An exchange with one recipient, which is a source; nobody listens, for no worker sends anything here."""
    settings = PostSettings(
        format="post", url="http://127.0.0.1:9/", secrets=["whsec_" + "c2VjcmV0" * 4], source=source
    )
    here = Here("partner", desk.office.cordon.digester, Path(), desk.clock)
    return lambda: Exchange({"partner": PostRecipient(settings, here)})


@on_one_database
def test_a_source_that_listens_is_told_by_a_worker_and_others_see_neutral_words(desk: Desk) -> None:
    partner = listener(desk, "clearing house")
    id_ = desk.receive()
    desk.step(referring.close, id_)
    before = desk.everything()
    with pytest.raises(Conflict, match="feedback would show that it is there"):
        desk.step(referral_release.feed_back, id_, Worth.USEFUL, exchange=partner)
    assert desk.everything() == before
    assert desk.step(referral_release.feed_back, id_, "by telephone").state is State.FED_BACK

    id_ = desk.receive(reference="T-2")
    desk.released(id_)
    desk.withdraw(id_)
    with pytest.raises(Conflict, match="no recipient is the source"):
        desk.step(referral_release.feed_back, id_, Worth.FALSE_POSITIVE, exchange=listener(desk, "other"))
    for _ in range(2):
        told = desk.step(referral_release.feed_back, id_, Worth.FALSE_POSITIVE, exchange=partner)
        assert (told.state, told.last.detail) == (State.FED_BACK, {"worth": "false_positive"})
    with desk.store.read() as connection:
        (message,) = messages.listed(connection)
    assert message.about == {"source": "clearing house", "reference": "T-2", "worth": "false_positive"}
    assert (message.asked_by, message.reason) == ("paycordon", "people have looked into it")
    assert desk.sound()


# Letters.


def test_a_new_letter_moves_the_end_and_undo_ends_what_was_placed(desk: Desk) -> None:
    id_ = desk.receive()
    desk.offer(id_)
    desk.hold(id_)
    with desk.store.read() as connection:
        before = {each.id for each in directives.listed(connection)}
    longer = desk.hold(id_, desk.letter(60, reference="LETTER-8", merchants=["m_2"]))
    with desk.store.read() as connection:
        found = {each.terms.merchant: each for each in directives.listed(connection)}
    assert set(found) == {"m_1", "m_2"}
    assert (found["m_1"].id in before, found["m_1"].terms.ends_at) == (True, longer.due_at)
    undone_ = desk.undo(id_)
    assert (undone_.state, undone_.kept_from, desk.kept_open()) == (State.WITH_LAW_ENFORCEMENT, None, [])
    assert undone_.due_at == undone_.history[1].due_at  # what ran before runs on
    assert desk.undo(id_, "never offered").state is State.RECEIVED
    assert desk.sound()


@on_one_database
def test_a_request_that_is_in_force_already_is_named_and_left_alone(desk: Desk) -> None:
    one, two = desk.receive(), desk.receive(reference="T-2")
    for id_ in (one, two):
        desk.offer(id_)
    desk.hold(one)
    with desk.store.read() as connection:
        (placed,) = directives.listed(connection)
    second = desk.hold(two, desk.letter(directives=[placed.id]))
    assert second.last.detail["placed"] == {}
    desk.released(two, freed=True)
    assert desk.kept_open() == ["m_1"]
    desk.clock.advance(timedelta(days=31))
    three = desk.receive(reference="T-3")
    desk.offer(three)
    with pytest.raises(Conflict, match="no keep-open request in force"):
        desk.hold(three, desk.letter(directives=[placed.id]))
    with pytest.raises(PaycordonError, match="at most"):
        desk.hold(three, desk.letter(400))
