"""What an answer of a gateway, or its absence, means for us.

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
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from paycordon.errors import ActionError, OutcomeUnknown, Refused, RetryLater


def meaning(
    gateway: str, status: int | None, said: str, *, writing: bool, sent: bool = True, after: timedelta | None = None
) -> ActionError:
    """Return the error that says it.

    Args:
        gateway: its name.
        status: the HTTP status of the answer; none if none came.
        said: what a person can look up: codes and request ids. Not the message or body, which may quote personal data.
        writing: whether the request may have changed something.
        sent: whether anything left this machine.
        after: how long the gateway asks to wait.
    """
    if status in (409, 429):
        return RetryLater(f"{gateway} asks to wait: {said}", after=after)
    if status == 401 and not writing:  # of a key being replaced: what was to be read is read once it is
        return RetryLater(f"{gateway} does not accept the key: {said}")
    if status is not None and 400 <= status < 500:
        return Refused(f"{gateway} refuses: {said}")
    if writing and sent:
        return OutcomeUnknown(f"it is not known whether {gateway} acted: {said}", answered=status is not None)
    return RetryLater(f"{gateway} cannot be reached or read: {said}", after=after)


def asked_to_wait(retry_after: object) -> timedelta | None:
    """Read a `Retry-After` header that counts seconds."""
    text = str(retry_after)
    return timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Walk to what lies under an error: SDKs wrap requests, which wraps urllib3 in its arguments."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [found.__cause__, getattr(found, "reason", None), *found.args]
