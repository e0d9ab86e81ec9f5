"""A tip about a merchant with an account at every gateway: paid as ever while it waits, held once two release it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from paycordon.coalition_sections import ReferralsSection
from paycordon.exchange.referral import State
from paycordon.exchange.tip import Clue, Tip
from paycordon.gateways import Restriction
from paycordon.people import Role
from paycordon.record.restrictedcheck import verify as verify_restricted
from paycordon.record.verify import verify
from paycordon.review import actions, referral_holds, referral_release, referring
from paycordon.review.referral_holds import Letter
from paycordon.review.referring import Doing, Practice
from paycordon.store import cases, referrals
from paycordon.store.referrals import About, Referral

from .conftest import IBANS, STAGES, World, applicant, person

KNOWN = "known@goods.example"


class Desk:
    """The people of the role, in one world."""

    def __init__(self, world: World) -> None:
        self.store, self.digester = world.cordon.store, world.cordon.digester

    def doing(self, name: str = "rhea") -> Doing:
        by = person(name, Role.RESTRICTED, *([Role.APPROVER] if name == "ross" else []))
        return Doing(by, "as told", datetime.now(UTC), Practice(ReferralsSection()))

    def receive(self) -> str:
        tip = Tip(source="house", reference="T-1", confidence=90, identifiers=(Clue(kind="email", value=KNOWN),))
        known = tuple(tip.indicators(self.digester))
        about = About("house", "T-1", datetime.now(UTC), "", "", ("m_1",), known)
        with self.store.write() as connection:
            return referring.receive(connection, about, self.doing()).id

    def do(self, step: Callable[..., Referral], id_: str, *more: object) -> State:
        with self.store.write() as connection:
            return step(connection, id_, *more, self.doing()).state


def test_a_tip_is_paid_as_ever_while_it_is_held_and_stops_money_everywhere_once_released(make_world) -> None:
    world = make_world(*sorted(STAGES))
    desk, stages = Desk(world), world.stages
    accounts = {
        name: stages[name].open_account(applicant("m_1", email=KNOWN, bank=IBANS[n]))
        for n, name in enumerate(sorted(STAGES))
    }
    before = {name: stages[name].settings_of(account) for name, account in accounts.items()}
    world.settle()

    id_ = desk.receive()
    desk.do(referring.offer, id_, "Synthetic Bureau")
    letter = Letter("Synthetic Bureau", "L-7", datetime.now(UTC) + timedelta(days=30))
    assert desk.do(referral_holds.hold, id_, letter) is State.HELD
    paid = {name: world.pay_out(name, account, 1_000, f"{name}-1") for name, account in accounts.items()}
    world.settle()
    assert set(paid.values()) == {"paid"}
    assert {name: stages[name].settings_of(account) for name, account in accounts.items()} == before

    for name in ("rhea", "ross"):
        referral_release.release(desk.store, id_, desk.doing(name), freed=True)
    for name, account in accounts.items():
        assert world.pay_out(name, account, 1_000, f"{name}-2") == "Held: additional_information_required"
    world.settle()
    assert {world.restriction(name, account) for name, account in accounts.items()} == {Restriction.PAYOUTS_HELD}

    with desk.store.write() as connection:
        (case,) = cases.queue(connection)
        now = datetime.now(UTC)
        by = person("ana", Role.ANALYST)
        actions.uphold(connection, case.id, by=by, reason="seen", now=now, review_at=now + timedelta(days=30))
    assert desk.do(referring.act, id_) is State.ACTED
    assert desk.do(referral_release.feed_back, id_, "by telephone") is State.FED_BACK
    with desk.store.read() as connection:
        assert len(referrals.get(connection, id_).history[-2].detail["holds"]) >= len(accounts)
        assert verify_restricted(connection, None)[1] == []
    assert verify(desk.store).ok
