"""What people have released is not held again by the next event; what is new holds at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from paycordon.decisions import Outcome
from paycordon.record.verify import verify
from paycordon.review import proposals
from paycordon.store import holds, indicators, snoozes
from paycordon.store.proposals import Proposal


def release(office, **quiet: timedelta) -> None:
    with office.store.write() as connection:
        for hold in holds.listed(connection):
            came = proposals.release(connection, hold.id, replace(office.wish(office.ana), **quiet))
            if isinstance(came, Proposal):
                proposals.agree(connection, came.id, replace(office.wish(office.ben), **quiet))


def test_a_released_rule_is_quiet_for_a_day_and_its_match_stays_on_record(office) -> None:
    office.payout(200_000)
    release(office)
    decision = office.payout(200_000)
    assert decision.outcome is Outcome.REVIEW, "other rules go on"
    (large,) = [match for match in decision.matches if match.rule == "large"]
    assert (large.outcome, large.limited) == (Outcome.ALLOW, Outcome.HOLD)
    assert office.payout(200_000, merchant="m_2").outcome is Outcome.HOLD, "for this merchant only"
    office.clock.advance(timedelta(days=1))
    assert office.payout(200_000).outcome is Outcome.HOLD
    assert verify(office.store).ok


def test_an_indicator_that_was_looked_at_is_passed_over_until_its_source_states_it_anew(office) -> None:
    office.payout(100, known=True)
    release(office)
    assert office.payout(100, known=True).outcome is Outcome.ALLOW
    assert office.payout(100, known=True, merchant="m_2").outcome is Outcome.HOLD
    with office.store.write() as connection:
        (known,) = indicators.listed(connection)
        indicators.add(connection, replace(known, status="conviction"), office.clock())
    assert office.payout(100, known=True).outcome is Outcome.HOLD, "it says more than what was looked at"


def test_another_indicator_holds_at_once_though_the_same_rule_was_released(office) -> None:
    office.payout(100, known=True)
    release(office)
    with office.store.write() as connection:
        (known,) = indicators.listed(connection)
        indicators.add(connection, replace(known, reference="case-8"), office.clock())
    decision = office.payout(100, known=True)
    assert decision.outcome is Outcome.HOLD
    assert [finding.evidence["reference"] for finding in decision.findings] == ["case-8"]


def test_a_rule_for_the_protection_of_children_is_quiet_after_a_release_too(office) -> None:
    office.payout(600_000)
    release(office)
    assert office.payout(600_000).outcome is Outcome.REVIEW


def test_people_end_it_and_a_deployment_may_do_without(office) -> None:
    office.payout(200_000)
    release(office)
    with office.store.write() as connection:
        (kept,) = snoozes.listed(connection, office.clock())
        assert kept.rule == "released/payouts/large"
        snoozes.end(connection, kept.id, by="ana", reason="was wrong", now=office.clock())
    assert office.payout(200_000).outcome is Outcome.HOLD
    release(office, rules_quiet=timedelta(0))
    assert office.payout(200_000).outcome is Outcome.HOLD


def test_two_holds_of_one_rule_are_remembered_once(office) -> None:
    for _ in range(2):
        office.payout(200_000)
    release(office)
    with office.store.read() as connection:
        assert len(snoozes.listed(connection, office.clock())) == 1
