"""What an event meets: under old keys, by domain or network, from several sources, never because all share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Indicator, Standards
from paycordon.decisions import Decision, Finding
from paycordon.events import Identifier
from paycordon.plugins import Plugins
from paycordon.policy import PolicySet
from paycordon.screening import Cordon, Limits
from paycordon.store import Store
from paycordon.store.indicators import add
from paycordon.testing import FrozenClock, make_event

OLD, NEW = b"o" * 32, b"n" * 32
BEFORE, AFTER = Digester({"k1": OLD}, "k1"), Digester({"k1": OLD, "k2": NEW}, "k2")
Engine = Callable[..., Cordon]


@pytest.fixture
def engine(store: Store, clock: FrozenClock) -> Iterator[Engine]:
    made: list[Cordon] = []

    def make(digester: Digester, standards: Standards | None = None) -> Cordon:
        limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
        plugins = Plugins({"checks": builtin_checks})
        made.append(Cordon(store, PolicySet(), plugins, digester, limits=limits, standards=standards, clock=clock))
        return made[-1]

    yield make
    for cordon in made:
        cordon.close()


def of(kind: str, value: str) -> Identifier:
    return Identifier.model_validate({"kind": kind, "value": value})


def know(store: Store, clock: FrozenClock, digester: Digester, kind: str, value: str, **fields: Any) -> Indicator:
    (digest,) = digester.of_indicator(of(kind, value))
    indicator = replace(Indicator(kind, digest, "IWF", "case-7", 90, "allegation"), **fields)
    with store.write() as connection:
        add(connection, indicator, clock())
    return indicator


def screen(cordon: Cordon, number: int, *identifiers: Identifier, merchant: str | None = None) -> Decision:
    owner = merchant or f"m_{number}"
    return cordon.screen(
        make_event(
            "payout.requested",
            id=f"evt_{number}",
            merchant={"id": owner, "country": "NL"},
            account={"id": f"acct_{owner}"},
            identifiers=identifiers,
        )
    )


def found(decision: Decision, code: str) -> list[Finding]:
    assert decision.errors == ()
    return [each for each in decision.findings if each.code == code]


def test_after_a_rotation_all_that_was_known_is_still_met(store: Store, clock: FrozenClock, engine: Engine) -> None:
    iban = of("iban", "GB82WEST12345698765432")
    known = know(store, clock, BEFORE, "iban", "GB82WEST12345698765432")
    screen(engine(BEFORE), 1, iban)
    clock.advance(timedelta(hours=1))

    rotated = engine(AFTER)
    second = screen(rotated, 2, iban)
    (match,) = found(second, "indicator.match")
    assert match.evidence["digest"] == known.digest
    assert match.evidence["of"] == AFTER.digest(iban)
    (shared,) = found(second, "identifier.shared")
    assert (shared.evidence["others"], shared.evidence["stored"]) == (1, BEFORE.digest(iban))

    third = screen(rotated, 3, iban)
    (shared,) = found(third, "identifier.shared")
    assert shared.evidence["others"] == 2, "one under either key"
    again = screen(rotated, 4, iban, merchant="m_1")
    assert found(again, "payout.destination_changed") == [], "its own account under the new key is no new one"
    assert found(screen(rotated, 5, iban, merchant="m_2"), "identifier.shared")[0].evidence["others"] == 2, "each once"


def test_an_indicator_on_a_domain_or_network_meets_what_lies_in_it(
    store: Store, clock: FrozenClock, engine: Engine
) -> None:
    know(store, clock, AFTER, "domain", "bad.example")
    know(store, clock, AFTER, "ip", "192.0.99.0/24", reference="range")
    decision = screen(engine(AFTER), 1, of("email", "jane@mail.bad.example"), of("ip", "192.0.99.7"))
    relations = {f.evidence["kind"]: f.evidence["relation"] for f in found(decision, "indicator.match")}
    assert relations == {"domain": "domain", "ip": "network"}


def test_an_indicator_on_a_mailbox_provider_does_not_match_its_users(
    store: Store, clock: FrozenClock, engine: Engine
) -> None:
    know(store, clock, AFTER, "domain", "gmail.com")
    cordon = engine(AFTER)
    assert screen(cordon, 1, of("email", "jane@gmail.com")).findings == ()
    (common,) = found(screen(cordon, 2, of("domain", "gmail.com")), "indicator.common")
    assert common.evidence["common"] == "mailbox provider"


def test_an_indicator_that_too_many_merchants_meet_names_nobody(
    store: Store, clock: FrozenClock, engine: Engine
) -> None:
    know(store, clock, AFTER, "iban", "GB82WEST12345698765432")
    know(store, clock, AFTER, "domain", "bad.example", reference="domain")
    cordon = engine(AFTER, Standards(most_merchants=2))
    codes = []
    for number in range(4):
        decision = screen(
            cordon, number, of("iban", "GB82WEST12345698765432"), of("email", f"owner-{number}@bad.example")
        )
        codes.append({f.evidence["kind"]: f.code for f in decision.findings if f.check == "indicator_match"})
    assert [each["iban"] for each in codes] == ["indicator.match"] * 2 + ["indicator.common"] * 2
    assert [each["domain"] for each in codes] == ["indicator.match"] * 2 + ["indicator.common"] * 2
    again = screen(cordon, 9, of("iban", "GB82WEST12345698765432"), merchant="m_0")
    assert [f.code for f in again.findings if f.check == "indicator_match"] == ["indicator.common"]


def test_sources_are_weighed_and_may_object(store: Store, clock: FrozenClock, engine: Engine) -> None:
    know(store, clock, AFTER, "email", "jane@shop.example", source="rumours", last_seen=clock(), half_life_days=10)
    cordon = engine(AFTER, Standards({"rumours": 50}))
    email = of("email", "jane@shop.example")
    (finding,) = found(screen(cordon, 1, email), "indicator.match")
    assert (finding.confidence, finding.evidence["stated"], finding.evidence["trust"]) == (0.45, 90, 50)

    clock.advance(timedelta(days=10))
    assert found(screen(cordon, 2, email), "indicator.match")[0].confidence == 0.22
    know(store, clock, AFTER, "email", "jane@shop.example", source="NCMEC", status="refuted", confidence=50)
    (finding,) = found(screen(cordon, 3, email), "indicator.match")
    assert (finding.confidence, finding.evidence["refuted"]) == (0.11, 50)
