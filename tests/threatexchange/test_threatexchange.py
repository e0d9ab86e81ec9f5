"""What is told to the simulated ThreatExchange arrives once, can be taken back, and our own feed reads it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Tlp
from paycordon.errors import ConfigError, OutcomeUnknown, Refused, RetryLater
from paycordon.events import Identifier
from paycordon.exchange.contract import Contribution, ContributionKind, Here, Outgoing, Receipt, Verb, Worth
from paycordon.exchange.threatexchange import ThreatExchangeRecipient, ThreatExchangeRecipientSettings
from paycordon.feeds.contract import Budget, Surroundings
from paycordon.feeds.items import Item
from paycordon.feeds.threatexchange import ThreatExchangeFeed, ThreatExchangeSettings
from paycordon.simulated.threatexchange import ThreatExchangeSimulator
from paycordon.simulated.threatexchange.command import SimulatedThreatExchange
from paycordon.simulated.threatexchange.problems import Problem
from paycordon.simulation import Fault, FaultKind
from paycordon.simulators import SimulatorOptions

GROUP, OWN, OTHER = "777", "555", "666"
TOKEN, OTHER_TOKEN = "555|secret-of-ours", "666|secret-of-theirs"
DIGESTER = Digester({"k1": bytes(range(32))}, "k1")
TAG = "paycordon_"


@pytest.fixture
def exchange() -> Iterator[ThreatExchangeSimulator]:
    with ThreatExchangeSimulator({TOKEN: OWN, OTHER_TOKEN: OTHER}, GROUP) as simulator:
        yield simulator


def now() -> datetime:
    return datetime.now(UTC)


def recipient(exchange: ThreatExchangeSimulator, **settings: Any) -> ThreatExchangeRecipient:
    given = {"format": "threatexchange", "url": f"{exchange.base_url}/v19.0", "group": GROUP, "token": TOKEN}
    return ThreatExchangeRecipient(
        ThreatExchangeRecipientSettings(**given | settings), Here("te", DIGESTER, Path(), now)
    )


def telling(*values: str, **changes: Any) -> Contribution:
    said = {"kind": "email", "reference": "r", "confidence": 90, "tlp": "green", **changes}
    items = tuple(Item(**{**said, "value": value}) for value in values)
    return Contribution(kind=ContributionKind.SIGHTING, items=items)


def message(verb: Verb = Verb.ADD, content: Contribution | None = None, **changes: Any) -> Outgoing:
    return Outgoing(**{"key": "k", "verb": verb, "id": "ctr_1", "content": content, **changes})


def read(exchange: ThreatExchangeSimulator, page: int = 500) -> tuple[set[str], set[str]]:
    """The indicators that our own feed reads as counting, and as deleted, by reference."""
    settings = ThreatExchangeSettings(
        format="threatexchange", source=f"{exchange.base_url}/v19.0/{GROUP}", token=OTHER_TOKEN, page=page
    )
    feed = ThreatExchangeFeed(settings, Surroundings("te", DIGESTER, Path(), now))
    said, gone = set[str](), set[str]()
    for batch in feed.fetch(None, Budget(settings)):
        said |= {each.digest for each in batch.said}
        gone |= {each.digest for each in batch.withdrawn}
    return said, gone


def digests(*values: str) -> set[str]:
    return {digest for value in values for digest in DIGESTER.of_indicator(Identifier(kind="email", value=value))}


def told(exchange: ThreatExchangeSimulator) -> list[dict[str, Any]]:
    return [exchange._shown(each, OWN) for each in exchange.ledger.descriptors.values() if not each.deleted]


def test_what_is_told_is_read_by_our_own_feed_and_what_is_taken_back_is_deleted_there(
    exchange: ThreatExchangeSimulator,
) -> None:
    tells = recipient(exchange)
    first = tells.send(message(content=telling("a@shop.example", "b@shop.example")))
    assert read(exchange, page=1) == (digests("a@shop.example", "b@shop.example"), set())

    tells.send(message(Verb.CORRECT, telling("a@shop.example", "c@shop.example", confidence=40), theirs=first.theirs))
    assert read(exchange) == (digests("a@shop.example", "c@shop.example"), digests("b@shop.example"))
    assert {each["status"] for each in told(exchange)} == {"UNKNOWN"}

    assert tells.send(message(Verb.RETRACT, theirs=first.theirs)) == Receipt(first.theirs)
    assert tells.send(message(Verb.RETRACT)) == Receipt(first.theirs, already=True)
    assert read(exchange)[0] == set()


def test_a_correction_without_items_leaves_them(exchange: ThreatExchangeSimulator) -> None:
    tells = recipient(exchange)
    tells.send(message(content=telling("a@shop.example")))
    appealed = Contribution(kind=ContributionKind.SIGHTING, appeal="apl_1")

    tells.send(message(Verb.CORRECT, appealed))

    assert read(exchange)[0] == digests("a@shop.example")
    assert [each["description"] for each in told(exchange)] == [
        "Shared by a payment facilitator. The merchant objects; this is undecided."
    ]


def test_whose_word_is_passed_on_goes_along_with_its_licence(exchange: ThreatExchangeSimulator) -> None:
    passed_on = telling("a@shop.example", licence="CC-BY-4.0", reshare=True)
    relay = passed_on.model_copy(update={"kind": ContributionKind.RELAY, "origin": "hotline"})

    recipient(exchange).send(message(content=relay))

    (shown,) = told(exchange)
    assert shown["description"] == "Shared by a payment facilitator. By hotline. Licence: CC-BY-4.0."


@pytest.mark.parametrize("kind", [FaultKind.LOST_AFTER, FaultKind.ERROR_AFTER, FaultKind.GARBLED])
def test_whatever_became_of_the_answer_each_identifier_is_described_once(
    exchange: ThreatExchangeSimulator, kind: FaultKind
) -> None:
    tells = recipient(exchange)
    given = message(content=telling("a@shop.example", "b@shop.example"))
    exchange.inject(Fault(kind, method="POST", path="threat_descriptors$"))

    with pytest.raises(OutcomeUnknown):
        tells.send(given)

    assert not tells.send(given).already
    assert tells.send(given).already
    assert len(exchange.ledger.descriptors) == 2


def test_nothing_is_said_to_be_done_when_it_cannot_be_looked_what_is_there(exchange: ThreatExchangeSimulator) -> None:
    exchange.inject(Fault(FaultKind.GARBLED, method="GET"))
    with pytest.raises(RetryLater):
        recipient(exchange).send(message(content=telling("a@shop.example")))
    exchange.inject(Fault(FaultKind.ANSWER, method="POST", status=429))
    with pytest.raises(RetryLater) as later:
        recipient(exchange).send(message(content=telling("a@shop.example")))

    assert later.value.after == timedelta(seconds=3)
    assert exchange.ledger.descriptors == {}


def test_marks_and_times_go_along_and_never_more_openly_than_they_are(exchange: ThreatExchangeSimulator) -> None:
    tells = recipient(exchange, tags=["payments"])
    for number, tlp in enumerate(Tlp):
        content = telling(f"{number}@shop.example", tlp=tlp, valid_until=now() + timedelta(days=1))
        tells.send(message(content=content, id=f"ctr_{number}", why="Refunds to strangers."))

    shown = told(exchange)
    assert [each["share_level"] for each in shown] == ["RED" if tlp is Tlp.RED else "AMBER" for tlp in Tlp]
    assert {(each["privacy_type"], each["privacy_members"]) for each in shown} == {("HAS_PRIVACY_GROUP", GROUP)}
    assert {each["description"] for each in shown} == {"Refunds to strangers."}
    assert all("payments" in {tag["text"] for tag in each["tags"]["data"]} for each in shown)
    exchange.advance(timedelta(days=2))
    assert read(exchange)[0] == set()


def test_feedback_becomes_reactions_of_ours_to_what_others_describe(exchange: ThreatExchangeSimulator) -> None:
    tells = recipient(exchange)
    theirs = exchange.describe(OTHER, type="EMAIL_ADDRESS", indicator="z@shop.example")
    tells.send(message(content=telling("z@shop.example")))
    (indicator,) = exchange.ledger.indicators  # what our feed calls the indicator

    for worth, reaction in (
        (Worth.USEFUL, "HELPFUL"),
        (Worth.NOT_USEFUL, "NOT_HELPFUL"),
        (Worth.FALSE_POSITIVE, "NON_MALICIOUS"),
    ):
        for _ in range(2):
            assert tells.send(message(Verb.FEEDBACK, theirs=indicator, worth=worth)) == Receipt(indicator)
        assert exchange.ledger.descriptors[theirs].reactions[reaction] == [OWN]

    own = next(each for each in exchange.ledger.descriptors.values() if each.owner == OWN)
    assert own.reactions == {}
    assert tells.send(message(Verb.FEEDBACK, theirs=theirs, worth=Worth.USEFUL)) == Receipt(theirs)
    with pytest.raises(Refused, match="404"):
        tells.send(message(Verb.FEEDBACK, theirs="12345", worth=Worth.USEFUL))
    with pytest.raises(Refused, match="needs `worth`"):
        tells.send(message(Verb.FEEDBACK, theirs="../../me", worth=Worth.USEFUL))


def test_what_it_could_never_take_is_refused_while_it_is_a_draft(exchange: ThreatExchangeSimulator) -> None:
    tells = recipient(exchange)
    digest = Item(kind="email", digest=f"k1:{'0' * 64}", reference="r")
    for content, said in (
        (telling("Pat Example", kind="person"), "no type for `person`"),
        (Contribution(kind=ContributionKind.SIGHTING, items=(digest,)), "a digest"),
        (Contribution(kind=ContributionKind.SIGHTING), "`items` is empty"),
        (telling(*(f"{number}@shop.example" for number in range(201))), "at most 200"),
    ):
        with pytest.raises(Refused, match=said) as refused:
            tells.check(content)
        assert "Example" not in str(refused.value)


def test_the_token_is_in_no_address_and_no_error(exchange: ThreatExchangeSimulator) -> None:
    wrong = recipient(exchange, token="555|wrong-secret")
    with pytest.raises(RetryLater) as refused:
        wrong.send(message(content=telling("a@shop.example")))
    recipient(exchange).send(message(content=telling("a@shop.example")))

    assert "secret" not in f"{refused.value}{wrong.settings!r}{exchange.requests}"
    assert "shop.example" not in str(exchange.requests)
    with pytest.raises(ConfigError, match="https"):
        recipient(exchange, url="http://graph.example/v19.0")


def test_somebody_elses_descriptor_can_be_neither_edited_nor_deleted(exchange: ThreatExchangeSimulator) -> None:
    theirs = exchange.describe(OTHER, type="URI", indicator="https://shop.example/")
    for change in (
        lambda: exchange.ledger.delete(OWN, theirs),
        lambda: exchange.ledger.edit(OWN, theirs, {"status": "UNKNOWN"}),
        lambda: exchange.describe(OTHER, type="URI", indicator="x", share_level="GREEN"),
        lambda: exchange.describe(OTHER, type="URI", indicator="x", privacy_members="888"),
        lambda: exchange.describe(OTHER, type="URI", indicator="x", confidence="101"),
        lambda: exchange.describe(OTHER, type="SECRET", indicator="x"),
    ):
        with pytest.raises(Problem):
            change()
    assert read(exchange)[0] != set()


def test_the_command_says_how_to_use_it() -> None:
    simulator = SimulatedThreatExchange(SimulatorOptions())
    described = simulator.start()
    try:
        tells = ThreatExchangeRecipient(
            ThreatExchangeRecipientSettings(
                format="threatexchange",
                url=f"{described.address}/v19.0",
                group="7770001",
                token="5550001|simulated_secret",
            ),
            Here("te", DIGESTER, Path(), now),
        )
        assert tells.send(message(content=telling("a@shop.example"))).theirs.startswith(TAG)
    finally:
        simulator.stop()
    assert any("7770001" in line for line in described.use)


def test_what_everybody_calls_harmless_counts_as_deleted(exchange: ThreatExchangeSimulator) -> None:
    said = exchange.describe(OTHER, type="EMAIL_ADDRESS", indicator="a@shop.example")
    assert read(exchange) == (digests("a@shop.example"), set())

    with exchange.step():
        exchange.ledger.edit(OTHER, said, {"status": "NON_MALICIOUS"})

    assert read(exchange) == (set(), digests("a@shop.example"))
