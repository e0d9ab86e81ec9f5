"""Directives: what an authority asks for counts until its date, shows to nobody else, and is settled at its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, select, text, update

from paycordon.decisions import Outcome, Scope
from paycordon.errors import Conflict, NotFound, PaycordonError
from paycordon.people import Forbidden, Person, Role
from paycordon.record.checkpoints import checkpoint
from paycordon.record.restrictedcheck import verify as verify_restricted
from paycordon.record.verify import verify
from paycordon.review import directives, proposals
from paycordon.review.byhand import ByHand
from paycordon.review.directives import Ending
from paycordon.store import acts, cases, covert, holds, indicators, schema
from paycordon.store.directives import Kind, Terms
from paycordon.store.holds import Source
from paycordon.store.indicators import Correction
from paycordon.testing import make_event

RHEA = Person("rhea", frozenset({Role.RESTRICTED}))
ADAM = Person("adam", frozenset({Role.ADMIN, Role.APPROVER, Role.ANALYST}))
LONGEST = timedelta(days=183)


def terms(office, kind: Kind = Kind.KEEP_OPEN, **changed) -> Terms:
    now = office.clock()
    made = Terms(kind, "m_1", "", "Synthetic Bureau", "LETTER-7", now, now + timedelta(days=30))
    return replace(made, **changed)


def place(office, kind: Kind = Kind.KEEP_OPEN, by: Person = RHEA, **changed):
    with office.store.write() as connection:
        return directives.place(
            connection, terms(office, kind, **changed), by=by, reason="letter", now=office.clock(), longest=LONGEST
        )


def shown(office, id_: str):
    note_all(office)
    with office.store.write() as connection:
        return directives.show(connection, id_, by=RHEA, now=office.clock())


def note_all(office) -> None:
    with office.store.write() as connection:
        while covert.note_one(connection, office.clock(), lambda size: b"n" * size):
            pass


def settle_all(office) -> int:
    note_all(office)
    ending = Ending(office.store, lambda: office.cordon.policies, clock=office.clock)
    pieces = 0
    while ending.step():
        pieces += 1
    return pieces


def test_a_worker_notes_a_real_decision_once(office) -> None:
    directive = place(office)
    office.payout(100, known=True)
    ending = Ending(office.store, lambda: office.cordon.policies, clock=office.clock)
    assert ending.step()
    assert not ending.step()
    assert len(shown(office, directive.id).covert) == 1
    with office.store.read() as connection:
        assert [line["kind"] for line in covert.timeline(connection, "m_1")] == ["directive", "decision"]


def active(office) -> list[holds.Hold]:
    with office.store.read() as connection:
        return list(holds.listed(connection))


def sound(office) -> bool:
    with office.store.read() as connection:
        return verify(office.store).ok and verify_restricted(connection, None)[1] == []


def test_what_would_be_held_goes_on_and_is_put_before_the_role(office) -> None:
    directive = place(office)
    decision = office.payout(100, known=True)

    assert decision.outcome is Outcome.ALLOW
    assert (decision.matches, decision.findings, decision.scores) == ((), (), ())
    assert active(office) == []
    (real,) = shown(office, directive.id).covert
    assert (real.decision.id, real.decision.outcome, real.decision.rule) == (decision.id, "hold", "payouts/known")
    with office.store.read() as connection:
        assert cases.queue(connection) == []
        assert [line["kind"] for line in covert.timeline(connection, "m_1")] == ["directive", "decision"]
    assert sound(office)


def test_what_the_coalition_does_not_know_of_is_reviewed_as_always(office) -> None:
    place(office)
    assert office.payout(60_000).rule == "payouts/medium"
    decision = office.payout(60_000, known=True)
    assert (decision.outcome, decision.rule, decision.findings) == (Outcome.REVIEW, "payouts/medium", ())
    with office.store.read() as connection:
        assert len(cases.queue(connection)) == 1


def test_what_an_event_says_by_itself_is_left_out_where_it_would_stop(office) -> None:
    directive = place(office)
    decision = office.payout(200_000)
    assert (decision.outcome, decision.rule) == (Outcome.REVIEW, "payouts/medium")
    (real,) = shown(office, directive.id).covert
    assert real.decision.rule == "payouts/large"


def test_the_same_event_again_gets_the_same_unremarkable_decision(office) -> None:
    place(office)
    first = office.payout(100, known=True)
    with office.store.read() as connection:
        stored = connection.execute(select(schema.decisions.c.body)).scalar_one()
    assert first.model_dump_json() == stored


def test_it_counts_for_its_merchant_its_account_and_its_time_only(office) -> None:
    place(office, account="acme/acct_m_1", starts_at=office.clock() + timedelta(hours=1))
    assert office.payout(100, known=True).outcome is Outcome.HOLD  # not yet
    office.clock.advance(timedelta(hours=1))
    place(office, merchant="m_2", account="elsewhere/acct_m_2")
    place(office, merchant="m_3")
    assert office.payout(100, known=True, merchant="m_2").outcome is Outcome.HOLD
    assert office.payout(100, known=True, merchant="m_3").outcome is Outcome.ALLOW
    office.clock.advance(timedelta(days=30))
    assert office.payout(100, known=True, merchant="m_3").outcome is Outcome.HOLD  # over, though no worker ran


def test_what_was_held_before_stays_held(office) -> None:
    office.payout(100, known=True)
    place(office)
    decision = office.payout(100, known=True)
    assert (decision.outcome, [match.rule for match in decision.matches]) == (Outcome.HOLD, ["standing_hold"])
    assert len(active(office)) == 1


@pytest.mark.parametrize("by", [ADAM, Person("ana", frozenset({Role.ANALYST}))])
def test_nobody_without_the_role_can_do_or_see_anything(office, by: Person) -> None:
    directive = place(office)
    now = office.clock()
    with office.store.write() as connection:
        for act in (
            lambda: directives.place(connection, terms(office), by=by, reason="r", now=now, longest=LONGEST),
            lambda: directives.listed(connection, by=by, now=now),
            lambda: directives.show(connection, directive.id, by=by, now=now),
            lambda: directives.show(connection, "dir_unknown", by=by, now=now),
            lambda: directives.renew(connection, directive.id, now, by=by, reason="r", now=now, longest=LONGEST),
            lambda: directives.end(connection, directive.id, by=by, reason="r", now=now),
            lambda: directives.release_frozen(connection, directive.id, by=by, reason="r", now=now),
        ):
            with pytest.raises(Forbidden, match="takes the role `restricted`"):
                act()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ends_at": timedelta(0)}, "must end in the future"),
        ({"starts_at": timedelta(days=31)}, "after it starts"),
        ({"ends_at": timedelta(days=184)}, "at most"),
    ],
)
def test_an_end_is_mandatory_and_not_too_far_ahead(office, changed, said) -> None:
    moments = {name: office.clock() + after for name, after in changed.items()}
    with pytest.raises(PaycordonError, match=said):
        place(office, **moments)


def test_a_new_letter_renews_it_until_it_has_ended(office) -> None:
    directive = place(office)
    with office.store.write() as connection:
        later = office.clock() + timedelta(days=90)
        renewed = directives.renew(
            connection, directive.id, later, by=RHEA, reason="new letter", now=office.clock(), longest=LONGEST
        )
        assert renewed.terms.ends_at == later
        directives.end(connection, directive.id, by=RHEA, reason="withdrawn", now=office.clock())
        with pytest.raises(Conflict, match="ended already"):
            directives.renew(connection, directive.id, later, by=RHEA, reason="r", now=office.clock(), longest=LONGEST)
    assert sound(office)


def test_at_its_date_it_ends_and_what_still_stands_is_held(office) -> None:
    directive = place(office)
    office.payout(100, known=True)
    office.payout(200_000)
    office.payout(100, known=True)
    office.clock.advance(timedelta(days=30))
    assert settle_all(office) == 2  # its end, and one page

    rules = sorted(hold.rule for hold in active(office))
    assert rules == ["payouts/known", "payouts/large"]
    assert {hold.internal_reason for hold in active(office)} == {"judged again"}
    found = shown(office, directive.id)
    assert found.directive.ended_by == "paycordon"
    assert [each.settled["verdict"] for each in found.covert] == ["held"] * 3
    with office.store.read() as connection:
        assert [case.merchant for case in cases.queue(connection)] == ["m_1"]
    assert office.payout(100).outcome is Outcome.HOLD
    assert settle_all(office) == 0
    assert sound(office)


def test_what_was_withdrawn_meanwhile_is_not_held_at_the_end(office) -> None:
    directive = place(office)
    office.payout(100, known=True)
    with office.store.write() as connection:
        (known,) = indicators.listed(connection)
        correction = Correction(by="ana", reason="mistaken")
        indicators.withdraw(
            connection, known.digest, known.source, known.reference, office.clock(), correction=correction
        )
    office.clock.advance(timedelta(days=30))
    settle_all(office)
    assert active(office) == []
    assert [each.settled["verdict"] for each in shown(office, directive.id).covert] == ["unsupported"]


def test_two_workers_settle_each_decision_once(office) -> None:
    place(office)
    for _ in range(3):
        office.payout(200_000)
    office.clock.advance(timedelta(days=30))
    settle_all(office)
    one, other = (Ending(office.store, lambda: office.cordon.policies, clock=office.clock) for _ in "ab")
    with office.store.write() as connection:
        connection.execute(update(schema.covert).values(settled_at=None))
    with office.store.read() as connection:
        page = covert.waiting(connection, 10)
    assert one.step()
    with office.store.write() as connection:
        assert not any(covert.settle(connection, each.decision_id, {}, office.clock()) for each in page)
    assert not other.step()
    assert len(active(office)) == 1


def test_an_order_to_freeze_holds_at_once_until_the_role_releases_it(office) -> None:
    office.payout(100)
    order = place(office, Kind.FREEZE)
    (hold,) = active(office)
    assert (hold.source, hold.id, hold.two_people) == (Source.ORDER, order.hold, True)
    assert "Bureau" not in repr(hold)
    assert office.payout(100).outcome is Outcome.HOLD

    with office.store.write() as connection:
        for people in ({"by": "ana"}, {"by": "ana", "agreed_by": "ben"}):
            with pytest.raises(Forbidden, match="takes the role `restricted`"):
                holds.release(connection, hold.id, **people, reason="r", now=office.clock())
        with pytest.raises(Conflict, match="in force"):
            directives.release_frozen(connection, order.id, by=RHEA, reason="r", now=office.clock())
    office.clock.advance(timedelta(days=31))
    settle_all(office)
    assert active(office) == [hold]  # never released by itself
    with office.store.write() as connection:
        directives.release_frozen(connection, order.id, by=RHEA, reason="lifted", now=office.clock())
    assert active(office) == []
    assert sound(office)


def test_an_order_follows_an_account_that_is_linked_to_somebody_else(office) -> None:
    def payout(number: int, merchant: str) -> Outcome:
        about = {"merchant": {"id": merchant}, "account": {"id": "acct_2"}}
        return office.cordon.screen(make_event("payout.requested", id=f"e_{number}", **about)).outcome

    payout(1, "m_1")
    order = place(office, Kind.FREEZE)
    assert payout(2, "m_2") is Outcome.HOLD
    assert [hold.source for hold in active(office)] == [Source.ORDER, Source.ORDER]
    with office.store.write() as connection:
        directives.end(connection, order.id, by=RHEA, reason="lifted", now=office.clock())
        directives.release_frozen(connection, order.id, by=RHEA, reason="lifted", now=office.clock())
    assert active(office) == []
    assert payout(3, "m_2") is Outcome.ALLOW
    assert sound(office)


def test_the_release_of_what_an_order_holds_cannot_even_be_proposed(office) -> None:
    office.payout(100)
    place(office, Kind.FREEZE)
    (hold,) = active(office)
    with pytest.raises(Conflict, match="ordered by an authority"), office.store.write() as connection:
        proposals.release(connection, hold.id, office.wish(office.ana))
    assert active(office) == [hold]


def test_an_order_about_nobody_that_was_ever_seen_is_refused(office) -> None:
    with pytest.raises(NotFound):
        place(office, Kind.FREEZE, merchant="m_unknown")


def test_every_use_is_in_the_restricted_log_and_in_no_other(office) -> None:
    before = count(office, schema.log)
    directive = place(office)
    office.payout(100, known=True)
    shown(office, directive.id)
    with office.store.write() as connection:
        directives.listed(connection, by=RHEA, now=office.clock())
        kinds = connection.execute(select(schema.restricted_log.c.kind)).scalars().all()
    assert kinds == ["directive.placed", "covert.decision", "directive.shown", "directive.listed"]
    assert count(office, schema.log) == before + 1  # the decision, as any other


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE covert SET body = replace(body, 'hold', 'allow')", "is not what the restricted log says"),
        ("DELETE FROM covert", "is missing"),
        ("DELETE FROM directives", "is missing"),
        ("UPDATE restricted_log SET payload = '{}' WHERE seq = 2", "entry 2 of the restricted log was changed"),
    ],
)
def test_what_is_changed_behind_its_back_is_found(office, statement: str, said: str) -> None:
    place(office)
    office.payout(100, known=True)
    note_all(office)
    with office.store.write() as connection:
        connection.execute(text(statement))
        problems = verify_restricted(connection, None)[1]
    assert any(said in problem for problem in problems), problems


def test_checkpoints_commit_to_the_restricted_log_whether_or_not_there_is_anything_in_it(office) -> None:
    key = Ed25519PrivateKey.generate()
    office.payout(100)
    empty = checkpoint(office.store, key, office.clock())
    place(office)
    office.payout(100, known=True)
    note_all(office)
    grown = checkpoint(office.store, key, office.clock())
    assert len(empty.statement) == len(grown.statement)
    with office.store.write() as connection:
        assert verify_restricted(connection, key)[1] == []
        connection.execute(text("DELETE FROM restricted_log WHERE seq = 2"))
        problems = verify_restricted(connection, key)[1]
    assert any("commits to a restricted log that this one never was" in problem for problem in problems)


def count(office, table) -> int:
    with office.store.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_the_role_hears_of_what_others_do_by_hand_and_nobody_else(office) -> None:
    follow = [ByHand(office.store, clock=office.clock), ByHand(office.store, clock=office.clock)]
    office.payout(100, known=True)
    assert not follow[0].step(), "it begins where the log ends"
    by_hand(office, "too early")
    office.clock.advance(timedelta(hours=1))
    directive = place(office)
    office.clock.advance(timedelta(hours=1))
    by_hand(office, "looks odd")
    with office.store.write() as connection:
        account = connection.execute(select(schema.accounts).where(schema.accounts.c.merchant == "m_1")).one()
        wanted = acts.NewAct(account.instance, account.account, "reject", "{}", "looks odd", "adam")
        acts.ask(connection, wanted, office.clock(), lambda size: b"a" * size)
    place(office, Kind.FREEZE)
    office.clock.advance(timedelta(hours=1))
    with office.store.write() as connection:
        directives.end(connection, directive.id, by=RHEA, reason="over", now=office.clock())
    by_hand(office, "too late")

    assert [each.step() for each in follow] == [False, False]
    with office.store.read() as connection:
        lines = [line for line in covert.timeline(connection, "m_1") if line["kind"] == "by_hand"]
    assert [line["actor"] for line in lines] == ["adam", "adam"]
    assert all("while this account is to be kept open" in line["note"] for line in lines)
    assert "`reject`" in lines[1]["note"]
    assert len(active(office)) == 5, "what they do is done"
    assert sound(office)


def by_hand(office, reason: str) -> None:
    wanted = holds.NewHold(
        merchant="m_1",
        instance="",
        account="",
        subject_kind="merchant",
        subject_id="m_1",
        outcome=Outcome.HOLD,
        scope=Scope.PAYOUTS,
        rule="by_hand",
        merchant_reason="additional_information_required",
        source=Source.PERSON,
        placed_by="adam",
        internal_reason=reason,
    )
    with office.store.write() as connection:
        holds.place_by_hand(connection, wanted, office.clock(), lambda size: reason.encode().ljust(size, b".")[:size])
