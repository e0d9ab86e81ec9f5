"""Screen merchants at once when the coalition newly says something of what they are known by: a worker's duty.

Nothing is asked of the merchant or its gateway: an event of our own is screened as any other, so that policies, caps,
keep-open requests and the log apply to it as they do to an event that a gateway tells of.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from paycordon.decisions import Decision
from paycordon.events import Event, EventType
from paycordon.store import Store
from paycordon.store import rescreening as stored
from paycordon.store.deliveries import pause_after
from paycordon.store.newly import turn
from paycordon.store.rescreening import Wanted

BECAUSE = "paycordon_because"
"""Under this name the event says in `extra` why there is one: `indicators`."""

_LEASE = timedelta(minutes=1)
_logger = logging.getLogger("paycordon")


class Screens(Protocol):
    """What is needed of `paycordon.screening.Cordon`."""

    def screen(self, event: Event) -> Decision:
        """Judge an event and record it; the same event again changes nothing."""


class Rescreening:
    """Screens each merchant that is wanted, once at every gateway instance where it has accounts.

    Any number of workers may run on one store; one that is killed loses nothing, and nothing is done twice.

    Args:
        store: where they are wanted.
        cordon: what screens.
        clock: says what time it is, UTC.
    """

    def __init__(self, store: Store, cordon: Screens, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._cordon = cordon
        self._clock = clock

    def step(self) -> bool:
        """Screen one merchant, or see whom what began to count today is about; false when neither is due.

        Raises:
            StoreUnavailable: the database cannot be used; it is tried again when the lease has run out.
        """
        wanted = stored.claim(self._store, self._clock(), _LEASE)
        if wanted is None:
            return turn(self._store, self._clock())
        events = [event_for(wanted, each) for each in stored.newest_events(self._store, wanted.merchant)]
        screened = [self._screened(each) for each in events]
        if all(screened):
            stored.done(self._store, wanted)
        else:
            _logger.error("a merchant was not screened for what is newly known of it; it is tried again")
            stored.put_off(self._store, wanted, self._clock() + pause_after(wanted.failures + 1))
        return True

    def _screened(self, event: Event) -> bool:
        """Screen an event unless it is recorded; tells whether it is then."""
        if stored.is_recorded(self._store, event):
            return True
        self._cordon.screen(event)
        return stored.is_recorded(self._store, event)


def event_for(wanted: Wanted, newest: Event) -> Event:
    """Return the event by which a merchant is screened, at the instance of its newest event there.

    It carries no identifiers: what the merchant is known by is compared anyway, and it was not seen with it again.
    """
    about = f"{wanted.merchant}\0{newest.account.id}"
    return Event(
        id=f"listed-{wanted.position}-{hashlib.sha256(about.encode()).hexdigest()[:32]}",
        type=EventType.MERCHANT_CHANGED,
        occurred_at=wanted.at,
        gateway=newest.gateway,
        instance=newest.instance,
        mode=newest.mode,
        account=newest.account,
        merchant=newest.merchant,
        extra={BECAUSE: "indicators", "paycordon_position": wanted.position},
    )
