"""Take in what a gateway could not deliver while nobody answered, by the way that deliveries take.

Everything is stored under the gateway's own id, as deliveries are: what came in meanwhile, or was taken in before, is
not taken twice, and a run that was interrupted is simply run again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from paycordon.errors import PayloadInvalid
from paycordon.gateways import Gateway, Message
from paycordon.intake.meaning import described, storable
from paycordon.store import Store
from paycordon.store.deliveries import store_messages

_logger = logging.getLogger("paycordon")
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What a gateway had not delivered: how many messages it named, how many are new here, how many are unreadable."""

    read: int
    new: int
    unreadable: int


def catch_up(
    store: Store,
    gateway: Gateway[Any],
    since: datetime,
    clock: Callable[[], datetime],
    progress: Callable[[int], None] = lambda _: None,
) -> CaughtUp:
    """Store what a gateway could not deliver since a moment; workers then screen it.

    Args:
        store: where deliveries wait.
        gateway: which must keep such a list (`keeps_missed`).
        since: the earliest moment of interest, UTC.
        clock: says what time it is, UTC.
        progress: told how many messages were read so far.

    Raises:
        RetryLater, Refused: the gateway cannot be read further; what was stored so far stays.
        StoreUnavailable: the database cannot be used.
    """
    read = new = unreadable = 0
    messages = iter(gateway.missed(since))
    while batch := list(islice(messages, _AT_ONCE)):
        ours: list[Message] = []
        for message in batch:
            try:
                stored = storable(gateway, message)
            except PayloadInvalid as error:
                _logger.warning("a message of `%s` cannot be read: %s", gateway.instance, described(error))
                unreadable += 1
                continue
            if stored is not None:
                ours.append(stored)
        new += store_messages(store, gateway.instance, ours, clock()) if ours else 0
        read += len(batch)
        progress(read)
    return CaughtUp(read, new, unreadable)
