"""Who puts many merchants on one bad account does not hide it: a person is told, and two can say that it counts."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes, Indicator, Standards, Withdrawn
from paycordon.decisions import Decision, Outcome
from paycordon.errors import Conflict, NotFound
from paycordon.events import Identifier
from paycordon.people import Person, Role
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.record.verify import verify
from paycordon.rescreening import Rescreening
from paycordon.review import proposals
from paycordon.review.proposals import Wish
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, confirmations, holds, schema
from paycordon.store.feeding import apply_changes
from paycordon.store.telling import Told, told_of
from paycordon.testing import FrozenClock, make_event

POLICY = """\
policy: merchants
version: 1
on_error: review
rules:
  - id: known
    on: [merchant.onboarding, merchant.changed, payout.requested]
    when: findings.exists(f, f.code == "indicator.match")
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""
IBAN, DOMAIN = ("iban", "GB82WEST12345698765432"), ("domain", "shared.example")
MOST = 3


class Scene:
    """An engine, and four merchants with one bank account and one domain."""

    def __init__(self, store: Store, clock: FrozenClock, digester: Digester, directory: Path) -> None:
        (directory / "policy.yaml").write_text(POLICY)
        limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
        policies = load_policies([directory / "policy.yaml"])
        plugins = Plugins({"checks": builtin_checks})
        standards = Standards(most_merchants=MOST)
        self.store, self.clock, self.digester = store, clock, digester
        self.cordon = Cordon(store, policies, plugins, digester, limits=limits, standards=standards, clock=clock)
        self.digests = {kind: digester.digest(Identifier(kind=kind, value=value)) for kind, value in (IBAN, DOMAIN)}
        for number in range(MOST + 1):
            self.meet(f"m_{number}", IBAN, DOMAIN)

    def meet(self, merchant: str, *named: tuple[str, str], id_: str = "") -> Decision:
        return self.cordon.screen(
            make_event(
                "payout.requested",
                id=id_ or f"first-{merchant}",
                merchant={"id": merchant},
                account={"id": f"acct_{merchant}"},
                identifiers=[{"kind": kind, "value": value} for kind, value in named],
            )
        )

    def say(self) -> None:
        said = [Indicator(kind, digest, "IWF", "case-7", 90, "allegation") for kind, digest in self.digests.items()]
        apply_changes(self.store, Changes("IWF", said=said), self.clock())
        self.rescreen()

    def rescreen(self) -> None:
        duty = Rescreening(self.store, self.cordon, self.clock)
        while duty.step():
            pass

    def told(self) -> list[str]:
        """What people were told, in all cases."""
        events = schema.case_events.c
        with self.store.read() as connection:
            return list(connection.execute(select(events.note).where(events.kind == "common")).scalars())

    def messages(self) -> list[Told]:
        """What endpoints for notifications are told of it."""
        log = schema.log.c
        query = select(log.seq, log.kind, log.payload).where(log.kind == "indicator.common")
        with self.store.read() as connection:
            rows = connection.execute(query).all()
            return [told for seq, kind, said in rows for told in told_of(connection, seq, kind, json.loads(said))]

    def held(self) -> set[str]:
        with self.store.read() as connection:
            return {hold.merchant for hold in holds.listed(connection)}

    def wish(self, name: str, role: Role) -> Wish:
        return Wish(Person(name, frozenset({role})), "looked at it", self.clock(), secrets.token_bytes)

    def confirm(self, digest: str) -> None:
        with self.store.write() as connection:
            made = proposals.confirm_indicator(connection, digest, self.wish("ana", Role.ANALYST))
            proposals.agree(connection, made.id, self.wish("ben", Role.APPROVER))


@pytest.fixture
def scene(store: Store, clock: FrozenClock, digester: Digester, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(store, clock, digester, tmp_path)
    yield made
    made.cordon.close()


def test_a_person_is_told_once_and_what_two_confirm_is_a_match_for_everybody_until_it_is_taken_back(
    scene: Scene,
) -> None:
    scene.say()
    assert scene.held() == set()
    (note,) = scene.told()
    assert scene.digests["iban"] in note
    assert "indicator confirm" in note
    assert [(c.kind, c.confirmed) for c in listed(scene)] == [("iban", False)], "a domain is shared by honest ones"
    (message,) = scene.messages()
    assert message.internal == {"indicator": scene.digests["iban"], "kind": "iban"}

    scene.confirm(scene.digests["iban"])
    scene.rescreen()
    assert scene.held() == {f"m_{number}" for number in range(MOST + 1)}, "at once, before anything is asked for"
    assert scene.meet("m_new", IBAN).outcome is Outcome.HOLD
    with pytest.raises(Conflict, match="confirmed already"):
        scene.confirm(scene.digests["iban"])

    with scene.store.write() as connection:
        confirmations.take_back(connection, scene.digests["iban"], "ana", "a payout service's", scene.clock())
    assert scene.meet("m_newer", IBAN).outcome is Outcome.ALLOW
    assert len(scene.told()) == 1
    assert verify(scene.store).ok


def test_what_honest_merchants_share_and_what_nobody_says_cannot_be_confirmed(scene: Scene) -> None:
    with pytest.raises(NotFound, match="no indicator"):
        scene.confirm(scene.digests["iban"])
    scene.say()
    with pytest.raises(Conflict, match="honest merchants share"):
        scene.confirm(scene.digests["domain"])
    apply_changes(scene.store, Changes("IWF", withdrawn=[Withdrawn(scene.digests["iban"], "case-7")]), scene.clock())
    with pytest.raises(NotFound, match="no indicator"):
        scene.confirm(scene.digests["iban"])
    with scene.store.write() as connection, pytest.raises(NotFound, match="is not confirmed"):
        confirmations.take_back(connection, scene.digests["iban"], "ana", "why", scene.clock())


def test_a_confirmation_by_hand_in_the_database_is_found(scene: Scene) -> None:
    scene.say()
    with scene.store.write() as connection:
        connection.execute(text("UPDATE confirmations SET confirmed = 1"))
    (problem,) = verify(scene.store).problems
    assert "nobody has confirmed it" in problem.text


def listed(scene: Scene) -> list[confirmations.Common]:
    with scene.store.read() as connection:
        return list(confirmations.listed(connection))
