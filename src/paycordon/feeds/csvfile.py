"""CSV with a mapping of its columns: one document that holds all that a source says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, JsonValue, model_validator

from paycordon.coalition.indicators import Changes, Indicator
from paycordon.errors import ConfigError, FeedRefused
from paycordon.feeds.contract import Budget, Feed, FeedSettings, Surroundings
from paycordon.feeds.items import Item, indicators_of, item_of, with_zone
from paycordon.feeds.portions import Entry, changes_of, kept, newest_of, portions_of
from paycordon.feeds.reading import check_address, file_of, is_address, read
from paycordon.feeds.seen import AHEAD, Seen, check_not_ahead, how_read

_NUMBERS = frozenset({"confidence", "half_life_days"})
_DATES = ("last_seen", "first_seen", "valid_from")
_TIMES = frozenset({*_DATES, "valid_until"})


class CsvSettings(FeedSettings):
    """How the columns are read.

    Attributes:
        columns: by field of an indicator (`value`, `kind`, `reference`, `last_seen` …), the column that holds it.
        always: fields that are the same in each row, such as `kind: iban`.
        delimiter: what stands between two values.
    """

    columns: Annotated[dict[str, str], Field(min_length=1)]
    always: dict[str, JsonValue] = {}
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","

    @model_validator(mode="after")
    def _known_fields(self) -> Self:
        named = {*self.columns, *self.always}
        unknown = named - set(Item.model_fields)
        if unknown:
            raise ValueError(f"an indicator has no field `{min(unknown)}`")
        for needed in ("kind",):
            if needed not in named:
                raise ValueError(f"`columns` or `always` has to say the `{needed}`")
        if "value" not in self.columns and "digest" not in self.columns:
            raise ValueError("`columns` has to name the column of the `value`")
        return self


class CsvFeed(Feed[CsvSettings]):
    """Reads a CSV file in UTF-8 with a header, whole; what it does not say any more is withdrawn.

    Dates, and times without a zone, are read as UTC. Nobody signs such a file. A row that was cut off is seen, and so
    is an older file where a column of dates is mapped (`last_seen`, `first_seen` or `valid_from`: the newest date never
    goes back); a forger is not.
    """

    format: ClassVar[str] = "csv"
    about: ClassVar[str] = "CSV with a mapping of columns"
    settings_type: ClassVar[type[FeedSettings]] = CsvSettings

    def __init__(self, settings: CsvSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        if is_address(settings.source):
            check_address(settings.source)
        if "\n" in settings.delimiter or '"' in settings.delimiter:
            raise ConfigError("`delimiter` cannot be used")

    def watched(self) -> Path | None:
        """Return the file, if it is one."""
        return file_of(self.settings.source, self.surroundings.base)

    def fetch(self, checkpoint: str | None, budget: Budget) -> Iterator[Changes]:
        """Yield what has changed of the file as one batch if anything has."""
        before = Seen.read(checkpoint)
        data = read(self.settings.source, self.surroundings.base, budget)
        found = Seen.of(data, self.settings)
        if found.contents == before.contents:
            return
        header, entries = self._entries(data, budget)
        read_as = how_read(self.surroundings, self.settings, json.dumps(header))
        portions = portions_of(entries, before.portions_as(read_as))
        said: list[Indicator] = []
        for portion in portions:
            dates: list[int] = []
            for _, row, number in portion.entries:
                _ = budget.seconds_left
                where = f"line {number}"
                item = item_of(self._fields(dict(zip(header, row, strict=True))), where)
                said += indicators_of(item, self.surroundings, where)
                dates += [int(at.timestamp()) for at in self._dates(item, where)]
            portion.newest = max(dates, default=portion.newest)
        newest = newest_of(portions)
        dated = before.newest if newest is None else {"file": newest}
        seen = Seen(found.contents, dated, read_as, kept(portions))
        seen.check_not_older(before)
        yield changes_of(self.surroundings.source, portions, said, seen.text())

    def _dates(self, item: Item, where: str) -> list[datetime]:
        """Return the dates that tell how new the file is; what is valid only from a day to come tells nothing."""
        now = self.surroundings.clock()
        for at in (item.last_seen, item.first_seen):
            if at is not None:
                check_not_ahead(at, now, where)
        return [at for name in _DATES if (at := getattr(item, name)) is not None and at <= now + AHEAD]

    def _entries(self, data: bytes, budget: Budget) -> tuple[list[str], list[Entry]]:
        """Return the header, and each row with its reference and line."""
        if not data.endswith(b"\n"):
            raise FeedRefused("does not end with a whole line: it is cut off")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise FeedRefused("is not in UTF-8") from None
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.settings.delimiter, strict=True)
        found: list[Entry] = []
        try:
            header = next(reader)
            missing = set(self.settings.columns.values()) - set(header)
            if missing or len(set(header)) != len(header):
                raise FeedRefused("its header does not have each mapped column once")
            width, otherwise = len(header), str(self._otherwise["reference"])
            named = self.settings.columns.get("reference")
            place = None if named is None else header.index(named)
            for row in reader:
                if len(row) != width:
                    raise FeedRefused(f"line {reader.line_num} does not have as many values as the header")
                reference = otherwise if place is None else row[place].strip() or otherwise
                found.append((reference, tuple(row), reader.line_num))  # the collector passes over tuples of text
        except (csv.Error, StopIteration):
            raise FeedRefused("is not CSV with a header") from None
        _ = budget.seconds_left
        return header, found

    @property
    def _otherwise(self) -> dict[str, Any]:
        """What holds of each row that does not say otherwise."""
        return {"reference": self.surroundings.source, **self.settings.always}

    def _fields(self, row: Mapping[str, str]) -> dict[str, Any]:
        found = self._otherwise
        for name, column in self.settings.columns.items():
            if value := row[column].strip():
                found[name] = _typed(name, value)
        return found


def _typed(name: str, value: str) -> Any:
    if name in _NUMBERS and value.isascii() and value.isdecimal() and len(value) < 6:
        return int(value)
    if name == "reshare" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return with_zone(value) if name in _TIMES else value
