"""The little of ASGI that a door needs: read a bounded body, send an empty answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 1024 * 1024
PATIENCE_SECONDS = 20.0
"""So long a body may take to come; a connection that is kept waiting costs memory, and somebody may open very many."""


class TooLarge(Exception):  # never leaves the package; it becomes an answer
    """The body is longer than allowed."""


class TooSlow(Exception):  # never leaves the package; it becomes an answer
    """The body did not come in time."""


class Disconnected(Exception):  # never leaves the package; nobody is left to answer
    """The client went away before its body was complete."""


async def read_body(headers: Mapping[str, str], receive: Receive, limit: int = MAX_BODY) -> bytes:
    """Read a request's body, at most `limit` bytes.

    Raises:
        TooLarge: it is longer, or says so.
        TooSlow: it has not all come within `PATIENCE_SECONDS`.
        Disconnected: the client went away; what it sent is dropped.
    """
    announced = headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 12 or int(announced) > limit):
        raise TooLarge
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await _read(receive, limit)
    except TimeoutError:
        raise TooSlow from None


async def _read(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLarge
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers by lower-case name; one that was sent more than once is joined by commas (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


async def answer(send: Send, status: int, headers: Mapping[str, str] | None = None) -> None:
    """Send an answer without a body, so that nothing can be read from it but its status."""
    fields = {"content-length": "0", **(headers or {})}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": b""})
