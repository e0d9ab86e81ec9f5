"""Append to the log, in the transaction of what is logged.

Each entry's hash covers the hash before it, its number, time, kind and payload: whoever changes, removes, inserts or
reorders an entry breaks the chain at the first such place. Payloads name records by id and by the SHA-256 of their
stored text, so that the records themselves cannot be changed unseen either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import Connection, text

from paycordon.store.prepared import Prepared
from paycordon.store.schema import micros

GENESIS = bytes(32)
SALT_LENGTH = 32
_LOCK = 0x6C6F67

_head = Prepared(text("SELECT seq, hash FROM log ORDER BY seq DESC LIMIT 1"))
_lock = Prepared(text("SELECT pg_advisory_xact_lock(:lock)"))
_insert = Prepared(text("INSERT INTO log (seq, at, kind, payload, hash) VALUES (:seq, :at, :kind, :payload, :hash)"))

Payload = Mapping[str, str | int | list[str] | None]


def digest_of(stored: str) -> str:
    """Return the SHA-256 of a record's stored text, in hexadecimal."""
    return hashlib.sha256(stored.encode()).hexdigest()


def salted_digest(salt: str | None, stored: str) -> str:
    """Return the SHA-256 of a record's salt and stored text, in hexadecimal.

    What is left of an erased record is this digest. Without the salt, which is erased with the text, nobody can try out
    what the text may have been. Records of the first versions have no salt.
    """
    return digest_of(f"{salt or ''}{stored}")


def new_salt(randomness: Callable[[int], bytes]) -> str:
    """Return the salt of a new record: 128 random bits in hexadecimal."""
    return randomness(SALT_LENGTH // 2).hex()


def entry_hash(previous: bytes, seq: int, at: int, kind: str, payload: str) -> bytes:
    """Return the hash of an entry; `at` is in microseconds since the epoch."""
    digest = hashlib.sha256(previous)
    name, content = kind.encode(), payload.encode()
    digest.update(b"%d %d %d %d\n" % (seq, at, len(name), len(content)))
    digest.update(name)
    digest.update(content)
    return digest.digest()


def lock(connection: Connection) -> None:
    """Keep others from appending until the commit, on PostgreSQL; on SQLite a transaction that writes is alone."""
    if connection.dialect.name == "postgresql":
        _lock(connection, {"lock": _LOCK})


def append(connection: Connection, at: datetime, kind: str, payload: Payload) -> int:
    """Append one entry and return its number.

    Call it late in a transaction, with nothing after it but what carries the entry's number: on PostgreSQL it takes the
    lock that keeps the chain in one line, until the commit.
    """
    lock(connection)
    seq, previous = _head(connection).first() or (0, GENESIS)
    content = json.dumps(payload, separators=(",", ":"), sort_keys=True)
    moment = micros(at)
    row = {"seq": seq + 1, "at": moment, "kind": kind, "payload": content}
    row["hash"] = entry_hash(bytes(previous), seq + 1, moment, kind, content)
    _insert(connection, row)
    return int(seq) + 1
