"""The one place that says what an answer of Stripe, or its absence, means for us: see `paycordon.adapting.answers`.

The texts name Stripe's code and request id, which a person can look up, and repeat neither Stripe's message nor the
body: both may quote personal data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import requests
import stripe
import urllib3.exceptions

from paycordon.adapting.answers import asked_to_wait, causes, meaning
from paycordon.errors import ActionError

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
    found = getattr(error, "http_status", None)
    status = found if isinstance(found, int) else None
    after = asked_to_wait((getattr(error, "headers", None) or {}).get("retry-after", ""))
    sent = not (isinstance(error, stripe.APIConnectionError) and any(isinstance(e, _NEVER_SENT) for e in causes(error)))
    return meaning("stripe", status, _said(error, status), writing=writing, sent=sent, after=after)


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
