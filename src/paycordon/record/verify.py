"""Verify the log: the chain, its checkpoints, and the records it speaks of.

Runs in one read transaction and in bounded memory, whatever the size of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, text

from paycordon.keys import key_id_of
from paycordon.record.checkpoints import Checkpoint
from paycordon.record.crosscheck import CrossCheck
from paycordon.record.indicatorcheck import IndicatorCheck
from paycordon.record.log import GENESIS, entry_hash
from paycordon.record.policycheck import PolicyCheck
from paycordon.record.problems import Problem, Problems
from paycordon.store import Store

__all__ = ["LogReport", "Problem", "verify"]

_PAGE = 500

_first_page = text("SELECT seq, at, kind, payload, hash FROM log ORDER BY seq LIMIT :page")
_next_page = text("SELECT seq, at, kind, payload, hash FROM log WHERE seq > :last ORDER BY seq LIMIT :page")
_total = text("SELECT COUNT(*) FROM log")
_stored = text("SELECT seq, statement, key_id, signature FROM checkpoints WHERE seq > :last ORDER BY seq LIMIT :page")
_hash_at = text("SELECT hash FROM log WHERE seq = :seq")


@dataclass(frozen=True, slots=True)
class LogReport:
    """What a verification found.

    Attributes:
        entries: how many entries the log has.
        seq: the number of the newest one; 0 when the log is empty.
        hash: its hash, in hexadecimal.
        checkpoints: how many checkpoints agree with the log, stored and kept ones together.
        problems: what is wrong: the chain in its order, so that the first one names the first bad entry, then the
            checkpoints, then the records.
        more: how many further problems were found but are not listed.
    """

    entries: int
    seq: int
    hash: str
    checkpoints: int
    problems: tuple[Problem, ...]
    more: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(
    store: Store,
    *,
    public_keys: Sequence[Ed25519PublicKey] = (),
    kept: Sequence[Checkpoint] = (),
    progress: Callable[[int, int], None] | None = None,
) -> LogReport:
    """Recompute the log's chain and compare it with its checkpoints and with the records that it names.

    A chain that somebody recomputed up to its head is told from the real one only by a checkpoint: by one that is
    stored, if its signature can be checked, and by one that was kept outside of the database in any case.

    Args:
        store: where the log is.
        public_keys: the keys that checkpoints may be signed with; without any, signatures are not checked.
        kept: checkpoints that were kept outside of the database.
        progress: called now and then with how many entries were read, and how many there are.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    of_log, of_records = Problems(), Problems()
    chain = _Chain(of_log)
    read = 0
    with store.read() as connection, CrossCheck(connection, of_records) as records:
        policies = PolicyCheck(connection, of_records)
        indicators = IndicatorCheck(connection, of_records)
        total = int(connection.execute(_total).scalar_one())
        for page in _pages(connection):
            for row in page:
                chain.take(row)
            records.take(page)
            policies.take(page)
            indicators.take(page)
            read += len(page)
            if progress is not None:
                progress(read, total)
        chain.end()
        comparison = _Comparison(connection, of_log, chain.seq, public_keys)
        comparison.compare_stored()
        comparison.compare_kept(kept)
        records.end()
        policies.end()
        indicators.end()
    problems = (*of_log.listed, *of_records.listed)
    return LogReport(read, chain.seq, chain.hash.hex(), comparison.agreed, problems, of_log.more + of_records.more)


def _pages(connection: Connection) -> Iterator[Sequence[Any]]:
    page = connection.execute(_first_page, {"page": _PAGE}).all()
    while page:
        yield page
        page = connection.execute(_next_page, {"last": page[-1].seq, "page": _PAGE}).all()


class _Chain:
    """Follows the chain. After a break it goes on from the stored hash, so that a second break is found as well."""

    def __init__(self, problems: Problems) -> None:
        self.seq = 0
        self.hash = GENESIS
        self._problems = problems
        # What the newest entry's hash should be, as long as it is not known whether its hash or its content is wrong.
        self._computed: bytes | None = None
        self._broken_before = False

    def take(self, row: Any) -> None:
        if type(row.seq) is not int or row.seq < 1:
            self._problems.add("inserted", f"entry {row.seq}: was inserted; the first entry is entry 1")
            return
        stored = row.hash if isinstance(row.hash, bytes) else b""
        if row.seq > self.seq + 1:
            self.end()
            self._note_gap(row.seq)
            self._computed = None
        else:
            self._follow(row, stored)
        self.seq, self.hash = row.seq, stored

    def _follow(self, row: Any, stored: bytes) -> None:
        computed = _computed(self.hash, row)
        if self._computed is None:
            self._broken_before = False
            self._computed = None if stored == computed else computed
        elif stored == computed:
            self._settle("changed", self._content_changed())
        elif stored == _computed(self._computed, row):
            self._settle("changed", f"entry {self.seq}: its hash was changed")
        else:
            self._settle("changed", f"entry {self.seq}: does not follow from entry {self.seq - 1}")
            self._computed, self._broken_before = computed, True

    def end(self) -> None:
        """Say what is known of the newest entry, for nothing follows it."""
        if self._computed is not None:
            self._settle("changed", self._content_changed())

    def _content_changed(self) -> str:
        if self._broken_before:
            return f"entry {self.seq}: does not follow from entry {self.seq - 1}"
        replaced = f" (or entry {self.seq - 1} was replaced as a whole)" if self.seq > 1 else ""
        return f"entry {self.seq}: its time, kind or payload was changed{replaced}"

    def _settle(self, what: str, sentence: str) -> None:
        self._problems.add(what, sentence, entry=self.seq)
        self._computed, self._broken_before = None, False

    def _note_gap(self, found: int) -> None:
        first, last = self.seq + 1, found - 1
        sentence = f"entry {first}: is missing" if first == last else f"entry {first}: is missing, up to entry {last}"
        self._problems.add("missing", sentence, entry=first)


def _computed(previous: bytes, row: Any) -> bytes:
    """Recompute an entry's hash; a column of the wrong type, which SQLite lets anybody store, equals no hash."""
    if type(row.at) is int and isinstance(row.kind, str) and isinstance(row.payload, str):
        return entry_hash(previous, row.seq, row.at, row.kind, row.payload)
    return b"none"


class _Comparison:
    """Compares checkpoints with the log."""

    def __init__(
        self, connection: Connection, problems: Problems, head: int, public_keys: Sequence[Ed25519PublicKey]
    ) -> None:
        self.agreed = 0
        self._connection = connection
        self._problems = problems
        self._head = head
        self._keys = {key_id_of(key): key for key in public_keys}

    def compare_stored(self) -> None:
        last = 0
        while page := self._connection.execute(_stored, {"last": last, "page": _PAGE}).all():
            for row in page:
                last = row.seq
                signed = _readable(row)
                if signed is None:
                    self._problems.add("checkpoint", f"checkpoint {row.seq}: was changed", entry=row.seq)
                else:
                    self._compare(signed, "checkpoint")

    def compare_kept(self, kept: Sequence[Checkpoint]) -> None:
        for signed in kept:
            self._compare(signed, "kept checkpoint")

    def _compare(self, signed: Checkpoint, name: str) -> None:
        doubt = self._doubt(signed)
        if doubt:
            self._problems.add("checkpoint", f"{name} {signed.seq}: {doubt}", entry=signed.seq)
            return
        stored = self._connection.execute(_hash_at, {"seq": signed.seq}).scalar()
        if stored == signed.hash:
            self.agreed += 1
        elif signed.seq > self._head:
            self._problems.add(
                "truncated",
                f"entry {self._head + 1}: is missing, up to entry {signed.seq} of the {name} signed at {signed.at}",
                entry=self._head + 1,
            )
        elif stored is not None:  # a gap was reported already
            self._problems.add(
                "changed",
                f"entry {signed.seq}: its hash is not that of the {name} signed at {signed.at}: "
                "it, or one before it, was replaced and the chain recomputed",
                entry=signed.seq,
            )

    def _doubt(self, signed: Checkpoint) -> str:
        if not self._keys:
            return ""
        key = self._keys.get(signed.key_id)
        if key is None:
            return f"is signed with the key `{signed.key_id}`, which is not among those given"
        return "" if signed.is_signed_by(key) else "its signature is wrong"


def _readable(row: Any) -> Checkpoint | None:
    try:
        signed = Checkpoint.read(row.statement, row.key_id, bytes(row.signature))
    except (ValueError, TypeError, RecursionError):
        return None
    return signed if signed.seq == row.seq else None
