"""Idempotency keys as Stripe treats them: https://docs.stripe.com/api/idempotent_requests.

The first answer to a key is stored once the request has begun to run, also when it was a 500, and repeated for 24 hours
with `Idempotent-Replayed: true`. Other parameters under the same key are a 400, the same key while the first request
still runs is a 409. What fails before it runs (validation, authentication, rate limits) is not stored.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from paycordon_stripe.simulator.problems import Problem

KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored answer, and the id of the request that it answered."""

    status: int
    body: dict[str, Any]
    request_id: str = ""


@dataclass(slots=True)
class _Entry:
    request: object
    at: datetime
    answer: Stored | None = None


class Keys:
    """The keys seen so far, per account they were used for."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._lock = threading.Lock()

    def begin(self, scope: str, key: str, request: object, now: datetime) -> Stored | None:
        """Take a key for a request, or return the stored answer to it.

        Raises:
            Problem: 400 for another request under the same key, 409 while the first one is still running.
        """
        with self._lock:
            entry = self._entries.get((scope, key))
            if entry is None or now - entry.at >= KEPT_FOR:
                self._entries[scope, key] = _Entry(request, now)
                return None
            if entry.request != request:
                text = "Keys for idempotent requests can only be used with the parameters they were first used with."
                raise Problem(400, text, type_="idempotency_error")
            if entry.answer is None:
                text = "There is currently another in-progress request using this Idempotent Key."
                raise Problem(409, text, type_="idempotency_error", code="idempotency_key_in_use")
            return entry.answer

    def end(self, scope: str, key: str, answer: Stored | None) -> None:
        """Store the answer to a key, or without one set the key free."""
        with self._lock:
            if answer is None:
                self._entries.pop((scope, key), None)
            else:
                self._entries[scope, key].answer = answer
