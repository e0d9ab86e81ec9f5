"""Ids of our own records: a prefix that says what it is, the time, and randomness; they sort by time."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

Randomness = Callable[[int], bytes]


def new_id(prefix: str, now: datetime, randomness: Randomness = secrets.token_bytes) -> str:
    """Make an id such as `dec_019a…`: 12 hexadecimal digits of milliseconds, 16 of randomness."""
    return f"{prefix}_{int(now.timestamp() * 1000):012x}{randomness(8).hex()}"
