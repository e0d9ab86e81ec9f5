"""Cases: what comes first, who does what with them, and that every step says who and why."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from paycordon.errors import Conflict, NotFound
from paycordon.people import Forbidden, Role
from paycordon.record.verify import verify
from paycordon.review import actions
from paycordon.store import cases, clocks, holds, schema
from paycordon.store.cases import State
from paycordon.store.clocks import NewClock


def case_of(office, merchant: str = "m_1") -> cases.Case:
    with office.store.read() as connection:
        (found,) = cases.queue(connection, merchant=merchant)
    return found


def act(office, action, case_id: str, by=None, **options):
    with office.store.write() as connection:
        return action(
            connection, case_id, by=by or office.ana, **{"reason": "looked at it", **options}, now=office.clock()
        )


def kinds(office, case_id: str) -> list[str]:
    with office.store.read() as connection:
        return [event.kind for event in cases.timeline(connection, case_id)]


@pytest.mark.parametrize(
    ("minor", "known", "priority"), [(60_000, False, 2), (200_000, False, 1), (600_000, False, 0), (100, True, 0)]
)
def test_priority_comes_from_the_outcome_and_from_the_coalition(office, minor, known, priority) -> None:
    office.payout(minor, known=known)
    assert case_of(office).priority == priority


def test_a_merchant_has_one_case_which_becomes_as_urgent_as_its_worst_decision(office) -> None:
    office.payout(60_000)
    first = case_of(office)
    office.payout(600_000)
    office.payout(60_000)

    assert case_of(office).id == first.id
    assert case_of(office).priority == 0
    assert kinds(office, first.id) == ["decision"] * 3


def test_the_queue_is_ordered_by_priority_then_deadline_then_age(office) -> None:
    for merchant, minor in (("m_old", 60_000), ("m_due", 60_000), ("m_block", 600_000), ("m_wait", 600_000)):
        office.payout(minor, merchant=merchant)
    with office.store.write() as connection:
        due = office.clock() + timedelta(hours=4)
        clocks.start(
            connection, NewClock("case", case_of(office, "m_due").id, "m_due", "sla", "test", due), office.clock()
        )
    act(office, actions.request_information, case_of(office, "m_wait").id)

    with office.store.read() as connection:
        queue = cases.queue(connection)
    assert [case.merchant for case in queue] == ["m_block", "m_due", "m_old", "m_wait"]
    assert queue[1].due_at == due


def test_a_person_takes_a_case_notes_and_attaches_by_reference(office) -> None:
    office.payout(200_000)
    case = case_of(office)
    act(office, actions.assign, case.id, to="ana")
    with office.store.write() as connection:
        actions.note(connection, case.id, by=office.ana, text="called them", now=office.clock())
        actions.attach(
            connection, case.id, reference="dms:4711", sha256="ab" * 32, by=office.ana, text="passport",
            now=office.clock(),
        )  # fmt: skip
        lines = cases.timeline(connection, case.id)

    assert case_of(office).assignee == "ana"
    assert [(line.kind, line.actor) for line in lines[1:]] == [
        ("assign", "ana"), ("note", "ana"), ("attachment", "ana")
    ]  # fmt: skip
    assert json.loads(lines[-1].detail) == {"reference": "dms:4711", "sha256": "ab" * 32}
    with office.store.read() as connection:
        payloads = " ".join(connection.execute(select(schema.log.c.payload)).scalars())
    assert "case.note" in " ".join(log_kinds(office))
    for free_text in ("called them", "passport", "dms:4711"):
        assert free_text not in payloads, "the log holds digests of what people write, never the words"


def log_kinds(office) -> list[str]:
    with office.store.read() as connection:
        return list(connection.execute(select(schema.log.c.kind).order_by(schema.log.c.seq)).scalars())


def test_upholding_keeps_the_holds_closes_the_case_and_sets_a_new_review_date(office) -> None:
    office.payout(200_000)
    case, again = case_of(office), office.clock() + timedelta(days=30)
    closed = act(office, actions.uphold, case.id, review_at=again)

    assert (closed.state, closed.resolution, closed.closed_by) == (State.CLOSED, "uphold", "ana")
    with office.store.read() as connection:
        (hold,) = holds.listed(connection, merchant="m_1")
        (clock,) = clocks.listed(connection, subject_id=hold.id)
    assert (clock.kind, clock.due_at) == ("review", again)
    assert verify(office.store).ok


def test_a_case_that_waits_is_opened_again_by_whatever_happens_next(office) -> None:
    office.payout(60_000)
    case = act(office, actions.request_information, case_of(office).id)
    assert case.state is State.WAITING
    office.payout(60_000)
    assert case_of(office).state is State.OPEN


def test_an_escalation_makes_a_case_more_urgent(office) -> None:
    office.payout(60_000)
    case = act(office, actions.escalate, case_of(office).id)
    assert (case.state, case.priority) == (State.ESCALATED, 1)
    case = act(office, actions.resume, case.id)
    assert (case.state, case.priority) == (State.OPEN, 1)


def test_a_closed_case_is_reopened_unless_another_is_open(office) -> None:
    office.payout(60_000)
    case = act(office, actions.close_unheld, case_of(office).id)
    assert case.resolution == "release"
    with pytest.raises(Conflict, match="reopen it first"):
        act(office, actions.escalate, case.id)
    again = act(office, actions.reopen, case.id)
    assert (again.state, again.resolution, again.closed_at) == (State.OPEN, None, None)
    with pytest.raises(Conflict, match="not closed"):
        act(office, actions.reopen, case.id)

    act(office, actions.close_unheld, case.id)
    office.payout(60_000)
    with pytest.raises(Conflict, match="open case already"):
        act(office, actions.reopen, case.id)


def test_a_case_of_a_merchant_that_is_held_is_not_closed_as_released(office) -> None:
    office.payout(200_000)
    with pytest.raises(Conflict, match="still held"):
        act(office, actions.close_unheld, case_of(office).id)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER, Role.RESTRICTED])
def test_only_analysts_and_admins_act(office, make_person, role: Role) -> None:
    office.payout(60_000)
    case = case_of(office)
    with pytest.raises(Forbidden):
        act(office, actions.escalate, case.id, by=make_person("eve", role))
    assert kinds(office, case.id) == ["decision"]
    assert act(office, actions.escalate, case.id, by=make_person("adm", Role.ADMIN)).state is State.ESCALATED


def test_a_restricted_case_is_not_there_for_anybody(office) -> None:
    office.payout(60_000)
    case = case_of(office)
    with office.store.write() as connection:
        connection.execute(update(schema.cases).values(restricted=1))

    with office.store.read() as connection:
        assert cases.queue(connection, states=tuple(State)) == []
        with pytest.raises(NotFound) as told:
            cases.get(connection, case.id)
        with pytest.raises(NotFound) as other:
            cases.get(connection, "case_none")
    assert str(told.value).replace(case.id, "X") == str(other.value).replace("case_none", "X")
    with pytest.raises(NotFound):
        act(office, actions.escalate, case.id)


def test_of_two_people_who_close_a_case_at_once_one_is_told(office) -> None:
    office.payout(60_000)
    read = case_of(office)
    act(office, actions.close_unheld, read.id)
    with office.store.write() as connection, pytest.raises(Conflict, match="changed meanwhile"):
        cases.change(connection, read, state="waiting")


def test_an_upheld_hold_brings_no_new_case_with_every_event_that_it_stops(office) -> None:
    office.payout(200_000)
    first = case_of(office)
    act(office, actions.uphold, first.id, review_at=office.clock() + timedelta(days=30))

    assert office.payout(100).outcome == "hold"  # the standing hold, and nothing else
    with office.store.read() as connection:
        assert cases.queue(connection) == []
    office.payout(60_000)  # a rule of its own
    assert case_of(office).id != first.id


def test_transactions_at_the_same_time_open_one_case(office) -> None:
    def open_one(letter: str) -> str:
        with office.store.write() as connection:
            return cases.open_for(connection, "m_9", office.clock(), lambda size: letter.encode() * size)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(open_one, "abcdefgh"))) == 1
