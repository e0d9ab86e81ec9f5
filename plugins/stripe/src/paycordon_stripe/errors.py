"""The one place that says what an answer of Stripe, or its absence, means for us.

=========================================  =====================  =====================
what came back                             to a read              to a write
=========================================  =====================  =====================
no connection was made                     `RetryLater`           `RetryLater`
429, 409                                   `RetryLater`           `RetryLater`
401: our key, not the account, is refused  `RetryLater`           `Refused`
5xx, time-out, connection lost             `RetryLater`           `OutcomeUnknown`
2xx that cannot be read                    `RetryLater`           `OutcomeUnknown`
any other status                           `Refused`              `Refused`
=========================================  =====================  =====================

The texts name Stripe's code and request id, which a person can look up, and repeat neither Stripe's message nor the
body: both may quote personal data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

import requests
import stripe
import urllib3.exceptions

from paycordon.errors import ActionError, OutcomeUnknown, Refused, RetryLater

_T = TypeVar("_T")
_NEVER_SENT = (
    requests.exceptions.ConnectTimeout,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
)


def reading(call: Callable[[], _T]) -> _T:
    """Make a call that changes nothing.

    Raises:
        RetryLater, Refused: as in the table.
    """
    try:
        return call()
    except Exception as error:  # the SDK also raises what its parser stumbles over
        raise meaning_of(error, writing=False) from None


def meaning_of(error: Exception, *, writing: bool) -> ActionError:
    """Say what an exception of the SDK means; `writing` tells whether the call may have changed something."""
    status = getattr(error, "http_status", None)
    said = _said(error, status)
    if status in (409, 429):
        return RetryLater(f"stripe asks to wait: {said}", after=_retry_after(error))
    if status == 401 and not writing:  # of a key being replaced: what was to be read is read once it is
        return RetryLater(f"stripe does not accept the key: {said}")
    if isinstance(status, int) and 400 <= status < 500:
        return Refused(f"stripe refuses: {said}")
    if writing and not _never_sent(error):
        return OutcomeUnknown(f"it is not known whether stripe acted: {said}", answered=isinstance(status, int))
    return RetryLater(f"stripe cannot be reached or read: {said}")


def is_replay(error: Exception) -> bool:
    """Tell whether Stripe repeated the stored answer to an earlier request instead of doing anything."""
    return says_replayed(getattr(error, "headers", None))


def says_replayed(headers: object) -> bool:
    """Tell whether headers of an answer mark it as a stored one."""
    found = headers.items() if hasattr(headers, "items") else ()
    return any(str(k).lower() == "idempotent-replayed" and str(v).lower() == "true" for k, v in found)


def _said(error: Exception, status: object) -> str:
    parts = [f"HTTP {status}" if status else type(error).__name__]
    code, request = getattr(error, "code", None), getattr(error, "request_id", None)
    parts += [f"code `{code}`"] if code else []
    parts += [f"request `{request}`"] if request else []
    return ", ".join(parts)


def _retry_after(error: Exception) -> timedelta | None:
    headers = getattr(error, "headers", None) or {}
    value = str(headers.get("retry-after", ""))
    return timedelta(seconds=int(value)) if value.isascii() and value.isdigit() and len(value) < 6 else None


def _never_sent(error: Exception) -> bool:
    return isinstance(error, stripe.APIConnectionError) and any(isinstance(e, _NEVER_SENT) for e in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk to what lies under an error: the SDK wraps requests, which wraps urllib3 in its arguments."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [found.__cause__, getattr(found, "reason", None), *found.args]
