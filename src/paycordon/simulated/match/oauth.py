"""Verify OAuth 1.0a requests (RFC 5849) with Mastercard's body hash and RSA-SHA256.

Mastercard's own client libraries put base64 into the header as it is, without percent-encoding it, and sign it so; the
values of the header are therefore taken as they were sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from paycordon.simulated.match.problems import Problem
from paycordon.simulation import Request

TOLERANCE = timedelta(minutes=5)
_REMEMBERED = 10_000
_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"')
_NEEDED = frozenset(
    f"oauth_{name}"
    for name in ("consumer_key", "nonce", "timestamp", "signature_method", "version", "body_hash", "signature")
)


class Verifier:
    """Knows the public keys of those who may ask, and which requests it has seen.

    Args:
        keys: by consumer key.
    """

    def __init__(self, keys: Mapping[str, RSAPublicKey]) -> None:
        self._keys = keys
        self._nonces: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED)

    def consumer(self, request: Request, address: str, now: datetime) -> str:
        """Return whose request it is.

        Args:
            request: as it came in.
            address: where the service listens, without a final slash.
            now: the world's time.

        Raises:
            Problem: it is not signed by a known consumer, not of now, altered, or was sent before.
        """
        given = _given(request.headers.get("authorization", ""))
        key = self._keys.get(given["oauth_consumer_key"])
        if key is None or given["oauth_signature_method"] != "RSA-SHA256" or given["oauth_version"] != "1.0":
            raise _refused()
        body_hash = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
        if not hmac.compare_digest(body_hash, given["oauth_body_hash"]):
            raise _refused()
        try:
            signature = base64.b64decode(unquote(given["oauth_signature"]), validate=True)
            key.verify(signature, base_string(request, address, given).encode(), PKCS1v15(), SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            raise _refused() from None
        self._check_fresh(given, now)
        return given["oauth_consumer_key"]

    def _check_fresh(self, given: Mapping[str, str], now: datetime) -> None:
        stamp = given["oauth_timestamp"]
        if not stamp.isdecimal() or len(stamp) > 12 or abs(int(stamp) - now.timestamp()) > TOLERANCE.total_seconds():
            raise _refused()
        once = (given["oauth_consumer_key"], given["oauth_nonce"])
        if once in self._nonces:
            raise _refused()
        self._nonces.append(once)


def base_string(request: Request, address: str, given: Mapping[str, str]) -> str:
    """Return what is signed: method, address without query, and all parameters but the signature, sorted."""
    pairs = [(_encoded(k), _encoded(v)) for k, v in parse_qsl(request.query, keep_blank_values=True)]
    pairs += [(name, value) for name, value in given.items() if name != "oauth_signature"]
    parameters = "&".join(sorted(f"{name}={value}" for name, value in pairs))
    return "&".join((request.method, _encoded(f"{address}{request.path}"), _encoded(parameters)))


def _given(header: str) -> dict[str, str]:
    scheme, _, rest = header.partition(" ")
    given = dict(_PARAMETER.findall(rest))
    if scheme != "OAuth" or not given.keys() >= _NEEDED:
        raise _refused()
    return given


def _encoded(text: str) -> str:
    return quote(text, safe="~")


def _refused() -> Problem:
    return Problem(401, "AUTHENTICATION_FAILED")
