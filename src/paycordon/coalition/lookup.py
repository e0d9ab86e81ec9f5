"""A file that says in a microsecond whether a digest may be known: sorted numbers, mapped into memory.

It holds 64 bits of each digest (`key`), in order, and where each range of them begins. Processes that map the same file
share its pages. It is derived from the store and never the truth: a digest that is not in it is not known as of its
position in the log; one that is in it has to be looked up.

Layout, in little-endian order: a header of 128 bytes, `2^bits + 1` numbers of 32 bits (how many keys are below each
range of equal leading bits), padding to 8 bytes, and the keys as numbers of 64 bits.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import secrets
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

_MAGIC = b"PCLOOKUP"
_VERSION = 1
_HEADER = struct.Struct("<8sHHIQQ32s32s")  # magic, version, bits, padding, position, count, log's hash, digest of rest
_HEADER_SIZE = 128
_KEYS_IN_RANGE = 10  # on average, so that a search compares three or four
_MOST_BITS = 24
_BUCKETS = 256
_CHUNK = 1 << 20


class LookupInvalid(Exception):
    """The file is none, is cut short, or is damaged: the store has to be asked instead."""


def key_of(digest: str) -> int:
    """Return 64 bits of a digest; two digests have the same only by chance, one in 10^19."""
    try:
        key = int(digest[-16:], 16)
    except ValueError:
        key = -1
    if key >= 0:
        return key
    # Not made by a `Digester`.
    return int.from_bytes(hashlib.sha256(digest.encode()).digest()[:8], "big")


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where a file knows the store: a position in the log, and the hash of the entry there."""

    position: int
    log_hash: bytes


class LookupFile:
    """An open file. Thread-safe; it goes on to work when a newer one has taken its place."""

    def __init__(self, mapped: mmap.mmap, mark: Mark, bits: int, count: int) -> None:
        self.mark = mark
        self._mapped = mapped
        self._shift = 64 - bits
        whole = memoryview(mapped)
        ends = _HEADER_SIZE + 4 * ((1 << bits) + 1)
        start = _start_of_keys(bits)
        self._ranges = whole[_HEADER_SIZE:ends].cast("I")
        self._keys = whole[start : start + 8 * count].cast("Q")

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a file, after its whole contents were compared with their digest.

        Raises:
            LookupInvalid: there is none, or it is not whole.
        """
        if sys.byteorder != "little":
            raise LookupInvalid("this machine orders bytes otherwise")
        try:
            with path.open("rb") as file:
                mark, bits, count, digest = _checked(file.read(_HEADER_SIZE), os.fstat(file.fileno()).st_size)
                if _digest_of(file, (_MAGIC, _VERSION, bits, 0, mark.position, count, mark.log_hash)) != digest:
                    raise LookupInvalid("it is damaged")
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise LookupInvalid(
                "there is none yet; a worker makes it, or `paycordon indicator lookup --build`"
            ) from None
        except (OSError, ValueError) as error:
            raise LookupInvalid(f"it cannot be read: {type(error).__name__}") from error
        if hasattr(mapped, "madvise"):
            mapped.madvise(mmap.MADV_RANDOM)
        return cls(mapped, mark, bits, count)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: int) -> bool:
        leading = key >> self._shift
        end = self._ranges[leading + 1]
        at = bisect_left(self._keys, key, self._ranges[leading], end)
        return at < end and self._keys[at] == key

    def merged(self, added: Sequence[int]) -> Iterator[bytes]:
        """Yield the keys as they are in the file, in order, with some more among them; `added` is sorted."""
        done = 0
        for key in added:
            at = bisect_left(self._keys, key, done)
            yield self._keys[done:at].tobytes()
            if at == len(self._keys) or self._keys[at] != key:
                yield key.to_bytes(8, "little")
            done = at
        yield self._keys[done:].tobytes()


def _digest_of(file: BinaryIO, fixed: tuple[bytes | int, ...]) -> bytes:
    digest = hashlib.sha256(_HEADER.pack(*fixed, bytes(32)))
    while part := file.read(_CHUNK):
        digest.update(part)
    return digest.digest()


def _start_of_keys(bits: int) -> int:
    end = _HEADER_SIZE + 4 * ((1 << bits) + 1)
    return end + -end % 8


def _checked(header: bytes, size: int) -> tuple[Mark, int, int, bytes]:
    if len(header) < _HEADER_SIZE:
        raise LookupInvalid("it is cut short")
    magic, version, bits, spare, position, count, log_hash, digest = _HEADER.unpack(header[: _HEADER.size])
    if (magic, version, spare) != (_MAGIC, _VERSION, 0) or bits > _MOST_BITS:
        raise LookupInvalid("it is of another kind")
    if size != _start_of_keys(bits) + 8 * count:
        raise LookupInvalid("it is cut short")
    return Mark(position, log_hash), bits, count, digest


def sorted_keys(keys: Iterable[int]) -> array[int]:
    """Sort keys and leave out doubles, in little more memory than they take themselves."""
    buckets = [array("Q") for _ in range(_BUCKETS)]
    for key in keys:
        buckets[key >> 56].append(key)
    out = array("Q")
    for number, bucket in enumerate(buckets):
        out.extend(sorted(set(bucket)))
        buckets[number] = array("Q")
    return out


def write(path: Path, parts: Iterable[bytes], mark: Mark) -> int:
    """Write a file of sorted keys in place of the one that is there, if there is one; returns how many they are.

    Readers see the old file or the new one, whole: it is written beside it, synced, and renamed. Nobody may write it in
    place, for whoever has mapped it would be killed by the machine when it gets shorter; so it is made read-only.

    Raises:
        OSError: the place cannot be written; what was there stays.
    """
    keys = array("Q")
    for part in parts:
        keys.frombytes(part)
    if sys.byteorder != "little":
        keys.byteswap()
    bits = min(_MOST_BITS, max(1, (len(keys) // _KEYS_IN_RANGE).bit_length()))
    ranges = array("I", _ranges(keys, bits))
    padding = bytes(_start_of_keys(bits) - _HEADER_SIZE - 4 * len(ranges))
    fixed = (_MAGIC, _VERSION, bits, 0, mark.position, len(keys), mark.log_hash)
    blank = _HEADER.pack(*fixed, bytes(32)).ljust(_HEADER_SIZE, b"\0")
    body = hashlib.sha256(_HEADER.pack(*fixed, bytes(32)))
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o400), "wb") as file:
            file.write(blank)
            for piece in (ranges.tobytes(), padding, keys):
                view = memoryview(piece).cast("B")
                for start in range(0, len(view), _CHUNK):
                    body.update(view[start : start + _CHUNK])
                    file.write(view[start : start + _CHUNK])
            file.seek(0)
            file.write(_HEADER.pack(*fixed, body.digest()).ljust(_HEADER_SIZE, b"\0"))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return len(keys)


def _ranges(keys: array[int], bits: int) -> Iterator[int]:
    """Yield, for each value of the leading bits, how many keys are below it; at last how many there are."""
    shift, at = 64 - bits, 0
    for leading in range(1 << bits):
        at = bisect_left(keys, leading << shift, at)
        yield at
    yield len(keys)
