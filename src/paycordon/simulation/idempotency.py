"""Idempotency keys: the first answer to a key is kept for a while and repeated.

Other contents under the same key, and the same key while the first request still runs, are refused; how, and which
answers are kept at all, is each gateway's own.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

A = TypeVar("A")
"""An answer, as it is kept."""


class KeyReused(Exception):
    """Another request was made under the key before."""


class KeyInUse(Exception):
    """The first request under the key is still running."""


@dataclass(slots=True)
class _Entry(Generic[A]):
    request: object
    at: datetime
    answer: A | None = None


class Keys(Generic[A]):
    """The keys seen so far, each within the scope it was used in.

    Args:
        kept_for: after which time a key counts as new again.
    """

    def __init__(self, kept_for: timedelta) -> None:
        self._kept_for = kept_for
        self._entries: dict[tuple[str, str], _Entry[A]] = {}
        self._lock = threading.Lock()

    def begin(self, scope: str, key: str, request: object, now: datetime) -> A | None:
        """Take a key for a request, or return the stored answer to it.

        Raises:
            KeyReused: another request has been made under it.
            KeyInUse: the first one is still running.
        """
        with self._lock:
            entry = self._entries.get((scope, key))
            if entry is None or now - entry.at >= self._kept_for:
                self._entries[scope, key] = _Entry(request, now)
                return None
            if entry.request != request:
                raise KeyReused(key)
            if entry.answer is None:
                raise KeyInUse(key)
            return entry.answer

    def end(self, scope: str, key: str, answer: A | None) -> None:
        """Store the answer to a key, or without one set the key free."""
        with self._lock:
            if answer is None:
                self._entries.pop((scope, key), None)
            else:
                self._entries[scope, key].answer = answer
