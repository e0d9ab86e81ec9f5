"""STIX 2.1 indicators of a TAXII 2.1 collection (OASIS standards), page by page, with revocations.

Requests are made by `feeds.reading`, which keeps to limits of bytes and time and follows no redirect; patterns are read
by OASIS's own parser.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar
from urllib.parse import urlencode

from pydantic import Field, StrictStr, TypeAdapter, ValidationError

from paycordon.coalition.indicators import Changes, Indicator, Tlp, Withdrawn
from paycordon.errors import ConfigError, FeedRefused
from paycordon.events import UtcTime
from paycordon.feeds.contract import Budget, Feed, FeedSettings, Surroundings
from paycordon.feeds.items import former_of, indicators_of, item_of, withdrawals_of
from paycordon.feeds.reading import answered, as_list, as_mapping, check_address, json_of
from paycordon.feeds.seen import check_not_ahead

MEDIA_TYPE = "application/taxii+json;version=2.1"
PATHS = {
    "domain-name:value": "domain",
    "email-addr:value": "email",
    "ipv4-addr:value": "ip",
    "ipv6-addr:value": "ip",
    "url:value": "url",
    "user-account:account_login": "handle",
    "user-account:user_id": "handle",
}
# The marking definitions of TLP 1 (STIX 2.1, 7.2.1.4) and of TLP 2.0 (the OASIS extension), by the strictest first.
MARKS = {
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": Tlp.RED,
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": Tlp.RED,
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": Tlp.AMBER_STRICT,
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": Tlp.AMBER,
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": Tlp.AMBER,
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": Tlp.GREEN,
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": Tlp.GREEN,
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": Tlp.CLEAR,
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": Tlp.CLEAR,
}
_time: TypeAdapter[datetime] = TypeAdapter(UtcTime)


class TaxiiSettings(FeedSettings):
    """Which collection is read; `source` is its address, `https://…/collections/ID`.

    Attributes:
        user, password: for HTTP basic authentication, which TAXII servers have to offer.
        token: sent as a bearer instead.
        confidence: how sure indicators are that do not say it themselves, 0 to 100.
        paths: kinds of identifiers by object paths of the source's own, such as `x-bank-account:iban`.
        page: how many objects come at a time.
    """

    user: str | None = None
    password: Annotated[StrictStr | None, Field(repr=False)] = None
    token: Annotated[StrictStr | None, Field(repr=False)] = None
    confidence: Annotated[int, Field(ge=0, le=100)] = 50
    paths: dict[str, Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]] = {}
    page: Annotated[int, Field(ge=1, le=10_000)] = 500


class TaxiiFeed(Feed[TaxiiSettings]):
    """Reads what was added since; each page is one batch. A pattern that is more than one value is passed over."""

    format: ClassVar[str] = "taxii"
    about: ClassVar[str] = "STIX 2.1 indicators of a TAXII 2.1 collection, with revocations"
    settings_type: ClassVar[type[FeedSettings]] = TaxiiSettings

    def __init__(self, settings: TaxiiSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        check_address(settings.source)
        try:
            import stix2.pattern_visitor  # noqa: F401
        except ImportError:
            raise ConfigError("STIX needs the extra `stix`", hint="pip install 'paycordon[stix]'") from None

    def fetch(self, checkpoint: str | None, budget: Budget) -> Iterator[Changes]:
        """Yield each page that was added since the last one."""
        since: str | None = json.loads(checkpoint)["added_after"] if checkpoint is not None else None
        asked: dict[str, str | int] = {"limit": self.settings.page}
        if since is not None:
            asked["added_after"] = since
        following = ""
        while True:
            query = urlencode({**asked, "next": following} if following else asked)
            data, headers = answered(f"{self.settings.source.rstrip('/')}/objects/?{query}", budget, self._headers())
            page = as_mapping(json_of(data, "a page"), "a page")
            objects = as_list(page.get("objects", []), "`objects`")
            if objects:
                since = _not_older(headers.get("x-taxii-date-added-last"), since, self.surroundings.clock())
                said, gone = self._take(objects, budget)
                after = json.dumps({"added_after": since})
                yield Changes(self.surroundings.source, said, gone, checkpoint=after)
            if page.get("more", False) is not True:
                return
            named = page.get("next")
            # Servers may give one name to all pages of an answer; one without end is ended by the budget.
            if not isinstance(named, str) or not named or not objects:
                raise FeedRefused("a page does not say which one is next")
            following = named

    def _headers(self) -> Mapping[str, str]:
        headers = {"accept": MEDIA_TYPE}
        if self.settings.token:
            headers["authorization"] = f"Bearer {self.settings.token}"
        elif self.settings.user:
            pair = f"{self.settings.user}:{self.settings.password or ''}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return headers

    def _take(self, objects: list[Any], budget: Budget) -> tuple[list[Indicator], list[Withdrawn]]:
        # Of several versions of one indicator in a page, the one modified last counts.
        latest: dict[str, tuple[datetime, list[Indicator], list[Withdrawn]]] = {}
        for number, each in enumerate(objects):
            _ = budget.seconds_left
            where = f"object {number}"
            found = as_mapping(each, where)
            if found.get("type") != "indicator" or found.get("pattern_type", "stix") != "stix":
                continue
            name, modified = found.get("id"), _parsed(found.get("modified"), where)
            if not isinstance(name, str):
                raise FeedRefused(f"{where}: `id` is no text")
            said, gone = self._one(found, where)
            if name not in latest or latest[name][0] <= modified:
                latest[name] = modified, said, gone
        return [i for _, said, _ in latest.values() for i in said], [w for _, _, gone in latest.values() for w in gone]

    def _one(self, found: Mapping[str, Any], where: str) -> tuple[list[Indicator], list[Withdrawn]]:
        revoked = found.get("revoked", False)
        if type(revoked) is not bool:
            raise FeedRefused(f"{where}: `revoked` is neither true nor false")
        types = as_list(found.get("indicator_types", []), f"{where}: `indicator_types`")
        marks = as_list(found.get("object_marking_refs", []), f"{where}: `object_marking_refs`")
        fields = {
            "reference": found["id"],
            "confidence": found.get("confidence", self.settings.confidence),
            "category": ",".join(str(each) for each in types)[:255],
            "tlp": next((mark for name, mark in MARKS.items() if name in marks), Tlp.AMBER_STRICT),
            "valid_from": found.get("valid_from"),
            "valid_until": found.get("valid_until"),
        }
        said: list[Indicator] = []
        gone: list[Withdrawn] = []
        for kind, value in values_of(found.get("pattern"), {**PATHS, **self.settings.paths}, where):
            item = item_of({**fields, "kind": kind, "value": value}, where)
            if revoked:
                gone += withdrawals_of(item, self.surroundings.digester, where)
                gone += former_of(item, self.surroundings.digester)
            else:
                said += indicators_of(item, self.surroundings, where)
        return said, gone


def values_of(pattern: Any, paths: Mapping[str, str], where: str) -> list[tuple[str, str]]:
    """Return kinds and values of a pattern that says one value, or one of several (`OR`); otherwise nothing.

    Raises:
        FeedRefused: it is no pattern.
    """
    from stix2.pattern_visitor import create_pattern_object

    if not isinstance(pattern, str) or len(pattern) > 16_384:
        raise FeedRefused(f"{where}: `pattern` is no text, or too long")
    try:
        parsed = create_pattern_object(pattern, version="2.1")
        compared = list(_compared(parsed))
    except Exception:  # the parser raises many things on what is no pattern
        raise FeedRefused(f"{where}: `pattern` is no STIX pattern") from None
    if not all(compared):
        return []
    pairs = [(paths.get(path), value) for each in compared if each for path, value in [each]]
    return [(kind, value) for kind, value in pairs if kind is not None]


def _compared(expression: Any) -> Iterator[tuple[str, str] | None]:
    """Yield path and value of each comparison by `=`; none for whatever says more than that."""
    name = type(expression).__name__
    if name in ("OrBooleanExpression", "OrObservationExpression"):
        for each in expression.operands:
            yield from _compared(each)
    elif name in ("ObservationExpression", "ParentheticalExpression") and hasattr(expression, "operand"):
        yield from _compared(expression.operand)
    elif name == "EqualityComparisonExpression" and not expression.negated:
        right = expression.rhs
        path = ".".join(str(each) for each in expression.lhs.property_path)
        is_text = type(right).__name__ == "StringConstant"
        yield (f"{expression.lhs.object_type_name}:{path}", right.value) if is_text else None
    else:
        yield None


def _not_older(value: str | None, since: str | None, now: datetime) -> str:
    """Return when the last object of a page was added, which never goes back, and is never ahead of today."""
    where = "the header `X-TAXII-Date-Added-Last`"
    at = _parsed(value, where)
    check_not_ahead(at, now, where)
    if since is not None and at < _parsed(since, "the checkpoint"):
        raise FeedRefused("a page is older than what was asked for: replayed or back-dated")
    return str(value)


def _parsed(value: Any, where: str) -> datetime:
    try:
        return _time.validate_python(value if isinstance(value, str) else None)
    except ValidationError:
        raise FeedRefused(f"{where}: a time cannot be read") from None
