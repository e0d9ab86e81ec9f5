"""What takes two people takes two different ones; a proposal does nothing until the second has agreed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from paycordon.decisions import Outcome, Scope
from paycordon.errors import ApprovalRequired, Conflict, NotFound
from paycordon.people import Forbidden, Role, same_name
from paycordon.record.verify import verify
from paycordon.review import actions, proposals
from paycordon.review.bulk import CaseSelection, Selection, each_case, release_each, selected, selected_cases
from paycordon.store import cases, holds, schema
from paycordon.store import proposals as stored
from paycordon.store.holds import NewHold, Source
from paycordon.store.proposals import Kind, Proposal


def held(office, **options) -> list[holds.Hold]:
    with office.store.read() as connection:
        return list(holds.listed(connection, **options))


def do(office, action, *args, by=None, reason: str = "looked at it", **options):
    with office.store.write() as connection:
        return action(connection, *args, office.wish(by or office.ana, reason), **options)


def block_of(merchant: str) -> NewHold:
    return NewHold(
        merchant, "", "", "merchant", merchant, Outcome.BLOCK, Scope.CHARGES, "paycordon/by_hand", "review_pending",
        Source.PERSON,
    )  # fmt: skip


def problems(office) -> list[str]:
    return [str(problem) for problem in verify(office.store).problems]


def test_an_ordinary_hold_is_released_by_one_person(office) -> None:
    office.payout(200_000)
    (hold,) = held(office)
    released = do(office, proposals.release, hold.id)
    assert (released.active, released.released_by) == (False, "ana")
    assert problems(office) == []


def test_a_hold_on_the_coalitions_knowledge_is_released_when_a_second_person_agrees(office) -> None:
    office.payout(100, known=True)
    (hold,) = held(office)
    made = do(office, proposals.release, hold.id)
    assert isinstance(made, Proposal)
    assert held(office) == [hold], "a proposal does nothing"

    agreed = do(office, proposals.agree, made.id, by=office.ben, reason="I see it too")
    assert (agreed.state, agreed.decided_by) == ("agreed", "ben")
    (released,) = held(office, active_only=False)
    assert (released.released_by, released.release_reason) == ("ana", "looked at it")
    with office.store.read() as connection:
        (case,) = cases.queue(connection, states=tuple(cases.State))
    assert (case.state, case.resolution) == ("closed", "release")
    assert problems(office) == []


def test_the_store_itself_refuses_a_release_by_one_person_under_two_spellings(office) -> None:
    office.payout(100, known=True)
    (hold,) = held(office)
    for second in (None, "Ana", " ANA ", "\uff41na", "a\u200bna"):
        with office.store.write() as connection, pytest.raises(ApprovalRequired):
            holds.release(connection, hold.id, by="ana", agreed_by=second, reason="r", now=office.clock())
    assert held(office) == [hold]


@pytest.mark.parametrize("spelling", ["ana", "Ana", "A N A", "\uff21na", "an\u00ada"])
def test_nobody_agrees_to_their_own_proposal(office, make_person, spelling: str) -> None:
    office.payout(100, known=True)
    made = do(office, proposals.release, held(office)[0].id)
    with pytest.raises(ApprovalRequired, match="second, different person"):
        do(office, proposals.agree, made.id, by=make_person(spelling, Role.APPROVER, Role.ADMIN))
    assert len(held(office)) == 1


def test_names_that_are_different_stay_different() -> None:
    assert not same_name("ana", "anna")
    assert same_name("Stra\u00dfe", "STRASSE")


def test_agreeing_takes_the_role_and_proposing_another(office, make_person) -> None:
    office.payout(100, known=True)
    (hold,) = held(office)
    with pytest.raises(Forbidden):
        do(office, proposals.release, hold.id, by=make_person("vic", Role.VIEWER))
    made = do(office, proposals.release, hold.id)
    with pytest.raises(Forbidden):
        do(office, proposals.agree, made.id, by=make_person("cid", Role.ANALYST))


def test_a_release_is_proposed_once(office, make_person) -> None:
    office.payout(100, known=True)
    (hold,) = held(office)
    made = do(office, proposals.release, hold.id)
    with pytest.raises(Conflict, match=made.id):
        do(office, proposals.release, hold.id, by=make_person("cid"))


def test_a_declined_proposal_is_over(office) -> None:
    office.payout(100, known=True)
    made = do(office, proposals.release, held(office)[0].id)
    assert do(office, proposals.decline, made.id, by=office.ben).state == "declined"
    with pytest.raises(Conflict, match="declined"):
        do(office, proposals.agree, made.id, by=office.ben)
    assert problems(office) == []
    assert isinstance(do(office, proposals.release, held(office)[0].id), Proposal)


def test_who_proposed_takes_it_back_but_another_analyst_does_not(office, make_person) -> None:
    office.payout(100, known=True)
    made = do(office, proposals.release, held(office)[0].id)
    with pytest.raises(Forbidden):
        do(office, proposals.decline, made.id, by=make_person("cid"))
    assert do(office, proposals.decline, made.id).state == "declined"


def test_a_proposal_lapses_and_may_be_made_again(office) -> None:
    office.payout(100, known=True)
    made = do(office, proposals.release, held(office)[0].id)
    office.clock.advance(timedelta(days=7))
    with pytest.raises(Conflict, match="lapsed"):
        do(office, proposals.agree, made.id, by=office.ben)
    with office.store.read() as connection:
        assert stored.listed(connection, office.clock()) == []
        (found,) = stored.listed(connection, office.clock(), open_only=False)
    assert found.state == "lapsed"
    assert isinstance(do(office, proposals.release, held(office)[0].id), Proposal)


def test_what_was_released_meanwhile_is_a_conflict_and_nothing_of_the_agreement_stays(office) -> None:
    office.payout(100, known=True)
    (hold,) = held(office)
    made = do(office, proposals.release, hold.id)
    with office.store.write() as connection:
        holds.release(connection, hold.id, by="cid", agreed_by="dan", reason="r", now=office.clock())
    with pytest.raises(Conflict, match="released before"):
        do(office, proposals.agree, made.id, by=office.ben)
    with office.store.read() as connection:
        assert stored.get(connection, made.id, office.clock()).state == "open"
    assert problems(office) == []


def test_a_block_for_good_takes_two_people_and_its_release_as_well(office) -> None:
    office.payout(100)
    made = do(office, proposals.place, block_of("m_1"), review_at=None)
    assert isinstance(made, Proposal)
    assert office.payout(100).outcome is Outcome.ALLOW
    do(office, proposals.agree, made.id, by=office.ben)

    (hold,) = held(office)
    assert (hold.source, hold.outcome, hold.placed_by, hold.two_people) == (Source.PERSON, "block", "ana", True)
    assert office.payout(100).outcome is Outcome.BLOCK
    assert isinstance(do(office, proposals.release, hold.id), Proposal)
    assert problems(office) == []


def test_a_block_with_a_review_date_and_a_hold_take_one_person(office) -> None:
    office.payout(100)
    again = office.clock() + timedelta(days=14)
    assert do(office, proposals.place, block_of("m_1"), review_at=again).outcome is Outcome.BLOCK
    with office.store.read() as connection:
        (case,) = cases.queue(connection)
        kinds = [event.kind for event in cases.timeline(connection, case.id)]
    assert (case.priority, kinds[0]) == (0, "hold")
    assert problems(office) == []


def test_a_referral_sends_nothing_and_is_noted_once_two_agree(office) -> None:
    office.payout(60_000)
    with office.store.read() as connection:
        (case,) = cases.queue(connection)
    made = do(office, proposals.refer, case.id, "hotline")
    do(office, proposals.agree, made.id, by=office.ben)
    with office.store.read() as connection:
        lines = [(line.kind, line.actor) for line in cases.timeline(connection, case.id)]
    assert lines[1:] == [("proposed", "ana"), ("refer", "ben")]


def test_a_restricted_proposal_is_not_there(office) -> None:
    office.payout(100, known=True)
    made = do(office, proposals.release, held(office)[0].id)
    with office.store.write() as connection:
        connection.execute(update(schema.proposals).values(restricted=1))
    with pytest.raises(NotFound):
        do(office, proposals.agree, made.id, by=office.ben)
    with office.store.read() as connection:
        assert stored.listed(connection, office.clock(), open_only=False) == []


def test_many_holds_are_released_with_the_guards_of_each(office) -> None:
    for n in range(3):
        office.payout(200_000, merchant=f"m_{n}")
    office.payout(100, known=True, merchant="m_9")
    office.payout(200_000, merchant="m_8")
    with office.store.read() as connection:
        meant = selected(connection, Selection(rule="payouts/large"))
        assert len(meant) == 4
        everything = [*meant, *selected(connection, Selection(merchant="m_9"))]
        late = selected(connection, Selection(rule="payouts/large", since=office.clock()))
    assert late == meant[-1:]
    with office.store.write() as connection:
        holds.release(connection, meant[0], by="cid", reason="faster", now=office.clock())

    told: list[int] = []
    summary = release_each(office.store, everything, lambda: office.wish(office.ana), told.append)

    assert (summary.released, len(summary.proposed), list(summary.refused)) == (list(meant[1:]), 1, [meant[0]])
    assert told == [1, 2, 3, 4, 5]
    assert [hold.merchant for hold in held(office)] == ["m_9"]
    with office.store.read() as connection:
        assert [each.kind for each in stored.listed(connection, office.clock())] == [Kind.RELEASE]
    assert problems(office) == []


def test_many_cases_are_upheld_with_the_guards_of_each(office, make_person) -> None:
    for n in range(3):
        office.payout(200_000, merchant=f"m_{n}")
    office.payout(60_000, merchant="m_8")
    until = office.clock()
    office.payout(200_000, merchant="m_9")

    def uphold(by):
        now = office.clock()
        return lambda connection, id_: actions.uphold(
            connection, id_, by=by, reason="stands", now=now, review_at=now + timedelta(days=30)
        )

    with office.store.read() as connection:
        meant = selected_cases(connection, CaseSelection(rule="payouts/large", until=until))
        assert len(meant) == 3
        assert len(selected_cases(connection, CaseSelection(unassigned=True))) == 5
        assert selected_cases(connection, CaseSelection(assignee="ana")) == []
    viewed = each_case(office.store, meant, uphold(make_person("vic", Role.VIEWER)))
    assert (viewed.done, list(viewed.refused)) == ([], list(meant))
    with office.store.write() as connection:
        uphold(make_person("cid"))(connection, meant[0])
    told: list[int] = []
    summary = each_case(office.store, meant, uphold(office.ana), told.append)
    assert (summary.done, list(summary.refused), told) == (list(meant[1:]), [meant[0]], [1, 2, 3])
    assert len(held(office)) == 4, "what is upheld stays held"
    assert problems(office) == []
    with office.store.write() as connection:
        connection.execute(update(schema.cases).values(restricted=1))
        assert selected_cases(connection, CaseSelection(unassigned=True)) == []


def change(office, statement) -> None:
    with office.store.write() as connection:
        assert connection.execute(statement).rowcount == 1


@pytest.mark.parametrize(
    "values",
    [
        {"outcome": "hold"}, {"scope": "payouts"}, {"merchant": "m_2"}, {"placed_by": "eve"}, {"amount": 5},
        {"two_people": 0}, {"internal_reason": "other"}, {"source": "decision"}, {"source": "order"},
        {"merchant_reason": "other"},
    ],
)  # fmt: skip
def test_a_changed_hold_by_hand_is_named(office, values: dict[str, object]) -> None:
    office.payout(100)
    made = do(office, proposals.place, block_of("m_1"), review_at=None)
    do(office, proposals.agree, made.id, by=office.ben)
    assert problems(office) == []
    (hold,) = held(office)
    change(office, update(schema.holds).where(schema.holds.c.id == hold.id).values(**values))
    assert [line for line in problems(office) if hold.id in line]


def test_a_hold_by_hand_that_nobody_logged_and_one_that_is_gone_are_named(office) -> None:
    office.payout(100)
    again = office.clock() + timedelta(days=1)
    placed = do(office, proposals.place, block_of("m_1"), review_at=again)
    change(office, update(schema.holds).values(id="hold_other"))
    told = " ".join(problems(office))
    assert "hold_other" in told
    assert placed.id in told


def test_a_release_by_one_person_that_took_two_is_named(office) -> None:
    office.payout(100, known=True)
    (hold,) = held(office)
    change(office, update(schema.holds).values(two_people=0))
    assert any(hold.id in line for line in problems(office))
    with office.store.write() as connection:
        holds.release(connection, hold.id, by="eve", reason="r", now=office.clock())
    change(office, update(schema.holds).values(two_people=1))
    assert any("two people" in line for line in problems(office))


@pytest.mark.parametrize(
    "values",
    [
        {"proposed_by": "cid"}, {"detail": '{"x": 1}'}, {"decided_by": "dan"}, {"reason": "other"}, {"merchant": "m"},
        {"state": "open"}, {"decision_reason": "other"}, {"id": "prop_other"}, {"lapses_at": 1},
    ],
)  # fmt: skip
def test_a_changed_proposal_is_named(office, values: dict[str, object]) -> None:
    office.payout(100, known=True)
    made = do(office, proposals.release, held(office)[0].id)
    do(office, proposals.agree, made.id, by=office.ben)
    assert problems(office) == []
    change(office, update(schema.proposals).values(**values))
    assert any("proposal" in line for line in problems(office))


def test_free_text_is_in_the_log_as_digests_only(office) -> None:
    office.payout(100, known=True)
    made = do(office, proposals.release, held(office)[0].id, reason="synthetic words")
    do(office, proposals.agree, made.id, by=office.ben, reason="other words")
    with office.store.read() as connection:
        payloads = " ".join(connection.execute(select(schema.log.c.payload)).scalars())
    assert "words" not in payloads
