"""The log of what only the role `restricted` may know: a chain of its own.

What is done under directives must be recorded for good, and the length of the public log must say nothing about it.
Checkpoints of the public log commit to this chain's head as well, always, by a keyed digest: without the log's signing
key nobody can tell an empty chain from a long one, or whether it has grown.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Connection, text

from paycordon.record.log import GENESIS, Payload, entry_hash
from paycordon.store.prepared import Prepared
from paycordon.store.schema import micros

_LOCK = 0x726C6F67
_head = Prepared(text("SELECT seq, hash FROM restricted_log ORDER BY seq DESC LIMIT 1"))
_lock = Prepared(text("SELECT pg_advisory_xact_lock(:lock)"))
_insert = Prepared(
    text("INSERT INTO restricted_log (seq, at, kind, payload, hash) VALUES (:seq, :at, :kind, :payload, :hash)")
)
_all = text("SELECT seq, at, kind, payload, hash FROM restricted_log ORDER BY seq")
_statements = text("SELECT seq, statement, key_id FROM checkpoints ORDER BY seq")


def append(connection: Connection, at: datetime, kind: str, payload: Payload) -> int:
    """Append one entry and return its number; before `record.log.append`, where a transaction does both."""
    if connection.dialect.name == "postgresql":
        _lock(connection, {"lock": _LOCK})
    seq, previous = _head(connection).first() or (0, GENESIS)
    content = json.dumps(payload, separators=(",", ":"), sort_keys=True)
    row = {"seq": seq + 1, "at": micros(at), "kind": kind, "payload": content}
    row["hash"] = entry_hash(bytes(previous), seq + 1, micros(at), kind, content)
    _insert(connection, row)
    return int(seq) + 1


def commitment(connection: Connection, key: Ed25519PrivateKey, public_head: bytes) -> str:
    """Commit to the chain's head in a statement about the public log's head; 64 hexadecimal digits, whatever it is."""
    seq, head = _head(connection).first() or (0, GENESIS)
    return _committed(_derived(key), public_head, seq, bytes(head))


def verify(connection: Connection, key: Ed25519PrivateKey | None) -> tuple[int, Sequence[str]]:
    """Check the chain and, with the key that signs checkpoints, what they commit to.

    Returns:
        How many entries there are, and what is wrong.
    """
    problems: list[str] = []
    heads = [(0, GENESIS)]
    for row in connection.execute(_all):
        seq, previous = heads[-1]
        if row.seq != seq + 1 or entry_hash(previous, row.seq, row.at, row.kind, row.payload) != bytes(row.hash):
            problems.append(f"entry {row.seq} of the restricted log was changed, or one before it is missing")
            break
        heads.append((row.seq, bytes(row.hash)))
    if key is not None and not problems:
        problems += _doubts(connection, key, heads)
    return heads[-1][0], problems


def _doubts(connection: Connection, key: Ed25519PrivateKey, heads: Sequence[tuple[int, bytes]]) -> list[str]:
    """Find checkpoints that commit to no state this chain was ever in; it only grows, so one walk is enough."""
    from paycordon.keys import key_id_of

    derived, own, at = _derived(key), key_id_of(key.public_key()), 0
    found = []
    for seq, statement, key_id in connection.execute(_statements):
        said = json.loads(statement)
        if key_id != own or "restricted" not in said:
            continue
        about = bytes.fromhex(said["hash"])
        of_heads = ((i, _committed(derived, about, *heads[i])) for i in range(at, len(heads)))
        reached = next((i for i, digest in of_heads if hmac.compare_digest(digest, said["restricted"])), None)
        if reached is None:
            found.append(f"the checkpoint of entry {seq} commits to a restricted log that this one never was")
        else:
            at = reached
    return found


def _derived(key: Ed25519PrivateKey) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"paycordon restricted log").derive(key.private_bytes_raw())


def _committed(derived: bytes, public_head: bytes, seq: int, head: bytes) -> str:
    return hmac.new(derived, public_head + seq.to_bytes(8) + head, hashlib.sha256).hexdigest()
