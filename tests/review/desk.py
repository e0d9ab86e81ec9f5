"""What people of the role `restricted` do with tips, in an office."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from paycordon.coalition_sections import ReferralsSection
from paycordon.decisions import Decision
from paycordon.exchange.referral import State
from paycordon.exchange.tip import Tip
from paycordon.people import Person, Role
from paycordon.record.restrictedcheck import verify as verify_restricted
from paycordon.record.verify import verify
from paycordon.review import actions, referral_holds, referral_release, referring
from paycordon.review.directives import Ending
from paycordon.review.referral_deadlines import ReferralClock
from paycordon.review.referral_holds import Letter
from paycordon.review.referring import Doing, Practice
from paycordon.review.withdrawal import Rejudging
from paycordon.sections import Clocks, Unsupported
from paycordon.spans import Span
from paycordon.store import cases, directives, referrals, schema
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
        hidden = (
            "referrals",
            "referral_steps",
            "referral_merchants",
            "reminders",
            "restricted_log",
            "directives",
            "covert",
        )
        return {name: rows for name, rows in self.everything().items() if name not in hidden}


on_one_database = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
