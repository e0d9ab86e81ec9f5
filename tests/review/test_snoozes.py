"""A snoozed rule's match stays on the decision and counts as allow, for one merchant, until it ends by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from paycordon.decisions import Outcome
from paycordon.errors import Conflict
from paycordon.policy.guarded import guarded_rules
from paycordon.record.verify import verify
from paycordon.review import proposals
from paycordon.store import schema, snoozes


def place(office, rule: str, merchant: str = "m_1", *, days: int = 5, two: bool = False):
    until = office.clock() + timedelta(days=days)
    with office.store.write() as connection:
        return proposals.snooze(connection, merchant, rule, until, office.wish(office.ana), takes_two=two)


def snooze_by_two(office, rule: str) -> None:
    made = place(office, rule, two=True)
    with office.store.write() as connection:
        proposals.agree(connection, made.id, office.wish(office.ben))


def test_the_match_stays_and_says_what_was_silenced(office) -> None:
    snooze = place(office, "payouts/medium")
    decision = office.payout(60_000)
    assert decision.outcome is Outcome.ALLOW
    (match,) = decision.matches
    assert (match.outcome, match.limited, match.snoozed) == ("allow", "review", snooze.id)
    assert office.payout(60_000, merchant="m_2").outcome is Outcome.REVIEW


def test_other_rules_still_count_and_no_hold_is_placed_for_the_silent_one(office) -> None:
    place(office, "payouts/large")
    decision = office.payout(200_000)
    assert (decision.outcome, decision.rule) == (Outcome.REVIEW, "payouts/medium")
    with office.store.read() as connection:
        assert connection.execute(schema.holds.select()).all() == []


def test_a_snooze_ends_by_itself_or_by_a_person(office) -> None:
    place(office, "payouts/medium", days=1)
    office.clock.advance(timedelta(days=1))
    assert office.payout(60_000).outcome is Outcome.REVIEW
    again = place(office, "payouts/medium", "m_3")
    assert office.payout(60_000, merchant="m_3").outcome is Outcome.ALLOW
    with office.store.write() as connection:
        snoozes.end(connection, again.id, by="ana", reason="r", now=office.clock())
        with pytest.raises(Conflict, match="ended already"):
            snoozes.end(connection, again.id, by="ana", reason="r", now=office.clock())
    assert office.payout(60_000, merchant="m_3").outcome is Outcome.REVIEW
    assert verify(office.store).ok


@pytest.mark.parametrize(
    ("rule", "minor", "known"), [("payouts/known", 100, True), ("payouts/guarded", 600_000, False)]
)
def test_one_person_silences_no_rule_that_protects_children_or_rests_on_the_coalition(
    office, rule: str, minor: int, known: bool
) -> None:
    place(office, rule)
    before = office.payout(minor, known=known, merchant="m_1")
    assert next(match for match in before.matches if f"payouts/{match.rule}" == rule).snoozed is None
    assert before.outcome.stops


def test_two_people_silence_it(office) -> None:
    snooze_by_two(office, "payouts/known")
    decision = office.payout(100, known=True)
    assert (decision.outcome, decision.matches[0].limited) == (Outcome.ALLOW, Outcome.HOLD)
    assert verify(office.store).ok


def test_which_rules_take_two_people(office) -> None:
    assert guarded_rules(office.cordon.policies) == {"payouts/known", "payouts/guarded"}


def test_points_of_a_silenced_rule_do_not_count(office) -> None:
    assert office.payout(20_000, merchant="m_2").outcome is Outcome.HOLD
    place(office, "payouts/round")
    decision = office.payout(20_000)
    (match,) = decision.matches
    assert (match.outcome, match.limited) == (Outcome.REVIEW, Outcome.HOLD)


def test_a_rule_is_snoozed_once_and_never_into_the_past(office) -> None:
    place(office, "payouts/medium")
    with pytest.raises(Conflict, match="already"):
        place(office, "payouts/medium")
    with pytest.raises(Conflict, match="future"):
        place(office, "payouts/large", days=0)


@pytest.mark.parametrize("values", [{"agreed_by": "ben"}, {"until": 1}, {"rule": "x/y"}, {"merchant": "m_2"}])
def test_a_changed_snooze_is_named(office, values: dict[str, object]) -> None:
    snooze = place(office, "payouts/medium")
    assert verify(office.store).ok
    with office.store.write() as connection:
        connection.execute(update(schema.snoozes).values(**values))
    assert any(snooze.id in str(problem) for problem in verify(office.store).problems)
