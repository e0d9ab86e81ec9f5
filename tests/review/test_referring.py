"""Referrals: what others hand us waits for law enforcement, counts once two people release it, shows to nobody else."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event as listening
from sqlalchemy import func, select, text

from paycordon.coalition_sections import ReferralsSection
from paycordon.decisions import Decision, Outcome, Scope
from paycordon.errors import ApprovalRequired, Conflict, NotFound, PaycordonError
from paycordon.exchange.contract import Here, Worth
from paycordon.exchange.post import PostRecipient, PostSettings
from paycordon.exchange.referral import ENDED, NEXT, State, Step, must_wait, next_state, undone
from paycordon.exchange.sharing import Exchange
from paycordon.exchange.tip import Tip
from paycordon.people import Forbidden, Person, Role
from paycordon.record.restrictedcheck import verify as verify_restricted
from paycordon.record.verify import verify
from paycordon.review import actions, proposals, referral_holds, referral_release, referring
from paycordon.review.directives import Ending
from paycordon.review.referral_deadlines import ReferralClock
from paycordon.review.referral_holds import Letter
from paycordon.review.referring import Doing, Practice
from paycordon.review.retention import Retention, erase_merchant
from paycordon.review.withdrawal import Rejudging
from paycordon.sections import Clocks, RetentionSection, Unsupported
from paycordon.spans import Span
from paycordon.store import cases, directives, erasure, holds, indicators, messages, referrals, schema, withdrawals
from paycordon.store.holds import NewHold, Source
from paycordon.store.prepared import Prepared
from paycordon.store.referral_outcomes import outcome_of
from paycordon.store.referrals import About, Referral
from paycordon.testing import make_event

RHEA = Person("rhea", frozenset({Role.RESTRICTED}))
ROSS = Person("ross", frozenset({Role.RESTRICTED, Role.APPROVER}))
ADAM = Person("adam", frozenset({Role.ADMIN, Role.APPROVER, Role.ANALYST}))
EMAIL = "known@goods.example"
DAYS = ReferralsSection(**{name: Span(timedelta(days=3)) for name in ("offer", "law_enforcement", "act", "feedback")})
PRACTICE = Practice(DAYS, feeds={"lantern"})
TIP = {
    "source": "clearing house",
    "reference": "T-1",
    "category": "commercial",
    "confidence": 90,
    "identifiers": [{"kind": "email", "value": EMAIL}],
    "merchants": ["m_1"],
    "note": "synthetic",
}


class Desk:
    """What people of the role do in an office."""

    def __init__(self, office) -> None:
        self.office, self.store, self.clock = office, office.store, office.clock
        self._numbers = itertools.count(1)

    def doing(self, by: Person = RHEA, reason: str = "as told", practice: Practice = PRACTICE) -> Doing:
        return Doing(by, reason, self.clock(), practice)

    def about(self, **changed: object) -> About:
        tip = Tip.model_validate(TIP | changed)
        known = tuple(tip.indicators(self.office.cordon.digester))
        return About(tip.source, tip.reference, self.clock(), tip.category, tip.note, tip.merchants, known)

    def receive(self, *, by: Person = RHEA, **changed: object) -> str:
        with self.store.write() as connection:
            return referring.receive(connection, self.about(**changed), self.doing(by)).id

    def offer(self, id_: str, by: Person = RHEA, reason: str = "as told", **more) -> Referral:
        with self.store.write() as connection:
            return referring.offer(connection, id_, "Synthetic Bureau", self.doing(by, reason), **more)

    def letter(self, days: int = 30, **changed: object) -> Letter:
        return replace(Letter("Synthetic Bureau", "LETTER-7", self.clock() + timedelta(days=days)), **changed)

    def hold(self, id_: str, letter: Letter | None = None, by: Person = RHEA) -> Referral:
        with self.store.write() as connection:
            return referral_holds.hold(connection, id_, letter or self.letter(), self.doing(by))

    def release(self, id_: str, by: Person = RHEA, *, practice: Practice = PRACTICE, freed: bool = False) -> Referral:
        return referral_release.release(self.store, id_, self.doing(by, practice=practice), freed=freed)

    def released(self, id_: str, *, freed: bool = False) -> Referral:
        assert self.release(id_, freed=freed).state is not State.RELEASED
        return self.release(id_, ROSS)

    def withdraw(self, id_: str, by: Person = RHEA) -> Referral:
        return referral_release.withdraw(self.store, id_, self.doing(by))

    def undo(self, id_: str, reason: str = "as told") -> Referral:
        with self.store.write() as connection:
            return referral_holds.undo(connection, id_, self.doing(reason=reason))

    def step(
        self, what: Callable[..., Referral], id_: str, *more: object, by: Person = RHEA, **others: object
    ) -> Referral:
        with self.store.write() as connection:
            return what(connection, id_, *more, self.doing(by), **others)

    def get(self, id_: str) -> Referral:
        with self.store.read() as connection:
            return referrals.get(connection, id_)

    def payout(self, merchant: str = "m_1", email: str = EMAIL) -> Decision:
        number = next(self._numbers)
        self.clock.advance(timedelta(seconds=1))
        about = {"merchant": {"id": merchant}, "account": {"id": f"acct_{merchant}"}}
        found = {"identifiers": [{"kind": "email", "value": email}]}
        return self.office.cordon.screen(make_event("payout.requested", id=f"po_{number}", **about, **found))

    def kept_open(self) -> list[str]:
        with self.store.read() as connection:
            return [each.terms.merchant for each in directives.listed(connection) if each.counts(self.clock())]

    def work(self) -> None:
        """Do what a worker does about directives, withdrawals and deadlines."""
        policies = lambda: self.office.cordon.policies  # noqa: E731
        duties = (
            Ending(self.store, policies, clock=self.clock),
            Rejudging(self.store, policies, unsupported=Unsupported.RELEASE, clock=self.clock),
            ReferralClock(self.store, Clocks(), self.clock),
        )
        while any(duty.step() for duty in duties):
            pass

    def decide(self) -> None:
        """Let an analyst uphold what is held."""
        with self.store.write() as connection:
            (case,) = cases.queue(connection)
            now, ana = self.clock(), self.office.ana
            actions.uphold(connection, case.id, by=ana, reason="seen", now=now, review_at=now + timedelta(days=30))

    def restricted_kinds(self) -> list[str]:
        with self.store.read() as connection:
            return list(connection.execute(text("SELECT kind FROM restricted_log ORDER BY seq")).scalars())

    def sound(self) -> bool:
        with self.store.read() as connection:
            return verify(self.store).ok and verify_restricted(connection, None)[1] == []

    def everything(self, *names: str) -> dict[str, list[tuple[object, ...]]]:
        """All rows of all tables, or of some."""
        tables = {name: t for name, t in schema.metadata.tables.items() if not names or name in names}
        with self.store.read() as connection:
            found = {name: connection.execute(select(t)).all() for name, t in tables.items()}
        return {name: sorted(map(tuple, rows), key=repr) for name, rows in found.items()}

    def public(self) -> dict[str, list[tuple[object, ...]]]:
        """All rows but those that only the role may know of."""
        hidden = ("referrals", "referral_steps", "referral_merchants", "restricted_log", "directives", "covert")
        return {name: rows for name, rows in self.everything().items() if name not in hidden}


@pytest.fixture
def desk(office) -> Desk:
    return Desk(office)


on_one_database = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


# The machine: every state with every step.

DONE = {
    State.RECEIVED: {Step.OFFER, Step.PROPOSE, Step.RELEASE, Step.CLOSE, Step.WITHDRAW},
    State.WITH_LAW_ENFORCEMENT: {Step.HOLD, Step.PROPOSE, Step.RELEASE, Step.CLOSE, Step.WITHDRAW},
    State.HELD: {Step.HOLD, Step.PROPOSE, Step.RELEASE, Step.CLOSE, Step.WITHDRAW},
    State.RELEASED: {Step.ACT, Step.CLOSE, Step.WITHDRAW},
    State.ACTED: {Step.FEED_BACK, Step.WITHDRAW},
    State.FED_BACK: {Step.WITHDRAW},
    State.CLOSED: {Step.FEED_BACK, Step.WITHDRAW},
    State.WITHDRAWN: {Step.FEED_BACK},
}


@pytest.mark.parametrize("state", State)
def test_from_each_state_only_these_steps_lead_on(state: State) -> None:
    assert {step for step in Step if next_state(state, step) is not None} == DONE[state]


def test_what_counts_can_be_undone_by_its_source_alone_and_once() -> None:
    assert {undone(state, Step.OFFER, State.RECEIVED) for state in (State.RELEASED, *ENDED)} == {None}
    assert next_state(State.FED_BACK, Step.WITHDRAW, taken_back=True) is None


def test_every_state_is_reached_and_every_one_can_end() -> None:
    reached, new = {State.RECEIVED}, {State.RECEIVED}
    while new:
        new = {after for (state, _), after in NEXT.items() if state in reached} - reached
        reached |= new
    assert reached == set(State)
    ends = set(ENDED)
    for _ in State:
        ends |= {state for (state, _), after in NEXT.items() if after in ends}
    assert ends == set(State)


@on_one_database
def test_nothing_is_released_past_law_enforcement_before_its_time(office) -> None:
    now = office.clock()
    soon, late = now + timedelta(hours=1), now
    waits = {state for state in State if must_wait(state, soon, now)}
    assert waits == {State.WITH_LAW_ENFORCEMENT, State.HELD}
    assert not any(must_wait(state, late, now) or must_wait(state, None, now) for state in State)


# The whole way, on both databases.


def test_a_tip_is_held_as_asked_then_released_by_two_and_acted_on(desk: Desk) -> None:
    assert desk.payout().outcome is Outcome.ALLOW
    id_ = desk.receive()
    before = desk.public()
    desk.offer(id_)
    held = desk.hold(id_)
    assert (held.state, held.due_at, desk.kept_open()) == (State.HELD, desk.letter().until, ["m_1"])
    restricted_cases = ("cases", "case_events")
    after = desk.public()
    assert {name for name in after if after[name] != before[name]} <= set(restricted_cases)
    assert desk.payout().outcome is Outcome.ALLOW  # paid as ever
    with pytest.raises(Conflict, match="is with law enforcement until"):
        desk.release(id_)

    desk.clock.advance(timedelta(days=31))
    desk.work()
    assert desk.kept_open() == []
    assert desk.get(id_).overdue(desk.clock())
    assert desk.payout().outcome is Outcome.ALLOW  # no date releases anything
    first = desk.release(id_)
    assert (first.state, first.last.step, first.last.detail["matches"]) == (State.HELD, Step.PROPOSE, 1)
    assert desk.payout().outcome is Outcome.ALLOW
    second = desk.release(id_, ROSS)
    assert (second.state, second.last.by, second.last.agreed_by) == (State.RELEASED, "rhea", "ross")

    decision = desk.payout()
    assert (decision.outcome, decision.rule) == (Outcome.HOLD, "payouts/known")
    assert decision.findings[0].evidence["source"] == "clearing house"
    with pytest.raises(Conflict, match="nobody has decided anything"):
        desk.step(referring.act, id_)
    desk.decide()
    acted = desk.step(referring.act, id_)
    assert acted.last.detail["decisions"] == [decision.id]
    assert [each["resolution"] for each in acted.last.detail["cases"]] == ["uphold"]
    done = desk.step(referral_release.feed_back, id_, "told by telephone")
    assert (done.state, done.due_at, done.ended_at) == (State.FED_BACK, None, desk.clock())
    assert desk.sound()
    with desk.store.read() as connection:
        said = connection.execute(text("SELECT kind, payload FROM log")).all()
    assert not any("ref" in kind or "rhea" in payload or "ross" in payload for kind, payload in said)


@on_one_database
def test_a_tip_that_need_not_be_offered_counts_at_once(desk: Desk) -> None:
    desk.payout("m_2")
    desk.released(desk.receive(merchants=[]))
    assert desk.payout("m_2").outcome is Outcome.HOLD
    assert desk.sound()


def test_what_a_source_takes_back_is_judged_again_and_let_go(desk: Desk) -> None:
    id_ = desk.receive()
    desk.released(id_)
    decision = desk.payout()
    assert decision.outcome is Outcome.HOLD
    withdrawn = desk.withdraw(id_)
    assert withdrawn.state is State.WITHDRAWN
    with desk.store.read() as connection:
        (begun,) = withdrawals.listed(connection)
        assert [each.decision_id for each in withdrawals.items(connection, begun.id)] == [decision.id]
        assert begun.withdrawn_by == "the source"
    desk.work()
    with desk.store.write() as connection:
        (hold,) = holds.listed(connection)
        made = proposals.release(connection, hold.id, desk.office.wish(desk.office.ana))
        proposals.agree(connection, made.id, desk.office.wish(desk.office.ben))
    assert desk.payout().outcome is Outcome.ALLOW
    with pytest.raises(Conflict, match="cannot do `withdraw`"):
        desk.withdraw(id_, ROSS)
    assert desk.step(referral_release.feed_back, id_, "told").state is State.FED_BACK
    assert desk.sound()


@on_one_database
def test_what_is_taken_back_before_it_counted_never_counts(desk: Desk) -> None:
    id_ = desk.receive()
    desk.offer(id_)
    assert desk.withdraw(id_).state is State.WITHDRAWN
    assert desk.payout().outcome is Outcome.ALLOW
    with pytest.raises(Conflict, match="cannot do `release`"):
        desk.release(id_)
    assert desk.sound()


@on_one_database
def test_law_enforcement_lets_go_before_its_time(desk: Desk) -> None:
    id_ = desk.receive()
    desk.offer(id_)
    desk.hold(id_)
    desk.payout()
    released = desk.released(id_, freed=True)
    assert (desk.kept_open(), released.last.detail["freed"]) == ([], True)
    assert len(released.last.detail["ended"]) == 1
    assert desk.payout().outcome is Outcome.HOLD
    assert desk.sound()


@on_one_database
def test_a_merchant_that_is_named_is_put_before_people_once_it_is_released(desk: Desk) -> None:
    desk.payout(email="other@goods.example")
    released = desk.released(desk.receive(identifiers=[], merchants=["m_1", "m_never_seen"]))
    assert released.last.detail["never_seen"] == ["m_never_seen"]
    with desk.store.read() as connection:
        (case,) = cases.queue(connection)
        assert [each.note for each in cases.timeline(connection, case.id)] == ["named by clearing house: T-1"]
    assert desk.sound()


def listener(desk: Desk, source: str) -> Callable[[], Exchange]:
    """An exchange with one recipient, which is a source; nobody listens, for no worker sends anything here."""
    settings = PostSettings(
        format="post", url="http://127.0.0.1:9/", secrets=["whsec_" + "c2VjcmV0" * 4], source=source
    )
    here = Here("partner", desk.office.cordon.digester, Path(), desk.clock)
    return lambda: Exchange({"partner": PostRecipient(settings, here)})


@on_one_database
def test_a_source_that_listens_is_told_by_a_worker_and_others_see_neutral_words(desk: Desk) -> None:
    partner = listener(desk, "clearing house")
    id_ = desk.receive()
    desk.step(referring.close, id_)
    before = desk.everything()
    with pytest.raises(Conflict, match="feedback would show that it is there"):
        desk.step(referral_release.feed_back, id_, Worth.USEFUL, exchange=partner)
    assert desk.everything() == before
    assert desk.step(referral_release.feed_back, id_, "by telephone").state is State.FED_BACK

    id_ = desk.receive(reference="T-2")
    desk.released(id_)
    desk.withdraw(id_)
    with pytest.raises(Conflict, match="no recipient is the source"):
        desk.step(referral_release.feed_back, id_, Worth.FALSE_POSITIVE, exchange=listener(desk, "other"))
    for _ in range(2):
        told = desk.step(referral_release.feed_back, id_, Worth.FALSE_POSITIVE, exchange=partner)
        assert (told.state, told.last.detail) == (State.FED_BACK, {"worth": "false_positive"})
    with desk.store.read() as connection:
        (message,) = messages.listed(connection)
    assert message.about == {"source": "clearing house", "reference": "T-2", "worth": "false_positive"}
    assert (message.asked_by, message.reason) == ("paycordon", "people have looked into it")
    assert desk.sound()


# Letters.


def test_a_new_letter_moves_the_end_and_undo_ends_what_was_placed(desk: Desk) -> None:
    id_ = desk.receive()
    desk.offer(id_)
    desk.hold(id_)
    with desk.store.read() as connection:
        before = {each.id for each in directives.listed(connection)}
    longer = desk.hold(id_, desk.letter(60, reference="LETTER-8", merchants=["m_2"]))
    with desk.store.read() as connection:
        found = {each.terms.merchant: each for each in directives.listed(connection)}
    assert set(found) == {"m_1", "m_2"}
    assert (found["m_1"].id in before, found["m_1"].terms.ends_at) == (True, longer.due_at)
    undone_ = desk.undo(id_)
    assert (undone_.state, undone_.kept_from, desk.kept_open()) == (State.WITH_LAW_ENFORCEMENT, None, [])
    assert undone_.due_at == undone_.history[1].due_at  # what ran before runs on
    assert desk.undo(id_, "never offered").state is State.RECEIVED
    assert desk.sound()


@on_one_database
def test_a_request_that_is_in_force_already_is_named_and_left_alone(desk: Desk) -> None:
    one, two = desk.receive(), desk.receive(reference="T-2")
    for id_ in (one, two):
        desk.offer(id_)
    desk.hold(one)
    with desk.store.read() as connection:
        (placed,) = directives.listed(connection)
    second = desk.hold(two, desk.letter(directives=[placed.id]))
    assert second.last.detail["placed"] == {}
    desk.released(two, freed=True)
    assert desk.kept_open() == ["m_1"]
    desk.clock.advance(timedelta(days=31))
    three = desk.receive(reference="T-3")
    desk.offer(three)
    with pytest.raises(Conflict, match="no keep-open request in force"):
        desk.hold(three, desk.letter(directives=[placed.id]))
    with pytest.raises(PaycordonError, match="at most"):
        desk.hold(three, desk.letter(400))


# Who, twice, at once, and never.


@on_one_database
def test_a_release_takes_a_second_person_of_both_roles_unless_the_house_says_otherwise(desk: Desk) -> None:
    id_ = desk.receive()
    desk.release(id_)
    assert desk.release(id_).history == desk.get(id_).history  # again: nothing more
    with pytest.raises(Forbidden, match="`approver`"):
        desk.release(id_, Person("rita", frozenset({Role.RESTRICTED})))
    with pytest.raises(Forbidden, match="`restricted`"):
        desk.release(id_, ADAM)
    desk.clock.advance(timedelta(days=8))
    assert desk.release(id_, ROSS).state is State.RECEIVED  # the first word has lapsed: this is a new one
    assert desk.undo(id_).last.step is Step.UNDO
    alone = replace(PRACTICE, settings=DAYS.model_copy(update={"two_people": False}))
    assert desk.release(id_, practice=alone).state is State.RELEASED
    assert desk.sound()


@on_one_database
def test_a_feed_of_the_same_name_would_withdraw_it(desk: Desk) -> None:
    with pytest.raises(Conflict, match="is the name of a feed"):
        desk.receive(source="lantern")
    id_ = desk.receive()
    with pytest.raises(Conflict, match="is the name of a feed"):
        desk.release(id_, practice=replace(PRACTICE, feeds={"clearing house"}))


@on_one_database
def test_only_what_people_decided_counts_as_acted_on(desk: Desk) -> None:
    """What a keep-open request had covered is held again by this package itself: nobody has decided that."""
    whom = ("m_1", "acme", "acct_m_1", "account", "acct_m_1")
    by_hand = NewHold(*whom, Outcome.HOLD, Scope.PAYOUTS, "by_hand", "additional", Source.PERSON)
    desk.payout(email="other@goods.example")
    id_ = desk.receive()
    desk.released(id_)
    for placed_by, decided in (("paycordon", False), ("ana", True)):
        with desk.store.write() as connection:
            wanted = replace(by_hand, placed_by=placed_by, internal_reason="judged again")
            holds.place_by_hand(connection, wanted, desk.clock(), secrets.token_bytes)
            assert outcome_of(connection, desk.get(id_)).decided is decided


@on_one_database
def test_a_key_that_was_taken_off_meanwhile_is_missed_before_nothing_matches(desk: Desk) -> None:
    """The count of what is stored under which key is for everybody, and so counts no referrals."""
    id_ = desk.receive()
    with pytest.raises(Conflict, match="under the key `k1`, which is not configured"):
        desk.release(id_, practice=replace(PRACTICE, keys={"k2"}))
    assert desk.release(id_, practice=replace(PRACTICE, keys={"k1", "k2"})).last.step is Step.PROPOSE


@on_one_database
def test_the_same_tip_again_is_the_same_referral_and_another_is_refused(desk: Desk) -> None:
    id_ = desk.receive()
    desk.clock.advance(timedelta(hours=1))
    assert desk.receive() == id_
    with pytest.raises(Conflict, match="says something else"):
        desk.receive(merchants=["m_9"])


@on_one_database
def test_nobody_without_the_role_can_do_or_see_anything(desk: Desk) -> None:
    id_ = desk.receive()
    for by in (ADAM, desk.office.ana):
        for act in (
            lambda by=by: desk.receive(by=by, reference="T-2"),
            lambda by=by: desk.offer(id_, by),
            lambda by=by: desk.hold(id_, by=by),
            lambda by=by: desk.release(id_, by),
            lambda by=by: desk.withdraw("ref_unknown", by),
            lambda by=by: desk.step(referring.act, id_, by=by),
            lambda by=by: desk.step(referring.close, "ref_unknown", by=by),
            lambda by=by: desk.step(referral_release.feed_back, id_, "told", by=by),
            lambda by=by: desk.step(referral_holds.undo, id_, by=by),
            lambda by=by: looked(desk, by, id_),
        ):
            with pytest.raises(Forbidden, match="takes the role `restricted`"):
                act()
    assert looked(desk, RHEA, id_) == ([id_], [])
    with pytest.raises(NotFound):
        desk.offer("ref_unknown")


def looked(desk: Desk, by: Person, id_: str) -> tuple[list[str], list[str]]:
    with desk.store.write() as connection:
        found = referring.listed(connection, by=by, now=desk.clock())
        shown = referring.show(connection, id_, by=by, now=desk.clock())
    return [each.id for each in found], list(shown.outcome.decisions)


def way(desk: Desk, id_: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every step of a long life, one after the other."""
    yield "offer", lambda: desk.offer(id_)
    yield "hold", lambda: desk.hold(id_)
    yield "renew", lambda: desk.hold(id_, desk.letter(60))
    yield "undo", lambda: desk.undo(id_)
    yield "hold again", lambda: desk.hold(id_)
    yield "propose", lambda: desk.release(id_, freed=True)
    yield "release", lambda: desk.release(id_, ROSS)
    desk.payout()
    desk.decide()
    yield "act", lambda: desk.step(referring.act, id_)
    yield "feed back", lambda: desk.step(referral_release.feed_back, id_, "told")
    yield "withdraw", lambda: desk.withdraw(id_)


class Died(Exception):
    pass


CHANGED = (
    *("referrals", "referral_steps", "restricted_log", "log", "directives", "indicators", "cases", "case_events"),
    *("indicator_sources", "indicator_batches", "withdrawals", "holds"),
)


def test_whatever_dies_in_the_middle_leaves_all_or_nothing(desk: Desk, monkeypatch) -> None:
    """Each step is let die before each of its statements; what is there then is what was there, and it goes on.

    On PostgreSQL, where looking at everything takes longer, before every fourth.
    """
    desk.payout()
    id_ = desk.receive()
    for name, act in way(desk, id_):
        before = desk.everything(*CHANGED)
        deaths = 0
        for fatal in itertools.count(1, 1 if desk.store.dialect == "sqlite" else 4):
            if attempt(desk, monkeypatch, act, fatal):
                break
            deaths += 1
            assert desk.everything(*CHANGED) == before, (name, fatal)
        assert deaths >= (3 if desk.store.dialect == "sqlite" else 1), name
        after = desk.everything(*CHANGED)
        assert after != before
        act()  # and asking again, not knowing that it got through, does nothing more
        assert desk.everything(*CHANGED) == after, name
    assert desk.sound()


def attempt(desk: Desk, patch: pytest.MonkeyPatch, act: Callable[[], object], fatal: int) -> bool:
    """Let an act die before its n-th change; returns whether it needed fewer."""
    count = itertools.count(1)

    def dies(*_: object) -> None:
        if next(count) == fatal:
            raise Died

    def dies_of_change(connection, cursor, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            dies()

    def dies_of_prepared(name: str):  # these are given to the driver, past SQLAlchemy
        plain = getattr(Prepared, name)
        return lambda *args: (dies(), plain(*args))[1]

    listening.listen(desk.store.engine, "before_cursor_execute", dies_of_change)
    try:
        with patch.context() as patched:
            for name in ("__call__", "many"):
                patched.setattr(Prepared, name, dies_of_prepared(name))
            act()
    except Died:
        return False
    finally:
        listening.remove(desk.store.engine, "before_cursor_execute", dies_of_change)
    return True


def test_of_two_people_at_once_one_is_told_that_the_other_was_faster(desk: Desk) -> None:
    id_ = desk.receive()
    desk.release(id_)
    ready, came = threading.Barrier(3), []

    def go(act: Callable[[], Referral]) -> None:
        ready.wait()
        try:
            came.append(act().state)
        except (Conflict, ApprovalRequired) as error:
            came.append(type(error).__name__)

    rosa = Person("rosa", frozenset({Role.RESTRICTED, Role.APPROVER}))
    acts = (lambda: desk.release(id_, ROSS), lambda: desk.release(id_, rosa), lambda: desk.offer(id_))
    threads = [threading.Thread(target=go, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(isinstance(each, State) for each in came)
    history = [line.step for line in desk.get(id_).history]
    assert history.count(Step.RELEASE) <= 1
    assert len(history) == len(set(history))
    assert desk.sound()


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
