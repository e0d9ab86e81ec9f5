"""What each format makes of its documents, and what it refuses whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes
from paycordon.errors import ConfigError, FeedRefused
from paycordon.events import Identifier
from paycordon.feeds.contract import Budget, Feed, Surroundings
from paycordon.feeds.csvfile import CsvFeed
from paycordon.feeds.ftm import FtmFeed
from paycordon.feeds.misp import MispFeed

DIGESTER = Digester({"k1": b"k" * 32}, "k1")
UUIDS = [f"00000000-0000-4000-8000-{n:012d}" for n in range(9)]
CSV = b"iban,case,seen\nNL91ABNA0417164300,case-1,2026-01-05T00:00:00Z\nDE89370400440532013000,case-2,\n"
MAPPED = {
    "columns": {"value": "iban", "reference": "case", "last_seen": "seen"},
    "always": {"kind": "iban", "confidence": 80},
}
Make = Callable[..., Feed[Any]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A feed of a format that reads `tmp_path / "feed"`."""

    def made(kind: type[Feed[Any]], **settings: Any) -> Feed[Any]:
        surroundings = Surroundings("ngo", DIGESTER, tmp_path, lambda: datetime(2026, 3, 2, tzinfo=UTC))
        given = {"format": kind.format, "source": "feed", **settings}
        return kind(kind.settings_type.model_validate(given), surroundings)

    return made


def fetched(feed: Feed[Any], content: bytes | Any, checkpoint: str | None = None) -> list[Changes]:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (feed.surroundings.base / "feed").write_bytes(data)
    return list(feed.fetch(checkpoint, Budget(feed.settings)))


def digest(kind: str, value: str, country: str | None = None) -> str:
    return DIGESTER.of_indicator(Identifier(kind=kind, value=value), country)[0]


def test_csv_is_read_by_its_mapping_whole_and_once(make: Make) -> None:
    feed = make(CsvFeed, **MAPPED)
    (batch,) = fetched(feed, CSV)

    assert batch.complete
    first, second = batch.said
    assert (first.digest, first.reference, first.confidence) == (digest("iban", "NL91ABNA0417164300"), "case-1", 80)
    assert (first.last_seen, second.last_seen) == (datetime(2026, 1, 5, tzinfo=UTC), None)
    assert fetched(feed, CSV, batch.checkpoint) == []
    older = CSV.replace(b"2026-01-05", b"2026-01-04")
    with pytest.raises(FeedRefused, match="replayed or back-dated"):
        fetched(feed, older, batch.checkpoint)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (CSV[:-1], "cut off"),
        (CSV[:70] + b"\n", "line 3 does not have as many values"),
        (CSV.replace(b"iban,", b"other,"), "mapped column"),
        (CSV.replace(b"DE89370400440532013000", b"\xff\xfe"), "UTF-8"),
        (CSV.replace(b"case-2", b"\x00"), "`reference` cannot be taken"),
        (CSV.replace(b"2026-01-05T00:00:00Z", b"yesterday"), "line 2: `last_seen`"),
        (b"", "cut off"),
    ],
)
def test_csv_that_is_not_right_is_refused_whole(make: Make, content: bytes, why: str) -> None:
    with pytest.raises(FeedRefused, match=why):
        fetched(make(CsvFeed, **MAPPED), content)


def test_csv_dates_without_a_zone_are_utc(make: Make) -> None:
    feed = make(CsvFeed, **MAPPED)
    for written in (b"2026-01-05", b"2026-01-05T00:00:00", b"2026-01-05 00:00", b"2026-01-05T01:00:00+01:00"):
        (batch,) = fetched(feed, CSV.replace(b"2026-01-05T00:00:00Z", written))
        assert batch.said[0].last_seen == datetime(2026, 1, 5, tzinfo=UTC)


def test_what_counts_only_from_a_day_to_come_does_not_make_the_next_file_older(make: Make) -> None:
    feed = make(CsvFeed, columns={"value": "iban", "reference": "case", "valid_from": "seen"}, always={"kind": "iban"})
    (batch,) = fetched(feed, CSV.replace(b"2026-01-05", b"2030-01-01"))
    assert batch.said[0].valid_from == datetime(2030, 1, 1, tzinfo=UTC)

    (later,) = fetched(feed, CSV, batch.checkpoint)
    assert later.said[0].valid_from == datetime(2026, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("last_seen", "2026-13-40", "is no time"),
        ("confidence", "101", "is too large"),
        ("confidence", "much", "is no number"),
        ("tlp", "purple", "is none of those"),
        ("category", "x" * 300, "is too long"),
    ],
)
def test_csv_says_which_field_cannot_be_taken_and_why(make: Make, field: str, value: str, why: str) -> None:
    feed = make(CsvFeed, columns={"value": "v", field: "f"}, always={"kind": "email"})
    with pytest.raises(FeedRefused, match=f"line 2: `{field}` {why}") as refused:
        fetched(feed, f"v,f\nx@shop.example,{value}\n".encode())
    assert value not in str(refused.value)


def test_card_numbers_are_refused_and_no_message_repeats_a_value(make: Make) -> None:
    feed = make(CsvFeed, columns={"value": "v"}, always={"kind": "card_fingerprint"})
    with pytest.raises(FeedRefused) as refused:
        fetched(feed, b"v\n4111111111111111\n")
    assert "4111" not in str(refused.value)


def test_a_mapping_that_names_no_field_is_refused_at_the_start(make: Make) -> None:
    for wrong in ({"columns": {"worth": "v"}}, {"columns": {"value": "v"}}, {"columns": {"kind": "v"}}):
        with pytest.raises(ValueError, match=r"field|kind|value"):
            make(CsvFeed, **wrong)


def attribute(number: int, **fields: Any) -> dict[str, Any]:
    given = {"uuid": UUIDS[number], "type": "iban", "value": "NL91ABNA0417164300", "to_ids": True}
    return {**given, "category": "Financial fraud", "timestamp": "1767600000", **fields}


def misp(*attributes: dict[str, Any], at: int = 1767600000, **fields: Any) -> Any:
    return {"response": [{"Event": {"uuid": UUIDS[8], "timestamp": str(at), "Attribute": list(attributes), **fields}}]}


def test_misp_attributes_of_payment_kinds_are_taken_with_marks_and_deletions(make: Make) -> None:
    document = misp(
        attribute(0),
        attribute(1, type="btc", value="1BoatSLRHtKNngkdXEeobR76b53LETtpyT", to_ids=False),
        attribute(2, type="sha256", value="00" * 32),
        attribute(3, type="email-src", value="x@shop.example", deleted=True),
        attribute(4, type="domain|ip", value="shop.example|192.0.2.1", Tag=[{"name": "tlp:red"}]),
        Object=[{"Attribute": [attribute(5, type="phone-number", value="+31612345678")]}],
        Tag=[{"name": "tlp:white"}],
    )
    (batch,) = fetched(make(MispFeed, complete=False), document)

    found = {each.reference: (each.kind, each.tlp) for each in batch.said}
    assert found == {UUIDS[0]: ("iban", "clear"), UUIDS[4]: ("domain", "red"), UUIDS[5]: ("phone", "clear")}
    assert [(each.digest, each.reference) for each in batch.withdrawn] == [
        (digest("email", "x@shop.example"), UUIDS[3])
    ]
    assert not batch.complete


def test_a_misp_event_never_becomes_older(make: Make) -> None:
    feed = make(MispFeed)
    (batch,) = fetched(feed, misp(attribute(0), at=1767700000))
    assert fetched(feed, misp(attribute(0), at=1767700000), batch.checkpoint) == []
    with pytest.raises(FeedRefused, match="replayed or back-dated"):
        fetched(feed, misp(attribute(1), at=1767699999), batch.checkpoint)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"Event": 3},
        {"response": [{"Event": {"uuid": "x", "timestamp": "1"}}]},
        misp(attribute(0, value=["x"])),
        misp(attribute(0, timestamp="soon")),
        misp(attribute(0, deleted="perhaps")),
        misp({"type": "iban", "to_ids": True}),
        b'{"response": [',
        b'{"response": [], "response": []}',
        b"[" * 100_000,
    ],
    ids=range(10),
)
def test_misp_that_is_not_right_is_refused_whole(make: Make, document: Any) -> None:
    with pytest.raises(FeedRefused):
        fetched(make(MispFeed), document)


def entity(number: int, schema: str, **properties: list[str]) -> bytes:
    body = {"id": f"NK-{number}", "schema": schema, "properties": properties, "last_change": "2026-01-05T10:00:00"}
    return json.dumps({**body, "first_seen": "2025-01-01", "last_seen": "2026-01-06T00:00:00"}).encode() + b"\n"


def test_followthemoney_entities_give_identifiers(make: Make) -> None:
    feed = make(FtmFeed, licence="CC-BY-NC-4.0")
    lines = entity(1, "Company", name=["Muster GmbH"], email=["info@muster.example"], country=["de"]) + entity(
        2, "CryptoWallet", publicKey=["1BoatSLRHtKNngkdXEeobR76b53LETtpyT"], topics=["crime"]
    )
    (batch,) = fetched(feed, lines)

    assert {(each.reference, each.kind, each.confidence) for each in batch.said} == {
        ("NK-1", "email", 60),
        ("NK-1", "legal_entity", 20),
        ("NK-2", "wallet", 60),
    }
    assert batch.said[-1].category == "crime"
    assert batch.said[0].licence == "CC-BY-NC-4.0"
    with pytest.raises(FeedRefused, match="back-dated"):
        fetched(feed, lines.replace(b"2026-01-05", b"2026-01-04"), batch.checkpoint)


@pytest.mark.parametrize(
    "lines",
    [
        entity(1, "Company")[:-1],
        entity(1, "Company", email="info@muster.example"),  # type: ignore[arg-type]
        entity(1, "Company", email=["\ud800"]),
        entity(1, "Company").replace(b"2026-01-05T10:00:00", b"when"),
        b"\n",
        b'{"id": "x"}\n',
    ],
    ids=range(6),
)
def test_followthemoney_that_is_not_right_is_refused_whole(make: Make, lines: bytes) -> None:
    with pytest.raises(FeedRefused):
        fetched(make(FtmFeed), lines)


def test_what_is_too_large_is_refused(make: Make) -> None:
    with pytest.raises(FeedRefused, match="most_bytes"):
        fetched(make(CsvFeed, most_bytes=20, **MAPPED), CSV)


def test_an_address_that_others_can_change_on_the_way_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="https"):
        make(CsvFeed, **{**MAPPED, "source": "http://feeds.example/list.csv"})
