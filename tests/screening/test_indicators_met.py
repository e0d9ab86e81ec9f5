"""What an event meets: under old keys, by domain or network, from several sources, never because all share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes, Indicator, Standards
from paycordon.decisions import Decision, Finding
from paycordon.errors import ConfigError
from paycordon.events import Identifier
from paycordon.links import Reach
from paycordon.plugins import Plugins
from paycordon.policy import PolicySet
from paycordon.screening import Cordon, Limits
from paycordon.store import Store
from paycordon.store.feeding import apply_changes
from paycordon.store.indicators import add
from paycordon.store.links import network
from paycordon.testing import FrozenClock, make_event

OLD, NEW, SHARED = b"o" * 32, b"n" * 32, b"s" * 32
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
    common = {f.evidence["kind"]: f.evidence["relation"] for f in found(again, "indicator.common")}
    assert (common, found(again, "indicator.match")) == ({"iban": "exact", "domain": "known"}, [])


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


def onboard(cordon: Cordon, merchant: str, *identifiers: Identifier, number: int = 0, **fields: Any) -> Decision:
    return cordon.screen(
        make_event(
            **{"type": "merchant.onboarding", "id": f"seen_{merchant}_{number}", **fields},
            merchant={"id": merchant, "country": "NL"},
            account={"id": f"acct_{merchant}"},
            identifiers=identifiers,
        )
    )


def test_a_merchant_is_compared_by_what_it_is_known_by_whatever_the_event_carries(
    store: Store, clock: FrozenClock, engine: Engine
) -> None:
    cordon = engine(AFTER)
    onboard(cordon, "m_1", of("iban", "GB82WEST12345698765432"), of("email", "jane@mail.bad.example"))
    assert screen(cordon, 1, merchant="m_1").findings == ()
    iban = know(store, clock, AFTER, "iban", "GB82WEST12345698765432")
    domain = know(store, clock, AFTER, "domain", "bad.example", reference="domain")

    decision = screen(cordon, 2, merchant="m_1")
    matches = {f.evidence["digest"]: f.evidence for f in found(decision, "indicator.match")}
    assert matches.keys() == {iban.digest, domain.digest}, "the domain of an address that it was seen with as well"
    assert {(e["relation"], e["last_seen"]) for e in matches.values()} == {("known", str(clock().date()))}
    assert all("of" not in evidence for evidence in matches.values())
    assert found(screen(cordon, 3, merchant="m_2"), "indicator.match") == [], "nobody else"
    (carried,) = found(screen(cordon, 4, of("iban", "GB82WEST12345698765432"), merchant="m_2"), "indicator.match")
    assert carried.evidence["relation"] == "exact"
    assert "last_seen" not in carried.evidence


def test_what_a_payer_left_or_a_merchant_gave_up_does_not_name_it(
    store: Store, clock: FrozenClock, engine: Engine
) -> None:
    cordon = engine(AFTER, Standards(known_for=timedelta(days=90)))
    for type_ in ("payment.succeeded", "dispute.opened"):
        onboard(cordon, "m_1", of("email", "payer@shop.example"), type=type_, id=type_)
    onboard(cordon, "m_1", of("iban", "GB82WEST12345698765432"), of("ip", "192.0.99.7"))
    for kind, value in (("email", "payer@shop.example"), ("iban", "GB82WEST12345698765432"), ("ip", "192.0.99.7")):
        know(store, clock, AFTER, kind, value, reference=kind)

    kinds = []
    for number, days in enumerate((30, 60, 1)):
        clock.advance(timedelta(days=days))
        kinds.append({f.evidence["kind"] for f in found(screen(cordon, number, merchant="m_1"), "indicator.match")})
    assert kinds == [{"iban", "ip"}, {"iban"}, set()], "an address of the network is somebody else's after 30 days"
    onboard(cordon, "m_1", of("email", "payer@shop.example"), occurred_at=clock(), number=1)
    (own,) = found(screen(cordon, 9, merchant="m_1"), "indicator.match")
    assert own.evidence["kind"] == "email"


def test_what_is_known_under_an_old_key_is_met_and_what_names_nobody_still_does_not(
    store: Store, clock: FrozenClock, engine: Engine
) -> None:
    onboard(engine(BEFORE), "m_1", of("iban", "GB82WEST12345698765432"), of("domain", "gmail.com"))
    know(store, clock, BEFORE, "iban", "GB82WEST12345698765432")
    know(store, clock, BEFORE, "domain", "gmail.com")
    rotated = engine(AFTER)
    decision = screen(rotated, 1, merchant="m_1")
    assert [f.evidence["kind"] for f in found(decision, "indicator.match")] == ["iban"]
    assert [f.evidence["common"] for f in found(decision, "indicator.common")] == ["mailbox provider"]
    both = screen(rotated, 2, of("iban", "GB82WEST12345698765432"), merchant="m_1")
    (match,) = found(both, "indicator.match")
    assert match.evidence["relation"] == "exact", "carried by the event, although the merchant is known by it as well"


def test_no_more_than_the_newest_of_very_many_are_compared(store: Store, clock: FrozenClock, engine: Engine) -> None:
    cordon = engine(AFTER)
    for number in range(3):
        many = [of("handle", f"name-{number}-{each}") for each in range(100)]
        onboard(cordon, "m_1", *many, occurred_at=clock() - timedelta(days=9 - number), number=number)
    for number in range(3):
        know(store, clock, AFTER, "handle", f"name-{number}-7", reference=str(number))
    references = {f.evidence["reference"] for f in found(screen(cordon, 1, merchant="m_1"), "indicator.match")}
    assert references >= {"2"}
    assert "0" not in references


def test_what_a_member_says_under_a_shared_key_meets_a_merchant_by_what_it_is_known_by(
    store: Store, clock: FrozenClock, engine: Engine
) -> None:
    ours = Digester({"ours": OLD, "all": SHARED}, "ours", shared=("all",))
    theirs = Digester({"theirs": NEW, "all": SHARED}, "theirs", shared=("all",)).under("all")
    cordon, email = engine(ours), of("email", "jane@bad.example")
    screen(cordon, 1, email)
    screen(cordon, 2, email, of("url", "https://jane.other.example/x"))
    said = [
        Indicator(kind, theirs.digest(of(kind, value)), "member", value, 90, "investigation")
        for kind, value in (("email", "jane@bad.example"), ("domain", "other.example"))
    ]
    applied = apply_changes(store, Changes("member", said=said), clock())
    assert applied.matches == 2
    with store.read() as connection:
        wanted = connection.execute(text("SELECT merchant FROM rescreenings ORDER BY 1")).scalars().all()
        ties = network(connection, "m_1", Reach()).ties
    assert wanted == ["m_1", "m_2"]
    assert {tie.digest for tie in ties} == {ours.digest(email)}, "one identifier is one tie, whoever can name it"

    silent = found(screen(cordon, 3, merchant="m_2"), "indicator.match")
    assert {f.evidence["digest"]: f.evidence["relation"] for f in silent} == {each.digest: "known" for each in said}
    (carried,) = found(screen(cordon, 4, email), "indicator.match")
    assert carried.evidence["relation"] == "exact"


def test_a_key_of_the_house_is_not_given_away() -> None:
    ours = Digester({"ours": OLD, "all": SHARED}, "ours", shared=("all",))
    with pytest.raises(ConfigError, match="never give away the current key"):
        ours.under("ours")
    email = of("email", "jane@bad.example")
    assert ours.under("all").digest(email).startswith("all:")
    assert ours.digest(email).startswith("ours:")
