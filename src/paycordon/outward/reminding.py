"""Remind the role `restricted` of deadlines, at an endpoint of its own, without a word of what they are about.

Whoever reads along learns that some restricted deadline is near or has passed, and so that there is one: the endpoint
is the role's alone, and there is none unless the configuration names it. Nothing is logged here, for many read that.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from paycordon.coalition_sections import RemindersSection
from paycordon.enforcement.timing import Timing
from paycordon.errors import type_and_place
from paycordon.sending import NotTaken, encoded, post, signed_headers
from paycordon.store import Store, reminders
from paycordon.store.reminders import Reminder, Stage

PATIENCE = Timing(first_retry=timedelta(seconds=5), last_retry=timedelta(hours=1))
"""Tries never end: a deadline that nobody hears of is worse than one more try."""

WORDS = {
    Stage.NEAR: "a restricted deadline is near",
    Stage.PASSED: "a restricted deadline has passed",
    Stage.OPEN: "a restricted deadline has passed and is still open",
}


class Reminding:
    """A worker's duty: tells one reminder after another. Any number of workers may run on one store.

    Args:
        store: where reminders wait.
        settings: the endpoint.
        owner: a name no other worker has; leases carry it.
        clock: says what time it is, UTC.
        timing: how long things may take.
    """

    def __init__(
        self,
        store: Store,
        settings: RemindersSection,
        *,
        owner: str,
        clock: Callable[[], datetime],
        timing: Timing = PATIENCE,
    ) -> None:
        self._store, self._settings, self._owner, self._clock, self._timing = store, settings, owner, clock, timing

    def run_once(self) -> bool:
        """Tell one reminder that is due; returns whether there was one. The endpoint has it once, under its id.

        Raises:
            StoreUnavailable: the database cannot be used; it is told again once the lease has run out.
        """
        reminder = reminders.claim(self._store, self._owner, self._clock(), self._timing.lease)
        if reminder is None:
            return False
        try:
            self._tell(reminder)
        except NotTaken as error:
            self._failed(reminder, str(error))
        except Exception as error:  # whatever it is, it is told again
            self._failed(reminder, type_and_place(error))
        else:
            reminders.told(self._store, reminder, self._owner, self._clock())
        return True

    def _tell(self, reminder: Reminder) -> None:
        said = {"stage": reminder.stage.value, "text": WORDS[reminder.stage]}
        body = encoded("restricted.deadline", reminder.at, dict(said))
        headers = signed_headers(self._settings.secrets, reminder.id, self._clock(), body)
        post(self._settings.url, headers, body, private=self._settings.private)

    def _failed(self, reminder: Reminder, error: str) -> None:
        pause = self._timing.pause(reminder.failures + 1, None, secrets.randbelow(100) / 100)
        reminders.failed(self._store, reminder, self._owner, error, self._clock() + pause)
