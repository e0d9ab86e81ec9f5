"""What two people agreed to leaves once, whatever fails on the way, and shows nothing plain where others look."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from paycordon.errors import ApprovalRequired, Conflict, NotFound, OutcomeUnknown, Refused, RetryLater
from paycordon.exchange.contract import Verb, Worth
from paycordon.exchange.drafts import DraftWords
from paycordon.people import Person, Role
from paycordon.record.verify import verify
from paycordon.review import contributing
from paycordon.store import cases, clocks, messages, schema
from paycordon.store.contributed import State
from paycordon.store.contributions import requeue

from .conftest import MAIL, Office, everything_stored


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
