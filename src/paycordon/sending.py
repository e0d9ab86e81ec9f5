"""Send one message to one address, over HTTP, so that a wrong or hostile receiver does no harm."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from paycordon.errors import PaycordonError

CONNECT_S, READ_S = 3.0, 10.0

Resolve = Callable[[str, int], Sequence[str]]


class NotTaken(PaycordonError):
    """The receiver did not take the message; it is sent again later."""


class NoAnswer(NotTaken):
    """The message left and nothing came back: the receiver may have taken it."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a receiver answered: its status, and the header `Retry-After` as it came."""

    status: int
    retry_after: str | None = None


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
    """Post a message; returns once the receiver has answered with 2xx. Otherwise as `ask`.

    Raises:
        NotTaken: anything else happened.
    """
    answer = ask(url, headers, body, private=private, resolve=resolve)
    if not 200 <= answer.status < 300:
        raise NotTaken(f"the receiver answered {answer.status}")


def ask(
    url: str,
    headers: dict[str, str],
    body: str,
    *,
    private: bool,
    resolve: Resolve = resolved,
    read_s: float = READ_S,
) -> Answered:
    """Post a message and return what was answered.

    The connection goes to the very address that was examined, redirects are not followed, and of the answer only the
    status and one header are read.

    Args:
        url: `https://…`; plain `http` to this machine only.
        headers: as `signed_headers` returns them.
        body: what was signed.
        private: whether the receiver may be in a private network; else only this machine or a public address.
        resolve: finds the addresses of a host name.
        read_s: how long an answer is waited for, in seconds.

    Raises:
        NotTaken: nothing was sent.
        NoAnswer: it was sent, and no answer came.
    """
    import urllib3

    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _permitted(resolve(host, port), plain=parts.scheme != "https", private=private)
    timeout = urllib3.Timeout(connect=CONNECT_S, read=read_s)
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
        missed = NotTaken if _before_sending(error) else NoAnswer
        raise missed(f"the receiver was not reached: {type(error).__name__}") from None
    return Answered(answer.status, answer.headers.get("retry-after"))


def encoded(type_: str, at: datetime, data: dict[str, object]) -> str:
    """Return the body of a message: its type, when it happened, and what."""
    return json.dumps({"type": type_, "timestamp": at.isoformat(), "data": data}, separators=(",", ":"))


def _before_sending(error: Exception) -> bool:
    """Tell whether a failure came before anything of the message had left."""
    import urllib3

    if isinstance(error, urllib3.exceptions.ConnectTimeoutError | urllib3.exceptions.NewConnectionError):
        return True
    return any(isinstance(each, ssl.SSLCertVerificationError) for each in error.args)


def _permitted(addresses: Sequence[str], *, plain: bool, private: bool) -> str:
    for address in addresses:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        if parsed.is_loopback or (not plain and (private or parsed.is_global)):
            return address
    raise NotTaken("the address of the receiver is not permitted")
