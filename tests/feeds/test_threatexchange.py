"""ThreatExchange over real HTTP: what is replayed, back-dated or goes round in circles; and what a new key changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes
from paycordon.errors import FeedRefused
from paycordon.feeds.contract import Budget, Surroundings
from paycordon.feeds.taxii import TaxiiFeed
from paycordon.feeds.threatexchange import ThreatExchangeFeed
from paycordon.pulling import Pulling
from paycordon.store import Store
from paycordon.store.indicators import listed
from paycordon.testing import FrozenClock

OLD, NEW = Digester({"k1": b"k" * 32}, "k1"), Digester({"k2": b"n" * 32, "k1": b"k" * 32}, "k2")
PATH = "/v19.0/group/threat_updates"
Get = Callable[..., list[Changes]]


def update(number: int, at: int, *, gone: bool = False, **fields: Any) -> dict[str, Any]:
    said = {"id": str(number), "indicator": f"x{number}@shop.example", "type": "EMAIL_ADDRESS", "status": "MALICIOUS"}
    return {**said, "last_updated": at, "should_delete": gone, **fields}


def feed_of(server: HTTPServer, digester: Digester = OLD) -> ThreatExchangeFeed:
    given = {"format": "threatexchange", "source": server.url_for("/v19.0/group"), "token": "secret"}
    surroundings = Surroundings("lantern", digester, Path(), lambda: datetime.now(UTC))
    return ThreatExchangeFeed(ThreatExchangeFeed.settings_type.model_validate(given), surroundings)


def fetched(server: HTTPServer, since: int | None = None, digester: Digester = OLD) -> list[Changes]:
    feed = feed_of(server, digester)
    return list(feed.fetch(None if since is None else json.dumps({"since": since}), Budget(feed.settings)))


def serve(server: HTTPServer, *pages: Any) -> None:
    """Serve pages one after the other; each names the next by a number."""

    def answer(request: Request) -> Response:
        number = int(request.args.get("after", "0"))
        page = {"data": pages[number]}
        if number + 1 < len(pages):
            page["paging"] = {"next": server.url_for(f"{PATH}?after={number + 1}")}
        return Response(json.dumps(page))

    server.clear()
    server.expect_request(PATH).respond_with_handler(answer)


def test_what_is_older_than_asked_for_is_refused_whole(httpserver: HTTPServer) -> None:
    serve(httpserver, [update(1, 200), update(2, 99)])
    with pytest.raises(FeedRefused, match="update 1 is older than what was asked for: replayed or back-dated"):
        fetched(httpserver, 100)
    serve(httpserver, [update(1, 100), update(2, 200)])
    assert [each.checkpoint for each in fetched(httpserver, 100)] == ['{"since": 200}']


def test_a_page_that_goes_back_behind_the_one_before_is_refused(httpserver: HTTPServer) -> None:
    serve(httpserver, [update(1, 200)], [update(2, 150)])
    feed = feed_of(httpserver)
    pages = feed.fetch(None, Budget(feed.settings))
    assert next(pages).checkpoint == '{"since": 200}'
    with pytest.raises(FeedRefused, match="back-dated"):
        next(pages)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_pages_that_go_round_in_a_circle_end(httpserver: HTTPServer, length: int) -> None:
    def answer(request: Request) -> Response:
        after = (int(request.args.get("after", "0")) + 1) % length
        return Response(json.dumps({"data": [], "paging": {"next": httpserver.url_for(f"{PATH}?after={after}")}}))

    httpserver.expect_request(PATH).respond_with_handler(answer)
    with pytest.raises(FeedRefused, match="circle"):
        fetched(httpserver)
    assert len(httpserver.log) <= length + 1


def test_taxii_pages_without_end_are_ended_by_the_budget(httpserver: HTTPServer) -> None:
    at = "2026-01-05T00:00:00Z"
    objects = [{"type": "identity", "id": "identity--1", "modified": at, "name": "x" * 500}]
    page = {"objects": objects, "more": True, "next": "again"}
    headers = {"X-TAXII-Date-Added-Last": at}
    httpserver.expect_request("/c/objects/").respond_with_json(page, headers=headers)
    given = {"format": "taxii", "source": httpserver.url_for("/c"), "most_bytes": 20_000}
    surroundings = Surroundings("coalition", OLD, Path(), lambda: datetime.now(UTC))
    feed = TaxiiFeed(TaxiiFeed.settings_type.model_validate(given), surroundings)
    with pytest.raises(FeedRefused, match="most_bytes"):
        list(feed.fetch(None, Budget(feed.settings)))
    assert len(httpserver.log) < 50


@pytest.mark.parametrize(
    "following",
    ["https://elsewhere.example/x", "//elsewhere.example/x", "/relative", "http://[", 7, "http://127.0.0.1:1/\n"],
)
def test_the_token_goes_to_no_other_server(httpserver: HTTPServer, following: Any) -> None:
    httpserver.expect_request(PATH).respond_with_json({"data": [], "paging": {"next": following}})
    with pytest.raises(FeedRefused, match="another server"):
        fetched(httpserver)
    assert [request.headers["authorization"] for request, _ in httpserver.log] == ["Bearer secret"]


def test_under_a_new_key_what_was_stored_under_the_old_one_is_taken_back_and_moved(
    httpserver: HTTPServer, sqlite_store: Store, clock: FrozenClock
) -> None:
    def look(digester: Digester, *updates: dict[str, Any], anew: bool = False) -> dict[str, str]:
        serve(httpserver, list(updates))
        done = Pulling(sqlite_store, feed_of(httpserver, digester), owner="w", clock=clock).look(early=True, anew=anew)
        assert done is not None
        assert done.state is None, done.why
        with sqlite_store.read() as connection:
            return {each.reference: each.digest[:2] for each in listed(connection)}

    assert look(OLD, *(update(n, 100) for n in range(4))) == dict.fromkeys("0123", "k1")
    assert look(NEW, update(0, 200, gone=True), update(1, 200, status="UNKNOWN")) == {"1": "k2", "2": "k1", "3": "k1"}
    # Read anew: what is not said any more is taken back, and all is under the new key.
    assert look(NEW, update(1, 200), update(2, 100), anew=True) == {"1": "k2", "2": "k2"}


def test_a_list_that_is_said_whole_moves_to_a_new_key_without_being_taken_for_cut_off(
    sqlite_store: Store, clock: FrozenClock, tmp_path: Path
) -> None:
    from paycordon.feeds.csvfile import CsvFeed

    def look(digester: Digester, count: int) -> tuple[str | None, set[str]]:
        rows = "".join(f"x{n}@shop.example,case-{n}\n" for n in range(count))
        (tmp_path / "list.csv").write_text(f"v,r\n{rows}")
        given = {"format": "csv", "source": "list.csv", "columns": {"value": "v", "reference": "r"}}
        settings = CsvFeed.settings_type.model_validate({**given, "always": {"kind": "email"}})
        feed = CsvFeed(settings, Surroundings("ngo", digester, tmp_path, clock))  # type: ignore[arg-type]
        done = Pulling(sqlite_store, feed, owner="w", clock=clock).look(early=True)
        assert done is not None
        with sqlite_store.read() as connection:
            return done.state, {each.digest[:2] for each in listed(connection)}

    assert look(OLD, 60) == (None, {"k1"})
    assert look(NEW, 61) == (None, {"k1", "k2"})
    assert look(NEW, 62) == (None, {"k1", "k2"})
    assert look(NEW, 20) == ("refused", {"k1", "k2"})


def test_only_a_source_that_forgets_is_read_anew(sqlite_store: Store, clock: FrozenClock, tmp_path: Path) -> None:
    from paycordon.feeds.misp import MispFeed

    (tmp_path / "export.json").write_text('{"response": []}')
    settings = MispFeed.settings_type.model_validate({"format": "misp", "source": "export.json"})
    feed = MispFeed(settings, Surroundings("ngo", OLD, tmp_path, clock))  # type: ignore[arg-type]
    done = Pulling(sqlite_store, feed, owner="w", clock=clock).look(early=True, anew=True)
    assert done is not None
    assert (done.state, done.why) == ("refused", "needs no reading anew: what it takes back is never forgotten")
