"""A store in which a merchant is held, and people who work on that."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.decisions import Decision
from paycordon.events import Identifier
from paycordon.people import Person, Role
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.review.proposals import Wish
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, indicators
from paycordon.store.indicators import Indicator
from paycordon.testing import FrozenClock, make_event

from .desk import Desk

POLICY = """\
policy: payouts
version: 1
on_error: review
typologies:
  layering: {thresholds: {review: 10, hold: 20}, merchant_reason: additional_information_required}
rules:
  - id: known
    on: [payout.requested]
    when: findings.exists(f, f.code == "indicator.match")
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor > 100000
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
  - id: guarded
    on: [payout.requested]
    when: event.payout.amount.minor > 500000
    then: block
    child_protection: true
    merchant_reason: additional_information_required
    references: [synthetic]
  - id: medium
    on: [payout.requested]
    when: event.payout.amount.minor > 50000
    then: review
    references: [synthetic]
  - id: round
    on: [payout.requested]
    when: event.payout.amount.minor == 20000
    adds: {layering: 15}
    references: [synthetic]
  - id: rounder
    on: [payout.requested]
    when: event.payout.amount.minor == 20000
    adds: {layering: 10}
    references: [synthetic]
"""


def person(name: str, *roles: Role) -> Person:
    return Person(name, frozenset(roles or (Role.ANALYST,)))


class Office:
    """A store, an engine on it, and what people do there."""

    def __init__(self, store: Store, cordon: Cordon, clock: FrozenClock) -> None:
        self.store = store
        self.cordon = cordon
        self.clock = clock
        self.ana = person("ana", Role.ANALYST)
        self.ben = person("ben", Role.APPROVER)
        self._numbers = itertools.count(1)

    def wish(self, by: Person, reason: str = "looked at it") -> Wish:
        return Wish(by, reason, self.clock(), secrets.token_bytes)

    def payout(self, minor: int, *, known: bool = False, merchant: str = "m_1") -> Decision:
        """Screen a payout; a `known` one goes to a bank account that the coalition knows."""
        number = next(self._numbers)
        account = f"GB{number:020}" if not known else "GB00000000000000000000"
        self.clock.advance(timedelta(seconds=1))
        return self.cordon.screen(
            make_event(
                "payout.requested",
                id=f"evt_{number}",
                merchant={"id": merchant},
                account={"id": f"acct_{merchant}"},
                payout={"id": f"po_{number}", "amount": {"minor": minor, "currency": "EUR"}},
                identifiers=[{"kind": "bank_account", "value": account}],
            )
        )


@pytest.fixture
def office(store: Store, digester: Digester, clock: FrozenClock, tmp_path: Path) -> Iterator[Office]:
    path = tmp_path / "payouts.yaml"
    path.write_text(POLICY)
    limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
    plugins = Plugins({"checks": builtin_checks})
    cordon = Cordon(store, load_policies([path]), plugins, digester, limits=limits, clock=clock)
    concealed = digester.digest(Identifier(kind="bank_account", value="GB00000000000000000000"))
    with store.write() as connection:
        found = Indicator(
            digest=concealed, kind="bank_account", source="IWF", reference="case-7", confidence=90, status="confirmed"
        )
        indicators.add(connection, found, clock())
    yield Office(store, cordon, clock)
    cordon.close()


@pytest.fixture
def make_person() -> Callable[..., Person]:
    return person


@pytest.fixture
def desk(office: Office) -> Desk:
    return Desk(office)
