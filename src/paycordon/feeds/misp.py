"""MISP JSON: events with attributes, as an instance exports them or answers a search with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, StrictStr

from paycordon.coalition.indicators import Changes, Indicator, Tlp, Withdrawn
from paycordon.errors import FeedRefused
from paycordon.feeds.contract import Budget, Feed, FeedSettings, Surroundings
from paycordon.feeds.items import indicators_of, item_of, withdrawals_of
from paycordon.feeds.portions import Entry, changes_of, kept, portions_of
from paycordon.feeds.reading import as_list, as_mapping, check_address, file_of, is_address, json_of, read
from paycordon.feeds.seen import Seen, check_not_ahead, how_read

# Types of attributes by the kind of identifier they are (MISP core format, "describeTypes"). `cc-number` is a card
# number and never taken. Of a composite type such as `domain|ip` the part before the bar is taken.
KINDS = {
    "aba-rtn": None,
    "bank-account-nr": "bank_account",
    "btc": "wallet",
    "dash": "wallet",
    "domain": "domain",
    "domain|ip": "domain",
    "email": "email",
    "email-dst": "email",
    "email-reply-to": "email",
    "email-src": "email",
    "full-name": "person",
    "hostname": "domain",
    "hostname|port": "domain",
    "iban": "iban",
    "ip-dst": "ip",
    "ip-src": "ip",
    "jabber-id": "handle",
    "phone-number": "phone",
    "prtn": "phone",
    "twitter-id": "handle",
    "url": "url",
    "xmr": "wallet",
}


class MispSettings(FeedSettings):
    """How events are read.

    Attributes:
        key: what an instance asks for in the header `Authorization`.
        confidence: how sure the attributes are, 0 to 100; MISP has no number of its own.
        to_ids: take only what the source marks as fit for detection.
        complete: whether the export holds all that the source says; otherwise only what it marks as deleted is
            withdrawn.
    """

    key: Annotated[StrictStr | None, Field(repr=False)] = None
    confidence: Annotated[int, Field(ge=0, le=100)] = 50
    to_ids: bool = True
    complete: bool = True


class MispFeed(Feed[MispSettings]):
    """Reads attributes of the kinds that payments have; all others are passed over.

    An event never becomes older than it was taken in before: an older `timestamp` is refused as replayed.
    """

    format: ClassVar[str] = "misp"
    about: ClassVar[str] = "MISP JSON: attributes of events, with deletions"
    settings_type: ClassVar[type[FeedSettings]] = MispSettings

    def __init__(self, settings: MispSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        if is_address(settings.source):
            check_address(settings.source)

    def watched(self) -> Path | None:
        """Return the file, if it is one."""
        return file_of(self.settings.source, self.surroundings.base)

    def fetch(self, checkpoint: str | None, budget: Budget) -> Iterator[Changes]:
        """Yield what has changed of all events as one batch if anything has."""
        before = Seen.read(checkpoint)
        headers = {"accept": "application/json"}
        if self.settings.key:
            headers["authorization"] = self.settings.key
        data = read(self.settings.source, self.surroundings.base, budget, headers)
        found = Seen.of(data, self.settings)
        if found.contents == before.contents:
            return
        entries: list[Entry] = []
        newest: dict[str, int] = {}
        for number, event in enumerate(_events(json_of(data, "the export"))):
            _ = budget.seconds_left
            uuid, at = event.get("uuid"), _seconds(event.get("timestamp"), f"event {number}")
            if not isinstance(uuid, str) or len(uuid) != 36 or uuid in newest:
                raise FeedRefused(f"event {number} has no `uuid` of its own")
            check_not_ahead(datetime.fromtimestamp(at, UTC), self.surroundings.clock(), f"event {number}")
            newest[uuid] = at
            entries += self._entries(event, f"event {number}")
        Seen("", newest).check_not_older(before)
        read_as = how_read(self.surroundings, self.settings)
        portions = portions_of(entries, before.portions_as(read_as))
        said: list[Indicator] = []
        gone: list[Withdrawn] = []
        for portion in portions:
            for _reference, (attribute, tags), where in portion.entries:
                _ = budget.seconds_left
                self._take(attribute, tags, where, said, gone)
        dated = newest if self.settings.complete else {**before.newest, **newest}
        seen = Seen(found.contents, dated, read_as, kept(portions))
        yield changes_of(
            self.surroundings.source, portions, said, seen.text(), withdrawn=gone, complete=self.settings.complete
        )

    def _entries(self, event: Mapping[str, Any], where: str) -> Iterator[Entry]:
        """Yield the attributes of the kinds that payments have, with the marks of their event."""
        tags = _tags(event, where)
        for place, attribute in _attributes(event, where):
            deleted = _flag(attribute.get("deleted", False), place)
            wanted = _flag(attribute.get("to_ids", False), place) or not self.settings.to_ids
            if (wanted or deleted) and _kind(attribute) is not None:
                uuid = attribute.get("uuid")
                yield uuid if isinstance(uuid, str) else "", (attribute, tags), place

    def _take(
        self,
        attribute: Mapping[str, Any],
        tags: Sequence[str],
        where: str,
        said: list[Indicator],
        gone: list[Withdrawn],
    ) -> None:
        value = attribute.get("value")
        at = _seconds(attribute.get("timestamp"), where)
        fields = {
            "kind": _kind(attribute),
            "value": value.partition("|")[0] if isinstance(value, str) and "|" in attribute["type"] else value,
            "reference": attribute.get("uuid"),
            "confidence": self.settings.confidence,
            "category": attribute.get("category", ""),
            "tlp": _tlp([*tags, *_tags(attribute, where)]),
            "first_seen": attribute.get("first_seen"),
            "last_seen": attribute.get("last_seen") or at,
        }
        item = item_of(fields, where)
        if _flag(attribute.get("deleted", False), where):
            gone += withdrawals_of(item, self.surroundings.digester, where)
        else:
            said += indicators_of(item, self.surroundings, where)


def _kind(attribute: Mapping[str, Any]) -> str | None:
    named = attribute.get("type")
    return KINDS.get(named) if isinstance(named, str) else None


def _events(document: Any) -> list[Mapping[str, Any]]:
    """Return the events of an export: one, a list of them, or the answer of a search."""
    if isinstance(document, dict) and "response" in document:
        document = document["response"]
    listed = document if isinstance(document, list) else [document]
    return [as_mapping(as_mapping(each, "an event").get("Event"), "an event") for each in listed]


def _attributes(event: Mapping[str, Any], where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    holders = [event, *as_list(event.get("Object", []), f"{where}: `Object`")]
    for number, holder in enumerate(holders):
        place = f"{where}, object {number}"
        found = as_list(as_mapping(holder, place).get("Attribute", []), f"{place}: `Attribute`")
        for index, attribute in enumerate(found):
            yield f"{place}, attribute {index}", as_mapping(attribute, place)


def _tags(holder: Mapping[str, Any], where: str) -> list[str]:
    tags = as_list(holder.get("Tag", []), f"{where}: `Tag`")
    return [name.lower() for each in tags if isinstance(name := as_mapping(each, where).get("name"), str)]


def _tlp(tags: Sequence[str]) -> str:
    """Return the strictest mark; TLP 1's `white` is `clear`."""
    marks = {tag.removeprefix("tlp:").replace("white", "clear") for tag in tags if tag.startswith("tlp:")}
    return next((each for each in Tlp if each in marks), Tlp.AMBER_STRICT)


def _seconds(value: Any, where: str) -> int:
    """Read MISP's times: seconds since 1970 as a number or text."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdecimal() and len(text) < 11):
        raise FeedRefused(f"{where}: `timestamp` is no time")
    return int(text)


def _flag(value: Any, where: str) -> bool:
    if value not in (True, False, "0", "1"):
        raise FeedRefused(f"{where}: a flag is neither true nor false")
    return value in (True, "1")
