"""FollowTheMoney JSON, one entity a line, as OpenSanctions publishes and yente serves: identifiers of entities."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, TypeAdapter, ValidationError

from paycordon.coalition.indicators import Changes, Indicator
from paycordon.errors import FeedRefused
from paycordon.events import UtcTime
from paycordon.feeds.contract import Budget, Feed, FeedSettings, Surroundings
from paycordon.feeds.items import indicators_of, item_of, with_zone
from paycordon.feeds.portions import Entry, changes_of, kept, newest_of, portions_of
from paycordon.feeds.reading import as_list, as_mapping, check_address, file_of, is_address, json_of, read
from paycordon.feeds.seen import Seen, check_not_ahead, how_read

# Properties of the FollowTheMoney model by the kind of identifier they hold.
KINDS = {
    "accountNumber": "bank_account",
    "email": "email",
    "iban": "iban",
    "innCode": "tax_id",
    "phone": "phone",
    "publicKey": "wallet",
    "registrationNumber": "tax_id",
    "taxNumber": "tax_id",
    "vatCode": "tax_id",
    "website": "url",
}
NAMES = ("name", "alias")
PEOPLE = frozenset({"Person"})
ENTITIES = frozenset({"Company", "LegalEntity", "Organization", "PublicBody"})
# So OpenSanctions' lines begin; an id that is written otherwise is found by parsing the line.
_BEGINS = re.compile(r'\{"id": ?"([^"\\\x00-\x1f]+)"')
_time: TypeAdapter[Any] = TypeAdapter(UtcTime)


class FtmSettings(FeedSettings):
    """How entities are read.

    Attributes:
        confidence: how sure their identifiers are, 0 to 100.
        name_confidence: how sure their names are, which are shared by many; none to leave names to `name_lists`.
        licence: under which terms the data set is given.
    """

    confidence: Annotated[int, Field(ge=0, le=100)] = 60
    name_confidence: Annotated[int, Field(ge=0, le=100)] | None = 20
    licence: str = ""


class FtmFeed(Feed[FtmSettings]):
    """Reads a data set; an entity that is not in it any more is withdrawn.

    Where entities carry `last_change`, the newest of it never goes back: an older data set is refused.
    """

    format: ClassVar[str] = "ftm"
    about: ClassVar[str] = "FollowTheMoney entities, as OpenSanctions publishes"
    settings_type: ClassVar[type[FeedSettings]] = FtmSettings

    def __init__(self, settings: FtmSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        if is_address(settings.source):
            check_address(settings.source)

    def watched(self) -> Path | None:
        """Return the file, if it is one."""
        return file_of(self.settings.source, self.surroundings.base)

    def fetch(self, checkpoint: str | None, budget: Budget) -> Iterator[Changes]:
        """Yield what has changed of the data set as one batch if anything has."""
        before = Seen.read(checkpoint)
        data = read(self.settings.source, self.surroundings.base, budget)
        found = Seen.of(data, self.settings)
        if found.contents == before.contents:
            return
        read_as = how_read(self.surroundings, self.settings)
        portions = portions_of(list(_entries(data, budget)), before.portions_as(read_as))
        said: list[Indicator] = []
        for portion in portions:
            changed: list[int] = []
            for reference, line, where in portion.entries:
                _ = budget.seconds_left
                entity = as_mapping(json_of(line, where), where)
                if _reference(entity) != reference:
                    raise FeedRefused(f"{where}: `id` is not what it begins with")
                said += self._said(entity, where)
                if entity.get("last_change") is not None:
                    at = _parsed(entity["last_change"], where)
                    check_not_ahead(at, self.surroundings.clock(), where)
                    changed.append(int(at.timestamp()))
            portion.newest = max(changed, default=portion.newest)
        newest = newest_of(portions)
        dated = before.newest if newest is None else {"data set": newest}
        seen = Seen(found.contents, dated, read_as, kept(portions))
        seen.check_not_older(before)
        yield changes_of(self.surroundings.source, portions, said, seen.text())

    def _said(self, entity: Mapping[str, Any], where: str) -> Iterator[Indicator]:
        properties = as_mapping(entity.get("properties"), f"{where}: `properties`")
        countries = [each for each in _values(properties, "country", where) if len(each) == 2]
        fields = {
            "reference": entity.get("id"),
            "category": ",".join(_values(properties, "topics", where))[:255],
            "country": countries[0].upper() if countries and countries[0].isalpha() else None,
            "licence": self.settings.licence,
            "first_seen": _text_of_time(entity.get("first_seen"), where),
            "last_seen": _text_of_time(entity.get("last_seen"), where),
        }
        for kind, value, confidence in self._identifiers(entity, properties, where):
            item = item_of({**fields, "kind": kind, "value": value, "confidence": confidence}, where)
            yield from indicators_of(item, self.surroundings, where)

    def _identifiers(
        self, entity: Mapping[str, Any], properties: Mapping[str, Any], where: str
    ) -> Iterator[tuple[str, str, int]]:
        for name, kind in KINDS.items():
            yield from ((kind, value, self.settings.confidence) for value in _values(properties, name, where))
        schema = entity.get("schema")
        if not isinstance(schema, str):
            raise FeedRefused(f"{where}: `schema` is no text")
        named = "person" if schema in PEOPLE else "legal_entity" if schema in ENTITIES else None
        if named is not None and self.settings.name_confidence is not None:
            for name in NAMES:
                yield from ((named, value, self.settings.name_confidence) for value in _values(properties, name, where))


def _entries(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Yield each line with the id of its entity and its place; how the line goes on is read where it has changed."""
    if not data.endswith(b"\n"):
        raise FeedRefused("does not end with a whole line: it is cut off")
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).splitlines(), start=1):
        _ = budget.seconds_left
        where = f"line {number}"
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise FeedRefused(f"{where} is not in UTF-8") from None
        begins = _BEGINS.match(text)
        yield begins[1] if begins else _reference(as_mapping(json_of(text, where), where)), text, where


def _reference(entity: Mapping[str, Any]) -> str:
    # What has no id, or none that is text, is refused where an item would be made of it.
    found = entity.get("id")
    return found if isinstance(found, str) else ""


def _values(properties: Mapping[str, Any], name: str, where: str) -> list[str]:
    found = as_list(properties.get(name, []), f"{where}: `{name}`")
    if not all(isinstance(each, str) for each in found):
        raise FeedRefused(f"{where}: `{name}` holds something else than text")
    return [each for each in found if each.strip()]


def _text_of_time(value: Any, where: str) -> Any:
    return None if value is None else _parsed(value, where)


def _parsed(value: Any, where: str) -> Any:
    """Read a time; OpenSanctions leaves the zone out and means UTC."""
    try:
        return _time.validate_python(with_zone(value) if isinstance(value, str) else value)
    except ValidationError:
        raise FeedRefused(f"{where}: a date cannot be read") from None
