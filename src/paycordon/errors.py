"""What can go wrong, named by what the reader should do about it.

::

    PaycordonError
    ├── ConfigError            fix the deployment; raised at start-up only
    │   ├── PluginError        a plugin is missing, misspelt or cannot be loaded
    │   └── PolicyError        a policy file is wrong, with file, line and column
    ├── DeliveryError          answer 4xx, count it, drop it
    │   ├── SignatureInvalid   not from the gateway, or not from now
    │   └── PayloadInvalid     from the gateway, but not what it says it is
    ├── ActionError            a gateway did not do what it was asked
    │   ├── RetryLater         nothing happened; ask again
    │   ├── Refused            it will not do it; a person must look
    │   └── OutcomeUnknown     it may or may not have happened; read before anything else
    ├── Stopped                raised by a guard to the facilitator's own backend
    │   ├── Held               waits for a person
    │   └── Blocked            refused; a person can undo it
    ├── FeedRefused            what a source says cannot be taken in; what it said before stays
    ├── StoreUnavailable       the database cannot be used right now
    ├── NotFound               no such hold, case, decision
    ├── Conflict               it has changed since it was read
    └── ApprovalRequired       a second person must agree

Messages are lower case, have no full stop, put names in backticks and carry at most one hint.
None of them repeats a secret, a card number or, outside the facilitator's own logs, an internal reason.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


class PaycordonError(Exception):
    """Base of every error this package raises on purpose."""


def type_and_place(error: BaseException) -> str:
    """Name an exception's type and where it was raised; its text is left out, for it may repeat personal data."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; line and column count from 1."""

    file: Path | str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ConfigError(PaycordonError):
    """The deployment is wrong; nothing was started.

    Attributes:
        position: where in which file, if a file caused it.
        hint: one sentence that says how to fix it.
    """

    def __init__(self, message: str, *, position: Position | None = None, hint: str | None = None) -> None:
        self.message = message
        self.position = position
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        place = f"{self.position}: " if self.position else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.message}{hint}"


class PluginError(ConfigError):
    """A plugin is missing, misspelt, or cannot be loaded; the message names it."""


class PolicyError(ConfigError):
    """A policy file cannot be used; the message names file, line and column."""


class DeliveryError(PaycordonError):
    """A delivery is not usable: answer 4xx, count it, drop it."""


class SignatureInvalid(DeliveryError):
    """The delivery is not from the gateway, is too old, or comes from the future."""


class PayloadInvalid(DeliveryError):
    """The signature is right but the payload is not what it claims to be, or carries what is never taken."""


class ActionError(PaycordonError):
    """A gateway did not do what it was asked."""


class RetryLater(ActionError):
    """Nothing happened at the gateway; the same request may be sent again.

    Attributes:
        after: how long the gateway asks to wait, if it says so.
    """

    def __init__(self, message: str, *, after: timedelta | None = None) -> None:
        self.after = after
        super().__init__(message)


class Refused(ActionError):
    """The gateway will not do this however often it is asked; a person must look."""


class OutcomeUnknown(ActionError):
    """The request may or may not have taken effect: read the state before anything else.

    Attributes:
        answered: whether the gateway did answer, with an error of its own. Its idempotency layer then replays that
            answer under the same key, so that another try needs another key; after silence the same key is right.
    """

    def __init__(self, message: str, *, answered: bool = False) -> None:
        self.answered = answered
        super().__init__(message)


class Stopped(PaycordonError):
    """A guard stopped a call of the facilitator's backend before it reached the gateway.

    Carries what may be shown to a merchant and nothing else.

    Attributes:
        decision_id: to be quoted to the risk team, who can look the decision up.
        merchant_reason: neutral reason code from the policy, safe to show.
    """

    def __init__(self, decision_id: str, merchant_reason: str) -> None:
        self.decision_id = decision_id
        self.merchant_reason = merchant_reason
        super().__init__(f"{merchant_reason} (decision {decision_id})")


class Held(Stopped):
    """The activity waits for a person; the same call with the same idempotency key passes once it is released."""


class Blocked(Stopped):
    """The activity is refused; people can undo it."""


class FeedRefused(PaycordonError):
    """What a feed brought is malformed, forged, cut off, replayed or too much: none of it was taken in."""


class StoreUnavailable(PaycordonError):
    """The database is locked, full, read-only or out of reach; nothing was written."""


class NotFound(PaycordonError):
    """There is no such hold, case, decision or instance."""


class Conflict(PaycordonError):
    """The thing has changed since it was read, or is already in another final state."""


class ApprovalRequired(PaycordonError):
    """A second, different person must agree first."""
