"""The one place that says what an answer of Adyen, or its absence, means for us: see `paycordon.adapting.answers`.

The SDK lets errors of its transport through as they are, calls a 404 and a 500 by one name, and makes an empty object
of a success that it cannot read. So what is looked at is the status, and whether there is anything in an answer.

The texts name Adyen's error code and request id, which a person can look up, and repeat neither Adyen's message nor the
body: both may quote personal data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import requests
import urllib3.exceptions

from paycordon.adapting.answers import asked_to_wait, causes, meaning
from paycordon.adapting.fields import Node
from paycordon.errors import ActionError, PayloadInvalid, RetryLater

_NEVER_SENT = (
    requests.exceptions.ConnectTimeout,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
)
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


def reading(call: Callable[[], Any], what: str) -> Node:
    """Make a call that changes nothing and return what Adyen says, to be read field by field.

    Raises:
        RetryLater, Refused: as in the table; an answer with nothing in it is one that cannot be read.
    """
    try:
        found = Node(call().message, what)
    except PayloadInvalid:
        raise RetryLater(f"what adyen answers is not one {what}") from None
    except Exception as error:  # the SDK also raises what its parser stumbles over
        raise meaning_of(error, writing=False) from None
    if not found:
        raise RetryLater(f"adyen's answer cannot be read: no {what} in it")
    return found


def meaning_of(error: Exception, *, writing: bool) -> ActionError:
    """Say what an exception of the SDK or its transport means; `writing` tells whether something may have changed."""
    found = getattr(error, "status_code", None)
    status = found if isinstance(found, int) else None
    headers = getattr(error, "headers", None)
    after = asked_to_wait(headers.get("Retry-After", "")) if isinstance(headers, Mapping) else None
    lost = isinstance(error, requests.exceptions.ConnectionError)
    sent = not (lost and any(isinstance(each, _NEVER_SENT) for each in causes(error)))
    return meaning("adyen", status, _said(error, status), writing=writing, sent=sent, after=after)


def _said(error: Exception, status: int | None) -> str:
    parts = [f"HTTP {status}" if status else type(error).__name__]
    body = getattr(error, "message", None)
    code = getattr(error, "error_code", None)
    request = body.get("requestId") if isinstance(body, Mapping) else None
    # Both come from outside; what is not of their form is left out.
    parts += [f"code `{code}`"] if isinstance(code, str) and _CODE.fullmatch(code) else []
    parts += [f"request `{request}`"] if isinstance(request, str) and _CODE.fullmatch(request) else []
    return ", ".join(parts)
