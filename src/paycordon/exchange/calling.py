"""One call to a service outside: with time limits, without redirects, and never more of an answer than agreed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from paycordon.adapting.answers import asked_to_wait, meaning
from paycordon.errors import ActionError, ConfigError, FeedRefused
from paycordon.feeds.reading import json_of

CONNECT_S, READ_S = 5.0, 30.0
"""How long a connection and an answer are waited for, in seconds."""

MOST_BYTES = 4 * 2**20
_CHUNK = 65_536
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back: the status of HTTP, the JSON (none where there is none), and how long it asks to wait."""

    status: int
    body: Any
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """Calls one service.

    Attributes:
        service: what errors call it.
        read_s: how long an answer is waited for, in seconds.
        most_bytes: an answer of more is none.
    """

    service: str
    read_s: float = READ_S
    most_bytes: int = MOST_BYTES

    def call(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None, *, writing: bool
    ) -> Answered:
        """Call, and return what is answered; a status from 400 to 499 is left to the caller (`problem`).

        Args:
            method: of HTTP.
            url: with its query; like all else that is sent, it is repeated in no error.
            headers: of the request.
            body: what is sent.
            writing: whether the call may change something there.

        Raises:
            RetryLater: it was not carried out, or changes nothing.
            OutcomeUnknown: it may have been carried out.
        """
        import urllib3

        sent = {**headers, "accept": "application/json", "accept-encoding": "identity", "user-agent": "paycordon"}
        timeout = urllib3.Timeout(connect=CONNECT_S, read=self.read_s)
        unsent = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
        with urllib3.PoolManager(retries=False, timeout=timeout) as pool:
            try:
                answer = pool.request(method, url, body=body, headers=sent, redirect=False, preload_content=False)
                try:
                    status, data = answer.status, self._body(answer)
                    after = asked_to_wait(answer.headers.get("retry-after"))
                finally:
                    answer.close()  # what was not read to its end is in no pool
            except urllib3.exceptions.HTTPError as error:
                left = not isinstance(error, unsent)
                raise meaning(self.service, None, type(error).__name__, writing=writing, sent=left) from None
        if 200 <= status < 300:
            try:
                return Answered(status, json_of(data, "it") if data.strip() else None, after)
            except FeedRefused:
                raise meaning(self.service, status, "no JSON, or too much", writing=writing) from None
        if 400 <= status < 500:
            return Answered(status, _json_or_none(data), after)
        raise meaning(self.service, status, str(status), writing=writing, after=after)

    def problem(self, answered: Answered, code: object, *, writing: bool) -> ActionError:
        """Return the error that an answer from 400 to 499 means.

        Args:
            answered: it.
            code: the service's own word for it; shown if it is short and plain, for it may repeat what was sent.
            writing: whether the call may have changed something.
        """
        status = 429 if answered.status in (408, 425) else answered.status
        said = f"{answered.status} {code}" if isinstance(code, str) and _CODE.fullmatch(code) else str(answered.status)
        return meaning(self.service, status, said, writing=writing, after=answered.after)

    def _body(self, answer: Any) -> bytes:
        """Return the body; what is no JSON if there is more of it than agreed."""
        found = bytearray()
        for chunk in answer.stream(_CHUNK, decode_content=False):
            found += chunk
            if len(found) > self.most_bytes:
                return b"{"
        return bytes(found)


def check_url(url: str) -> None:
    """Refuse addresses that others could read or change on the way.

    Raises:
        ConfigError: it is neither `https` nor on this machine.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ConfigError("`url` begins with `https://`")


def _json_or_none(data: bytes) -> Any:
    try:
        return json_of(data, "it")
    except FeedRefused:
        return None
