"""Every built-in format passes the kit that ships."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from paycordon.feeds import portions
from paycordon.feeds.bundle import BundleFeed
from paycordon.feeds.csvfile import CsvFeed
from paycordon.feeds.ftm import FtmFeed
from paycordon.feeds.items import Item
from paycordon.feeds.misp import MispFeed
from paycordon.feeds.publishing import publish
from paycordon.feeds.taxii import TaxiiFeed
from paycordon.feeds.threatexchange import ThreatExchangeFeed
from paycordon.testing import FeedConformance, FeedHarness, Stage

SAID = ((1, 2), (2, 3, 4), (2, 4, 5, 6))
"""Which numbers the source says at each time."""


def address(number: int) -> str:
    return f"x{number}@shop.example"


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def of_emails(numbers: Sequence[int], reference: Any) -> frozenset[tuple[str, str, str]]:
    return frozenset(("email", address(n), reference(n)) for n in numbers)


class CsvHarness(FeedHarness):
    kind = CsvFeed
    ahead = (b"2026-01-02", b"2999-01-02")

    def settings(self, place: Path) -> Mapping[str, Any]:
        columns = {"value": "v", "reference": "r", "last_seen": "seen"}
        return {"source": str(place / "list.csv"), "columns": columns, "always": {"kind": "email"}}

    def stages(self) -> Sequence[Stage]:
        found = []
        for day, numbers in enumerate(SAID, start=1):
            rows = "".join(f"{address(n)},case-{n},2026-01-{day:02d}T00:00:00Z\n" for n in numbers)
            found.append(Stage({"list.csv": f"v,r,seen\n{rows}".encode()}, of_emails(numbers, lambda n: f"case-{n}")))
        return found


class TestCsv(FeedConformance):
    def harness(self) -> FeedHarness:
        return CsvHarness()


class TestCsvInPortions(FeedConformance):
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(portions, "PER_PART", 1)

    def harness(self) -> FeedHarness:
        return CsvHarness()


class MispHarness(FeedHarness):
    kind = MispFeed
    ahead = (b"1767600002", b"9999999999")

    def settings(self, place: Path) -> Mapping[str, Any]:
        return {"source": str(place / "export.json")}

    def stages(self) -> Sequence[Stage]:
        found = []
        for day, numbers in enumerate(SAID, start=1):
            at = str(1767600000 + day)
            given = {"type": "email", "to_ids": True, "timestamp": at, "category": "Financial fraud"}
            attributes = [{**given, "uuid": uuid(n), "value": address(n)} for n in numbers]
            document = {"response": [{"Event": {"uuid": uuid(99), "timestamp": at, "Attribute": attributes}}]}
            found.append(Stage({"export.json": json.dumps(document).encode()}, of_emails(numbers, uuid)))
        return found


class TestMisp(FeedConformance):
    def harness(self) -> FeedHarness:
        return MispHarness()


class FtmHarness(FeedHarness):
    kind = FtmFeed
    ahead = (b"2026-01-02", b"2999-01-02")

    def settings(self, place: Path) -> Mapping[str, Any]:
        return {"source": str(place / "entities.json")}

    def stages(self) -> Sequence[Stage]:
        found = []
        for day, numbers in enumerate(SAID, start=1):
            lines = [
                {"id": f"NK-{n}", "schema": "LegalEntity", "properties": {"email": [address(n)]}}
                | {"last_change": f"2026-01-{day:02d}T00:00:00"}
                for n in numbers
            ]
            data = "".join(json.dumps(line) + "\n" for line in lines).encode()
            found.append(Stage({"entities.json": data}, of_emails(numbers, lambda n: f"NK-{n}")))
        return found


class TestFtm(FeedConformance):
    def harness(self) -> FeedHarness:
        return FtmHarness()


class BundleHarness(FeedHarness):
    kind = BundleFeed
    protected = True
    said: Sequence[Sequence[int]] = SAID
    per_part = 2_000

    def __init__(self) -> None:
        self._made = tempfile.TemporaryDirectory()
        self._root = Path(self._made.name) / "root.json"

    def settings(self, place: Path) -> Mapping[str, Any]:
        return {"source": str(place), "root": str(self._root)}

    def stages(self) -> Sequence[Stage]:
        made, found = Path(self._made.name), []
        for numbers in self.said:
            items = [Item(kind="email", value=address(n), reference=f"case-{n}") for n in numbers]
            now = datetime.now(UTC).replace(microsecond=0)
            publish(items, made / "bundle", made / "keys", now, per_part=self.per_part)
            bundle = made / "bundle"
            files = {str(p.relative_to(bundle)): p.read_bytes() for p in bundle.rglob("*") if p.is_file()}
            found.append(Stage(files, of_emails(numbers, lambda n: f"case-{n}")))
        self._root.write_bytes(found[0].files["metadata/1.root.json"])
        return found

    def close(self) -> None:
        self._made.cleanup()


class TestBundle(FeedConformance):
    def harness(self) -> FeedHarness:
        return BundleHarness()


class DividedBundleHarness(BundleHarness):
    """A bundle of several parts, of which each stage changes some and divides others differently."""

    said = (range(1, 9), range(2, 13), (2, *range(5, 17)))
    per_part = 2


class TestDividedBundle(FeedConformance):
    def harness(self) -> FeedHarness:
        return DividedBundleHarness()


class ThreatExchangeHarness(FeedHarness):
    """Serves `updates.json` over HTTP as the public description says: from a time on, in pages, with a token."""

    kind = ThreatExchangeFeed
    answers = True
    dated = False  # what the server has said before stays; the simulator only leaves out what was not asked for
    ahead = (b"1767600002", b"9999999999")

    def __init__(self) -> None:
        self._server = HTTPServer("127.0.0.1")
        self._place: Path | None = None
        self._server.expect_request("/v19.0/group/threat_updates").respond_with_handler(self._answer)
        self._server.start()

    def settings(self, place: Path) -> Mapping[str, Any]:
        self._place = place
        return {"source": self._server.url_for("/v19.0/group"), "token": "secret", "page": 2}

    def stages(self) -> Sequence[Stage]:
        updates: list[dict[str, Any]] = []
        found, before = [], set[int]()
        for day, numbers in enumerate(SAID, start=1):
            given = {"type": "EMAIL_ADDRESS", "status": "MALICIOUS", "last_updated": 1767600000 + day}
            for number in sorted(before ^ set(numbers)):
                gone = number in before
                updates.append({**given, "id": f"{number}", "indicator": address(number), "should_delete": gone})
            before = set(numbers)
            found.append(Stage({"updates.json": json.dumps(updates).encode()}, of_emails(numbers, str)))
        return found

    def close(self) -> None:
        self._server.stop()

    def _answer(self, request: Request) -> Response:
        assert self._place is not None
        if request.headers.get("authorization") != "Bearer secret":
            return Response("{}", 400)
        path = self._place / "updates.json"
        if not path.is_file():
            return Response("{}", 503)
        try:
            updates = json.loads(path.read_bytes())
            asked = {name: values[0] for name, values in parse_qs(request.query_string.decode()).items()}
            since, limit, after = int(asked["start_time"]), int(asked["limit"]), int(asked.get("after", 0))
            left = [each for each in updates if each["last_updated"] >= since][after:]
        except (ValueError, KeyError, TypeError):
            return Response(path.read_bytes())
        page: dict[str, Any] = {"data": left[:limit]}
        if left[limit:]:
            query = f"start_time={since}&limit={limit}&after={after + limit}"
            page["paging"] = {"next": f"{request.base_url}?{query}"}
        return Response(self.altering(json.dumps(page).encode()))


class TestThreatExchange(FeedConformance):
    def harness(self) -> FeedHarness:
        return ThreatExchangeHarness()


class TaxiiHarness(FeedHarness):
    """Serves `added.json`, pairs of when an object was added and the object, as TAXII 2.1 says; see `test_taxii`."""

    kind = TaxiiFeed
    answers = True
    dated = False  # as above
    ahead = (b'"2026-01-02', b'"2999-01-02')

    def __init__(self) -> None:
        self._server = HTTPServer("127.0.0.1")
        self._place: Path | None = None
        self._server.expect_request("/collections/c/objects/").respond_with_handler(self._answer)
        self._server.start()

    def settings(self, place: Path) -> Mapping[str, Any]:
        self._place = place
        return {"source": self._server.url_for("/collections/c"), "page": 2}

    def stages(self) -> Sequence[Stage]:
        added: list[Any] = []
        found, before = [], set[int]()
        for day, numbers in enumerate(SAID, start=1):
            for index, number in enumerate(sorted(before ^ set(numbers))):
                at = f"2026-01-{day:02d}T00:00:0{index}.000000Z"
                said = {"type": "indicator", "id": f"indicator--{uuid(number)}", "modified": at, "pattern_type": "stix"}
                pattern = f"[email-addr:value = '{address(number)}']"
                added.append([at, {**said, "pattern": pattern, "revoked": number in before}])
            before = set(numbers)
            counting = of_emails(numbers, lambda n: f"indicator--{uuid(n)}")
            found.append(Stage({"added.json": json.dumps(added).encode()}, counting))
        return found

    def close(self) -> None:
        self._server.stop()

    def _answer(self, request: Request) -> Response:
        assert self._place is not None
        path = self._place / "added.json"
        if not path.is_file():
            return Response("{}", 503)
        start, limit = int(request.args.get("next", "0")), int(request.args["limit"])
        try:
            added = json.loads(path.read_bytes())
            left = [pair for pair in added if pair[0] > request.args.get("added_after", "")][start:]
            page: dict[str, Any] = {"objects": [pair[1] for pair in left[:limit]]} if left else {}
            headers = {"X-TAXII-Date-Added-Last": left[:limit][-1][0]} if left else {}
        except (ValueError, KeyError, TypeError, IndexError):
            return Response(path.read_bytes())
        if left[limit:]:
            page |= {"more": True, "next": str(start + limit)}
        data = self.altering(json.dumps(page).encode())
        try:
            return Response(data, headers=headers)
        except (ValueError, TypeError):
            return Response(data)


class TestTaxii(FeedConformance):
    def harness(self) -> FeedHarness:
        return TaxiiHarness()
