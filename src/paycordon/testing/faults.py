"""What can go wrong between an adapter and its gateway, and when a simulator lets it."""

from __future__ import annotations

import threading
from enum import StrEnum


class Fault(StrEnum):
    """How a simulator fails one request."""

    RATE_LIMITED = "rate_limited"
    """Too many requests (HTTP 429); nothing happens."""
    ERROR_BEFORE = "error_before"
    """An internal error (HTTP 500); nothing happens."""
    ERROR_AFTER = "error_after"
    """The request takes effect, then an internal error is answered."""
    TIMEOUT_BEFORE = "timeout_before"
    """Nothing happens and nothing is answered until the client gives up."""
    TIMEOUT_AFTER = "timeout_after"
    """The request takes effect and nothing is answered until the client gives up."""
    UNREACHABLE = "unreachable"
    """The connection breaks without an answer; nothing happens."""

    @property
    def takes_effect(self) -> bool:
        """Whether the request is carried out although the answer is lost."""
        return self in (Fault.ERROR_AFTER, Fault.TIMEOUT_AFTER)


class FaultPlan:
    """Which of the coming requests fail, and how. A simulator calls `take` once per request it receives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: dict[int, Fault] = {}
        self._requests = 0

    @property
    def requests(self) -> int:
        """How many requests were received so far, failed ones included."""
        return self._requests

    def add(self, fault: Fault, after: int = 0) -> None:
        """Let one request fail: the next one, or the one that comes after that many more."""
        with self._lock:
            self._planned[self._requests + after] = fault

    def take(self) -> Fault | None:
        """Count a request and say how it fails, if it does."""
        with self._lock:
            fault = self._planned.pop(self._requests, None)
            self._requests += 1
            return fault

    def clear(self) -> int:
        """Drop the faults that no request has met, and return how many there were."""
        with self._lock:
            unmet = len(self._planned)
            self._planned.clear()
            return unmet
