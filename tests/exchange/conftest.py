"""An office that tells others what it knows: two people, a recipient that keeps what it is told, a worker."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import select

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Indicator, Tlp
from paycordon.decisions import Decision
from paycordon.errors import RetryLater
from paycordon.events import Identifier
from paycordon.exchange.contract import (
    ContributionKind,
    Here,
    Outgoing,
    Receipt,
    Recipient,
    RecipientSettings,
    Verb,
)
from paycordon.exchange.drafts import Draft
from paycordon.exchange.sharing import Exchange
from paycordon.outward.exchanging import Exchanging
from paycordon.people import Person, Role
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.review import contributing, proposals
from paycordon.review.contributing import Drafted, Statement
from paycordon.review.proposals import Wish
from paycordon.review.takingback import TakingBack
from paycordon.screening import Cordon, Limits
from paycordon.spans import Span
from paycordon.store import Store, contributions, indicators, schema
from paycordon.store.contributed import StoredContribution
from paycordon.testing import FrozenClock, make_event

MAIL = "owner@shop.example"
POLICY = """\
policy: coalition
version: 1
on_error: review
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
    then: block
    merchant_reason: additional_information_required
    references: [synthetic]
"""


class Keeper(Recipient[RecipientSettings]):
    """Keeps what it is told in memory, by key."""

    format: ClassVar[str] = "keeper"
    about: ClassVar[str] = "keeps what it is told"
    settings_type: ClassVar[type[RecipientSettings]] = RecipientSettings
    verbs: ClassVar[frozenset[Verb]] = frozenset(Verb)
    kinds: ClassVar[frozenset[ContributionKind]] = frozenset(ContributionKind)

    def __init__(self, settings: RecipientSettings, here: Here) -> None:
        super().__init__(settings, here)
        self.heard: dict[str, Outgoing] = {}
        self.asked = 0
        self.away: list[BaseException] = []
        self.failing_after: list[BaseException] = []

    def send(self, message: Outgoing) -> Receipt:
        self.asked += 1
        if self.away:
            raise self.away.pop(0)
        already = message.key in self.heard
        self.heard.setdefault(message.key, message)
        if self.failing_after:
            raise self.failing_after.pop(0)
        return Receipt(f"their-{message.id}", already)


class Office:
    """A store, an engine on it, and what people and workers do there."""

    def __init__(self, store: Store, cordon: Cordon, clock: FrozenClock, digester: Digester, place: Path) -> None:
        self.store, self.cordon, self.clock, self.digester, self.place = store, cordon, clock, digester, place
        self.ana = Person("ana", frozenset({Role.ANALYST}))
        self.ben = Person("ben", frozenset({Role.APPROVER}))
        self._numbers = 0
        self.exchange = Exchange()
        self.keeper = self.listen()

    def listen(self, kind: type[Keeper] = Keeper, **settings: Any) -> Keeper:
        """Make the one recipient anew, with other settings."""
        said = kind.settings_type.model_validate({"format": kind.format, **settings})
        self.keeper = kind(said, Here("coalition", self.digester, self.place, self.clock))
        self.exchange = Exchange({"coalition": self.keeper})
        return self.keeper

    def wish(self, by: Person | None = None, reason: str = "looked at it") -> Wish:
        return Wish(by or self.ana, reason, self.clock(), secrets.token_bytes, exchange=lambda: self.exchange)

    def payout(self, minor: int = 200_000, merchant: str = "m_1", mail: str = MAIL) -> Decision:
        """Screen a payout; a large one blocks the merchant."""
        self._numbers += 1
        self.clock.advance(timedelta(seconds=1))
        return self.cordon.screen(
            make_event(
                "payout.requested",
                id=f"evt_{merchant}_{self._numbers}",
                merchant={"id": merchant},
                account={"id": f"acct_{merchant}"},
                payout={"id": f"po_{merchant}_{self._numbers}", "amount": {"minor": minor, "currency": "EUR"}},
                identifiers=[{"kind": "email", "value": mail}],
            )
        )

    def known(self, mail: str = MAIL, **said: Any) -> Indicator:
        """Let another source say something of an address."""
        digest = self.digester.digest(Identifier(kind="email", value=mail))
        fields = {"source": "IWF", "reference": "case-7", "confidence": 90, "status": "allegation", **said}
        indicator = Indicator(kind="email", digest=digest, **fields)
        with self.store.write() as connection:
            indicators.add(connection, indicator, self.clock())
        return indicator

    def document(self, **otherwise: Any) -> Draft:
        items = [{"kind": "email", "value": MAIL, "confidence": 90}]
        said = {"recipient": "coalition", "kind": "termination", "merchant": "m_1", "reason": "match:13"}
        return Draft.model_validate({**said, "tlp": Tlp.GREEN, "items": items, **otherwise})

    def draft(self, stated: Statement | None = None, **otherwise: Any) -> Drafted:
        with self.store.write() as connection:
            return contributing.draft(connection, self.exchange, self.document(**otherwise), self.wish(), stated)

    def agree(self, proposal: str, by: Person | None = None) -> None:
        with self.store.write() as connection:
            proposals.agree(connection, proposal, self.wish(by or self.ben, "agreed"))

    def worker(self, owner: str = "w1") -> Exchanging:
        return Exchanging(self.store, "coalition", self.exchange, owner=owner, clock=self.clock)

    def work(self) -> None:
        worker = self.worker()
        while worker.run_once():
            pass

    def upkeep(self) -> bool:
        within = Span(business_days=1)
        duty = TakingBack(self.store, self.exchange, within=within, clock=self.clock)
        return duty.step()

    def sent(self, **otherwise: Any) -> str:
        """Draft something, agree to it and send it; returns its id."""
        made = self.draft(**otherwise)
        self.agree(made.proposal.id)
        self.work()
        return made.message.contribution or ""

    def contribution(self, id_: str) -> StoredContribution:
        with self.store.read() as connection:
            return contributions.get(connection, id_)

    def open_proposals(self) -> list[Any]:
        from paycordon.store import proposals as stored

        with self.store.read() as connection:
            return list(stored.listed(connection, self.clock()))

    def release(self, merchant: str = "m_1") -> None:
        from paycordon.store import holds

        with self.store.write() as connection:
            for hold in holds.listed(connection, merchant=merchant):
                second = "ben" if hold.two_people else None
                holds.release(connection, hold.id, by="ana", reason="wrong", now=self.clock(), agreed_by=second)


@pytest.fixture
def office(store: Store, digester: Digester, clock: FrozenClock, tmp_path: Path) -> Iterator[Office]:
    yield from _office(store, digester, clock, tmp_path)


@pytest.fixture
def small_office(sqlite_store: Store, digester: Digester, clock: FrozenClock, tmp_path: Path) -> Iterator[Office]:
    """The same on SQLite only."""
    yield from _office(sqlite_store, digester, clock, tmp_path)


def _office(store: Store, digester: Digester, clock: FrozenClock, tmp_path: Path) -> Iterator[Office]:
    path = tmp_path / "coalition.yaml"
    path.write_text(POLICY)
    limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
    plugins = Plugins({"checks": builtin_checks})
    cordon = Cordon(store, load_policies([path]), plugins, digester, limits=limits, clock=clock)
    yield Office(store, cordon, clock, digester, tmp_path)
    cordon.close()


@pytest.fixture
def away() -> Callable[[], RetryLater]:
    return lambda: RetryLater("away, says owner@shop.example")


SHAREABLE = {"tlp": "green", "licence": "CC-BY-4.0", "reshare": True}


def everything_stored(office: Office) -> str:
    with office.store.read() as connection:
        return json.dumps(
            [[dict(row) for row in connection.execute(select(t)).mappings()] for t in schema.metadata.tables.values()],
            default=str,
        )


def relay(office: Office) -> Any:
    item = {"kind": "email", "value": MAIL, "reference": "case-7"}
    return office.draft(kind="relay", merchant=None, reason=None, origin="IWF", items=[item], tlp=None)
