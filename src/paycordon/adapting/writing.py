"""Keys of requests, and ids that go into them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def request_key(key: str, step: str, params: Mapping[str, object], attempt: int) -> str:
    """Derive the idempotency key of one request of a change: opaque, and never the same for other parameters."""
    text = json.dumps([key, step, dict(params), attempt], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
