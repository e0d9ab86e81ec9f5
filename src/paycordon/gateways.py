"""The contract of a gateway adapter.

An adapter says how deliveries of its gateway are verified and what they mean, and makes the gateway's own settings
agree with a desired restriction. It keeps no state and takes no decisions; see `plugins/README.md` for the tutorial
and `paycordon.testing.GatewayConformance` for the suite that every adapter passes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue

from paycordon.decisions import Outcome
from paycordon.events import Event, Mode, Subject

Settings = Mapping[str, JsonValue]


class Restriction(StrEnum):
    """How far an account is restricted at its gateway; `none < payouts_held < blocked`."""

    NONE = "none"
    PAYOUTS_HELD = "payouts_held"
    BLOCKED = "blocked"

    @property
    def rank(self) -> int:
        """Severity, from 0 for `none` to 2 for `blocked`."""
        return list(Restriction).index(self)

    @classmethod
    def for_outcome(cls, outcome: Outcome) -> Restriction:
        """What an outcome asks for at the gateway: `hold` holds payouts, `block` stops payments as well."""
        return {Outcome.HOLD: cls.PAYOUTS_HELD, Outcome.BLOCK: cls.BLOCKED}.get(outcome, cls.NONE)


class Grade(StrEnum):
    """How well a gateway can do something. Impossible there is another answer than not written yet."""

    FULL = "full"
    PARTIAL = "partial"
    IMPOSSIBLE = "impossible"
    NOT_WRITTEN = "not_written"


@dataclass(frozen=True, slots=True)
class Support:
    """How a restriction is enforced at a gateway.

    Attributes:
        grade: how well.
        how: the gateway's own means, in one sentence for a risk team.
        reversible: whether the baseline can be restored exactly.
        limits: what it does not stop, honestly.
        clock: after what time the gateway itself ends the hold, in words; empty if never.
    """

    grade: Grade
    how: str
    reversible: bool = True
    limits: str = ""
    clock: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook call as it came in. Header names are lower case; the body is the exact bytes."""

    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One authentic statement of the gateway.

    Attributes:
        id: the same for every redelivery of this statement and for no other, within the instance.
        type: the gateway's own type name.
        body: the statement, as parsed JSON.
    """

    id: str
    type: str
    body: Mapping[str, JsonValue] = field(repr=False)


@dataclass(frozen=True, slots=True)
class GatewayState:
    """What is restricted at the gateway right now.

    Attributes:
        restriction: what the settings amount to.
        settings: exactly the settings that `apply` may change, as JSON; two reads of an unchanged account are equal.
    """

    restriction: Restriction
    settings: Settings


@dataclass(frozen=True, slots=True)
class Change:
    """Bring an account to a restriction.

    Whatever `to` does not restrict becomes as it is in the baseline: going from `blocked` to `payouts_held` brings the
    capabilities back and keeps the payouts held.

    Attributes:
        to: the restriction wanted; `none` means: write the baseline back.
        baseline: the settings before the first restriction, as `read` returned them then.
    """

    to: Restriction
    baseline: Settings


@dataclass(frozen=True, slots=True)
class Applied:
    """What the gateway says after a change.

    Attributes:
        state: as read back from the gateway, not as asked for.
        expires_at: when the gateway itself ends the restriction, UTC; none if it never does.
    """

    state: GatewayState
    expires_at: datetime | None = None


class GatewaySettings(BaseModel):
    """What the configuration says of one instance; an adapter subclasses it with its keys and endpoints."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    adapter: str
    mode: Mode


_S = TypeVar("_S", bound=GatewaySettings)


class Gateway(ABC, Generic[_S]):
    """One configured connection to a gateway.

    `verify` and `translate` are pure; `resolve`, `read` and `apply` speak to the gateway through its own SDK and are
    only ever called by workers. They raise nothing but the declared errors. SDK-internal retries are off: the core's
    driver retries, with the key it was given.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[GatewaySettings]]
    capabilities: ClassVar[Mapping[Restriction, Support]]

    def __init__(self, instance: str, settings: _S) -> None:
        self.instance = instance
        self.settings = settings

    @abstractmethod
    def verify(self, delivery: Delivery, now: datetime) -> Sequence[Message]:
        """Return the authentic messages of a delivery.

        Raises:
            SignatureInvalid: not from this gateway, too old, from the future, or not readable; nothing else is raised.
        """

    @abstractmethod
    def translate(self, message: Message) -> Iterable[Event]:
        """Say what a message means, in canonical events; an unknown type yields nothing.

        Pure. A message of the other mode (test at a live instance, live at a test one) yields nothing.

        Raises:
            PayloadInvalid: a known type whose content cannot be read, or that holds what is never taken.
        """

    @abstractmethod
    def resolve(self, event: Event) -> Event:
        """Return the event with what its delivery did not carry, or could not be trusted for, read from the gateway.

        Raises:
            RetryLater, Refused, OutcomeUnknown: the gateway could not be read.
        """

    @abstractmethod
    def read(self, subject: Subject) -> GatewayState:
        """Read what is restricted at the gateway now for the subject's account.

        Raises:
            RetryLater, Refused, OutcomeUnknown: the gateway could not be read.
        """

    @abstractmethod
    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        """Make the gateway agree with the change and read it back.

        Idempotent: applying what is already so changes nothing. `key` is the idempotency key of this one change;
        several requests of it derive theirs from it.

        Raises:
            RetryLater: nothing happened.
            Refused: the gateway will not do it.
            OutcomeUnknown: it may have happened; the core reads before anything else.
        """
