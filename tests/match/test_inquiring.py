"""A merchant is asked about before it is signed: what a list says stops money, and what it says no more does not."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from match_world import DIGESTER, OTHER, OTHER_PARTY, PARTY, inquiry, listed
from sqlalchemy import text
from werkzeug import Response

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes, Indicator
from paycordon.decisions import Outcome
from paycordon.errors import NotFound, Refused, RetryLater
from paycordon.events import Identifier
from paycordon.exchange.asked import Asked, hit_of, indicators_of
from paycordon.exchange.contract import Principal
from paycordon.exchange.inquiry import About, Likeness, Match, Matched
from paycordon.inquiring import Inquiries, Watching
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.record.verify import verify
from paycordon.rescreening import Rescreening
from paycordon.review.retention import erase_merchant
from paycordon.review.withdrawal import Rejudging
from paycordon.screening import Cordon, Limits
from paycordon.simulation import Fault, FaultKind
from paycordon.store import Store, cases, feeding, inquiries
from paycordon.store.indicators import listed as indicators_listed
from paycordon.testing import FrozenClock, make_event

POLICY = """\
policy: payouts
version: 1
on_error: review
rules:
  - id: listed
    on: [payout.requested, merchant.changed]
    when: findings.exists(f, f.code == "indicator.match" && f.confidence >= 0.8)
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""
NAME = "terminated"


BOTH = pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Store:
    """SQLite, and PostgreSQL too where a test says so."""
    found: Store = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_store")
    return found


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime.now(UTC))


@pytest.fixture
def cordon(store: Store, tmp_path: Path, clock: FrozenClock) -> Iterator[Cordon]:
    path = tmp_path / "payouts.yaml"
    path.write_text(POLICY)
    limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
    plugins = Plugins({"checks": builtin_checks})
    made = Cordon(store, load_policies([path]), plugins, DIGESTER, limits=limits, clock=clock)
    yield made
    made.close()


@pytest.fixture
def asks(store: Store, match: Any, clock: FrozenClock) -> Inquiries:
    return Inquiries(store, {NAME: inquiry(match)}, clock=clock)


@pytest.fixture
def watching(store: Store, match: Any, clock: FrozenClock) -> Watching:
    return Watching(store, {NAME: inquiry(match)}, NAME, owner="w1", clock=clock)


def pay_out(cordon: Cordon, number: int, merchant: str = "m-17", value: str = "IE6388047V") -> Outcome:
    return cordon.screen(
        make_event(
            "payout.requested",
            id=f"evt_{number}",
            account={"id": f"acct_{merchant}"},
            merchant={"id": merchant, "country": "IE"},
            identifiers=[{"kind": "tax_id", "value": value}],
        )
    ).outcome


def known(store: Store) -> dict[str, int]:
    with store.read() as connection:
        found = indicators_listed(connection, source=NAME, limit=1_000)
    assert all((each.status, each.reshare) == ("network_listing", False) for each in found)
    return {f"{each.kind}/{each.digest[-6:]}/{each.reference[:6]}": each.confidence for each in found}


def rows(store: Store) -> list[str]:
    """All that is stored, as text."""
    with store.read() as connection:
        tables = ("inquiries", "sightings", "indicators", "log", "cases", "case_events", "feeds")
        return [str(row) for table in tables for row in connection.execute(text(f"SELECT * FROM {table}"))]


def test_an_honest_merchant_is_asked_about_and_nothing_follows(
    store: Store, match: Any, asks: Inquiries, cordon: Cordon
) -> None:
    match.list_merchant(OTHER, listed())

    found = asks.ask("m-1", OTHER_PARTY, by="onboarding")

    assert (found.state, found.matches, found.said) == ("done", (), frozenset())
    assert found.reference in match.ledger.inquiries
    assert known(store) == {}
    assert pay_out(cordon, 1, "m-1", "DE136695976") is Outcome.ALLOW
    with store.read() as connection:
        assert cases.queue(connection) == []
    assert verify(store).ok


@BOTH
def test_a_listed_merchant_becomes_known_its_payout_is_held_and_a_person_is_told(
    store: Store, match: Any, asks: Inquiries, cordon: Cordon, clock: FrozenClock
) -> None:
    match.list_merchant(OTHER, listed(Name="Bayt Shoppe Limited"))

    found = asks.ask("m-17", PARTY, by="onboarding")

    (hit,) = found.matches
    assert (hit.reason, hit.listed_by) == ("match:13", OTHER)
    assert "tax_id: exact" in hit.about
    assert "legal_name: alike" in hit.about
    sure = sorted((name.split("/")[0], confidence) for name, confidence in known(store).items())
    assert sure == sorted(
        [("tax_id", 90), ("tax_id", 90), ("phone", 80), ("url", 80), ("domain", 80), ("person", 60),
         ("legal_entity", 60), ("legal_entity", 30)]
    )  # fmt: skip
    with store.read() as connection:
        (case,) = cases.queue(connection, merchant="m-17")
        assert found.id in str([event.note for event in cases.timeline(connection, case.id)])
    assert pay_out(cordon, 1) is Outcome.HOLD
    assert pay_out(cordon, 2, "m-2", "DE136695976") is Outcome.ALLOW
    with store.read() as connection:
        until = {each.valid_until for each in indicators_listed(connection, source=NAME)}
    assert len(until) == 1
    assert timedelta(days=5 * 365 - 2) < until.pop() - clock() < timedelta(days=5 * 365 + 1)  # type: ignore[operator]
    assert verify(store).ok


@BOTH
def test_what_a_member_says_under_a_shared_key_meets_a_merchant_that_was_only_asked_about(
    store: Store, match: Any, cordon: Cordon, clock: FrozenClock
) -> None:
    shared = b"s" * 32
    ours = Digester({"k1": bytes(range(32)), "all": shared}, "k1", shared=("all",))
    theirs = Digester({"theirs": b"t" * 32, "all": shared}, "theirs", shared=("all",)).under("all")
    asks = Inquiries(store, {NAME: inquiry(match, digester=ours)}, clock=clock)
    asks.ask("m-17", PARTY, by="onboarding")
    digest = theirs.digest(Identifier(kind="domain", value="bait.example"))

    said = [Indicator("domain", digest, "member", "R", 90, "investigation")]
    assert feeding.apply_changes(store, Changes("member", said=said), clock()).matches == 1
    with store.read() as connection:
        assert connection.execute(text("SELECT merchant FROM rescreenings")).scalars().all() == ["m-17"]
        told = " ".join(str(row) for row in connection.execute(text("SELECT * FROM aliases")))
    assert "bait" not in told
    assert told.count("all:") == len(Asked.of(PARTY, ours).names)


def test_nothing_plain_is_stored_or_logged(
    store: Store, match: Any, asks: Inquiries, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    match.list_merchant(OTHER, listed())
    found = asks.ask("m-17", PARTY, by="onboarding")
    match.inject(Fault(FaultKind.ANSWER, path="inquiry", status=400))
    with pytest.raises(Refused) as refused:
        asks.ask("m-17", PARTY, by="onboarding")

    everything = " ".join([*rows(store), caplog.text, str(refused.value), repr(found), repr(asks)])
    for value in ("Bait", "6388047", "5550100", "bait.example", "Example", "9999999W", "Elm"):
        assert value not in everything


@BOTH
def test_a_listing_that_comes_later_holds_and_one_that_is_gone_is_taken_back_when_asked_anew(
    store: Store, match: Any, asks: Inquiries, watching: Watching, cordon: Cordon, clock: FrozenClock
) -> None:
    first = asks.ask("m-17", PARTY, by="onboarding")
    assert pay_out(cordon, 1) is Outcome.ALLOW
    watching.run_once()
    reference = match.list_merchant(OTHER, listed())
    assert watching.run_once() is False  # not due yet
    clock.advance(timedelta(hours=6))

    assert watching.run_once() is True
    clock.advance(timedelta(hours=6))
    assert watching.run_once() is False  # the same again is nothing new
    rescreening = Rescreening(store, cordon, clock)
    assert rescreening.step() is True  # without waiting for an event of the merchant's
    with store.read() as connection:
        assert connection.execute(text("SELECT outcome FROM holds")).scalars().all() == ["hold"]
    assert pay_out(cordon, 2) is Outcome.HOLD
    with store.read() as connection:
        (case,) = cases.queue(connection, merchant="m-17")
        told = [event.note or "" for event in cases.timeline(connection, case.id) if event.kind == "inquiry"]
    assert len(told) == 1
    assert first.id in told[0]

    match.remove(reference)
    clock.advance(timedelta(hours=6))
    watching.run_once()
    assert known(store) != {}  # a list does not tell of an earlier inquiry what is listed no more
    assert asks.ask("m-17", PARTY, by="onboarding").matches == ()

    assert known(store) == {}
    rejudging = Rejudging(store, lambda: cordon.policies, clock=clock)
    while rejudging.step():
        pass
    assert pay_out(cordon, 3, value="IE6388047V") is not Outcome.BLOCK
    with store.read() as connection:
        withdrawn = connection.execute(text("SELECT COUNT(*) FROM withdrawals")).scalar_one()
        judged = connection.execute(text("SELECT COUNT(*) FROM withdrawal_items")).scalar_one()
    assert withdrawn >= 1
    assert judged >= 1
    clock.advance(timedelta(hours=6))
    watching.run_once()
    assert known(store) == {}  # what the older inquiry once heard does not come back
    assert verify(store).ok


def test_an_inquiry_is_watched_for_360_days(
    match: Any, asks: Inquiries, watching: Watching, clock: FrozenClock
) -> None:
    asks.ask("m-17", PARTY, by="onboarding")
    clock.advance(timedelta(days=361))
    match.list_merchant(OTHER, listed())

    assert watching.run_once() is False
    assert [path for _, path in match.requests if "retro" in path] == []


@BOTH
def test_who_dies_after_the_answer_was_stored_is_made_up_for(
    store: Store, match: Any, asks: Inquiries, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    match.list_merchant(OTHER, listed())
    monkeypatch.setattr(asks, "take_in", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        asks.ask("m-17", PARTY, by="onboarding")
    assert known(store) == {}

    watching.run_once()

    assert len(known(store)) == 8
    with store.read() as connection:
        (found,) = inquiries.listed(connection)
        assert inquiries.listed(connection, merchant="m-17", service=NAME, listing=found.matches[0].listing) == [found]
        assert (found.state, len(found.said)) == ("done", 8)
        assert len(cases.queue(connection, merchant="m-17")) == 1


def test_an_older_answer_that_is_taken_in_late_does_not_undo_a_newer_one(
    store: Store, match: Any, asks: Inquiries, watching: Watching, clock: FrozenClock
) -> None:
    reference = match.list_merchant(OTHER, listed())
    taking, asks.take_in = asks.take_in, lambda _: None  # type: ignore[method-assign]
    older = asks.ask("m-17", PARTY, by="onboarding")
    match.remove(reference)
    asks.take_in = taking  # type: ignore[method-assign]
    clock.advance(timedelta(minutes=1))
    asks.ask("m-17", PARTY, by="onboarding")

    asks.take_in(older.id)
    assert known(store) == {}

    second = match.list_merchant(OTHER, listed(MerchantId="again"))
    clock.advance(timedelta(minutes=1))
    asks.ask("m-17", PARTY.model_copy(update={"tax_id": ""}), by="onboarding")
    assert len(known(store)) == 7
    clock.advance(timedelta(minutes=1))
    match.remove(second)
    asks.ask("m-17", replace_tax_only(), by="onboarding")
    assert len(known(store)) == 7 - 2  # names and address were asked about, the rest was not


def replace_tax_only() -> Any:
    return PARTY.model_copy(update={"principals": (), "urls": (), "phone": ""})


def test_when_the_list_cannot_be_asked_that_is_kept_and_nothing_is_held(
    store: Store, match: Any, asks: Inquiries, watching: Watching, cordon: Cordon, clock: FrozenClock
) -> None:
    match.inject(Fault(FaultKind.LOST_AFTER, path="inquiry"))
    with pytest.raises(RetryLater):
        asks.ask("m-17", PARTY, by="onboarding")

    with store.read() as connection:
        (found,) = inquiries.listed(connection, merchant="m-17")
    assert (found.state, found.reference) == ("asking", None)
    assert "MATCH" in (found.why or "")
    assert pay_out(cordon, 1) is Outcome.ALLOW
    asks.ask("m-17", PARTY, by="onboarding")
    match.inject(Fault(FaultKind.ERROR_BEFORE, path="retro-list", times=5))
    for _ in range(4):
        assert watching.run_once() is False
        clock.advance(timedelta(hours=2))
    with store.read() as connection:
        said = connection.execute(text("SELECT kind FROM log WHERE kind LIKE 'feed.%'")).scalars().all()
    assert said == ["feed.troubled"]
    with pytest.raises(NotFound, match="no list `other`"):
        asks.ask("m-17", PARTY, by="onboarding", at="other")


def test_an_owner_is_not_suspected_for_another_ones_sake() -> None:
    two = (Principal(first_name="Pat", last_name="Example"), Principal(first_name="Kim", last_name="Other", phone="1"))
    asked = Asked.of(PARTY.model_copy(update={"principals": two}), DIGESTER)

    def hits(name: str, likeness: Likeness = Likeness.EXACT) -> list[str]:
        person = (Matched(About.PERSON, likeness, name), Matched(About.PERSON_PHONE, Likeness.EXACT))
        return [digest for _, digest, _ in hit_of(Match("l", (), (person,)), asked, DIGESTER).names]

    def digest(kind: str, value: str) -> str:
        return DIGESTER.digest(Identifier(kind=kind, value=value), "IE")

    assert hits("PAT EXAMPLE") == [digest("person", "Pat Example")]
    assert hits("Kim Other") == sorted([digest("phone", "1"), digest("person", "Kim Other")], key=lambda d: d not in
                                       (digest("person", "Kim Other"),))  # fmt: skip
    assert hits("Bat Exampel", Likeness.ALIKE) == []
    assert hits("") == []


def test_the_same_listing_says_the_surest_of_an_identifier_once() -> None:
    asked = Asked.of(PARTY, DIGESTER)
    both = (Matched(About.LEGAL_NAME, Likeness.ALIKE), Matched(About.LEGAL_NAME, Likeness.EXACT))
    hit = hit_of(Match("l", both), asked, DIGESTER)
    made = indicators_of([hit, replace(hit, names=hit.names)], NAME, timedelta(days=1), datetime.now(UTC))

    assert [(each.kind, each.confidence) for each in made] == [("legal_entity", 60)]
    assert Asked.from_json(json.loads(json.dumps(asked.as_json()))) == asked


@BOTH
def test_what_was_asked_goes_with_the_merchant(store: Store, asks: Inquiries, clock: FrozenClock) -> None:
    asks.ask("m-17", PARTY, by="onboarding")

    erase_merchant(store, "m-17", by="dpo", basis="asked to", clock=clock)

    with store.read() as connection:
        assert inquiries.listed(connection) == []
        assert connection.execute(text("SELECT COUNT(*) FROM sightings")).scalar_one() == 0
    assert verify(store).ok


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("matches = '[]', number = 0", "its answer is not what the log says"),
        ("matches = 'x'", "its answer is not what the log says"),
        ("merchant = 'm-18'", "is not what the log says was asked"),
        ("asked = '{}'", "is not what the log says was asked"),
        ("id = 'inq_other'", "no entry of the log names it"),
    ],
)
def test_the_log_shows_what_somebody_changed_by_hand(
    sqlite_store: Store, match: Any, asks: Inquiries, change: str, said: str
) -> None:
    match.list_merchant(OTHER, listed())
    asks.ask("m-17", PARTY, by="onboarding")
    assert verify(sqlite_store).ok
    with sqlite_store.write() as connection:
        connection.execute(text(f"UPDATE inquiries SET {change}"))

    assert said in str(verify(sqlite_store).problems)


def test_what_cannot_be_taken_in_keeps_nobody_from_hearing_of_the_rest(
    store: Store, match: Any, asks: Inquiries, clock: FrozenClock
) -> None:
    asks.ask("m-17", PARTY, by="onboarding")
    asks.ask("m-1", OTHER_PARTY, by="onboarding")
    match.list_merchant(OTHER, listed())
    other = {"MerchantId": "b", "Name": "Honest Books GmbH", "NationalTaxId": "DE136695976", "PhoneNumber": "1"}
    match.list_merchant(OTHER, listed(**other, DoingBusinessAsName="", Url=[], Principal=[]))
    few = Watching(store, {NAME: inquiry(match)}, NAME, owner="w1", clock=clock, most_matches={NAME: 0})

    assert few.run_once() is False  # a person has to look at both

    with store.read() as connection:
        found = inquiries.listed(connection)
        assert [(each.state, len(each.matches)) for each in found] == [("later", 1), ("later", 1)]
        assert connection.execute(text("SELECT COUNT(*) FROM indicator_waiting")).scalar_one() == 2
    with store.write() as connection:
        for each in feeding.waiting(connection):
            feeding.approve(connection, each.digest, "ann", "looked", clock())
    clock.advance(timedelta(hours=6))
    assert few.run_once() is True
    assert len({name.split("/")[2] for name in known(store)}) == 2


def test_one_answer_that_is_malformed_is_passed_over_and_told(match: Any, httpserver: Any) -> None:
    good = inquiry(match)
    first, second = (good.ask(PARTY, f"inq_{number}").reference for number in (1, 2))
    match.list_merchant(OTHER, listed())
    listed_later = {"RetroResponse": [{"RefNum": first}, {"RefNum": second}]}
    httpserver.expect_request("/fraud/merchant/v3/retro/retro-list").respond_with_json(listed_later)
    path = "/fraud/merchant/v3/retro/retro-inquiry-details"
    empty = {"RetroInquiryResponse": {"PossibleMerchantMatches": {"TotalLength": 0}}}
    answers = [{"RetroInquiryResponse": 7}, empty]
    httpserver.expect_request(path).respond_with_handler(lambda _: Response(json.dumps(answers.pop(0))))
    heard = inquiry(match, url=httpserver.url_for("/fraud/merchant/v3")).later({first, second})

    assert next(heard).reference == second
    with pytest.raises(Refused, match="RetroInquiryResponse"):
        next(heard)


def test_a_card_number_is_neither_asked_about_nor_kept(store: Store, match: Any, asks: Inquiries) -> None:
    owner = Principal(first_name="A", last_name="B", national_id="4242424242424242")
    for change in ({"tax_id": "4242 4242 4242 4242"}, {"principals": (owner,)}):
        with pytest.raises(Refused, match="looks like a card number") as refused:
            asks.ask("m-17", PARTY.model_copy(update=change), by="onboarding")
        assert "4242" not in str(refused.value)
    assert match.requests == []
    assert "4242" not in " ".join(rows(store))
