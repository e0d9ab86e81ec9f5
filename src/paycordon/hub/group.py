"""The group ristretto255 (RFC 9496) by libsodium, whose arithmetic takes the same time whatever the secret.

Elements and scalars are their 32-byte encodings. `rbcl` brings libsodium along and wraps its functions.
"""

from __future__ import annotations

import sys
from pathlib import Path

from paycordon.errors import ConfigError

try:
    import rbcl
except ModuleNotFoundError:
    raise ConfigError("`rbcl` is not installed", hint="pip install 'paycordon[hub]'") from None
except OSError:
    hint = "let TMPDIR name a directory that programs may be loaded from"
    raise ConfigError("libsodium cannot be loaded from the directory for temporary files", hint=hint) from None
# It writes libsodium to a temporary file on import and leaves it there; once loaded, the file is not needed any more.
Path(sys.modules["rbcl._sodium"].lib_path).unlink(missing_ok=True)

ELEMENT_BYTES = 32
SCALAR_BYTES = 32
UNIFORM_BYTES = 64
_IDENTITY = bytes(ELEMENT_BYTES)
_ORDER = 2**252 + 27742317777372353535851937790883648493


class InvalidEncoding(ValueError):
    """The bytes are no element or scalar that may come from outside."""


def element_from(encoded: bytes) -> bytes:
    """Check an element that came from outside (RFC 9497, 4.1: canonical, and not the identity).

    Raises:
        InvalidEncoding: it is neither.
    """
    if len(encoded) != ELEMENT_BYTES or encoded == _IDENTITY:
        raise InvalidEncoding
    if not rbcl.crypto_core_ristretto255_is_valid_point(encoded):
        raise InvalidEncoding
    return encoded


def scalar_from(encoded: bytes) -> bytes:
    """Check a scalar that came from outside: below the group's order.

    Raises:
        InvalidEncoding: it is not.
    """
    if len(encoded) != SCALAR_BYTES or int.from_bytes(encoded, "little") >= _ORDER:
        raise InvalidEncoding
    return encoded


def random_scalar() -> bytes:
    """Return a uniformly random scalar other than zero, from the system's randomness."""
    return bytes(rbcl.crypto_core_ristretto255_scalar_random())


def multiply(scalar: bytes, element: bytes) -> bytes:
    """Multiply an element by a scalar.

    Raises:
        InvalidEncoding: the element is none, or the product is the identity.
    """
    try:
        return bytes(rbcl.crypto_scalarmult_ristretto255(scalar, element))
    except RuntimeError:
        raise InvalidEncoding from None


def multiply_generator(scalar: bytes) -> bytes:
    """Multiply the generator by a scalar.

    Raises:
        InvalidEncoding: the scalar is zero.
    """
    try:
        return bytes(rbcl.crypto_scalarmult_ristretto255_base(scalar))
    except RuntimeError:
        raise InvalidEncoding from None


def add(one: bytes, other: bytes) -> bytes:
    """Add two elements, both checked before or computed here."""
    return bytes(rbcl.crypto_core_ristretto255_add(one, other))


def element_of(uniform: bytes) -> bytes:
    """Map 64 uniform bytes to an element."""
    return bytes(rbcl.crypto_core_ristretto255_from_hash(uniform))


def scalar_of(uniform: bytes) -> bytes:
    """Reduce 64 uniform bytes, little-endian, modulo the group's order."""
    return bytes(rbcl.crypto_core_ristretto255_scalar_reduce(uniform))


def scalar_multiply(one: bytes, other: bytes) -> bytes:
    """Multiply two scalars."""
    return bytes(rbcl.crypto_core_ristretto255_scalar_mul(one, other))


def scalar_subtract(one: bytes, other: bytes) -> bytes:
    """Subtract the second scalar from the first."""
    return bytes(rbcl.crypto_core_ristretto255_scalar_sub(one, other))


def invert(scalar: bytes) -> bytes:
    """Return the inverse of a scalar other than zero."""
    return bytes(rbcl.crypto_core_ristretto255_scalar_invert(scalar))
