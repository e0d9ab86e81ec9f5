"""Duties that tell others what happened: each endpoint and each plugin by itself, so that none delays another."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from paycordon.errors import type_and_place
from paycordon.sections import NotificationSection
from paycordon.sending import NotTaken, encoded, post, signed_headers
from paycordon.store import Store
from paycordon.store.outbox import Notification, claim, follow, settle

GIVE_UP_AFTER = 12
_AT_ONCE = 10
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=6)
# Longer than all tries of one claim together.
_LEASE = timedelta(minutes=5)
_logger = logging.getLogger("paycordon")

Clock = Callable[[], datetime]
Message = Mapping[str, object]
Notify = Callable[..., object]
"""A plugin's implementation of the hook `notify`."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One receiver: its name, what it wants to hear, whether of internal matters too, and how it is told.

    `tell` raises `NotTaken`, or anything else, if the receiver may not have taken the message.
    """

    name: str
    types: Sequence[str]
    internal: bool
    tell: Callable[[Notification, Message], None]


def channel_of(name: str, settings: NotificationSection, clock: Clock) -> Channel:
    """Return the channel of a configured endpoint."""

    def tell(message: Notification, content: Message) -> None:
        body = encoded(message.type, message.created_at, dict(content))
        headers = signed_headers(settings.secrets, message.message_id, clock(), body)
        post(settings.url, headers, body, private=settings.private)

    return Channel(name, settings.types, settings.detail == "internal", tell)


def channel_of_plugin(plugin: str, notify: Notify) -> Channel:
    """Return the channel of a plugin that implements the hook `notify`."""

    def tell(message: Notification, content: Message) -> None:
        at = message.created_at.isoformat()
        notify({"id": message.message_id, "type": message.type, "timestamp": at, "data": content})

    return Channel(f"plugin:{plugin}", ("*",), False, tell)


class Following:
    """The duty that makes messages of what the log says."""

    def __init__(self, store: Store, channels: Sequence[Channel]) -> None:
        self._store = store
        self._types = {channel.name: channel.types for channel in channels}

    def run_once(self) -> bool:
        """Follow the log for a while; returns whether it said anything new."""
        return follow(self._store, self._types)


class Telling:
    """The duty that tells one channel.

    Args:
        owner: a name no other worker has.
        jitter: a number from 0 to 1, by which pauses are spread.
    """

    def __init__(
        self,
        store: Store,
        channel: Channel,
        *,
        owner: str,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._channel = channel
        self._owner = owner
        self._clock = clock
        self._jitter = jitter

    def run_once(self) -> bool:
        """Tell what is due; returns whether there was anything.

        Raises:
            StoreUnavailable: the database cannot be used; what was claimed is free again after its lease.
        """
        claimed = claim(self._store, self._channel.name, self._owner, self._clock(), _LEASE, _AT_ONCE)
        for message in claimed:
            self._tell(message)
        return bool(claimed)

    def _tell(self, message: Notification) -> None:
        content: dict[str, object] = {"merchant": message.merchant, **message.facts}
        if self._channel.internal:
            content["internal"] = dict(message.internal)
        error: str | None = None
        try:
            self._channel.tell(message, content)
        except NotTaken as reason:
            error = str(reason)
        except Exception as reason:  # a plugin may raise anything, and its text may repeat personal data
            error = type_and_place(reason)
        now, failures = self._clock(), message.failures + 1
        stuck = error is not None and failures >= GIVE_UP_AFTER
        due_at = now + self._pause(failures)
        settle(self._store, message, self._owner, now, error=error, due_at=due_at, stuck=stuck)
        if stuck:
            _logger.error("`%s` did not take a notification in %d tries: %s", message.endpoint, failures, error)

    def _pause(self, failures: int) -> timedelta:
        doubled: timedelta = min(_FIRST_PAUSE * 2 ** min(failures - 1, 20), _LONGEST_PAUSE)
        return doubled * (0.75 + self._jitter() / 2)
