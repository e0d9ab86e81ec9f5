"""ThreatExchange (Lantern): tail the `threat_updates` of a privacy group, with deletions.

By the public description of the Graph API: `GET /VERSION/GROUP/threat_updates?fields=…&start_time=…&limit=…` answers
`{"data": [...], "paging": {"next": URL}}`, oldest first; an update with `should_delete` takes an indicator back. Tried
against a simulator over HTTP, not against the service itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar
from urllib.parse import urlencode, urlsplit

from pydantic import Field, StrictStr

from paycordon.coalition.indicators import Changes, Indicator, Withdrawn
from paycordon.errors import FeedRefused
from paycordon.feeds.contract import Budget, Feed, FeedSettings, Surroundings
from paycordon.feeds.items import Item, former_of, indicators_of, item_of, withdrawals_of
from paycordon.feeds.reading import as_list, as_mapping, check_address, json_of, read
from paycordon.feeds.seen import check_not_ahead

# Types of indicators by the kind of identifier they are; hashes of media are none of a payment's, and are passed over.
KINDS = {
    "BANK_ACCOUNT": "bank_account",
    "CRYPTOCURRENCY_WALLET": "wallet",
    "DOMAIN": "domain",
    "EMAIL_ADDRESS": "email",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
    "URI": "url",
}
STATUSES = {"MALICIOUS": 90, "SUSPICIOUS": 60, "UNKNOWN": 30}
HARMLESS = "NON_MALICIOUS"
"""What is described so counts no more than what was deleted."""

_FIELDS = "id,indicator,type,last_updated,should_delete,status"


class ThreatExchangeSettings(FeedSettings):
    """Whose updates are read; `source` is the address of the group, such as `https://…/v19.0/GROUP`.

    Attributes:
        token: the app's access token.
        page: how many updates come at a time.
    """

    token: Annotated[StrictStr, Field(repr=False, min_length=1)]
    page: Annotated[int, Field(ge=1, le=1000)] = 500


class ThreatExchangeFeed(Feed[ThreatExchangeSettings]):
    """Reads page after page from where it had got to; each page is one batch."""

    format: ClassVar[str] = "threatexchange"
    about: ClassVar[str] = "updates of a ThreatExchange privacy group, with deletions"
    settings_type: ClassVar[type[FeedSettings]] = ThreatExchangeSettings
    forgets_after: ClassVar[timedelta | None] = timedelta(days=30)  # poll within 30 days, its documentation says

    def __init__(self, settings: ThreatExchangeSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        check_address(settings.source)

    def fetch(self, checkpoint: str | None, budget: Budget) -> Iterator[Changes]:
        """Yield each page of updates; a second with updates is read again until a later one is seen."""
        since = int(json.loads(checkpoint)["since"]) if checkpoint is not None else 0
        url: str | None = self._first(since)
        visited: set[str] = set()
        while url is not None:
            if url in visited:
                raise FeedRefused("its pages go round in a circle")
            visited.add(url)
            page = as_mapping(json_of(self._read(url, budget), "a page"), "a page")
            following = self._next(page)
            said, gone, newest = self._take(page, since)
            since = max(since, newest)
            if said or gone:
                # Not the address of the next page, which a server forgets: what is read twice changes nothing.
                yield Changes(self.surroundings.source, said, gone, checkpoint=json.dumps({"since": since}))
            url = following

    def _read(self, url: str, budget: Budget) -> bytes:
        return read(url, self.surroundings.base, budget, {"authorization": f"Bearer {self.settings.token}"})

    def _first(self, since: int) -> str:
        query = urlencode({"fields": _FIELDS, "start_time": since, "limit": self.settings.page})
        return f"{self.settings.source.rstrip('/')}/threat_updates?{query}"

    def _next(self, page: Mapping[str, Any]) -> str | None:
        """Return the address of the next page; the token goes nowhere else than to the configured server."""
        following = as_mapping(page.get("paging", {}), "`paging`").get("next")
        if following is None:
            return None
        try:
            there = urlsplit(following)[:2] if isinstance(following, str) else ()
        except ValueError:
            there = ()
        if there != urlsplit(self.settings.source)[:2] or not following.isprintable():
            raise FeedRefused("its next page is at another server")
        return str(following)

    def _take(self, page: Mapping[str, Any], since: int) -> tuple[list[Indicator], list[Withdrawn], int]:
        # Of several updates of one indicator, the last counts.
        latest: dict[tuple[str, str], tuple[Indicator | None, Withdrawn]] = {}
        newest = since
        for number, update in enumerate(as_list(page.get("data"), "`data`")):
            where = f"update {number}"
            fields = as_mapping(update, where)
            at, deleted = fields.get("last_updated"), fields.get("should_delete", False)
            if type(at) is not int or not 0 <= at < 10**10 or type(deleted) is not bool:
                raise FeedRefused(f"{where}: `last_updated` or `should_delete` cannot be taken")
            if at < since:
                raise FeedRefused(f"{where} is older than what was asked for: replayed or back-dated")
            check_not_ahead(datetime.fromtimestamp(at, UTC), self.surroundings.clock(), where)
            newest = max(newest, at)
            deleted = deleted or fields.get("status") == HARMLESS
            kind = KINDS.get(fields["type"]) if isinstance(fields.get("type"), str) else None
            if kind is None:
                continue
            item = self._item(fields, kind, at, where)
            said = indicators_of(item, self.surroundings, where)
            for indicator, withdrawn in zip(said, withdrawals_of(item, self.surroundings.digester, where), strict=True):
                latest[withdrawn.digest, withdrawn.reference] = (None if deleted else indicator, withdrawn)
            for former in former_of(item, self.surroundings.digester):
                latest.pop((former.digest, former.reference), None)
                if deleted:
                    latest[former.digest, former.reference] = (None, former)
        said = [indicator for indicator, _ in latest.values() if indicator is not None]
        return said, [withdrawn for indicator, withdrawn in latest.values() if indicator is None], newest

    def _item(self, fields: Mapping[str, Any], kind: str, at: int, where: str) -> Item:
        status = fields.get("status", "UNKNOWN")
        return item_of(
            {
                "kind": kind,
                "value": fields.get("indicator"),
                "reference": fields.get("id"),
                "confidence": STATUSES.get(status, 30) if isinstance(status, str) else None,
                "last_seen": at,
            },
            where,
        )
