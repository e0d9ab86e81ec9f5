"""How long enforcement may take, and the fence that keeps a late worker from acting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

Clock = Callable[[], datetime]
Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take and how often they are tried.

    Attributes:
        lease: for how long a worker owns an account; longer than all its calls to the gateway together.
        margin: for so long before the end of its lease a worker changes nothing any more: two machines' clocks differ,
            and a connection takes time to be made; none for a twentieth of the lease.
        recheck: after this time a settled account is read again, to see changes made by hand.
        first_retry, last_retry: the pause after a failure doubles from the first to the last.
        give_up_after: after this many failures in a row a person is asked; tries go on, at the longest pause.
        tries: how often one call is tried at once when the gateway says that nothing happened.
        try_pause: the pause between those, which doubles too.
    """

    lease: timedelta = timedelta(minutes=5)
    margin: timedelta | None = None
    recheck: timedelta = timedelta(minutes=15)
    first_retry: timedelta = timedelta(seconds=2)
    last_retry: timedelta = timedelta(hours=1)
    give_up_after: int = 8
    tries: int = 3
    try_pause: timedelta = timedelta(milliseconds=500)

    def pause(self, failures: int, asked: timedelta | None, jitter: float) -> timedelta:
        """Return how long to leave an account alone after that many failures in a row.

        Args:
            asked: the pause that the gateway asked for; the result is never shorter.
            jitter: a random number from 0 up to 1; it takes off up to a quarter.
        """
        doubled = min(self.first_retry * 2 ** min(failures - 1, 20), self.last_retry)
        spread: timedelta = doubled * (1 - jitter / 4)
        return max(asked or timedelta(0), spread)


class LeaseFence:
    """Tells whether there is time enough left in a lease, by the wall clock and by one that nobody can set.

    Make it before the lease is written. The monotonic clock does not go on while a machine is suspended, and the wall
    clock may be set back: whichever says that less time is left is right.
    """

    def __init__(self, timing: Timing, clock: Clock, monotonic: Monotonic) -> None:
        margin = timing.lease / 20 if timing.margin is None else timing.margin
        usable = timing.lease - margin
        self._clock, self._monotonic = clock, monotonic
        self.began_at = clock()
        self._until = self.began_at + usable
        self._monotonic_until = monotonic() + usable.total_seconds()

    def __call__(self, takes: timedelta) -> bool:
        """Tell whether something that takes this long would end in time."""
        in_time = self._clock() + takes <= self._until
        return in_time and self._monotonic() + takes.total_seconds() <= self._monotonic_until
