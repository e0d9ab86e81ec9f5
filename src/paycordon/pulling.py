"""Look at feeds: read what a source says, take it in batch by batch, and remember how it went."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from paycordon.coalition.indicators import Changes, Indicator
from paycordon.errors import ApprovalRequired, Conflict, FeedRefused, RetryLater, StoreUnavailable, type_and_place
from paycordon.feeds.contract import Budget, Feed
from paycordon.metrics import Metrics
from paycordon.screening import utc_now
from paycordon.store import Store
from paycordon.store import feeds as states
from paycordon.store.counting import counting_among, how_many_count, names_counting
from paycordon.store.feeding import Applied, apply_changes, checkpoint_of

LONGEST_PAUSE = timedelta(hours=1)
"""A feed that fails is looked at again after a doubling pause, at most this long unless `every` is longer."""

_FEW = 20
_PATIENCE = 3
_SLOW = timedelta(hours=1)
_MARGIN = timedelta(minutes=1)
_logger = logging.getLogger("paycordon")


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one look at a feed came to.

    Attributes:
        name: of the feed.
        batches, added, corrected, withdrawn, unchanged, matches: as in `store.feeding.Applied`, all together.
        state: none if it went well to its end, otherwise `refused`, `waiting` or `failed`.
        why: a sentence about that, without any value.
    """

    name: str
    batches: int = 0
    added: int = 0
    corrected: int = 0
    withdrawn: int = 0
    unchanged: int = 0
    matches: int = 0
    state: str | None = None
    why: str | None = None

    def plus(self, applied: Applied) -> Pulled:
        """Count a batch in."""
        return replace(
            self,
            batches=self.batches + 1,
            added=self.added + applied.added,
            corrected=self.corrected + applied.corrected,
            withdrawn=self.withdrawn + applied.withdrawn,
            unchanged=self.unchanged + applied.unchanged,
            matches=self.matches + applied.matches,
        )


class Pulling:
    """Looks at one feed whenever it is due, under a lease: of any number of workers one reads it at a time.

    Args:
        store: where its indicators and its state go.
        feed: what reads it.
        owner: a name that no other worker has.
        most_matches: how many merchants a batch may newly match before a person looks.
        clock: says what time it is, UTC.
        metrics: where looks are counted.
    """

    def __init__(
        self,
        store: Store,
        feed: Feed[Any],
        *,
        owner: str,
        most_matches: int = 100,
        clock: Callable[[], datetime] = utc_now,
        metrics: Metrics | None = None,
    ) -> None:
        self._store, self._feed, self._owner = store, feed, owner
        self._most_matches, self._clock, self._metrics = most_matches, clock, metrics or Metrics()
        self._name = feed.surroundings.source
        self._lease = feed.settings.within + _MARGIN
        self._seen: tuple[int, ...] | None = None  # how the watched file was at the last step
        self._read: tuple[int, ...] | None = None  # how it was when it was read

    def run_once(self) -> bool:
        """Look if it is due, or if the file that it reads has changed; tells whether anything new was taken in.

        Raises:
            StoreUnavailable: the store cannot be used; the look is due again when its lease has ended.
        """
        with self._store.read() as connection:
            is_waiting = states.is_waiting(connection, self._name, self._clock())
        has_changed = self._has_changed()
        if is_waiting and not has_changed:
            return False
        self._read = self._seen
        done = self.look(early=has_changed)
        return done is not None and done.state is None and done.added + done.corrected + done.withdrawn > 0

    def _has_changed(self) -> bool:
        """Tell whether the file is another one than was read last, and nobody is writing it just now."""
        watched = self._feed.watched()
        if watched is None:
            return False
        try:
            found = watched.stat()
        except OSError:
            return False
        before, self._seen = self._seen, (found.st_ino, found.st_size, found.st_mtime_ns)
        if self._read is None:
            self._read = self._seen  # whatever came before is read when it is due
        return before == self._seen != self._read

    def look(
        self,
        *,
        early: bool = False,
        accept_withdrawals: bool = False,
        anew: bool = False,
        progress: Callable[[int], object] = lambda _: None,
    ) -> Pulled | None:
        """Look at the feed; none if it is not due or another worker is at it.

        Args:
            early: look even if it is not due.
            accept_withdrawals: take in a batch however much it withdraws.
            anew: read everything from the beginning, and take back what the source does not say any more; only where a
                source forgets what it took back (`Feed.forgets_after`).
            progress: is told how many items were taken in so far.

        Raises:
            StoreUnavailable: the store cannot be used.
        """
        with self._store.write() as connection:
            if not states.claim(connection, self._name, self._owner, self._clock(), self._lease, early=early):
                return None
            checkpoint = checkpoint_of(connection, self._name)
        done, trouble, after = Pulled(self._name), None, None
        try:
            for applied in self._batches(checkpoint, accept_withdrawals, anew):
                done = done.plus(applied)
                progress(done.added + done.corrected + done.withdrawn + done.unchanged)
        except StoreUnavailable:
            raise
        except Exception as error:
            trouble = _trouble(error)
            after = error.after if isinstance(error, RetryLater) else None
            _logger.warning("feed %s: %s: %s", self._name, *trouble)
        self._end(trouble, after)
        self._metrics.feed_looked(self._name, trouble[0] if trouble else "ok", self._clock())
        return done if trouble is None else replace(done, state=trouble[0], why=trouble[1])

    def _batches(self, checkpoint: str | None, accept_withdrawals: bool, anew: bool) -> Any:
        budget = Budget(self._feed.settings)
        for changes in self._whole(budget) if anew else self._feed.fetch(checkpoint, budget):
            if changes.source != self._name:
                raise FeedRefused("a batch is of another source than the feed")
            budget.brought(len(changes.said) + len(changes.withdrawn))
            if not accept_withdrawals:
                self._check_withdrawn(changes)
            yield apply_changes(self._store, changes, self._clock(), most_matches=self._most_matches, first=self._keep)

    def _whole(self, budget: Budget) -> Iterator[Changes]:
        """Yield all that a source of changes says now as one batch."""
        if self._feed.forgets_after is None:
            raise FeedRefused("needs no reading anew: what it takes back is never forgotten")
        said: dict[tuple[str, str], Indicator] = {}
        last = None
        for page in self._feed.fetch(None, budget):
            said.update(((each.digest, each.reference), each) for each in page.said)
            for gone in page.withdrawn:
                said.pop((gone.digest, gone.reference), None)
            last = page.checkpoint
            budget.brought(len(said))
        yield Changes(self._name, list(said.values()), complete=True, checkpoint=last)

    def _keep(self, connection: Connection) -> None:
        states.keep(connection, self._name, self._owner, self._clock(), self._lease)

    def _check_withdrawn(self, changes: Changes) -> None:
        """Refuse a batch that takes back most of what the source says: it is more likely cut off than right."""
        if not (changes.complete or changes.withdrawn):
            return
        names = ((each.digest, each.reference) for each in changes.withdrawn)
        with self._store.read() as connection:
            gone = counting_among(connection, self._name, names)
            if changes.complete:
                there = set(names_counting(connection, self._name, changes.parts))
                gone |= there - {(each.digest, each.reference) for each in changes.said}
            gone -= _moved(gone, changes)
            if len(gone) <= _FEW:
                return
            counting = how_many_count(connection, self._name)
        most = self._feed.settings.most_withdrawn
        if len(gone) * 100 > most * counting:
            raise FeedRefused(
                f"would withdraw {len(gone)} of {counting} items, and may {most} % (`most_withdrawn`); "
                f"if that is right: paycordon feed pull {self._name} --accept-withdrawals"
            )

    def _end(self, trouble: tuple[str, str] | None, after: timedelta | None) -> None:
        now, every = self._clock(), self._feed.settings.every
        with self._store.write() as connection:
            pause = every
            if trouble is not None:
                failed, _ = states.failures(connection, self._name)
                pause = max(every, after or min(every * 2 ** min(failed, 16), LONGEST_PAUSE))
            if trouble is not None and trouble[0] == states.WAITING:
                pause = every  # once a person has agreed, the same batch goes through
            if states.end(connection, self._name, self._owner, now, now + pause, trouble):
                # What is refused a second time is no file that was read while it was written.
                patience = 2 if every >= _SLOW or (trouble and trouble[0] == "refused") else _PATIENCE
                states.tell(connection, self._name, trouble, now, patience=patience)


def pullings(
    store: Store,
    feeds: Mapping[str, Feed[Any]],
    most_matches: Mapping[str, int],
    owner: str,
    clock: Callable[[], datetime] = utc_now,
    metrics: Metrics | None = None,
) -> dict[str, Pulling]:
    """Return what looks at each feed; `most_matches` by source, 100 where a source is not named."""
    return {
        name: Pulling(store, feed, owner=owner, most_matches=most_matches.get(name, 100), clock=clock, metrics=metrics)
        for name, feed in feeds.items()
    }


def _moved(gone: set[tuple[str, str]], changes: Changes) -> set[tuple[str, str]]:
    """Return what is not taken back but said again under another key: digests begin with their key's id."""
    keys = {each.digest.partition(":")[0] for each in changes.said}
    references = {each.reference for each in changes.said}
    return {(d, r) for d, r in gone if d.partition(":")[0] not in keys and r in references}


def _trouble(error: Exception) -> tuple[str, str]:
    if isinstance(error, FeedRefused):
        return "refused", str(error)
    if isinstance(error, ApprovalRequired):
        return states.WAITING, str(error)
    if isinstance(error, RetryLater | Conflict):
        return "failed", str(error)
    # The text of an unforeseen exception may repeat a value.
    return "failed", f"the feed failed with {type_and_place(error)}"
