"""Seal what is plain for as long as it has to be kept: AES-256-GCM under a key made of the current identifier key.

The key's id stands in front, so that a new identifier key changes nothing for what is sealed: it can be opened as long
as the old one is configured, which `paycordon indicator keys` counts. What it belongs to is authenticated with it: who
moves sealed words to another place in the database has them opened nowhere.
"""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from paycordon.errors import Refused

_MARK = "sealed"
_NONCE = 12  # bytes, as NIST SP 800-38D recommends; drawn anew each time


class Sealer:
    """Seals words, and opens them again.

    Args:
        keys: the identifier keys by their ids.
        current: the id of the one that new words are sealed under.
    """

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        self._keys, self._current = keys, current

    def seal(self, words: str, place: str) -> str:
        """Return words so that only who has the key can read them.

        Args:
            words: what is plain.
            place: what the words belong to; they open nowhere else.
        """
        nonce, key = secrets.token_bytes(_NONCE), self._current
        sealed = AESGCM(_derived(self._keys[key])).encrypt(nonce, words.encode(), _about(key, place))
        return f"{_MARK}:{key}:{b64encode(nonce + sealed).decode()}"

    def unseal(self, sealed: str, place: str) -> str:
        """Return the words again; what an earlier version stored unsealed is returned as it is.

        Raises:
            Refused: their key is not configured any more, or they are not what was sealed.
        """
        key = key_of(sealed)
        if key is None:
            return sealed
        if key not in self._keys:
            raise Refused(
                f"its words are sealed under the identifier key `{key}`: add it to `identifier_keys.keys` again"
            )
        try:
            both = b64decode(sealed.rpartition(":")[2], validate=True)
            words = AESGCM(_derived(self._keys[key])).decrypt(both[:_NONCE], both[_NONCE:], _about(key, place))
        except (InvalidTag, ValueError):
            raise Refused(
                f"its words are not what was sealed, or the identifier key `{key}` is another one now"
            ) from None
        return words.decode()


def key_of(sealed: str) -> str | None:
    """Return the id of the key that words are sealed under; none if they are not."""
    mark, _, rest = sealed.partition(":")
    return rest.rpartition(":")[0] if mark == _MARK else None


def _derived(secret: bytes) -> bytes:
    # Of its own purpose (RFC 5869), so that digests under the same identifier key tell nothing of it.
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"paycordon sealed words").derive(secret)


def _about(key: str, place: str) -> bytes:
    return f"{key}\0{place}".encode()
