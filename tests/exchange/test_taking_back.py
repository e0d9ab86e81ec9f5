"""What others were told is taken back for good, whenever a worker died and whatever people draft meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from paycordon.errors import Conflict, OutcomeUnknown
from paycordon.exchange.contract import Verb
from paycordon.exchange.drafts import DraftWords
from paycordon.record.verify import verify
from paycordon.review import contributing, proposals
from paycordon.review.actions import close_unheld, uphold
from paycordon.review.appeals import Appeal, receive
from paycordon.review.contributing import Drafted, Statement
from paycordon.review.withdrawal import Rejudging
from paycordon.store import cases, clocks, indicators
from paycordon.store.contributed import State
from paycordon.store.indicators import Correction

from .conftest import MAIL, SHAREABLE, Keeper, Office, everything_stored, relay


class Killed(BaseException):
    """The process dies here."""


def correct(office: Office, id_: str) -> Drafted:
    with office.store.write() as connection:
        words = DraftWords.model_validate({"reason": "match:10"})
        return contributing.correct(connection, office.exchange, id_, words, office.wish())


def retract(office: Office, id_: str) -> Drafted:
    with office.store.write() as connection:
        made = contributing.retract(connection, office.exchange, id_, office.wish())
    assert made is not None
    return made


@pytest.mark.parametrize("tried_again", [False, True])
def test_what_a_worker_sent_before_it_died_is_taken_back_when_the_hold_goes(office: Office, tried_again: bool) -> None:
    office.payout()
    made = office.draft()
    office.agree(made.proposal.id)
    office.keeper.failing_after.append(Killed())
    with pytest.raises(Killed):
        office.work()
    office.release()
    office.clock.advance(timedelta(minutes=6))  # the lease of the dead runs out
    if tried_again:
        office.work()  # it may not be told any more, but perhaps it was
    office.upkeep()
    id_ = made.message.contribution or ""
    assert office.contribution(id_).state is State.SENT

    (proposal,) = office.open_proposals()
    office.agree(proposal.id)
    office.work()
    assert [each.verb for each in office.keeper.heard.values()] == [Verb.ADD, Verb.RETRACT]
    assert office.contribution(id_).state is State.RETRACTED
    assert verify(office.store).ok


def test_a_correction_never_comes_after_the_retraction(small_office: Office) -> None:
    office = small_office
    office.payout()
    id_ = office.sent()
    before = correct(office, id_)
    retraction = retract(office, id_)
    office.agree(before.proposal.id)
    with pytest.raises(Conflict, match=f"`retract` is under way already, as `{retraction.message.id}`"):
        correct(office, id_)
    office.agree(retraction.proposal.id)
    office.work()
    told = [(each.verb, each.revision) for each in office.keeper.heard.values()]
    assert told in ([(Verb.ADD, 1), (Verb.RETRACT, 3)], [(Verb.ADD, 1), (Verb.CORRECT, 2), (Verb.RETRACT, 3)])
    assert office.contribution(id_).state is State.RETRACTED

    second = office.sent(kind="sighting")
    late, retraction = correct(office, second), retract(office, second)
    office.agree(retraction.proposal.id)
    with pytest.raises(Conflict, match="it does not stand there: it is `retracting`"):
        office.agree(late.proposal.id)
    assert verify(office.store).ok


def test_what_rests_on_knowledge_that_is_taken_back_is_taken_back_too(office: Office) -> None:
    """No rule asks any more for the hold: a retraction is drafted, and once more if people release it later."""
    known = office.known()
    office.payout(minor=100)
    stated = Statement(independent="the bank told us")
    made = office.draft(stated, kind="sighting", reason=None)
    office.agree(made.proposal.id)
    office.work()
    with office.store.write() as connection:
        why = Correction("IWF", "wrong")
        indicators.withdraw(connection, known.digest, "IWF", "case-7", office.clock(), correction=why)
    rejudging = Rejudging(office.store, lambda: office.cordon.policies, clock=office.clock)
    while rejudging.step():
        pass
    assert office.upkeep()
    (proposal,) = office.open_proposals()
    assert "no rule asks any more" in proposal.reason
    with office.store.write() as connection:
        proposals.decline(connection, proposal.id, office.wish(office.ben, "we know it otherwise"))
    assert not office.upkeep()
    office.release()
    assert office.upkeep()
    (proposal,) = office.open_proposals()
    assert "was released" in proposal.reason
    assert verify(office.store).ok


def test_a_word_that_rests_on_a_case_goes_with_it(small_office: Office) -> None:
    office = small_office
    office.payout(minor=100)
    with office.store.write() as connection:
        case = cases.open_for(connection, "m_1", office.clock(), lambda size: b"1" * size)
    id_ = office.sent(kind="sighting", reason=None)
    with office.store.write() as connection:
        close_unheld(connection, case, by=office.ana, reason="nothing in it", now=office.clock())
    assert office.upkeep()
    (proposal,) = office.open_proposals()
    office.agree(proposal.id)
    office.work()
    assert office.contribution(id_).state is State.RETRACTED


def test_another_identifier_key_takes_nothing_back(small_office: Office) -> None:
    office = small_office
    office.listen(licences=["CC-BY-4.0"])
    office.known(**SHAREABLE)
    made = relay(office)
    office.agree(made.proposal.id)
    office.work()
    with office.store.write() as connection:
        connection.execute(text("UPDATE indicators SET digest = 'k2:' || substr(digest, 4)"))
    assert not office.upkeep()


def test_a_released_hold_takes_the_word_back_by_itself(office: Office) -> None:
    office.payout()
    id_ = office.sent()
    assert not office.upkeep()
    office.release()
    assert office.upkeep()
    assert not office.upkeep()

    (proposal,) = office.open_proposals()
    assert (proposal.kind, proposal.proposed_by, proposal.merchant) == ("retraction", "paycordon", "m_1")
    with office.store.read() as connection:
        (case,) = cases.queue(connection, merchant="m_1")
        notes = [event.note or "" for event in cases.timeline(connection, case.id)]
        running = [each for each in clocks.listed(connection, merchant="m_1") if each.kind == "retraction"]
    assert any(proposal.id in note and id_ in note for note in notes)
    assert [each.subject_id for each in running] == [id_]

    office.agree(proposal.id)
    office.work()
    assert [each.verb for each in office.keeper.heard.values()] == [Verb.ADD, Verb.RETRACT]
    assert office.contribution(id_).state is State.RETRACTED
    with office.store.read() as connection:
        assert not [each for each in clocks.listed(connection, merchant="m_1") if each.kind == "retraction"]
    assert verify(office.store).ok


def test_a_retraction_that_lapsed_comes_again_and_one_that_was_declined_does_not(
    small_office: Office,
) -> None:
    office = small_office
    office.payout()
    id_ = office.sent()
    office.release()
    office.upkeep()
    office.clock.advance(timedelta(days=8))
    assert office.upkeep()  # it lapsed, and is drafted anew
    office.upkeep()
    (proposal,) = office.open_proposals()

    with office.store.write() as connection:
        proposals.decline(connection, proposal.id, office.wish(office.ben, "the contract ended anyway"))
    assert not office.upkeep()
    assert office.contribution(id_).state is State.SENT
    assert verify(office.store).ok


def test_what_was_not_sent_yet_is_given_up_with_the_hold(small_office: Office) -> None:
    office = small_office
    office.payout()
    drafted, agreed = office.draft(), office.draft(kind="sighting")
    office.agree(agreed.proposal.id)
    office.release()
    office.work()
    assert office.keeper.asked == 0  # the worker looks again right before it sends
    office.upkeep()
    for made in (drafted, agreed):
        assert office.contribution(made.message.contribution or "").state is State.DROPPED
    assert office.open_proposals() == []
    assert MAIL not in everything_stored(office)
    assert verify(office.store).ok


def test_what_may_have_been_taken_is_taken_back_too(small_office: Office) -> None:
    office = small_office
    office.payout()
    made = office.draft()
    office.agree(made.proposal.id)
    office.keeper.failing_after.append(OutcomeUnknown("no answer"))
    office.worker().run_once()
    office.release()
    office.upkeep()
    (proposal,) = office.open_proposals()
    office.agree(proposal.id)
    office.work()
    retraction = list(office.keeper.heard.values())[-1]
    assert (retraction.verb, retraction.theirs) == (Verb.RETRACT, None)
    assert office.contribution(made.message.contribution or "").state is State.RETRACTED
    assert verify(office.store).ok


def test_an_objection_is_told_along_and_a_correction_says_only_what_is_new(office: Office) -> None:
    office.payout()
    id_ = office.sent()
    with office.store.write() as connection:
        receive(connection, Appeal(id="appeal-1", merchant="m_1", text="not me"), office.clock())
    assert office.upkeep()
    assert not office.upkeep()
    (proposal,) = office.open_proposals()
    assert (proposal.kind, proposal.proposed_by) == ("correction", "paycordon")
    office.agree(proposal.id)
    office.work()
    told = list(office.keeper.heard.values())[-1]
    assert told.content is not None
    assert (told.verb, told.revision, told.content.appeal, told.content.items) == (Verb.CORRECT, 2, "appeal-1", ())

    with office.store.write() as connection:
        words = DraftWords.model_validate({"reason": "match:10"})
        made = contributing.correct(connection, office.exchange, id_, words, office.wish())
    office.agree(made.proposal.id)
    office.work()
    told = list(office.keeper.heard.values())[-1]
    assert told.content is not None
    assert (told.revision, told.content.reason, told.content.appeal) == (3, "match:10", "appeal-1")

    before = office.contribution(id_).digests
    with office.store.write() as connection:
        items = [{"kind": "email", "value": "new@shop.example"}]
        words = DraftWords.model_validate({"items": items, "tlp": "green"})
        stated = Statement(unseen="on the contract")
        made = contributing.correct(connection, office.exchange, id_, words, office.wish(), stated)
    office.agree(made.proposal.id)
    office.work()
    after = office.contribution(id_).digests
    assert len(after) == len(before) == 1
    assert after != before

    with office.store.write() as connection:  # it is decided: the block stands
        (case,) = cases.queue(connection, merchant="m_1")
        later = office.clock() + timedelta(days=30)
        uphold(connection, case.id, by=office.ana, reason="checked", now=office.clock(), review_at=later)
    assert office.upkeep()
    assert not office.upkeep()
    (proposal,) = office.open_proposals()
    assert "was decided" in proposal.reason
    office.agree(proposal.id)
    office.work()
    told = list(office.keeper.heard.values())[-1]
    assert told.content is not None
    assert (told.verb, told.content.appeal, told.content.items) == (Verb.CORRECT, "", ())
    assert not office.upkeep()
    assert verify(office.store).ok
    assert verify(office.store).ok


class Listing(Keeper):
    """Takes no retraction, as a list that is only cleared by hand."""

    verbs = frozenset({Verb.ADD})


def test_what_cannot_be_taken_back_by_us_is_put_before_a_person(small_office: Office) -> None:
    office = small_office
    office.listen(Listing)
    office.payout()
    id_ = office.sent()
    office.release()
    assert office.upkeep()
    assert not office.upkeep()
    assert office.open_proposals() == []
    with office.store.read() as connection:
        (case,) = cases.queue(connection, merchant="m_1")
        notes = [event.note or "" for event in cases.timeline(connection, case.id)]
        assert [each.kind for each in clocks.listed(connection, subject_id=id_)] == ["retraction"]
    assert any("by hand" in note for note in notes)
    with office.store.write() as connection:
        made = contributing.retract(connection, office.exchange, id_, office.wish(), by_hand=True)
    office.agree(made.proposal.id)
    assert office.contribution(id_).state is State.RETRACTED
    with office.store.read() as connection:
        assert clocks.listed(connection, subject_id=id_) == []
    assert verify(office.store).ok
