"""Signatures of people under a policy set: Ed25519 over its digest.

A signature says: I, `alice`, am the author of (or agree to) the set with this digest. It covers all files that judge,
so a set with one byte changed has no signatures. Each is a file of its own beside the policies,
`.signatures/DIGEST/ROLE-NAME.json`, so that two people who sign in two branches do not get into each other's way.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from paycordon.errors import ConfigError

if TYPE_CHECKING:  # cryptography is loaded only where there are signatures
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

DIRECTORY = ".signatures"
_FORMAT = 1
_DOMAIN = b"paycordon policy signature v1\n"
"""Precedes what is signed, so that a signature made for anything else, a log checkpoint say, is none here."""
_MAX_FILES, _MAX_BYTES = 64, 8_192


class Role(StrEnum):
    """As what somebody signs: nobody can be both under one set."""

    AUTHOR = "author"
    APPROVER = "approver"


@dataclass(frozen=True, slots=True)
class Signature:
    """One person's signature.

    Attributes:
        statement: the exact JSON text that was signed.
        signature: Ed25519 over the domain and the statement's UTF-8 bytes.
        digest: the set it is about, from the statement.
        role: as what it was made, from the statement.
        signer: who says to have made it, from the statement.
        at: when it was made, from the statement, UTC.
    """

    statement: str
    signature: bytes
    digest: str
    role: Role
    signer: str
    at: datetime

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a signature as `text` writes it; whether it is genuine is not looked at.

        Raises:
            ValueError: it is not one.
        """
        outer = _mapping(json.loads(text))
        statement = outer.get("statement")
        inner = _mapping(json.loads(statement)) if isinstance(statement, str) else {}
        digest, signer, at = (inner.get(name) for name in ("digest", "signer", "at"))
        if inner.get("paycordon_policy") != _FORMAT or not isinstance(digest, str) or not isinstance(signer, str):
            raise ValueError("not a signature under a policy set")
        moment = datetime.fromisoformat(str(at))
        if moment.tzinfo is None:
            raise ValueError("a time without its zone")
        raw = base64.b64decode(str(outer.get("signature")), validate=True)
        return cls(str(statement), raw, digest, Role(str(inner.get("role"))), signer, moment)

    @property
    def text(self) -> str:
        """The signature as one line of JSON, with the line's end."""
        content = {"statement": self.statement, "signature": base64.b64encode(self.signature).decode()}
        return json.dumps(content) + "\n"

    @property
    def file(self) -> str:
        """The path it belongs at, from the directory of the policies."""
        return f"{DIRECTORY}/{self.digest}/{self.role}-{self.signer}.json"

    def is_by(self, key: Ed25519PublicKey) -> bool:
        """Tell whether `key` signed exactly this statement."""
        from cryptography.exceptions import InvalidSignature

        try:
            key.verify(self.signature, _DOMAIN + self.statement.encode())
        except InvalidSignature:
            return False
        return True


def sign(key: Ed25519PrivateKey, digest: str, role: Role, signer: str, now: datetime) -> Signature:
    """Sign a policy set.

    Args:
        key: the signer's.
        digest: that of the set, see `PolicySet.digest`.
        role: as what.
        signer: the name under which the key is configured.
        now: the time, aware.
    """
    content = {"paycordon_policy": _FORMAT, "digest": digest, "role": role, "signer": signer, "at": now.isoformat()}
    statement = json.dumps(content, separators=(",", ":"))
    signature = key.sign(_DOMAIN + statement.encode())
    return Signature(statement, signature, digest, role, signer, now)


def keys_of(signers: Mapping[str, str]) -> Mapping[str, Ed25519PublicKey]:
    """Read the public keys of a configuration, given as PEM by name.

    Raises:
        ConfigError: one is no key, or two people have the same: then nobody knows how many have signed.
    """
    if not signers:
        return {}
    from paycordon.keys import public_key_from

    keys = {name: public_key_from(pem, f"the public key of the signer `{name}`") for name, pem in signers.items()}
    owners: dict[bytes, str] = {}
    for name, key in keys.items():
        other = owners.setdefault(key.public_bytes_raw(), name)
        if other != name:
            hint = "each person makes a key of their own: `paycordon policy keygen NAME`"
            raise ConfigError(f"the signers `{other}` and `{name}` have the same key", hint=hint)
    return keys


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed a set.

    Attributes:
        signatures: those that count, by role and name.
        refused: why others do not count, one sentence each, beginning with where they were found.
    """

    signatures: tuple[Signature, ...] = ()
    refused: tuple[str, ...] = ()

    def names(self, role: Role) -> tuple[str, ...]:
        """Who signed as author, or as approver."""
        return tuple(each.signer for each in self.signatures if each.role is role)


def check(digest: str, found: Iterable[tuple[str, str]], keys: Mapping[str, Ed25519PublicKey]) -> Signed:
    """Sort out which signatures count for a set.

    Args:
        digest: that of the set.
        found: the texts that were found, each after its place.
        keys: whose signatures count.
    """
    counting: dict[tuple[Role, str], Signature] = {}
    refused: list[str] = []
    for place, text in found:
        signature = _readable(text)
        doubt = "is no signature" if signature is None else _doubt(signature, digest, keys)
        if signature is not None and not doubt and (signature.role, signature.signer) in counting:
            doubt = f"`{signature.signer}` has signed as {signature.role} already"
        if doubt or signature is None:
            refused.append(f"{place}: {doubt}")
        else:
            counting[signature.role, signature.signer] = signature
    for role, signer in [key for key in counting if key[0] is Role.APPROVER]:
        if (Role.AUTHOR, signer) in counting:
            place = counting.pop((role, signer)).file
            refused.append(f"{place}: `{signer}` is an author of it, and cannot be the second person")
    return Signed(tuple(counting[key] for key in sorted(counting, key=_authors_first)), tuple(refused))


def find(directory: Path, digest: str) -> Sequence[tuple[str, str]]:
    """Return the signatures that lie beside the policies for one digest, each after its place; none that is huge.

    Args:
        directory: that of the policies.
        digest: that of the set.
    """
    folder = directory / DIRECTORY / digest
    try:
        files = sorted(folder.glob("*.json"))[:_MAX_FILES]
        return [(f"{DIRECTORY}/{digest}/{file.name}", _content(file)) for file in files]
    except OSError:
        return []


def _content(file: Path) -> str:
    with file.open("rb") as stream:
        return stream.read(_MAX_BYTES).decode("utf-8", errors="replace")


def _readable(text: str) -> Signature | None:
    try:
        return Signature.read(text)
    except (ValueError, TypeError, RecursionError):
        return None


def _doubt(signature: Signature, digest: str, keys: Mapping[str, Ed25519PublicKey]) -> str:
    if signature.digest != digest:
        return "is a signature under other policies"
    key = keys.get(signature.signer)
    if key is None:
        return "its signer is not among `approvals.signers`"
    return "" if signature.is_by(key) else f"was not made with the key of `{signature.signer}`"


def _authors_first(key: tuple[Role, str]) -> tuple[bool, str]:
    return key[0] is Role.APPROVER, key[1]


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("not a JSON object")
    return value
