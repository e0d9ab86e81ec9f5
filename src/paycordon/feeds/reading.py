"""Read files and addresses within a budget, and JSON that nobody vouches for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from paycordon.errors import ConfigError, FeedRefused, RetryLater
from paycordon.feeds.contract import Budget

if TYPE_CHECKING:
    import urllib3

_CHUNK = 65_536
_CONNECT_S, _READ_S = 5.0, 30.0
_LATER = frozenset({408, 425, 429})
_ABSENT = frozenset({403, 404})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Absent(FeedRefused):
    """There is nothing at this place."""


def is_address(source: str) -> bool:
    """Tell an address from a file."""
    return "://" in source


def file_of(source: str, base: Path) -> Path | None:
    """Return the file of a source; none if it is an address."""
    return None if is_address(source) else base / source


def check_address(source: str) -> None:
    """Refuse addresses that others could read or change on the way.

    Raises:
        ConfigError: it is neither `https` nor on this machine.
    """
    parts = urlsplit(source)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ConfigError("the `source` of a feed begins with `https://`, or is a file")


def connections() -> urllib3.PoolManager:
    """Return what keeps connections between several reads of one look; close it (`clear`) after these."""
    import urllib3

    return urllib3.PoolManager(retries=False)


def read(
    source: str,
    base: Path,
    budget: Budget,
    headers: Mapping[str, str] | None = None,
    pool: urllib3.PoolManager | None = None,
) -> bytes:
    """Return the whole of a file or an address, the latter by connections that are kept (`pool`) or one of its own.

    Raises:
        RetryLater: it cannot be reached, or broke off.
        FeedRefused: it is too large, or its server will not give it.
    """
    if is_address(source):
        return answered(source, budget, headers or {}, pool)[0]
    try:
        with (base / source).open("rb") as file:
            return b"".join(_chunks_of_file(file, budget))
    except FileNotFoundError:
        raise Absent("there is no such file") from None
    except OSError as error:
        raise RetryLater(f"cannot be read: {type(error).__name__}") from None


def answered(
    address: str, budget: Budget, headers: Mapping[str, str], pool: urllib3.PoolManager | None = None
) -> tuple[bytes, Mapping[str, str]]:
    """Return what an address answers, and the headers of the answer with names in lower case.

    Raises:
        RetryLater: it cannot be reached, or broke off.
        FeedRefused: it is too large, or its server will not give it.
    """
    told: dict[str, str] = {}
    if pool is not None:
        return b"".join(_chunks_of_address(address, budget, headers, told, pool)), told
    with connections() as own:
        return b"".join(_chunks_of_address(address, budget, headers, told, own)), told


def json_of(data: bytes | str, what: str) -> Any:
    """Parse JSON: no repeated names, no numbers that are none, no depth without end.

    Raises:
        FeedRefused: it is none; `what` says where, and the text is not repeated.
    """
    try:
        return json.loads(data, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise FeedRefused(f"{what} is not JSON, or is cut off") from None


def as_mapping(value: Any, what: str) -> Mapping[str, Any]:
    """Return an object of JSON.

    Raises:
        FeedRefused: it is something else.
    """
    if not isinstance(value, dict):
        raise FeedRefused(f"{what} is not an object")
    return value


def as_list(value: Any, what: str) -> list[Any]:
    """Return a list of JSON.

    Raises:
        FeedRefused: it is something else.
    """
    if not isinstance(value, list):
        raise FeedRefused(f"{what} is not a list")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is repeated")
    return found


def _no_number(_: str) -> Any:
    raise ValueError("not a number")


def _chunks_of_file(file: Any, budget: Budget) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        budget.took(len(chunk))
        yield chunk


def _chunks_of_address(
    source: str, budget: Budget, headers: Mapping[str, str], told: dict[str, str], pool: urllib3.PoolManager
) -> Iterator[bytes]:
    import urllib3

    timeout = urllib3.Timeout(connect=_CONNECT_S, read=min(_READ_S, budget.seconds_left))
    sent = {**headers, "accept-encoding": "identity", "user-agent": "paycordon"}
    try:
        answer = pool.request("GET", source, headers=sent, redirect=False, preload_content=False, timeout=timeout)
        try:
            _check_status(answer)
            told.update((name.lower(), value) for name, value in answer.headers.items())
            for chunk in answer.stream(_CHUNK, decode_content=False):
                budget.took(len(chunk))
                yield chunk
        finally:
            answer.close()  # what was not read to its end goes back to no pool
    except urllib3.exceptions.HTTPError as error:
        raise RetryLater(f"cannot be reached, or broke off: {type(error).__name__}") from None


def _check_status(answer: urllib3.BaseHTTPResponse) -> None:
    """Raise what an answer other than the wanted one means."""
    if answer.status in _LATER or answer.status >= 500:
        wait = answer.headers.get("retry-after", "")
        after = timedelta(seconds=min(int(wait), 86_400)) if wait.isdecimal() and len(wait) < 9 else None
        raise RetryLater(f"its server answers {answer.status}", after=after)
    if answer.status in _ABSENT:
        raise Absent(f"its server answers {answer.status}")
    if answer.status != 200:
        raise FeedRefused(f"its server answers {answer.status}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise FeedRefused("its server compresses what was asked for as it is")
