"""What others were told is taken back for good, whenever a worker died and whatever people draft meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from paycordon.errors import Conflict
from paycordon.exchange.contract import Verb
from paycordon.exchange.drafts import DraftWords
from paycordon.record.verify import verify
from paycordon.review import contributing
from paycordon.review.contributing import Drafted
from paycordon.store.contributed import State

from .conftest import Office


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
