"""Keep the right policies in force: read the files, see who signed, record, hand over; again whenever they change.

Every process looks once a second. What it finds is taken only when two looks in a row see the same files, so that a
directory that is just being written is left alone, and then all at once. What is broken, or not signed as the
configuration demands, is refused loudly and what is in force stays in force, until the files change again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import Connection

from paycordon.config import Config
from paycordon.errors import ConfigError, Conflict, NotFound, PolicyError, Position, StoreUnavailable, type_and_place
from paycordon.metrics import Metrics
from paycordon.policy.approval import Approval, Unapproved, assess
from paycordon.policy.load import PolicyFiles, Stored, load_set, read_file, root_of
from paycordon.policy.model import PolicySet
from paycordon.policy.signing import DIRECTORY, find, keys_of
from paycordon.store import Store
from paycordon.store import policies as kept
from paycordon.store.lists import StoredLists, version

INTERVAL = timedelta(seconds=1)
MARKER = ".rollback"
"""A file beside the policies while they are being replaced: what lies there then is neither the old nor the new set."""

_TRIES = 5
_AT_START = timedelta(seconds=5)
_PAUSE = 0.1
_MOST_NAMED = 20
_logger = logging.getLogger("paycordon")

_State = tuple[int, ...] | None
Fingerprint = tuple[tuple[str, _State], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the files say, and what it would take to bring that into force."""

    policies: PolicySet
    files: PolicyFiles
    approval: Approval
    previous: str | None


def read(
    config: Config, stored: Stored, *, reader: Callable[[Path], bytes] = read_file
) -> tuple[PolicySet, PolicyFiles]:
    """Read the policies that the configuration names.

    Raises:
        ConfigError: they cannot be used, or are just being replaced.
    """
    files = config.policy_files()
    marker = root_of(files) / MARKER
    if marker.exists():
        hint = "run `paycordon policy rollback` again"
        raise PolicyError("the policies are being rolled back", position=Position(marker), hint=hint)
    return load_set(files, read=reader, stored=stored), files


def examine(
    config: Config, store: Store, policies: PolicySet, files: PolicyFiles, signatures: Sequence[str] = ()
) -> Candidate:
    """Compare a set with the one in force, and see whether it is signed as it has to be.

    Args:
        config: says whose signatures count.
        store: knows what is in force.
        policies: the set.
        files: where its files are, and its signatures beside them.
        signatures: those it had when it was in force before.

    Raises:
        ConfigError: a signer's key cannot be used.
        StoreUnavailable: the store cannot be read.
    """
    root = root_of(files)
    with store.read() as connection:
        newest = kept.in_force(connection)
        old = policies if newest is not None and newest.digest == policies.digest else None
        if newest is not None and old is None:
            old = _readable(connection, newest, root)
    beside = find(root, policies.digest)
    known = {text for _, text in beside}
    approval = assess(
        old,
        policies,
        [*beside, *(("kept in the store", text) for text in signatures if text not in known)],
        keys_of(config.approvals.signers),
        required=config.approvals.required,
        comparable=old is not None or newest is None,
    )
    return Candidate(policies, files, approval, newest.digest if newest else None)


def _readable(connection: Connection, newest: kept.Kept, root: Path) -> PolicySet | None:
    try:
        return kept.load(connection, newest, root)
    except (PolicyError, NotFound):
        return None


def take(config: Config, store: Store, policies: PolicySet, files: PolicyFiles, now: datetime) -> Approval:
    """Bring a set into force: in the store and its log, before anything is judged with it.

    Raises:
        Unapproved: signatures are missing.
        ConfigError: a signer's key cannot be used.
        StoreUnavailable: the store cannot be used; nothing was done.
    """
    for _ in range(_TRIES):
        candidate = examine(config, store, policies, files)
        approval = candidate.approval
        approval.demand()
        if candidate.previous == policies.digest:
            return approval
        signatures = [each.text for each in approval.signed.signatures]
        try:
            with store.write() as connection:
                kept.take(
                    connection,
                    policies,
                    kept.manifest_of(policies, files, signatures),
                    previous=candidate.previous,
                    signers=[f"{each.signer} ({each.role})" for each in approval.signed.signatures],
                    changes=brief(approval),
                    now=now,
                )
        except Conflict:
            continue
        return approval
    raise StoreUnavailable("other policies came into force again and again meanwhile")


def brief(approval: Approval) -> list[str]:
    """Say in a few lines what has changed, the weightiest first."""
    ordered = sorted(approval.changes, key=lambda change: change.why is None)
    more = len(ordered) - _MOST_NAMED
    return [*map(str, ordered[:_MOST_NAMED]), *([f"and {more} more"] if more > 0 else [])]


class Reloader:
    """Keeps an engine's policies up to date, in a thread of its own.

    Args:
        config: says where policies are, and what they need.
        store: where sets in force and lists are kept.
        metrics: learns what is in force, and whether anything was refused.
        clock: says what time it is, UTC.
        interval: how often to look.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        metrics: Metrics,
        clock: Callable[[], datetime],
        interval: timedelta = INTERVAL,
    ) -> None:
        self._config = config
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._interval = interval.total_seconds()
        self._looked: dict[Path, _State] = {}  # what was read, and how it was just before
        self._seen: Fingerprint = ()
        self._settled: Fingerprint = ()
        self._files: PolicyFiles | None = None
        self._policies = PolicySet()
        self._lists: tuple[int, ...] = ()
        self._unapproved: str | None = None
        self._adopt: Callable[[PolicySet], None] = lambda _: None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, monotonic: Callable[[], float] = time.monotonic) -> PolicySet:
        """Bring what the files say into force; at the start there is nothing to fall back on.

        Raises:
            ConfigError: it cannot be used, or is not signed as it has to be.
            StoreUnavailable: the store could not be used for several seconds.
        """
        until = monotonic() + _AT_START.total_seconds()
        while True:
            try:
                return self._take()
            except (StoreUnavailable, _Moving) as error:
                # Others may start at the same moment, and a caller's patience is shorter than a start may take.
                if monotonic() >= until:
                    if isinstance(error, StoreUnavailable):
                        raise
                    raise PolicyError("the policies keep changing while they are read", hint="start again") from None
                self._stop.wait(_PAUSE)

    def start(self, adopt: Callable[[PolicySet], None]) -> None:
        """Look again and again, and hand over every new set; a daemon thread, until `close`."""
        self._adopt = adopt
        self._thread = threading.Thread(target=self._run, name="paycordon policies", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> bool:
        """Look once; returns whether other policies, or other contents of lists, were handed over.

        Raises:
            StoreUnavailable: the store cannot be used; the next look tries again.
        """
        seen = self._fingerprint()
        if seen != self._seen:
            self._seen = seen  # somebody may be writing: only what a second look finds unchanged is read
            return False
        if seen != self._settled or self._is_taken_elsewhere():
            return self._reload()
        return self._refresh_lists()

    def _is_taken_elsewhere(self) -> bool:
        """Tell whether another process, which may have more signatures, took what was refused here into force."""
        if self._unapproved is None:
            return False
        with self._store.read() as connection:
            newest = kept.in_force(connection)
        return newest is not None and newest.digest == self._unapproved

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.look()
            except StoreUnavailable as error:
                _logger.warning("policies: %s; the next look is in %.0f s", error, self._interval)
            except Exception as error:  # a thread that ends by itself would be noticed too late
                # The text of an unforeseen exception may repeat what a policy says.
                _logger.critical("policies: failed with %s", type_and_place(error))
                self._metrics.policy_refused()

    def _reload(self) -> bool:
        before = self._policies
        try:
            taken = self._take()
        except _Moving:
            return False
        except ConfigError as error:
            self._refuse(error)
            return False
        except Exception:
            self._settled = ()  # not the fault of these files: the next look tries them again
            raise
        if taken.refs == before.refs:
            _logger.info("policies %s are in force as before", taken.digest[:12])
            return False
        _logger.warning("policies %s are in force instead of %s", taken.digest[:12], before.digest[:12])
        self._adopt(taken)
        return True

    def _refuse(self, error: ConfigError) -> None:
        self._metrics.policy_refused()
        if isinstance(error, Unapproved):
            why = f"{error.message} ({error.hint})"
        else:  # what is wrong with a policy may repeat it
            why = f"{error.position or 'the configuration'} is wrong; `paycordon doctor` says what"
        _logger.critical("changed policies are refused, %s stay in force: %s", self._policies.digest[:12], why)

    def _take(self) -> PolicySet:
        """Read the files and bring what they say into force.

        Raises:
            _Moving: a file changed meanwhile; nothing was done.
        """
        self._looked, self._unapproved = {}, None
        try:
            with self._store.read() as connection:
                policies, files = read(self._config, StoredLists(connection), reader=self._read)
                lists = version(connection, _lists_of(policies))
            self._note(root_of(files) / DIRECTORY / policies.digest)
        finally:
            # As it was before it was read: whatever changed since then makes the next look differ.
            self._settled = self._seen = self._fingerprint(self._looked)
        if self._fingerprint() != self._settled:
            raise _Moving
        self._unapproved = policies.digest
        take(self._config, self._store, policies, files, self._clock())
        self._unapproved = None
        self._files, self._policies, self._lists = files, policies, lists
        self._metrics.policy_in_force(policies.digest)
        return policies

    def _refresh_lists(self) -> bool:
        """Read the lists in the store again if anything about them has changed; the files stay those in force."""
        names = _lists_of(self._policies)
        if not names or self._files is None:
            return False
        with self._store.read() as connection:
            now = version(connection, names)
            if now == self._lists:
                return False
            sources: Mapping[Path, bytes] = {source.path: source.content for source in self._policies.sources}
            policies = load_set(self._files, read=sources.__getitem__, stored=StoredLists(connection))
        self._lists = now
        if policies.refs == self._policies.refs:
            return False
        self._policies = policies
        _logger.info("lists in the store have changed")
        self._adopt(policies)
        return True

    def _read(self, path: Path) -> bytes:
        self._note(path)
        return read_file(path)

    def _note(self, path: Path) -> None:
        self._looked[path] = _state(path)

    def _fingerprint(self, known: Mapping[Path, _State] = MappingProxyType({})) -> Fingerprint:
        """Return what tells whether any file that judges, or a signature, was added, changed or removed."""
        paths = set(self._looked)
        try:
            files = self._config.policy_files()
        except ConfigError as error:
            return (("", None), (str(error.position), None))
        paths |= {*files.policies, *(path for path in (files.bindings, files.rates) if path), root_of(files) / MARKER}
        return tuple((str(path), known[path] if path in known else _state(path)) for path in sorted(paths))


class _Moving(Exception):
    """Files changed while they were read."""


def _lists_of(policies: PolicySet) -> list[str]:
    return [ref.name.removeprefix("list:") for ref in policies.stored]


def _state(path: Path) -> _State:
    """Return what changes with the file, or, for a directory, with any file in it; none for one that is not there."""
    try:
        own = path.stat()
        inside = sorted(path.iterdir()) if path.is_dir() else []
        states = [own, *(each.stat() for each in inside)]
    except OSError:
        return None
    return tuple(n for each in states for n in (each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns))
