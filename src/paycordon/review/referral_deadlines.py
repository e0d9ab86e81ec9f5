"""Tell of referrals' deadlines: ahead of time, when they pass, and again. None does anything by itself."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from paycordon.ids import Randomness
from paycordon.sections import Clocks
from paycordon.store import Store, referrals, reminders
from paycordon.store.reminders import Stage

WARNED, DUE = 1, 2


class ReferralClock:
    """A worker's duty: writes into the restricted log, where only the role looks, what its lists show as well.

    Args:
        store: where they are.
        settings: how often people are reminded.
        clock: says what time it is, UTC.
        reminding: whether the role has an endpoint, so that each telling becomes a reminder as well.
        randomness: for their ids.
    """

    def __init__(
        self,
        store: Store,
        settings: Clocks,
        clock: Callable[[], datetime],
        *,
        reminding: bool = False,
        randomness: Randomness = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._remind = settings.remind.length
        self._clock = clock
        self._reminding = reminding
        self._randomness = randomness

    def step(self) -> bool:
        """Tell of one deadline; false when there is none to tell of.

        Raises:
            StoreUnavailable: the database cannot be used; nothing was told.
        """
        now = self._clock()
        with self._store.read() as connection:
            found = referrals.waiting(connection, now)
        if found is None or found.due_at is None:
            return False
        told, next_at = (DUE, now + self._remind) if found.due_at <= now else (WARNED, found.due_at)
        with self._store.write() as connection:
            if referrals.tell(connection, found, told, next_at, now) and self._reminding:
                passed = Stage.OPEN if found.told == DUE else Stage.PASSED
                stage = passed if told == DUE else Stage.NEAR
                reminders.write(connection, stage, now, self._randomness)
        return True
