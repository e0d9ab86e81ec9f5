"""Normalise identifiers and turn them into keyed digests.

Only digests are stored and compared: HMAC-SHA-256 under a key of the deployment, with the kind inside, so that the
same text as an email and as a handle are different things. The key's id stands in front, which lets two keys be in
use while one replaces the other.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable, Mapping

from paycordon.errors import ConfigError
from paycordon.events import Event, Identifier, IdentifierKind

MIN_KEY_BYTES = 32


def _folded(value: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def _compact(value: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", value).upper() if c.isalnum())


def _phone(value: str) -> str:
    digits = "".join(c for c in unicodedata.normalize("NFKC", value) if c.isdecimal())
    return f"+{digits}" if value.strip().startswith("+") else digits


def _domain(value: str) -> str:
    return _folded(value).strip(".").removeprefix("www.")


def _verbatim(value: str) -> str:
    return value.strip()


_NORMALISERS: Mapping[str, Callable[[str], str]] = {
    IdentifierKind.EMAIL: _folded,
    IdentifierKind.PHONE: _phone,
    IdentifierKind.DOMAIN: _domain,
    IdentifierKind.PERSON: _folded,
    IdentifierKind.LEGAL_ENTITY: _folded,
    IdentifierKind.TAX_ID: _compact,
    IdentifierKind.IBAN: _compact,
    IdentifierKind.DESCRIPTOR: _folded,
    IdentifierKind.HANDLE: _folded,
}


def normalise(identifier: Identifier) -> str:
    """Return the one spelling of an identifier's value; values of kinds without a rule are only stripped."""
    return _NORMALISERS.get(identifier.kind, _verbatim)(identifier.value or "")


class Digester:
    """Turns identifiers into keyed digests.

    Args:
        keys: key id to secret, at least 32 bytes each.
        current: the id of the key that new digests are made with.

    Raises:
        ConfigError: a key is too short, or `current` names none.
    """

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        if current not in keys:
            raise ConfigError(f"`identifier_keys.current` names `{current}`, which is not among the keys")
        for key_id, secret in keys.items():
            if len(secret) < MIN_KEY_BYTES:
                raise ConfigError(
                    f"the identifier key `{key_id}` is shorter than {MIN_KEY_BYTES} bytes",
                    hint="make one with `paycordon init`",
                )
        self._current = current
        self._macs = {key_id: hmac.new(secret, digestmod=hashlib.sha256) for key_id, secret in keys.items()}

    def digest(self, identifier: Identifier) -> str:
        """Return the digest under the current key; an identifier that already is one is returned as it is."""
        if identifier.digest is not None:
            return identifier.digest
        mac = self._macs[self._current].copy()
        mac.update(f"{identifier.kind}\0{normalise(identifier)}".encode())
        return f"{self._current}:{mac.hexdigest()}"

    def conceal(self, event: Event) -> Event:
        """Return the event with digests in place of all plain identifier values."""
        if not event.identifiers:
            return event
        concealed = dict.fromkeys((str(i.kind), self.digest(i)) for i in event.identifiers)
        hidden = tuple(Identifier.model_construct(kind=kind, digest=digest) for kind, digest in concealed)
        return event.model_copy(update={"identifiers": hidden})
