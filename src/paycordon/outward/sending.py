"""Send one message to one address, over HTTP, so that a wrong or hostile receiver does no harm."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from paycordon.errors import PaycordonError

CONNECT_S, READ_S = 3.0, 10.0
_ROOM = 64 * 1024

Resolve = Callable[[str, int], Sequence[str]]


class NotTaken(PaycordonError):
    """The receiver did not take the message; it is sent again later."""


def resolved(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host name.

    Raises:
        NotTaken: it has none.
    """
    try:
        return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError:
        raise NotTaken("the name of the receiver cannot be resolved") from None


def signed_headers(secrets: Sequence[str], message_id: str, now: datetime, body: str) -> dict[str, str]:
    """Return the headers of Standard Webhooks: a signature by each secret, so that secrets can be changed in peace."""
    from standardwebhooks.webhooks import Webhook

    return {
        "content-type": "application/json",
        "user-agent": "paycordon",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, now, body) for secret in secrets),
    }


def post(url: str, headers: dict[str, str], body: str, *, private: bool, resolve: Resolve = resolved) -> None:
    """Post a message; returns once the receiver has answered with 2xx.

    The connection goes to the very address that was examined, redirects are not followed, and of the answer only the
    status is read.

    Args:
        url: `https://…`; plain `http` to this machine only.
        headers: as `signed_headers` returns them.
        body: what was signed.
        private: whether the receiver may be in a private network; else only this machine or a public address.
        resolve: finds the addresses of a host name.

    Raises:
        NotTaken: anything else happened.
    """
    import urllib3

    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _permitted(resolve(host, port), plain=parts.scheme != "https", private=private)
    timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
    pool: urllib3.HTTPConnectionPool
    if parts.scheme == "https":
        pool = urllib3.HTTPSConnectionPool(address, port, timeout=timeout, server_hostname=host, assert_hostname=host)
    else:
        pool = urllib3.HTTPConnectionPool(address, port, timeout=timeout)
    target = parts.path or "/"
    target += f"?{parts.query}" if parts.query else ""
    try:
        with pool:
            answer = pool.urlopen(
                "POST",
                target,
                body=body.encode(),
                headers={**headers, "host": parts.netloc},
                retries=False,
                redirect=False,
                preload_content=False,
            )
            answer.close()
    except urllib3.exceptions.HTTPError as error:
        raise NotTaken(f"the receiver was not reached: {type(error).__name__}") from None
    if not 200 <= answer.status < 300:
        raise NotTaken(f"the receiver answered {answer.status}")


def encoded(type_: str, at: datetime, data: dict[str, object]) -> str:
    """Return the body of a message: its type, when it happened, and what."""
    return json.dumps({"type": type_, "timestamp": at.isoformat(), "data": data}, separators=(",", ":"))


def _permitted(addresses: Sequence[str], *, plain: bool, private: bool) -> str:
    for address in addresses:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        if parsed.is_loopback or (not plain and (private or parsed.is_global)):
            return address
    raise NotTaken("the address of the receiver is not permitted")
