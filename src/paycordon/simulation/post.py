"""Deliver to an address on this machine, and to no other: a simulator must not call anybody else."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from urllib.parse import urlsplit


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout: float) -> int:
    """Send a body to an address on this machine and return the status it answers; redirects are not followed.

    Args:
        url: where to.
        body: what to send.
        headers: beside those that HTTP itself needs.
        timeout: how many seconds to wait for an answer.

    Raises:
        ValueError: the address is not on this machine.
        OSError: nobody answers there, or not in time, or not in HTTP.
    """
    require_loopback(url)
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("POST", f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", body, dict(headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except HTTPException as error:
        raise ConnectionError("the receiver does not answer in HTTP") from error
    finally:
        connection.close()


def require_loopback(url: str) -> None:
    """Raise a `ValueError` unless an address is on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not (host == "localhost" or _is_loopback(host)):
        raise ValueError("the simulator delivers to this machine only: give a URL with 127.0.0.1, [::1] or localhost")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
