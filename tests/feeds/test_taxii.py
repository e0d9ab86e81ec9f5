"""STIX over TAXII against medallion, OASIS's own server, over real HTTP."""

from __future__ import annotations

import base64
import json
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from pytest_httpserver import HTTPServer
from werkzeug.serving import WSGIRequestHandler, make_server

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes
from paycordon.errors import FeedRefused, RetryLater
from paycordon.feeds.contract import Budget, Surroundings
from paycordon.feeds.taxii import MEDIA_TYPE, PATHS, TaxiiFeed, values_of

DIGESTER = Digester({"k1": b"k" * 32}, "k1")
COLLECTION = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"


def indicator(number: int, **fields: Any) -> dict[str, Any]:
    at = "2026-01-05T00:00:00.000Z"
    given = {"type": "indicator", "spec_version": "2.1", "id": f"indicator--00000000-0000-4000-8000-{number:012d}"}
    given |= {"created": at, "modified": at, "valid_from": at, "pattern_type": "stix", "confidence": 80}
    return {**given, "pattern": f"[email-addr:value = 'x{number}@shop.example']", **fields}


class Medallion:
    """The server in this process, with an empty collection that can be written to over TAXII as well."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import medallion

        collection = {"id": COLLECTION, "title": "synthetic", "can_read": True, "can_write": True}
        collection |= {"media_types": ["application/stix+json;version=2.1"], "objects": [], "manifest": []}
        root = {"information": {"title": "api", "versions": [MEDIA_TYPE], "max_content_length": 10**7}}
        data = {
            "/discovery": {"title": "t", "api_roots": []},
            "api": {**root, "status": [], "collections": [collection]},
        }
        app = medallion.application_instance
        medallion.set_config(app, "users", {"users": {"member": "secret"}})
        medallion.set_config(app, "taxii", {"taxii": {"max_page_size": 100}})
        backend = {"module": "medallion.backends.memory_backend", "module_class": "MemoryBackend"}
        medallion.set_config(app, "backend", {"backend": backend})
        app.medallion_backend.data = data
        if "get_objects" not in str(app.view_functions):
            medallion.register_blueprints(app)
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/collections/{COLLECTION}"

    def add(self, *objects: dict[str, Any]) -> None:
        """Post objects as any TAXII client does."""
        headers = {"content-type": MEDIA_TYPE, "accept": MEDIA_TYPE}
        headers["authorization"] = "Basic " + base64.b64encode(b"member:secret").decode()
        body = json.dumps({"objects": objects}).encode()
        with urlopen(Request(f"{self.url}/objects/", body, headers), timeout=20) as answer:
            assert answer.status == 202

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Quiet(WSGIRequestHandler):
    def log(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def medallion() -> Iterator[Medallion]:
    server = Medallion()
    yield server
    server.stop()


def fetched(url: str, checkpoint: str | None = None, **settings: Any) -> list[Changes]:
    given = {"format": "taxii", "source": url, "user": "member", "password": "secret", **settings}
    surroundings = Surroundings("coalition", DIGESTER, Path(), lambda: datetime.now(UTC))
    feed = TaxiiFeed(TaxiiFeed.settings_type.model_validate(given), surroundings)
    return list(feed.fetch(checkpoint, Budget(feed.settings)))


def test_pages_of_a_real_server_are_read_tailed_and_revoked(medallion: Medallion) -> None:
    assert fetched(medallion.url) == []
    medallion.add(*(indicator(n) for n in range(5)))

    pages = fetched(medallion.url, page=2)
    assert [len(page.said) for page in pages] == [2, 2, 1]
    assert {(each.kind, each.confidence, each.source) for page in pages for each in page.said} == {
        ("email", 80, "coalition")
    }
    assert fetched(medallion.url, pages[-1].checkpoint) == []

    revoked = indicator(1, modified="2026-02-01T00:00:00.000Z", revoked=True)
    medallion.add(indicator(7), revoked)
    later = fetched(medallion.url, pages[-1].checkpoint)
    assert [each.reference for page in later for each in page.said] == [indicator(7)["id"]]
    assert [each.reference for page in later for each in page.withdrawn] == [revoked["id"]]
    assert fetched(medallion.url, pages[0].checkpoint, page=50)  # goes on in the middle

    with pytest.raises(FeedRefused, match="401"):
        fetched(medallion.url, password="wrong")
    with pytest.raises(FeedRefused, match="most_bytes"):
        fetched(medallion.url, most_bytes=100)


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ("[email-addr:value = 'x@shop.example']", [("email", "x@shop.example")]),
        ("[domain-name:value = 'a.example' OR url:value = 'u']", [("domain", "a.example"), ("url", "u")]),
        ("[url:value = 'u'] OR [ipv4-addr:value = '192.0.2.1']", [("url", "u"), ("ip", "192.0.2.1")]),
        ("[url:value = 'u'] AND [ipv4-addr:value = '192.0.2.1']", []),
        ("[user-account:user_id = 'u' AND user-account:account_login = 'v']", []),
        ("[url:value != 'u']", []),
        ("[url:value NOT = 'u']", []),
        ("[url:value IN ('u', 'v')]", []),
        ("[file:size = 3]", []),
        ("[file:name = 'x']", []),
        ("[url:value = 'u'] REPEATS 5 TIMES", []),
    ],
)
def test_only_patterns_that_say_one_value_are_taken(pattern: str, values: list[tuple[str, str]]) -> None:
    assert values_of(pattern, PATHS, "object 0") == values


@pytest.mark.parametrize("pattern", ["", "[", "[url:value = ]", "x" * 20_000, None, 3])
def test_what_is_no_pattern_is_refused(pattern: Any) -> None:
    with pytest.raises(FeedRefused):
        values_of(pattern, PATHS, "object 0")


def test_a_mark_of_the_strictest_counts(httpserver: HTTPServer) -> None:
    marks = [
        f"marking-definition--{each}"
        for each in ("613f2e26-407d-48c7-9eca-b8e91df99dc9", "939a9414-2ddd-4d32-a0cd-375ea402b003")
    ]
    page = {"objects": [indicator(1, object_marking_refs=marks), indicator(2, object_marking_refs=marks[:1])]}
    headers = {"X-TAXII-Date-Added-Last": "2026-01-05T00:00:00Z"}
    httpserver.expect_request("/c/objects/").respond_with_json(page, headers=headers)

    (batch,) = fetched(httpserver.url_for("/c"))
    assert [each.tlp for each in batch.said] == ["amber+strict", "clear"]


@pytest.mark.parametrize(
    "page",
    [
        {"objects": [indicator(1)], "more": True},
        {"objects": [], "more": True, "next": "x"},
        {"objects": [indicator(1, modified="soon")]},
        {"objects": [indicator(1, revoked="yes")]},
        {"objects": [indicator(1, pattern="[")]},
        {"objects": "none"},
    ],
)
def test_a_page_that_is_not_right_is_refused(httpserver: HTTPServer, page: Any) -> None:
    headers = {"X-TAXII-Date-Added-Last": "2026-01-05T00:00:00Z"}
    httpserver.expect_request("/c/objects/").respond_with_json(page, headers=headers)
    with pytest.raises(FeedRefused):
        fetched(httpserver.url_for("/c"))


def test_a_replayed_page_is_refused_and_a_tired_server_is_asked_later(httpserver: HTTPServer) -> None:
    headers = {"X-TAXII-Date-Added-Last": "2026-01-05T00:00:00Z"}
    httpserver.expect_request("/c/objects/").respond_with_json({"objects": [indicator(1)]}, headers=headers)
    with pytest.raises(FeedRefused, match="replayed"):
        fetched(httpserver.url_for("/c"), json.dumps({"added_after": "2026-01-06T00:00:00Z"}))
    httpserver.expect_request("/d/objects/").respond_with_data("", 429, {"retry-after": "120"})
    with pytest.raises(RetryLater) as later:
        fetched(httpserver.url_for("/d"))
    assert later.value.after is not None
    assert later.value.after.total_seconds() == 120


def test_under_a_new_key_what_is_taken_back_is_taken_back_under_the_old_one_too(httpserver: HTTPServer) -> None:
    objects = [indicator(1), indicator(2, revoked=True)]
    headers = {"X-TAXII-Date-Added-Last": "2026-01-05T00:00:00Z"}
    httpserver.expect_request("/c/objects/").respond_with_json({"objects": objects}, headers=headers)
    rotated = Digester({"k2": b"n" * 32, "k1": b"k" * 32}, "k2")
    given = TaxiiFeed.settings_type.model_validate({"format": "taxii", "source": httpserver.url_for("/c")})
    feed = TaxiiFeed(given, Surroundings("coalition", rotated, Path(), lambda: datetime.now(UTC)))  # type: ignore[arg-type]

    (batch,) = feed.fetch(None, Budget(feed.settings))
    assert [(each.digest[:3], [d[:3] for d in each.former]) for each in batch.said] == [("k2:", ["k1:"])]
    assert sorted((each.reference[-1], each.digest[:3]) for each in batch.withdrawn) == [
        ("2", "k1:"),
        ("2", "k2:"),
    ]
