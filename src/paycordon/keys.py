"""Ed25519 keys as PEM: made, read and named."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from paycordon.errors import ConfigError


def key_id_of(key: Ed25519PublicKey) -> str:
    """Name a key: the first 16 hexadecimal digits of the SHA-256 of its raw bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def generate_key() -> str:
    """Make a new private key, as PEM (PKCS#8, not encrypted)."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_key_of(key: Ed25519PrivateKey) -> str:
    """Return the public half as PEM, to be given to those who verify."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_key_from(pem: str, what: str, hint: str) -> Ed25519PrivateKey:
    """Read a private key as `generate_key` makes it.

    Args:
        pem: the text of the key.
        what: how to call the key in an error.
        hint: how to get one.

    Raises:
        ConfigError: the text is no unencrypted Ed25519 private key; it is not repeated.
    """
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{what} cannot be read", hint=hint) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{what} is not an Ed25519 key", hint=hint)
    return key


def public_key_from(pem: str, what: str) -> Ed25519PublicKey:
    """Read a public key as `public_key_of` writes it.

    Args:
        pem: the text of the key.
        what: how to call the key in an error.

    Raises:
        ConfigError: the text is no Ed25519 public key.
    """
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{what} cannot be read") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{what} is not an Ed25519 key")
    return key
