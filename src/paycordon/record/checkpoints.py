"""Sign the head of the log, so that a chain recomputed from some entry on can be told from the real one.

A checkpoint says: at this time, the log's entry `seq` had this hash. It is stored beside the log and, to be of use
against somebody who can write the whole database, kept outside of it as well, one JSON line each.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import text

from paycordon.errors import ConfigError
from paycordon.keys import key_id_of, private_key_from, public_key_from
from paycordon.record import restricted
from paycordon.store import Store
from paycordon.store.schema import micros

_FORMAT = 1
_HASH_BYTES = 32
_head = text("SELECT seq, hash FROM log ORDER BY seq DESC LIMIT 1")
_last = text("SELECT COALESCE(MAX(seq), 0) FROM checkpoints")
_newest = text("SELECT statement, key_id, signature FROM checkpoints ORDER BY seq DESC LIMIT 1")
_insert = text(
    "INSERT INTO checkpoints (seq, at, statement, key_id, signature) "
    "VALUES (:seq, :at, :statement, :key_id, :signature) ON CONFLICT (seq) DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement about the log.

    Attributes:
        statement: the exact JSON text that was signed.
        key_id: names the signing key, see `key_id_of`.
        signature: Ed25519 over the statement's UTF-8 bytes.
        seq: the entry it speaks of, from the statement.
        hash: that entry's hash, from the statement.
        at: when it was made, from the statement, UTC.
    """

    statement: str
    key_id: str
    signature: bytes
    seq: int
    hash: bytes
    at: datetime

    @classmethod
    def read(cls, statement: str, key_id: str, signature: bytes) -> Self:
        """Read a checkpoint's statement; the signature is not looked at.

        Raises:
            ValueError: the statement is not one.
        """
        content = json.loads(statement)
        if not isinstance(content, dict) or content.get("paycordon_log") != _FORMAT:
            raise ValueError("not a statement about a log")
        seq, digest, at = (content.get(name) for name in ("seq", "hash", "at"))
        if type(seq) is not int or seq < 1 or not isinstance(digest, str) or not isinstance(at, str):
            raise ValueError("a statement without its parts")
        moment, raw = datetime.fromisoformat(at), bytes.fromhex(digest)
        if moment.tzinfo is None or len(raw) != _HASH_BYTES:
            raise ValueError("a statement with malformed parts")
        return cls(statement, key_id, signature, seq, raw, moment)

    def is_signed_by(self, key: Ed25519PublicKey) -> bool:
        """Tell whether `key` signed exactly this statement."""
        try:
            key.verify(self.signature, self.statement.encode())
        except InvalidSignature:
            return False
        return True


def checkpoint(store: Store, private_key: Ed25519PrivateKey, now: datetime) -> Checkpoint | None:
    """Sign the log's newest entry and store the statement; none when nothing was logged since the last one.

    Raises:
        StoreUnavailable: nothing was written.
    """
    with store.write() as connection:
        head = connection.execute(_head).one_or_none()
        if head is None or head.seq <= connection.execute(_last).scalar_one():
            return None
        content = {
            "paycordon_log": _FORMAT,
            "seq": head.seq,
            "hash": bytes(head.hash).hex(),
            "at": now.isoformat(),
            "restricted": restricted.commitment(connection, private_key, bytes(head.hash)),
        }
        statement = json.dumps(content, separators=(",", ":"))
        signature = private_key.sign(statement.encode())
        signed = Checkpoint.read(statement, key_id_of(private_key.public_key()), signature)
        row = {
            "seq": signed.seq,
            "at": micros(signed.at),
            "statement": statement,
            "key_id": signed.key_id,
            "signature": signature,
        }
        return signed if connection.execute(_insert, row).rowcount else None


def newest(store: Store) -> Checkpoint | None:
    """Return the checkpoint of the newest signed entry, if there is one.

    Raises:
        StoreUnavailable: the database cannot be used.
        ValueError: the stored statement is not one.
    """
    with store.read() as connection:
        row = connection.execute(_newest).one_or_none()
    return None if row is None else Checkpoint.read(row.statement, row.key_id, bytes(row.signature))


def export(signed: Checkpoint) -> str:
    """Return the checkpoint as one line of JSON, without the line's end."""
    content = {
        "statement": signed.statement,
        "key_id": signed.key_id,
        "signature": base64.b64encode(signed.signature).decode(),
    }
    return json.dumps(content, separators=(",", ":"))


def load(lines: Iterable[str]) -> list[Checkpoint]:
    """Read exported checkpoints, one a line; empty lines are passed over.

    Raises:
        ConfigError: a line is not a checkpoint; says which.
    """
    loaded = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                loaded.append(_from_line(json.loads(line)))
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise ConfigError(f"line {number} is not a checkpoint of a log") from error
    return loaded


def _from_line(content: Any) -> Checkpoint:
    signature = base64.b64decode(content["signature"], validate=True)
    return Checkpoint.read(str(content["statement"]), str(content["key_id"]), signature)


def load_private_key(pem: str) -> Ed25519PrivateKey:
    """Read the key that signs the log.

    Raises:
        ConfigError: the text is no unencrypted Ed25519 private key; it is not repeated.
    """
    return private_key_from(pem, "the signing key of the log", "make one with `paycordon init`")


def load_public_key(pem: str) -> Ed25519PublicKey:
    """Read the key that verifies the log.

    Raises:
        ConfigError: the text is no Ed25519 public key.
    """
    return public_key_from(pem, "the public key of the log")
