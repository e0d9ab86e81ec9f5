"""One policy, the same outcome at every gateway.

Each scenario is written once, in words that all gateways share, and returns what it saw. It is played at the simulator
of each adapter by itself: real webhooks into a real server, the vendor's own SDK out. What it saw must be what is
written here, and so the same everywhere; a gateway may differ only where its table of capabilities says that it cannot.
An adapter takes part as soon as a simulator that it registers has a `stage`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from paycordon.decisions import Outcome
from paycordon.events import Money
from paycordon.gateways import Grade, Restriction
from paycordon.plugins import load_all
from paycordon.record.verify import verify

from .conftest import IBANS, STAGES, World, applicant

HELD = "Held: additional_information_required"
HOLD, REVIEW, BLOCK = Outcome.HOLD, Outcome.REVIEW, Outcome.BLOCK
GATEWAYS = pytest.mark.parametrize("gateway", sorted(STAGES))


def rules(world: World, gateway: str, account: str, *types: str) -> list[tuple[Outcome, frozenset[str], str]]:
    """What was decided that was more than `allow`, each different answer once and in order."""
    found = [(s.outcome, s.rules, s.reason) for s in world.seen(gateway, account, *types) if s.outcome > Outcome.ALLOW]
    return list(dict.fromkeys(found))


def can(world: World, gateway: str, restriction: Restriction) -> bool:
    return world.gateways[gateway].capabilities[restriction].grade is not Grade.IMPOSSIBLE


def test_every_simulator_takes_part() -> None:
    plugins = load_all()
    assert sorted(set(plugins.simulators()) & set(plugins.gateways)) == sorted(STAGES)
    assert len(STAGES) >= 2


@GATEWAYS
def test_an_applicant_whom_the_coalition_knows_is_held_until_two_people_release(make_world, gateway: str) -> None:
    world = make_world(gateway)
    world.know("email", "known@goods.example")
    account = world.stages[gateway].open_account(applicant("m_1", email="Known@goods.example"))
    before = world.stages[gateway].settings_of(account)
    world.settle()
    assert rules(world, gateway, account)[0] == (HOLD, frozenset({"known"}), "additional_information_required")
    assert world.held("m_1") == {("hold", "parity/known", "payouts")}
    assert world.restriction(gateway, account) is Restriction.PAYOUTS_HELD
    assert world.pay_out(gateway, account, 5_000, "key-1") == HELD

    assert world.release("m_1"), "what rests on the coalition's knowledge takes two people"
    world.settle()
    assert world.restriction(gateway, account) is Restriction.NONE
    assert world.stages[gateway].settings_of(account) == before
    assert world.pay_out(gateway, account, 5_000, "key-1") == "paid"
    assert verify(world.cordon.store).ok


@GATEWAYS
def test_an_honest_merchant_is_paid_out_untouched(make_world, gateway: str) -> None:
    world = make_world(gateway)
    account = world.stages[gateway].open_account(applicant("m_1"))
    before = world.stages[gateway].settings_of(account)
    world.settle()
    assert world.pay_out(gateway, account, 5_000, "key-1") == "paid"
    world.settle()
    assert rules(world, gateway, account) == []
    assert world.held("m_1") == set()
    assert world.stages[gateway].settings_of(account) == before


@GATEWAYS
def test_a_payout_that_was_let_through_or_released_is_not_asked_for_again_by_its_delivery(make_world, gateway) -> None:
    world = make_world(gateway)
    stage = world.stages[gateway]
    account = stage.open_account(applicant("m_1", email="known@goods.example"))
    world.settle()
    assert world.pay_out(gateway, account, 1_000, "key-1") == "paid"
    world.settle()
    world.know("email", "known@goods.example")
    assert world.pay_out(gateway, account, 2_000, "key-2") == HELD
    world.settle()
    assert world.release("m_1")
    world.settle()
    assert world.pay_out(gateway, account, 2_000, "key-2") == "paid", "the very request that was released"
    world.settle()

    asked = [each.outcome for each in world.seen(gateway, account, "payout.requested")]
    assert asked == [Outcome.ALLOW, HOLD], "two were asked for, each once"
    assert len(world.seen(gateway, account, "payout.updated")) >= 2, "what was delivered is news of them"
    assert world.held("m_1") == set()


@GATEWAYS
def test_a_payout_right_after_the_bank_account_changed_is_held(make_world, gateway: str) -> None:
    world = make_world(gateway)
    account = world.stages[gateway].open_account(applicant("m_1"))
    world.settle()
    world.stages[gateway].later(timedelta(minutes=10))
    world.stages[gateway].change_bank_account(account, IBANS[1])
    world.settle()
    assert world.pay_out(gateway, account, 5_000, "key-1") == "Held: payout_details_verification_required"
    world.settle()
    assert world.held("m_1") == {("hold", "parity/changed-destination", "payouts")}
    assert world.restriction(gateway, account) is Restriction.PAYOUTS_HELD


@GATEWAYS
def test_many_payouts_in_a_day_are_reviewed(make_world, gateway: str) -> None:
    world = make_world(gateway)
    account = world.stages[gateway].open_account(applicant("m_1"))
    world.settle()
    said = [world.pay_out(gateway, account, 1_000 + number, f"key-{number}") for number in range(7)]
    world.settle()
    assert said == ["paid"] * 7
    assert rules(world, gateway, account) == [(REVIEW, frozenset({"too-many-payouts"}), "")]
    assert world.restriction(gateway, account) is Restriction.NONE


@GATEWAYS
def test_a_wave_of_disputes_blocks(make_world, gateway: str) -> None:
    world = make_world(gateway)
    stage = world.stages[gateway]
    account = stage.open_account(applicant("m_1"))
    paid = [stage.pay(account, Money(minor=2_000, currency="EUR"), f"payer{number}") for number in range(8)]
    world.settle()
    for payment in paid[:6]:
        stage.dispute(account, payment)
        world.settle()
    assert (BLOCK, frozenset({"dispute-wave"}), "account_under_review") in rules(world, gateway, account)
    if can(world, gateway, Restriction.BLOCKED):
        assert world.restriction(gateway, account) is Restriction.BLOCKED
    world.release("m_1")
    world.settle()
    assert world.restriction(gateway, account) is Restriction.NONE


@GATEWAYS
def test_a_keep_open_request_stops_nothing_and_shows_nothing(make_world, gateway: str) -> None:
    world = make_world(gateway)
    world.know("email", "known@goods.example")
    world.keep_open("m_1")
    account = world.stages[gateway].open_account(applicant("m_1", email="known@goods.example"))
    world.settle()
    assert rules(world, gateway, account) == []
    assert world.held("m_1") == set()
    assert world.pay_out(gateway, account, 5_000, "key-1") == "paid"
    assert world.restriction(gateway, account) is Restriction.NONE


@GATEWAYS
def test_what_the_source_takes_back_is_undone(make_world, gateway: str) -> None:
    world = make_world(gateway)
    world.know("email", "known@goods.example")
    account = world.stages[gateway].open_account(applicant("m_1", email="known@goods.example"))
    world.settle()
    assert world.restriction(gateway, account) is Restriction.PAYOUTS_HELD
    withdrawal = world.forget("email", "known@goods.example")
    world.settle()
    assert world.restriction(gateway, account) is Restriction.PAYOUTS_HELD, "nothing is released without people"
    world.release_unsupported(withdrawal)
    world.settle()
    assert world.held("m_1") == set()
    assert world.restriction(gateway, account) is Restriction.NONE


@GATEWAYS
def test_a_hold_that_somebody_lifts_by_hand_is_noticed_and_put_back(make_world, gateway: str) -> None:
    world = make_world(gateway)
    world.know("email", "known@goods.example")
    account = world.stages[gateway].open_account(applicant("m_1", email="known@goods.example"))
    world.settle()
    world.stages[gateway].lift_by_hand(account)
    assert world.restriction(gateway, account) is Restriction.NONE
    world.look_again()
    assert world.restriction(gateway, account) is Restriction.PAYOUTS_HELD


@pytest.mark.parametrize("first", sorted(STAGES))
def test_what_one_gateway_learns_protects_all(make_world: Callable[..., World], first: str) -> None:
    world = make_world(*sorted(STAGES))
    accounts = {
        name: stage.open_account(applicant("m_1", email=f"{name}@goods.example"))
        for name, stage in world.stages.items()
    }
    world.settle()
    world.know("email", "late@goods.example")
    other = world.stages[first].open_account(applicant("m_1", email="late@goods.example"))
    world.settle()
    assert {name: world.restriction(name, account) for name, account in accounts.items()} == dict.fromkeys(
        accounts, Restriction.PAYOUTS_HELD
    )
    assert world.restriction(first, other) is Restriction.PAYOUTS_HELD
    assert {world.pay_out(name, account, 5_000, "key-1") for name, account in accounts.items()} == {HELD}
    world.release("m_1")
    world.settle()
    assert {world.restriction(name, account) for name, account in accounts.items()} == {Restriction.NONE}
