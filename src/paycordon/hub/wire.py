"""What hub and member have agreed on: what is evaluated, how a result is split, what is sent.

All binary bodies are plain concatenations of parts of fixed size, so that a body's length follows from their number.
"""

from __future__ import annotations

from dataclasses import dataclass

from paycordon.coalition.identifiers import normalise
from paycordon.events import Identifier

BATCH = 64  # so many identifiers in one request, at most
INDEX_BYTES = 4
ENTRY_BYTES = 8
RECORD_BYTES = INDEX_BYTES + ENTRY_BYTES
MAX_BITS = 16
BINARY = "application/octet-stream"
_DOMAIN = b"paycordon-hub-1"


def private_input(identifier: Identifier) -> bytes:
    """Return what is evaluated for an identifier: its kind and its normalised value, so that all members agree."""
    return b"\0".join((_DOMAIN, str(identifier.kind).encode(), normalise(identifier).encode()))


def record_of(output: bytes) -> bytes:
    """Return what is kept of an output: 4 bytes that choose the bucket, and 8 that are compared.

    Two different identifiers in a bucket of 2,000 look the same once in 2^53 lookups.
    """
    return output[:RECORD_BYTES]


def bucket_of(record: bytes, bits: int) -> int:
    """Return the number of the bucket a record belongs to, of 2^bits."""
    return int.from_bytes(record[:INDEX_BYTES], "big") >> (8 * INDEX_BYTES - bits)


@dataclass(frozen=True, slots=True)
class Epoch:
    """A key in use and the list that was built under it, as members see them.

    Attributes:
        number: counts the hub's keys from 1.
        public_key: what members pin, in hexadecimal.
        list: names this state of the list; any change gives another name.
        bits: how many bits of an output a member names when it asks for a bucket.
        capacity: how many entries each bucket has, padding included.
        smallest: the k of k-anonymity: how many true entries the emptiest bucket has.
        ends_at: when the key is given up, UTC in ISO 8601, if that is known.
    """

    number: int
    public_key: str
    list: str
    bits: int
    capacity: int
    smallest: int
    ends_at: str | None = None
