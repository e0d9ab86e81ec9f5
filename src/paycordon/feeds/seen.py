"""What a feed of whole documents remembers in its checkpoint: which one it took in last, and how old its parts were."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from paycordon.errors import FeedRefused
from paycordon.feeds.contract import FeedSettings, Surroundings

AHEAD = timedelta(days=1)
"""So far may a source's times be ahead of ours: clocks differ, and dates begin earlier in the East."""


def check_not_ahead(at: datetime, now: datetime, where: str) -> None:
    """Refuse a time that has not come yet: nothing older counts after it, so one wrong date would shut out all to come.

    Raises:
        FeedRefused: it lies more than a day ahead.
    """
    if at > now + AHEAD:
        raise FeedRefused(f"{where}: a date lies ahead of today, and would shut out all that comes later")


def how_read(surroundings: Surroundings, settings: FeedSettings, heading: str = "") -> str:
    """Return the SHA-256 of all that decides what an entry of a document comes to."""
    said = json.dumps([surroundings.digester.current, heading]).encode()
    return hashlib.sha256(_read_as(settings) + b"\n" + said).hexdigest()


@dataclass(frozen=True, slots=True)
class Seen:
    """A document that was taken in.

    Attributes:
        contents: SHA-256 of it and of the settings it was read with.
        newest: by part of the document, how new it was: text or numbers that only grow.
        read_as: SHA-256 of all that decides what an entry of it comes to: the settings, the key, and what stands above
            the entries.
        portions: what `feeds.portions` remembers of it; good for a document that is `read_as` the same.
    """

    contents: str = ""
    newest: Mapping[str, int] = field(default_factory=dict)
    read_as: str = ""
    portions: Sequence[Sequence[Any]] = ()

    @classmethod
    def of(cls, data: bytes, settings: FeedSettings, newest: Mapping[str, int] | None = None) -> Self:
        """Describe a document."""
        return cls(hashlib.sha256(_read_as(settings) + b"\n" + data).hexdigest(), newest or {})

    def portions_as(self, read_as: str) -> Sequence[Sequence[Any]]:
        """Return the portions, if the document is read as that one was; nothing otherwise."""
        return self.portions if self.read_as == read_as else ()

    @classmethod
    def read(cls, checkpoint: str | None) -> Self:
        """Read a checkpoint that `text` made."""
        return cls() if checkpoint is None else cls(**json.loads(checkpoint))

    def text(self) -> str:
        """Return it as a checkpoint."""
        return json.dumps(asdict(self), sort_keys=True)

    def check_not_older(self, before: Self) -> None:
        """Refuse a document that is older than the one before.

        Raises:
            FeedRefused: a part of it is.
        """
        if any(at < before.newest.get(part, at) for part, at in self.newest.items()):
            raise FeedRefused("is older than what was taken in before: replayed or back-dated")


def _read_as(settings: FeedSettings) -> bytes:
    limits = (set(FeedSettings.model_fields) - {"format"}) | {"key"}
    return settings.model_dump_json(exclude=limits).encode()
