"""The contract of a feed: what an author of a format writes. `paycordon.testing.FeedConformance` proves it.

A feed reads what one source says and hands it over in batches, each with the checkpoint from which to go on. It keeps
no state, and stores nothing: the core takes each batch in whole (`store.feeding.apply_changes`), with its checkpoint in
the same transaction, under the limits of the configuration.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes
from paycordon.errors import FeedRefused, RetryLater

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _period(value: Any) -> Any:
    """Read `60s`, `15m`, `6h` or `1d`; pydantic says what is wrong with anything else."""
    if isinstance(value, str) and value[:-1].isdecimal() and value[-1] in _UNITS and len(value) < 9:
        return timedelta(seconds=int(value[:-1]) * _UNITS[value[-1]])
    return value


Period = Annotated[
    timedelta, BeforeValidator(_period), WithJsonSchema({"type": "string", "examples": ["60s", "15m", "6h", "1d"]})
]


class FeedSettings(BaseModel):
    """What the configuration says of one feed; a format subclasses it.

    Attributes:
        format: the name of the format.
        source: where it is read: a file (a relative path starts from the configuration file) or an address.
        every: how long from one look to the next; the default lets a change count within a minute. A file of
            this machine is also read as soon as it has changed.
        within: how long one look may take until it is given up.
        most_bytes: a look that brings more than so many bytes is refused.
        most_items: a batch of more indicators and withdrawals than this is refused.
        most_withdrawn: a batch that withdraws more than so many percent of what the source says (and more than twenty
            items) is refused until a person pulls it with `--accept-withdrawals`: it is more likely cut off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    format: str
    source: Annotated[str, Field(min_length=1, max_length=2048)]
    every: Annotated[Period, Field(ge=timedelta(seconds=1), le=timedelta(days=366))] = timedelta(seconds=45)
    within: Annotated[Period, Field(ge=timedelta(seconds=1), le=timedelta(hours=6))] = timedelta(minutes=5)
    most_bytes: Annotated[int, Field(ge=1, le=2**40)] = 256 * 2**20
    most_items: Annotated[int, Field(ge=1, le=10**9)] = 1_000_000
    most_withdrawn: Annotated[int, Field(ge=0, le=100)] = 50


class Budget:
    """What one look may use. Whatever reads for a feed says here what it took; the core counts batches itself.

    Args:
        settings: the limits.
        monotonic: seconds that never go back.
    """

    def __init__(self, settings: FeedSettings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._monotonic = settings, monotonic
        self._until = monotonic() + settings.within.total_seconds()
        self._bytes = 0

    @property
    def seconds_left(self) -> float:
        """How long this look may still take.

        Raises:
            RetryLater: no longer.
        """
        left = self._until - self._monotonic()
        if left <= 0:
            raise RetryLater(f"was not read within {self._settings.within.total_seconds():.0f} s")
        return left

    @property
    def bytes_left(self) -> int:
        """How many bytes may still come."""
        return self._settings.most_bytes - self._bytes

    def took(self, count: int) -> None:
        """Note that so many bytes came.

        Raises:
            FeedRefused: it is too large.
            RetryLater: it takes too long.
        """
        self._bytes += count
        if self._bytes > self._settings.most_bytes:
            raise FeedRefused(f"is larger than {self._settings.most_bytes} bytes (`most_bytes`)")
        _ = self.seconds_left

    def brought(self, items: int) -> None:
        """Note that a batch of so many items came.

        Raises:
            FeedRefused: it is too large.
            RetryLater: it takes too long.
        """
        if items > self._settings.most_items:
            raise FeedRefused(f"has a batch of more than {self._settings.most_items} items (`most_items`)")
        _ = self.seconds_left


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a feed may use.

    Attributes:
        source: the feed's name in the configuration; all its indicators are of this source.
        digester: makes the digests of plain values; nothing plain is handed over.
        base: where relative paths start.
        clock: says what time it is, UTC.
    """

    source: str
    digester: Digester
    base: Path
    clock: Callable[[], datetime]


S = TypeVar("S", bound=FeedSettings)


class Feed(ABC, Generic[S]):
    """One configured feed.

    Attributes:
        format: what the configuration calls this format.
        about: one sentence for people.
        settings_type: the model of its settings.
        forgets_after: for how long the source tells what it took back; none if what it says is whole, or says so for
            good. A feed that was not read for longer has to be read anew.

    Raises:
        ConfigError: what the settings name cannot be used (from `__init__`).
    """

    format: ClassVar[str]
    about: ClassVar[str]
    settings_type: ClassVar[type[FeedSettings]]
    forgets_after: ClassVar[timedelta | None] = None

    def __init__(self, settings: S, surroundings: Surroundings) -> None:
        self.settings = settings
        self.surroundings = surroundings

    def watched(self) -> Path | None:
        """Return the file that changes when there is something new: it is then read at once, and not only when due.

        None where the source is not a file of this machine.
        """
        return None

    @abstractmethod
    def fetch(self, checkpoint: str | None, budget: Budget) -> Iterator[Changes]:
        """Read what the source says since a checkpoint, in batches that are each right by themselves.

        A batch is checked wholly before it is yielded: each is taken in, or refused, as one. A source that publishes
        one document yields one batch with `complete=True`; one that publishes changes yields each page of them. The
        checkpoint of a batch is the point from which the next look goes on once the batch has been taken in; it may
        be any text, and is the place for whatever must not be older the next time. A process may die before or after
        any batch: reading again from the same checkpoint brings the same. Nothing new yields nothing.

        Args:
            checkpoint: that of the last batch that was taken in; none if there was none.
            budget: to be told of each byte that comes.

        Raises:
            RetryLater: the source cannot be reached now; the next look comes after a growing pause.
            FeedRefused: what it says is malformed, forged, cut off, replayed, older than before, or dated ahead of
                today where that would shut out what comes later. What was taken in before stays. The message never
                repeats a value.
        """
