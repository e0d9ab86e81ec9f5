"""The list as members get to see it: outputs in buckets of one size, in a file that is mapped into memory.

A bucket is named by the first bits of an output. As many bits are used as leave at least `minimum` true entries in the
emptiest bucket: whoever asks could mean any of them. All buckets are filled up to the size of the fullest with entries
that look like true ones, and sorted, so that neither an answer's length nor its order says anything. What fills them
is drawn from the key and stays as long as the key does: were it another each time, whoever compares two states of a
list would be left with the true entries.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby, islice
from pathlib import Path

from paycordon.errors import ConfigError
from paycordon.hub.wire import ENTRY_BYTES, INDEX_BYTES, MAX_BITS, RECORD_BYTES, bucket_of

_ROUNDED = 32  # capacities are multiples of it, so that they say less about the number of entries
_PARTS = 256
_DRAWN = hashlib.blake2b.MAX_DIGEST_SIZE // ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class Built:
    """A list that was written.

    Attributes:
        name: the file's name without its ending: the digest of its content.
        entries: how many different identifiers it holds.
        bits, capacity, smallest: as of `Epoch`.
    """

    name: str
    entries: int
    bits: int
    capacity: int
    smallest: int


class Collector:
    """Gathers records in any order and writes them as buckets; holds 12 bytes a record in memory."""

    def __init__(self) -> None:
        self._parts = [bytearray() for _ in range(_PARTS)]

    def add(self, records: bytes) -> None:
        """Take records, one after the other."""
        parts = self._parts
        for at in range(0, len(records), RECORD_BYTES):
            parts[records[at]] += records[at : at + RECORD_BYTES]

    def write(self, directory: Path, minimum: int, padding: bytes) -> Built:
        """Write all buckets to a new file, durable when this returns; the collector is used up.

        Args:
            directory: where lists lie.
            minimum: how many true entries a bucket has at least, if there are so many.
            padding: a secret of the key's own, from which the entries that fill buckets are drawn.
        """
        for number, part in enumerate(self._parts):
            self._parts[number] = bytearray(b"".join(sorted(set(_split(part)))))
        entries = sum(map(len, self._parts)) // RECORD_BYTES
        bits, counts = _anonymous(self._counts(), minimum)
        capacity = max(-(-max(*counts, minimum) // _ROUNDED) * _ROUNDED, _ROUNDED)
        temporary = directory / "building.tmp"
        digest = hashlib.sha256()
        with temporary.open("wb") as file:
            for bucket in self._buckets(bits, capacity, padding):
                digest.update(bucket)
                file.write(bucket)
            file.flush()
            os.fsync(file.fileno())
        name = digest.hexdigest()[:32]
        temporary.replace(directory / f"{name}.buckets")
        return Built(name, entries, bits, capacity, min(counts))

    def _counts(self) -> list[int]:
        counts = [0] * 2**MAX_BITS
        for part in self._parts:
            for at in range(0, len(part), RECORD_BYTES):
                counts[(part[at] << 8) | part[at + 1]] += 1
        return counts

    def _buckets(self, bits: int, capacity: int, padding: bytes) -> Iterator[bytes]:
        records = (record for part in self._parts for record in _split(part))
        following = 0
        for number, group in groupby(records, lambda record: bucket_of(record, bits)):
            for empty in range(following, number):
                yield _filled([], capacity, _drawn(padding, empty, bits))
            entries = [record[INDEX_BYTES:] for record in group]
            yield _filled(entries, capacity, _drawn(padding, number, bits))
            following = number + 1
        for empty in range(following, 2**bits):
            yield _filled([], capacity, _drawn(padding, empty, bits))


class Buckets:
    """A list that was written, mapped into memory and shared by all processes that serve it.

    Raises:
        ConfigError: the file is missing or has another length than it should have.
    """

    def __init__(self, path: Path, bits: int, capacity: int) -> None:
        self._bytes, self._number = capacity * ENTRY_BYTES, 2**bits
        try:
            with path.open("rb") as file:
                # All pages at once: else the time of an answer would tell whether somebody has asked for it before.
                flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
                self._map = mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ)
        except (OSError, ValueError):
            raise ConfigError(f"the list `{path.name}` cannot be read", hint="run `paycordon hub build`") from None
        if len(self._map) != self._number * self._bytes:
            raise ConfigError(f"the list `{path.name}` is damaged", hint="run `paycordon hub build`")

    def bucket(self, number: int) -> bytes:
        """Return the entries of one bucket.

        Raises:
            IndexError: there is no such bucket.
        """
        if not 0 <= number < self._number:
            raise IndexError(number)
        return self._map[number * self._bytes : (number + 1) * self._bytes]


def entries_of(bucket: bytes) -> set[bytes]:
    """Take a bucket apart."""
    return {bucket[at : at + ENTRY_BYTES] for at in range(0, len(bucket), ENTRY_BYTES)}


def _split(records: bytes | bytearray) -> Iterator[bytes]:
    for at in range(0, len(records), RECORD_BYTES):
        yield bytes(records[at : at + RECORD_BYTES])


def _anonymous(counts: Sequence[int], minimum: int) -> tuple[int, Sequence[int]]:
    """Return the most bits that leave each bucket `minimum` entries, with the counts; 0 bits hide everything."""
    for bits in range(MAX_BITS, 0, -1):
        if min(counts) >= minimum:
            return bits, counts
        counts = [one + other for one, other in _pairs(counts)]
    return 0, counts


def _pairs(counts: Sequence[int]) -> Iterable[tuple[int, int]]:
    return zip(counts[::2], counts[1::2], strict=True)


def _filled(entries: Sequence[bytes], capacity: int, drawn: Iterator[bytes]) -> bytes:
    return b"".join(sorted([*entries, *islice(drawn, capacity - len(entries))]))


def _drawn(padding: bytes, number: int, bits: int) -> Iterator[bytes]:
    """Draw entries for a bucket, always the same in the same order.

    They are drawn for the finest buckets that there can be, in turn, so that most stay when buckets are put together
    or taken apart.
    """
    finer = 2 ** (MAX_BITS - bits)
    cells = range(number * finer, (number + 1) * finer)
    for turn in count():
        blocks = [
            hashlib.blake2b(cell.to_bytes(4, "big") + turn.to_bytes(4, "big"), key=padding).digest() for cell in cells
        ]
        for at in range(0, _DRAWN * ENTRY_BYTES, ENTRY_BYTES):
            yield from (block[at : at + ENTRY_BYTES] for block in blocks)
