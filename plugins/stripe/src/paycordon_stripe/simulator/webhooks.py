"""Sign and send webhook deliveries as Stripe does: https://docs.stripe.com/webhooks#verify-manually."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from paycordon.simulation import post

USER_AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
TIMEOUT_SECONDS = 20.0


def sign(body: bytes, secret: str, at: datetime) -> str:
    """Return the `Stripe-Signature` header for a body."""
    time = int(at.timestamp())
    digest = hmac.new(secret.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={time},v1={digest}"


def signed_delivery(event: Mapping[str, Any], secret: str, at: datetime) -> tuple[dict[str, str], bytes]:
    """Return headers, names in lower case, and body of a delivery of an event, signed at a time."""
    body = json.dumps(event, indent=2).encode()
    headers = {
        "content-type": "application/json; charset=utf-8",
        "stripe-signature": sign(body, secret, at),
        "user-agent": USER_AGENT,
    }
    return headers, body


def send(url: str, event: Mapping[str, Any], secret: str, at: datetime, *, timeout: float = TIMEOUT_SECONDS) -> int:
    """Deliver an event to an endpoint and return the status it answers.

    Raises:
        ValueError: the address is not on this machine.
        OSError: nobody answers there.
    """
    headers, body = signed_delivery(event, secret, at)
    return post(url, body, headers, timeout=timeout)
