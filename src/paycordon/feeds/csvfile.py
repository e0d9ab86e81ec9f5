"""CSV with a mapping of its columns: one document that holds all that a source says."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, JsonValue, model_validator

from paycordon.coalition.indicators import Changes
from paycordon.errors import ConfigError, FeedRefused
from paycordon.feeds.contract import Budget, Feed, FeedSettings, Surroundings
from paycordon.feeds.items import Item, indicators_of, item_of, with_zone
from paycordon.feeds.reading import check_address, file_of, is_address, read
from paycordon.feeds.seen import AHEAD, Seen, check_not_ahead

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
        """Yield the whole file as one batch if it has changed."""
        before = Seen.read(checkpoint)
        data = read(self.settings.source, self.surroundings.base, budget)
        if Seen.of(data, self.settings).contents == before.contents:
            return
        said = []
        newest: datetime | None = None
        for where, row in self._rows(data):
            _ = budget.seconds_left
            item = item_of(self._fields(row), where)
            said += indicators_of(item, self.surroundings, where)
            dates = self._dates(item, where)
            newest = max([*dates, *([newest] if newest else [])], default=None)
        seen = Seen.of(data, self.settings, {"file": int(newest.timestamp())} if newest else before.newest)
        seen.check_not_older(before)
        yield Changes(self.surroundings.source, said, complete=True, checkpoint=seen.text())

    def _dates(self, item: Item, where: str) -> list[datetime]:
        """Return the dates that tell how new the file is; what is valid only from a day to come tells nothing."""
        now = self.surroundings.clock()
        for at in (item.last_seen, item.first_seen):
            if at is not None:
                check_not_ahead(at, now, where)
        return [at for name in _DATES if (at := getattr(item, name)) is not None and at <= now + AHEAD]

    def _rows(self, data: bytes) -> Iterator[tuple[str, Mapping[str, str]]]:
        if not data.endswith(b"\n"):
            raise FeedRefused("does not end with a whole line: it is cut off")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise FeedRefused("is not in UTF-8") from None
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.settings.delimiter, strict=True)
        try:
            header = next(reader)
            missing = set(self.settings.columns.values()) - set(header)
            if missing or len(set(header)) != len(header):
                raise FeedRefused("its header does not have each mapped column once")
            for row in reader:
                where = f"line {reader.line_num}"
                if len(row) != len(header):
                    raise FeedRefused(f"{where} does not have as many values as the header")
                yield where, dict(zip(header, row, strict=True))
        except (csv.Error, StopIteration):
            raise FeedRefused("is not CSV with a header") from None

    def _fields(self, row: Mapping[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = {"reference": self.surroundings.source, **self.settings.always}
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
