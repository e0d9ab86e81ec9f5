"""Referrals: deadlines that are told, a record that can be proved, and what is kept for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from paycordon.exchange.referral import State
from paycordon.record.restrictedcheck import verify as verify_restricted
from paycordon.review import referring
from paycordon.review.retention import Retention, erase_merchant
from paycordon.sections import RetentionSection
from paycordon.store import erasure, indicators, referrals, schema

from .desk import EMAIL, Desk, on_one_database

# Deadlines, the record, and what is kept.


def test_a_deadline_warns_passes_and_reminds_and_does_nothing_else(desk: Desk) -> None:
    id_ = desk.receive()
    for days in (2.5, 0.6, 7, 7):
        desk.clock.advance(timedelta(days=days))
        desk.work()
        desk.work()
    told = [kind for kind in desk.restricted_kinds() if kind != "referral.receive"]
    assert told == ["referral.warned", "referral.due", "referral.reminded", "referral.reminded"]
    assert desk.get(id_).state is State.RECEIVED
    desk.offer(id_)
    assert (desk.get(id_).told, desk.get(id_).overdue(desk.clock())) == (0, False)
    assert desk.sound()


@on_one_database
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE referrals SET body = replace(body, 'T-1', 'T-2')", "does not say what the restricted log says"),
        ("UPDATE referral_steps SET body = replace(body, 'as told', 'otherwise')", "its history is not what"),
        ("DELETE FROM referral_steps WHERE number = 2", "its history is not what"),
        ("UPDATE referrals SET state = 'closed'", "does not stand where its history has led to"),
        ("UPDATE referrals SET due_at = due_at + 1", "does not stand where its history has led to"),
        ("DELETE FROM referral_merchants", "does not name the merchants"),
        ("DELETE FROM referrals", "is missing"),
        ("UPDATE referrals SET id = 'ref_other'", "no entry of the restricted log names it"),
    ],
)
def test_what_is_changed_behind_its_back_is_found(desk: Desk, statement: str, said: str) -> None:
    desk.offer(desk.receive())
    with desk.store.write() as connection:
        connection.execute(text(statement))
        problems = verify_restricted(connection, None)[1]
    assert any(said in problem for problem in problems), problems


def test_it_is_kept_as_long_as_the_house_says_and_a_held_one_five_years(desk: Desk) -> None:
    short, long, open_ = desk.receive(), desk.receive(reference="T-2"), desk.receive(reference="T-3")
    desk.offer(long)
    desk.hold(long)
    for id_ in (short, long):
        desk.step(referring.close, id_)
    kept = Retention(desk.store, RetentionSection(referrals="90d"), desk.clock)
    before = desk.public()
    desk.clock.advance(timedelta(days=91))
    kept.run()
    assert names(desk) == {long, open_}
    assert desk.public() == before  # nobody else sees that anything went
    desk.clock.advance(erasure.AFTER_A_DIRECTIVE)
    kept.run()
    assert names(desk) == {open_}
    assert desk.sound()


def test_the_erasure_of_a_merchant_keeps_what_it_must_for_the_role_alone(desk: Desk) -> None:
    desk.payout(email="other@goods.example")
    running, over = desk.receive(), desk.receive(reference="T-2")
    desk.step(referring.close, over)
    erase_merchant(desk.store, "m_1", by="adam", basis="asked for", clock=desk.clock)
    assert names(desk) == {running}
    with desk.store.read() as connection:
        assert erasure.withheld(connection, "m_1")
        assert connection.execute(select(func.count()).select_from(schema.events)).scalar_one() == 1
    assert desk.sound()


def names(desk: Desk) -> set[str]:
    with desk.store.read() as connection:
        return {each.id for each in referrals.listed(connection, everything=True)}


@on_one_database
def test_only_digests_are_stored(desk: Desk) -> None:
    desk.receive()
    assert EMAIL not in repr(desk.everything())
    with desk.store.read() as connection:
        assert all(each.source == "IWF" for each in indicators.listed(connection))
