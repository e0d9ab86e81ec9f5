"""A simulator's state: its present, what will happen by itself, and the log of effective changes."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from paycordon.simulation.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Changed:
    """One effective change: what was `old` is now `new`. `request` counts requests from 1; 0 is by hand."""

    at: datetime
    account: str
    what: str
    old: Any
    new: Any
    request: int


class Ledger:
    """What every simulator keeps; a subclass adds its gateway's objects. Whoever uses it holds `lock`.

    Args:
        clock: the simulator's present.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.lock = threading.RLock()
        self.changes: list[Changed] = []
        self.timeline = Timeline()
        self.request = 0
        self._clock = clock
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(1))
        self._past: datetime | None = None

    def clock(self) -> datetime:
        """Return the present; while the past is caught up with, that past."""
        return self._past or self._clock()

    def next_number(self, kind: str) -> int:
        """Return the next number of those that ids of a kind are made of, from 1."""
        return next(self._numbers[kind])

    def by_nobody(self) -> None:
        """From now on what happens is no request's doing."""
        self.request = 0

    def catch_up(self) -> None:
        """Let everything happen that is due by now, in order, each at its own time, as nobody's doing."""
        now = self._clock()
        if not self.timeline.is_due(now):
            return
        self.by_nobody()
        try:
            while (due := self.timeline.due(now)) is not None:
                self._past, deed = due
                deed()
        finally:
            self._past = None

    def changed(self, account: str, what: str, old: Any, new: Any) -> None:
        """Note a change, if it is one."""
        if old != new:
            self.changes.append(Changed(self.clock(), account, what, old, new, self.request))

    def note(self, account: str, before: dict[str, Any], after: dict[str, Any], prefix: str = "") -> None:
        """Note every leaf in which two versions of an object differ."""
        old, new = dict(_leaves(before)), dict(_leaves(after))
        for path in sorted(old.keys() | new.keys()):
            self.changed(account, prefix + path, old.get(path), new.get(path))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
