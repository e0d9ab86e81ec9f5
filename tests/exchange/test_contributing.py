"""What is told to others takes two people, leaves once, and is taken back when what it rests on is gone."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from paycordon.coalition.indicators import Indicator
from paycordon.errors import ApprovalRequired, Conflict, NotFound, OutcomeUnknown, PaycordonError, Refused, RetryLater
from paycordon.events import Identifier
from paycordon.exchange.contract import Verb, Worth
from paycordon.exchange.drafts import DraftWords
from paycordon.exchange.sharing import Exchange
from paycordon.people import Forbidden, Person, Role
from paycordon.record.verify import verify
from paycordon.review import contributing, proposals
from paycordon.review.actions import close_unheld, uphold
from paycordon.review.appeals import Appeal, receive
from paycordon.review.contributing import Statement
from paycordon.review.retention import Retention, erase_merchant
from paycordon.review.withdrawal import Rejudging
from paycordon.sections import RetentionSection
from paycordon.store import Store, cases, clocks, indicators, messages, schema
from paycordon.store.contributed import State
from paycordon.store.contributions import requeue
from paycordon.store.indicators import Correction
from paycordon.store.messages import MessageState

from .conftest import MAIL, Keeper, Office


def everything_stored(office: Office) -> str:
    with office.store.read() as connection:
        return json.dumps(
            [[dict(row) for row in connection.execute(select(t)).mappings()] for t in schema.metadata.tables.values()],
            default=str,
        )


def test_a_termination_leaves_once_two_people_agreed_and_nothing_plain_stays(office: Office) -> None:
    office.payout()
    made = office.draft(party={"legal_name": "Synthetic Shop Ltd"})
    id_ = made.message.contribution or ""
    assert made.seen == [("email", True)]
    office.work()
    assert office.keeper.asked == 0  # one person is not enough
    with pytest.raises(ApprovalRequired, match="a second, different person"):
        office.agree(made.proposal.id, Person("Ana", frozenset({Role.APPROVER})))
    waiting = everything_stored(office)
    assert "sealed:k1:" in waiting
    assert MAIL not in waiting, "whoever copies the database reads nothing"
    assert "Synthetic Shop" not in waiting

    office.agree(made.proposal.id)
    assert office.contribution(id_).state is State.WAITING
    office.work()

    (heard,) = office.keeper.heard.values()
    assert heard.content is not None
    assert (heard.verb, heard.id, heard.revision, heard.content.reason) == (Verb.ADD, id_, 1, "match:13")
    assert [(item.value, item.reference) for item in heard.content.items] == [(MAIL, id_)]
    found = office.contribution(id_)
    assert (found.state, found.theirs) == (State.SENT, f"their-{id_}")
    stored = everything_stored(office)
    assert MAIL not in stored
    assert "Synthetic Shop" not in stored
    assert verify(office.store).ok


def test_what_nobody_may_or_what_is_wrong_is_refused_as_a_draft(small_office: Office) -> None:
    office = small_office
    with pytest.raises(NotFound, match="no event of merchant `m_1`"):
        office.draft()
    office.payout(minor=100)
    with pytest.raises(Conflict, match="a termination rests on a block in force"):
        office.draft()
    with pytest.raises(Conflict, match="a sighting rests on a hold in force or an open case"):
        office.draft(kind="sighting")
    office.payout()
    with pytest.raises(Conflict, match="TLP:AMBER\\+STRICT does not go to `community`"):
        office.draft(tlp=None)
    party = {"legal_name": "Synthetic Shop Ltd"}
    with pytest.raises(Conflict, match="the party: TLP:AMBER\\+STRICT does not go"):
        office.draft(tlp=None, items=[], party=party)
    with pytest.raises(PaycordonError, match="a termination needs a `reason`"):
        office.draft(reason=None)
    with pytest.raises(PaycordonError, match="`match:06` is reserved"):
        office.draft(reason="match:06")
    with pytest.raises(NotFound, match="there is no recipient `nobody`; configured: `coalition`"):
        office.draft(recipient="nobody")
    unseen = [{"kind": "email", "value": "other@shop.example"}]
    with pytest.raises(Conflict, match="item 1 \\(`email`\\): it was never seen with this merchant"):
        office.draft(items=unseen)
    with pytest.raises(Conflict, match="mailbox provider"):
        office.draft(Statement(unseen="it is his"), items=[{"kind": "domain", "value": "gmail.com"}])
    assert office.draft(Statement(unseen="on the contract"), items=unseen).seen == [("email", False)]
    for said in (
        {"items": [{"kind": "handle", "value": "4111 1111 1111 1111"}]},
        {"party": {"legal_name": "Shop 4111111111111111"}},
        {"items": [{"kind": "email", "value": MAIL, "category": "paid with 4111-1111-1111-1111"}]},
    ):
        with pytest.raises(PaycordonError, match="card number") as card:
            office.draft(kind="sighting", **said)
        assert "4111" not in str(card.value)
    viewer = office.wish(Person("vera", frozenset({Role.VIEWER})))
    with pytest.raises(Forbidden), office.store.write() as connection:
        contributing.draft(connection, office.exchange, office.document(), viewer)


def test_what_is_told_already_is_not_told_twice(small_office: Office) -> None:
    office = small_office
    office.payout()
    id_ = office.sent()
    with pytest.raises(Conflict, match=f"`coalition` is told so already, by `{id_}`"):
        office.draft()
    office.draft(kind="sighting")
    with pytest.raises(Conflict, match="is told so already"):
        office.draft(kind="sighting")
    more = [{"kind": "email", "value": each} for each in (MAIL, "other@shop.example")]
    assert len(office.draft(Statement(unseen="on the contract"), kind="sighting", items=more).seen) == 2


def test_what_others_say_does_not_ride_along_in_what_we_say(small_office: Office) -> None:
    office = small_office
    office.payout()
    office.known()
    with pytest.raises(Conflict, match="another source says it here too"):
        office.draft()
    office.exchange = Exchange(office.exchange.recipients, own=frozenset({"IWF"}))
    office.draft(kind="sighting")  # a source of ours is our own word
    office.exchange = Exchange(office.exchange.recipients)
    made = office.draft(Statement(independent="the police told us"))
    office.agree(made.proposal.id)
    office.work()
    assert office.keeper.asked == 1
    with office.store.read() as connection:
        (stated,) = (each.independent for each in messages.of(connection, made.message.contribution or ""))
    assert stated == "the police told us"


def test_what_others_say_of_the_domain_does_not_ride_along_either(small_office: Office) -> None:
    office = small_office
    office.payout()
    domain = office.digester.digest(Identifier(kind="domain", value="shop.example"))
    said = Indicator("domain", domain, "IWF", "case-8", 90, "allegation")
    with office.store.write() as connection:
        indicators.add(connection, said, office.clock())
    with pytest.raises(Conflict, match="another source says it here too"):
        office.draft()
    with office.store.write() as connection:
        why = Correction("IWF", "wrong")
        indicators.withdraw(connection, domain, "IWF", "case-8", office.clock(), correction=why)
    office.draft()


def test_a_draft_whose_proposal_is_gone_is_not_kept(small_office: Office) -> None:
    office = small_office
    office.payout()
    made = office.draft()
    with office.store.write() as connection:
        connection.execute(text("DELETE FROM proposals"))
    assert office.upkeep()
    assert office.contribution(made.message.contribution or "").state is State.LAPSED
    assert MAIL not in everything_stored(office)


def test_what_others_say_later_does_not_stop_what_was_drafted(small_office: Office) -> None:
    office = small_office
    office.payout()
    made = office.draft()
    office.clock.advance(timedelta(minutes=1))
    office.known()
    office.agree(made.proposal.id)
    office.work()
    assert office.keeper.asked == 1


def relay(office: Office) -> Any:
    item = {"kind": "email", "value": MAIL, "reference": "case-7"}
    return office.draft(kind="relay", merchant=None, reason=None, origin="IWF", items=[item], tlp=None)


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


SHAREABLE = {"tlp": "green", "licence": "CC-BY-4.0", "reshare": True}


def test_others_knowledge_is_passed_on_as_they_allow_with_licence_and_origin(office: Office) -> None:
    office.listen(licences=["CC-BY-4.0"])
    office.known(**SHAREABLE, category="abuse")
    made = relay(office)
    office.agree(made.proposal.id)
    office.work()

    (heard,) = office.keeper.heard.values()
    assert heard.content is not None
    (item,) = heard.content.items
    assert (heard.content.origin, item.licence, item.reshare, item.tlp) == ("IWF", "CC-BY-4.0", True, "green")
    assert (item.reference, item.confidence, item.category) == ("case-7", 90, "abuse")

    # Its source takes it back: so do we.
    digest = office.known(**SHAREABLE, category="abuse").digest
    with office.store.write() as connection:
        indicators.withdraw(connection, digest, "IWF", "case-7", office.clock(), correction=Correction("IWF", "wrong"))
    assert office.upkeep()
    (proposal,) = office.open_proposals()
    assert (proposal.kind, proposal.proposed_by) == ("retraction", "paycordon")
    office.agree(proposal.id)
    office.work()
    assert office.contribution(made.message.contribution).state is State.RETRACTED
    assert verify(office.store).ok


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"reshare": False}, "does not allow to pass it on"),
        ({"licence": ""}, "states no licence"),
        ({"licence": "other"}, "not known to keep the licence"),
        ({"tlp": "amber"}, "TLP:AMBER does not go"),
        ({"source": "Lantern"}, "it came from this recipient"),
    ],
)
def test_others_knowledge_stays_where_they_do_not_allow_it(small_office: Office, said: Any, why: str) -> None:
    office = small_office
    office.listen(licences=["CC-BY-4.0"], source="Lantern")
    known = office.known(**{**SHAREABLE, **said})
    item = {"kind": "email", "value": MAIL, "reference": "case-7"}
    with pytest.raises(Conflict, match=why):
        office.draft(kind="relay", merchant=None, reason=None, origin=known.source, items=[item], tlp=None)


def test_a_mark_that_became_stricter_stops_it_at_each_of_the_later_steps(small_office: Office) -> None:
    office = small_office
    office.listen(licences=["CC-BY-4.0"])
    office.known(**SHAREABLE)
    made = relay(office)
    office.known(**{**SHAREABLE, "tlp": "red"})
    with pytest.raises(Conflict, match="TLP:RED does not go"):
        office.agree(made.proposal.id)

    office.known(**SHAREABLE)
    office.agree(made.proposal.id)
    office.known(**{**SHAREABLE, "tlp": "red"})
    office.work()
    assert office.keeper.asked == 0
    with office.store.read() as connection:
        (stuck,) = messages.listed(connection)
    assert stuck.state is MessageState.STUCK
    assert "TLP:RED does not go" in (stuck.last_error or "")
    assert verify(office.store).ok


def test_a_process_that_died_after_it_was_taken_does_not_tell_twice(office: Office) -> None:
    office.payout()
    made = office.draft()
    office.agree(made.proposal.id)

    class Killed(BaseException):
        pass

    office.keeper.failing_after.append(Killed())  # type: ignore[arg-type]  # the process ends right there
    with pytest.raises(Killed):
        office.worker("w1").run_once()
    assert office.worker("w2").run_once() is False  # the lease is still that of the dead
    office.clock.advance(timedelta(minutes=6))
    assert office.worker("w2").run_once()

    assert (office.keeper.asked, len(office.keeper.heard)) == (2, 1)
    assert office.contribution(made.message.contribution or "").state is State.SENT
    assert verify(office.store).ok


def test_a_recipient_that_is_away_gets_it_later_and_a_refusal_waits_for_a_person(office: Office) -> None:
    office.payout()
    made = office.draft()
    office.agree(made.proposal.id)
    office.keeper.away = [RetryLater(f"away {MAIL}"), OutcomeUnknown(f"lost {MAIL}"), Refused("the form is wrong")]
    for _ in range(3):
        office.work()
        office.clock.advance(timedelta(hours=1))
    id_ = made.message.contribution or ""
    found = office.contribution(id_)
    assert (found.state, found.doubtful) == (State.STUCK, True)
    with office.store.read() as connection:
        (stuck,) = messages.of(connection, id_)
        notes = [e.note for c in cases.queue(connection, merchant="m_1") for e in cases.timeline(connection, c.id)]
    assert (stuck.failures, stuck.last_error) == (3, "Refused: the form is wrong")
    assert any("the form is wrong" in (note or "") for note in notes)

    with office.store.write() as connection:
        requeue(connection, stuck.id, by="ana", reason="corrected there", now=office.clock())
    office.work()
    assert office.contribution(id_).state is State.SENT
    assert verify(office.store).ok


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


def test_workers_side_by_side_do_each_thing_once(office: Office) -> None:
    office.payout()
    office.payout(merchant="m_2", mail="two@shop.example")
    for merchant, mail in (("m_1", MAIL), ("m_2", "two@shop.example")):
        made = office.draft(merchant=merchant, items=[{"kind": "email", "value": mail}])
        office.agree(made.proposal.id)

    def side_by_side(do: Callable[[int], object]) -> None:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(do, range(4)))

    side_by_side(lambda number: [office.worker(f"w{number}").run_once() for _ in range(3)])
    assert (office.keeper.asked, len(office.keeper.heard)) == (2, 2)
    office.release("m_1")
    office.release("m_2")
    side_by_side(lambda _: office.upkeep())
    assert [each.kind for each in office.open_proposals()] == ["retraction"] * 2
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


def test_feedback_takes_one_person_and_goes_to_its_source(small_office: Office) -> None:
    office = small_office
    office.listen(source="IWF")
    office.known()
    with office.store.write() as connection:
        contributing.feedback(connection, office.exchange, "IWF", "case-7", Worth.FALSE_POSITIVE, office.wish())
    with pytest.raises(Conflict, match="waits to be told already"), office.store.write() as connection:
        contributing.feedback(connection, office.exchange, "IWF", "case-7", Worth.FALSE_POSITIVE, office.wish())
    with pytest.raises(NotFound), office.store.write() as connection:
        contributing.feedback(connection, office.exchange, "IWF", "case-8", Worth.USEFUL, office.wish())
    office.work()
    (heard,) = office.keeper.heard.values()
    assert (heard.verb, heard.theirs, heard.worth, heard.content) == (Verb.FEEDBACK, "case-7", "false_positive", None)
    with pytest.raises(Conflict, match="was told so already, by `msg_"), office.store.write() as connection:
        contributing.feedback(connection, office.exchange, "IWF", "case-7", Worth.FALSE_POSITIVE, office.wish())
    with office.store.write() as connection:  # another mind, and another word of the source, are news
        contributing.feedback(connection, office.exchange, "IWF", "case-7", Worth.NOT_USEFUL, office.wish())
    office.work()
    office.clock.advance(timedelta(hours=1))
    office.known(confidence=95)
    with office.store.write() as connection:
        contributing.feedback(connection, office.exchange, "IWF", "case-7", Worth.FALSE_POSITIVE, office.wish())
    office.work()
    assert [each.worth for each in office.keeper.heard.values()] == ["false_positive", "not_useful", "false_positive"]
    assert verify(office.store).ok


def test_what_is_stuck_can_be_given_up_or_noted_as_done_by_hand(small_office: Office) -> None:
    office = small_office
    office.payout()
    made = office.draft()
    office.agree(made.proposal.id)
    office.keeper.away = [Refused("the form is wrong")]
    office.work()
    id_ = made.message.contribution or ""

    def retract(id_: str, *, by_hand: bool = False) -> Any:
        with office.store.write() as connection:
            return contributing.retract(connection, office.exchange, id_, office.wish(), by_hand=by_hand)

    assert retract(id_) is None
    assert office.contribution(id_).state is State.DROPPED
    assert office.keeper.heard == {}

    second = office.sent()
    with office.store.write() as connection:
        words = DraftWords.model_validate({"reason": "match:10"})
        correction = contributing.correct(connection, office.exchange, second, words, office.wish())
    office.agree(correction.proposal.id)
    office.keeper.away = [Refused("no such field"), Refused("not by this way")]
    office.work()
    office.agree(retract(second).proposal.id)  # what is stuck does not stand in its way
    office.work()
    assert office.contribution(second).state is State.RETRACTING
    with pytest.raises(Conflict, match="it is `retracting`"):
        retract(second)
    office.agree(retract(second, by_hand=True).proposal.id)
    assert office.contribution(second).state is State.RETRACTED
    with pytest.raises(Conflict):
        retract(second)
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


def test_a_listing_stops_its_clock_and_ends_by_itself(small_office: Office) -> None:
    office = small_office
    office.listen(listing_clock="visa_listing", lasts="90d")
    office.payout()
    with office.store.write() as connection:
        hold = connection.execute(select(schema.holds.c.id)).scalar_one()
        due = office.clock() + timedelta(days=1)
        clocks.start(connection, clocks.NewClock("hold", hold, "m_1", "visa_listing", "VMSS", due), office.clock())
    id_ = office.sent()
    with office.store.read() as connection:
        assert clocks.listed(connection, merchant="m_1") == []
    (heard,) = office.keeper.heard.values()
    assert heard.content is not None
    ends = office.contribution(id_).ends_at
    assert heard.content.items[0].valid_until == ends
    office.clock.advance(timedelta(days=91))
    assert office.upkeep()
    assert office.contribution(id_).state is State.ENDED


def test_what_stands_elsewhere_outlives_erasure_so_that_it_can_be_taken_back(small_office: Office) -> None:
    office = small_office
    office.payout()
    sent, drafted = office.sent(), office.draft(kind="sighting")
    office.release()
    with pytest.raises(Conflict, match="a word to others that is under way"):
        erase_merchant(office.store, "m_1", by="ada", basis="asked", clock=office.clock)
    office.upkeep()
    (proposal,) = office.open_proposals()
    with office.store.write() as connection:
        proposals.decline(connection, proposal.id, office.wish(office.ben, "it stands"))
        connection.execute(text("UPDATE cases SET closed_at = 1, state = 'closed'"))
        connection.execute(text("UPDATE clocks SET ended_at = 1, state = 'stopped'"))
    erase_merchant(office.store, "m_1", by="ada", basis="asked", clock=office.clock)
    assert office.contribution(sent).state is State.SENT
    with pytest.raises(NotFound):
        office.contribution(drafted.message.contribution or "")
    assert verify(office.store).ok


def test_what_is_over_goes_after_its_time_and_leaves_no_plain_bytes(small_office: Office, tmp_path: Path) -> None:
    office = small_office
    office.payout()
    office.sent(party={"legal_name": "Synthetic Shop Ltd"})
    office.release()
    office.upkeep()
    office.agree(office.open_proposals()[0].id)
    office.work()
    with office.store.write() as connection:
        connection.execute(text("UPDATE cases SET closed_at = 1, state = 'closed'"))
        connection.execute(text("UPDATE clocks SET ended_at = 1, state = 'stopped'"))
    office.clock.advance(timedelta(days=40))
    kept = RetentionSection.model_validate({"contributions": "30d", "feedback": "30d"})
    Retention(office.store, kept, office.clock).run()
    with office.store.read() as connection:
        for table in (schema.contributions, schema.messages):
            assert connection.execute(select(table.c.id)).first() is None
    assert verify(office.store).ok
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    assert b"contribution.drafted" in stored
    assert b"Synthetic Shop" not in stored
    assert MAIL.encode() not in stored


CHANGES = (
    "UPDATE contributions SET merchant = 'm_2'",
    "UPDATE contributions SET state = 'retracted'",
    "UPDATE contributions SET state = 'declined'",
    "UPDATE contributions SET digests = '[]'",
    "UPDATE exchange_messages SET agreed_by = 'ana'",
    "UPDATE exchange_messages SET verb = 'retract'",
    "UPDATE exchange_messages SET theirs = 'other'",
    "UPDATE exchange_messages SET state = 'waiting'",
    "UPDATE exchange_messages SET body = '{}'",
    "UPDATE exchange_messages SET reason = 'other'",
)


def test_the_log_tells_what_was_changed(small_office: Office, tmp_path: Path) -> None:
    office = small_office
    office.payout()
    office.sent()
    assert verify(office.store).ok
    whole = tmp_path / "whole.db"
    with closing(sqlite3.connect(tmp_path / "store.db")) as source, closing(sqlite3.connect(whole)) as copy:
        source.backup(copy)
    for change in CHANGES:
        shutil.copy(whole, tmp_path / "changed.db")
        with closing(sqlite3.connect(tmp_path / "changed.db")) as changed, changed:
            changed.execute(change)
        store = Store.open(f"sqlite:///{tmp_path / 'changed.db'}", migrate=False)
        assert not verify(store).ok, change
        store.close()


def test_texts_show_nothing_plain(small_office: Office, caplog: Any, away: Callable[[], Exception]) -> None:
    office = small_office
    office.payout()
    made = office.draft(party={"legal_name": "Synthetic Shop Ltd"})
    office.agree(made.proposal.id)
    office.keeper.away = [away()]
    office.work()
    with office.store.read() as connection:
        (message,) = messages.of(connection, made.message.contribution or "")
    shown = f"{made!r} {message!r} {office.document()!r} {caplog.text}"
    assert MAIL not in shown
    assert "Synthetic Shop" not in shown
    assert message.last_error == "RetryLater: it was not taken, and is sent again"
