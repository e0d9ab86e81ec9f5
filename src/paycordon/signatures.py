"""Signature schemes for adapters: secrets come only from the constructor, and there is no off switch."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

from paycordon.errors import ConfigError, SignatureInvalid

DEFAULT_TOLERANCE = timedelta(minutes=5)


def matches_any(secrets: Sequence[bytes], signed: bytes, candidates: Sequence[bytes]) -> bool:
    """Tell whether one of the candidate digests is the HMAC-SHA-256 of `signed` under one of the secrets.

    Compares in constant time and always compares all, so that timing tells nothing about which one matched.

    Raises:
        ConfigError: there is no secret, or an empty one.
    """
    if not secrets or not all(secrets):
        raise ConfigError("a webhook secret is missing or empty")
    found = False
    for secret in secrets:
        digest = hmac.new(secret, signed, hashlib.sha256).digest()
        for candidate in candidates:
            found |= hmac.compare_digest(digest, candidate)
    return found


def require_fresh(signed_at: datetime, now: datetime, tolerance: timedelta = DEFAULT_TOLERANCE) -> None:
    """Refuse what was signed too long ago, or in the future.

    Raises:
        SignatureInvalid: the time lies more than `tolerance` away from now, on either side.
    """
    if abs(now - signed_at) > tolerance:
        raise SignatureInvalid("the delivery was signed too long ago or in the future")
