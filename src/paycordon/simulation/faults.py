"""Failures on demand, as gateways and networks produce them."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What goes wrong with a request, and whether it has taken effect by then."""

    ANSWER = "answer"
    """An error status is answered before anything runs, and not stored under the idempotency key: 429, 409, 403."""
    ERROR_BEFORE = "error_before"
    """A 500 is answered, nothing has happened; stored under the key where the gateway stores failures."""
    ERROR_AFTER = "error_after"
    """Everything has happened, yet a 500 is answered, and stored under the key."""
    LOST_BEFORE = "lost_before"
    """The connection closes after `seconds`; the request never arrived."""
    LOST_AFTER = "lost_after"
    """The connection closes after `seconds`; everything has happened, and the answer is stored under the key."""
    GARBLED = "garbled"
    """Everything has happened; a 200 is answered whose body is not JSON."""
    SLOW = "slow"
    """The proper answer, after `seconds`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault for the next `times` requests of a method to a path.

    Attributes:
        kind: what goes wrong.
        method: HTTP method, or `*`.
        path: regular expression that is searched for in the path.
        times: how many requests it meets.
        seconds: how long the line stays open before the connection closes or the answer comes.
        status: what `ANSWER` answers.
    """

    kind: FaultKind
    method: str = "*"
    path: str = ""
    times: int = 1
    seconds: float = 0.0
    status: int = 429

    def meets(self, method: str, path: str) -> bool:
        """Tell whether a request is of those it is for."""
        return self.method in ("*", method) and re.search(self.path, path) is not None


class Faults:
    """The faults that are waiting for their requests, oldest first."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int]] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Let a fault wait for its requests."""
        with self._lock:
            self._waiting.append((fault, fault.times))

    def clear(self) -> None:
        """Forget those that still wait."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that this request meets, if any, and count it."""
        with self._lock:
            for index, (fault, left) in enumerate(self._waiting):
                if fault.meets(method, path):
                    if left > 1:
                        self._waiting[index] = (fault, left - 1)
                    else:
                        del self._waiting[index]
                    return fault
        return None
