"""Sign and send webhook deliveries as Adyen does: https://docs.adyen.com/development-resources/webhooks.

Notifications of payments are signed item by item over eight of their fields, everything else over its exact bytes in a
header. A key is written in hexadecimal digits, a signature is base64 of an HMAC-SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any

USER_AGENT = "Adyen HttpClient 1.0"


def sign(signed: bytes, key: str) -> str:
    """Return the signature of some bytes under a key.

    Raises:
        ValueError: the key is not written in hexadecimal digits.
    """
    return base64.b64encode(hmac.new(bytes.fromhex(key), signed, hashlib.sha256).digest()).decode()


def signed_text(item: Mapping[str, Any]) -> str:
    """Return what is signed of an item of a notification: what is missing is empty, and nothing is escaped."""
    amount = item.get("amount") or {}
    first = [item.get(n) for n in ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")]
    fields = [*first, amount.get("value"), amount.get("currency"), item.get("eventCode"), item.get("success")]
    return ":".join("" if field is None else str(field) for field in fields)


def signed_item(item: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return an item of a notification with its signature."""
    signature = sign(signed_text(item).encode(), key)
    return {**item, "additionalData": {**item.get("additionalData", {}), "hmacSignature": signature}}


def classic_body(items: Iterable[Mapping[str, Any]], *, livemode: bool) -> bytes:
    """Return the body of a delivery of notifications, each signed already."""
    wrapped = [{"NotificationRequestItem": dict(item)} for item in items]
    return json.dumps({"live": "true" if livemode else "false", "notificationItems": wrapped}).encode()


def headers_of(body: bytes, key: str | None = None, login: str = "") -> dict[str, str]:
    """Return the headers of a delivery, names in lower case; with a key its whole body is signed.

    Args:
        body: what is delivered.
        key: for webhooks that are not notifications.
        login: `user:password` of basic authentication.
    """
    headers = {"content-type": "application/json; charset=utf-8", "user-agent": USER_AGENT}
    if key is not None:
        headers |= {"hmacsignature": sign(body, key), "protocol": "SHA256"}
    if login:
        headers["authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    return headers
