"""Which of an event's digests are known at all, without reading the indicators: a file, and what came since.

The store remains the truth. The file is derived from it at one position of the log; what was added later is learnt
from `indicator_batches`, in the same transaction that judges the event, so that a decision has seen exactly what was
committed before it. What was withdrawn later is still in the file and is found to be gone when its row is read.

The file is used only while the log has, at its position, the entry that it was made after: a file of another store, of
one that was restored from a backup, or from the future is not. Whatever is wrong with it, the store is asked instead.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, text

from paycordon.coalition.lookup import LookupFile, LookupInvalid, Mark, key_of, sorted_keys, write
from paycordon.errors import StoreUnavailable, type_and_place
from paycordon.events import Event
from paycordon.store import Store
from paycordon.store.hits import Knows
from paycordon.store.indicator_rows import keys_since
from paycordon.store.prepared import Prepared
from paycordon.store.snapshot import Origin, origin

INTERVAL = 1.0
"""How often a process looks for a newer file, in seconds."""

MOST_PENDING = 500_000
"""When more was added than this since the file was made, the store is asked until there is a newer one."""

FOLD_FROM = 20_000
"""When so much was added since the file was made, a newer one is made."""

_PAGE = 50_000
_pending = Prepared(
    text(
        "SELECT COALESCE(SUM(LENGTH(keys)), 0) / 8 FROM indicator_batches "
        "WHERE position > :after AND position <= :until"
    )
)
_head = Prepared(
    text(
        "SELECT seq, hash, (SELECT COALESCE(MAX(position), 0) FROM indicator_batches), "
        "(SELECT hash FROM log WHERE seq = :position) FROM log ORDER BY seq DESC LIMIT 1"
    )
)
_page = Prepared(
    text(
        "SELECT DISTINCT digest FROM indicators WHERE withdrawn_at IS NULL AND digest > :after "
        "ORDER BY digest LIMIT :page"
    )
)
_logger = logging.getLogger("paycordon")


@dataclass(slots=True)
class View:
    """A file with what was added since; `upto` is the newest addition that `since` holds."""

    file: LookupFile
    upto: int
    since: set[int] = field(default_factory=set)

    def knows(self, digest: str) -> bool:
        """Tell whether a digest may be known; only if this is false is it certain."""
        key = key_of(digest)
        return key in self.file or key in self.since


class Lookup:
    """The file of a deployment, opened again whenever a newer one is there.

    Args:
        path: where it is, or will be.
        store: what it is derived from.
    """

    def __init__(self, path: Path, store: Store) -> None:
        self._path = path
        self._store = store
        self._view: View | None = None
        self._seen: tuple[int, ...] | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def view(self) -> View | None:
        """What there is now; ask `predicate` before it is used."""
        return self._view

    def start(self) -> None:
        """Look now, and then again and again, in a daemon thread, until `close`."""
        self.look()
        self._thread = threading.Thread(target=self._run, name="paycordon lookup", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Open the file if it is another one than before; one that cannot be used leaves things as they are."""
        seen = self._fingerprint()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            file = LookupFile.open(self._path)
        except LookupInvalid as error:
            if seen is not None:
                _logger.warning("the lookup of indicators cannot be used, the store is asked instead: %s", error)
            return
        # Whoever still uses the one before goes on with it; it is unmapped when the last of them is done.
        self._view = View(file, file.mark.position)

    def predicate(self, connection: Connection, view: View, newest: int, log_hash: bytes | None) -> Knows | None:
        """Return what tells whether a digest may be known to a transaction; none if the store has to be asked.

        Args:
            connection: in that transaction.
            view: as it was when `newest` and `log_hash` were asked for.
            newest: the position of the newest addition that the transaction sees.
            log_hash: the hash of the log's entry at the file's position, as it sees it.
        """
        if log_hash is None or bytes(log_hash) != view.file.mark.log_hash:
            return None
        if newest > view.upto and not self._learn(connection, view, newest):
            return None
        return view.knows

    def _learn(self, connection: Connection, view: View, newest: int) -> bool:
        with self._lock:
            if newest <= view.upto:
                return True
            where = {"after": view.upto, "until": newest}
            if len(view.since) + int(_pending(connection, where).scalar()) > MOST_PENDING:
                return False
            view.since.update(keys_since(connection, view.upto, newest))
            view.upto = newest
            return True

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            try:
                self.look()
                self._catch_up()
            except StoreUnavailable:
                continue  # screenings say so, each for itself
            except Exception as error:  # a thread that ends by itself would be noticed too late
                _logger.critical("lookup: failed with %s", type_and_place(error))

    def _catch_up(self) -> None:
        """Learn what is new before somebody has to wait for it."""
        if (view := self._view) is None:
            return
        with self._store.read() as connection:
            head = _head(connection, {"position": view.file.mark.position}).first()
            if head is not None:
                self.predicate(connection, view, head[2], head[3])

    def _fingerprint(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def origin_and_lookup(
    lookup: Lookup | None, connection: Connection, event: Event, now: datetime
) -> tuple[Origin, Knows | None]:
    """Find where an event comes from (`snapshot.origin`), and what tells which digests this transaction knows at all.

    Without a lookup, or with one that does not fit this transaction, nothing tells, and the store has to be asked.
    """
    view = lookup.view if lookup is not None else None
    if lookup is None or view is None:
        return origin(connection, event, now), None
    found = origin(connection, event, now, view.file.mark.position)
    return found, lookup.predicate(connection, view, found.added, found.marked)


def build(store: Store, path: Path, progress: Callable[[int], None] = lambda _: None) -> int:
    """Make the file anew from all indicators that count; returns how many digests it holds.

    Args:
        store: what it is derived from, read in one transaction.
        path: where it goes; readers see the one before or the new one, whole.
        progress: is told how many digests were read so far.

    Raises:
        StoreUnavailable: the store cannot be read.
        OSError: the place cannot be written.
    """
    with store.read() as connection:
        seq, log_hash, _, _ = _head(connection, {"position": 0}).first() or (0, bytes(32), 0, None)
        keys = sorted_keys(_all_keys(connection, progress))
    return write(path, [keys.tobytes()], Mark(int(seq), bytes(log_hash)))


@dataclass(frozen=True, slots=True)
class State:
    """How a file stands towards the store: what it holds, how much was added since, and why it is not used, if not."""

    digests: int = 0
    position: int = 0
    since: int = 0
    trouble: str | None = None


def state(store: Store, path: Path) -> State:
    """Look at a file without using it.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    try:
        file = LookupFile.open(path)
    except LookupInvalid as error:
        return State(trouble=str(error))
    position = file.mark.position
    with store.read() as connection:
        head = _head(connection, {"position": position}).first()
        if head is None or head[3] is None or bytes(head[3]) != file.mark.log_hash:
            return State(len(file), position, trouble="it was made from another store, or from one that was restored")
        since = int(_pending(connection, {"after": position, "until": head[2]}).scalar())
    return State(len(file), position, since, "too much was added since" if since > MOST_PENDING else None)


def refresh(store: Store, path: Path) -> bool:
    """Make a newer file if the one that is there cannot be used, or much was added since; tells whether it did.

    What was added is put among what is in the file; what was withdrawn stays in it until it is made anew.

    Raises:
        StoreUnavailable: the store cannot be read.
        OSError: the place cannot be written.
    """
    try:
        file = LookupFile.open(path)
    except LookupInvalid:
        build(store, path)
        return True
    with store.read() as connection:
        head = _head(connection, {"position": file.mark.position}).first()
        if head is None or head[3] is None or bytes(head[3]) != file.mark.log_hash:
            pending = None
        else:
            where = {"after": file.mark.position, "until": head[2]}
            if int(_pending(connection, where).scalar()) < FOLD_FROM:
                return False
            pending = keys_since(connection, file.mark.position, head[2])
    if head is None or pending is None:
        build(store, path)
    else:
        write(path, file.merged(sorted(pending)), Mark(int(head[0]), bytes(head[1])))
    return True


def _all_keys(connection: Connection, progress: Callable[[int], None]) -> Iterator[int]:
    after, done = "", 0
    while page := _page(connection, {"after": after, "page": _PAGE}).scalars():
        yield from map(key_of, page)
        after, done = page[-1], done + len(page)
        progress(done)
