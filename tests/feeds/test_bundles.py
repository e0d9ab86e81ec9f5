"""Signed bundles: what is published is read; whatever is not by its publisher, or not from now, is refused whole."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes
from paycordon.errors import FeedRefused
from paycordon.feeds.bundle import BundleFeed
from paycordon.feeds.contract import Budget, Surroundings
from paycordon.feeds.items import Item
from paycordon.feeds.publishing import check_plain, keyed, publish, renew, rotate

DIGESTER = Digester({"k1": b"k" * 32}, "k1")
Fetch = Callable[..., list[Changes]]


def items(*numbers: int) -> list[Item]:
    return [Item(kind="email", value=f"x{n}@shop.example", reference=f"case-{n}") for n in numbers]


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A publisher's place: `bundle`, `keys`, and the `root.json` that readers have."""
    publish(items(1, 2), tmp_path / "bundle", tmp_path / "keys", now())
    shutil.copy(tmp_path / "bundle/metadata/1.root.json", tmp_path / "root.json")
    return tmp_path


@pytest.fixture
def fetch(place: Path) -> Fetch:
    def fetched(checkpoint: str | None = None, source: str = "bundle", **settings: Any) -> list[Changes]:
        given = {"format": "bundle", "source": source, "root": "root.json", **settings}
        surroundings = Surroundings("coalition", DIGESTER, place, now)
        feed = BundleFeed(BundleFeed.settings_type.model_validate(given), surroundings)
        return list(feed.fetch(checkpoint, Budget(feed.settings)))

    return fetched


def references(batch: Changes) -> set[str]:
    return {each.reference for each in batch.said}


def test_a_bundle_is_read_once_and_its_next_version_replaces_it(place: Path, fetch: Fetch) -> None:
    (first,) = fetch()
    assert (references(first), first.complete) == ({"case-1", "case-2"}, True)
    assert fetch(first.checkpoint) == []

    publish(items(2, 3), place / "bundle", place / "keys", now())
    (second,) = fetch(first.checkpoint)
    assert references(second) == {"case-2", "case-3"}

    renew(place / "bundle", place / "keys", now())
    (renewed,) = fetch(second.checkpoint)
    assert (renewed.said, renewed.complete) == ((), False)
    assert renewed.checkpoint != second.checkpoint


def test_a_bundle_over_http_is_the_same(fetch: Fetch, place: Path, httpserver: HTTPServer) -> None:
    def served(request: Request) -> Response:
        path = place / request.path.lstrip("/")
        return Response(path.read_bytes()) if path.is_file() else Response("", 404)

    httpserver.expect_request(re.compile("/bundle/.*")).respond_with_handler(served)
    (batch,) = fetch(source=httpserver.url_for("/bundle"))
    assert references(batch) == {"case-1", "case-2"}


def test_keys_rotate_and_readers_follow(place: Path, fetch: Fetch) -> None:
    (first,) = fetch()
    for role in ("timestamp", "snapshot", "targets", "root", "root"):
        rotate(role, place / "bundle", place / "keys", now())
    publish(items(4), place / "bundle", place / "keys", now())

    (second,) = fetch(first.checkpoint)
    assert references(second) == {"case-4"}
    assert references(fetch()[0]) == {"case-4"}  # a reader that has only the first root gets there too


def kept(place: Path) -> Path:
    shutil.copytree(place / "bundle", place / "old")
    return place / "old"


def target(place: Path) -> Path:
    return next((place / "bundle/targets").iterdir())


def test_replayed_metadata_is_refused(place: Path, fetch: Fetch) -> None:
    kept(place)
    publish(items(3), place / "bundle", place / "keys", now())
    (latest,) = fetch()
    with pytest.raises(FeedRefused, match="not to be trusted"):
        fetch(latest.checkpoint, "old")


def test_back_dated_metadata_is_refused_even_when_it_is_signed(place: Path, fetch: Fetch) -> None:
    kept(place)
    renew(place / "bundle", place / "keys", now())
    publish(items(3), place / "bundle", place / "keys", now())
    (latest,) = fetch()
    publish(items(9), place / "old", place / "keys", now())  # the publisher's own keys, at an older number
    with pytest.raises(FeedRefused, match="not to be trusted"):
        fetch(latest.checkpoint, "old")


def test_a_bundle_that_nobody_renewed_is_refused_as_frozen(place: Path, fetch: Fetch) -> None:
    publish(items(3), place / "bundle", place / "keys", now() - timedelta(days=2))
    with pytest.raises(FeedRefused, match="ExpiredMetadata"):
        fetch()


@pytest.mark.parametrize(
    "change", [lambda d: d[:-5], lambda d: d.replace(b"x1", b"y1"), lambda d: d + b"\n", lambda _: b""]
)
def test_a_bundle_that_was_altered_or_cut_off_is_refused(place: Path, fetch: Fetch, change: Any) -> None:
    target(place).write_bytes(change(target(place).read_bytes()))
    with pytest.raises(FeedRefused, match="not to be trusted"):
        fetch()


def test_a_bundle_of_somebody_else_is_refused(place: Path, fetch: Fetch) -> None:
    publish(items(1), place / "forged", place / "other keys", now())
    with pytest.raises(FeedRefused, match="not to be trusted"):
        fetch(source="forged")


def test_a_bundle_without_its_files_is_refused(place: Path, fetch: Fetch) -> None:
    target(place).unlink()
    with pytest.raises(FeedRefused):
        fetch()
    with pytest.raises(FeedRefused):
        fetch(source="nowhere")


def test_a_bundle_that_is_too_large_is_refused_before_it_is_read(fetch: Fetch) -> None:
    with pytest.raises(FeedRefused, match="most_bytes"):
        fetch(most_bytes=50)


def test_a_signed_bundle_with_one_wrong_item_is_refused_whole(place: Path, fetch: Fetch) -> None:
    wrong = Item.model_construct(kind="email", value="x@shop.example", reference="", confidence=50)
    publish([*items(1), wrong], place / "bundle", place / "keys", now())
    with pytest.raises(FeedRefused, match="line 1"):
        fetch()


def test_values_of_low_entropy_leave_under_a_key_only(place: Path, fetch: Fetch) -> None:
    phone = Item(kind="phone", value="+31612345678", reference="case-1")
    with pytest.raises(FeedRefused, match="never leave"):
        check_plain([phone])
    publish(keyed([phone], DIGESTER), place / "bundle", place / "keys", now())
    assert b"31612345678" not in b"".join(path.read_bytes() for path in (place / "bundle/targets").iterdir())
    (batch,) = fetch()
    assert [each.digest for each in batch.said] == [each.digest for each in keyed([phone], DIGESTER)]


def test_private_keys_are_for_their_owner_only(place: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in (place / "keys").iterdir()} == {0o600}
