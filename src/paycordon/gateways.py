"""The contract of a gateway adapter.

An adapter says how deliveries of its gateway are verified and what they mean, and makes the gateway's own settings
agree with a desired restriction. It keeps no state and takes no decisions; see `plugins/README.md` for the tutorial
and `paycordon.testing.GatewayConformance` for the suite that every adapter passes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue

from paycordon.decisions import Scope
from paycordon.errors import PayloadInvalid, Refused, RetryLater
from paycordon.events import Event, Mode, Subject

Settings = Mapping[str, JsonValue]
Fence = Callable[[timedelta], bool]
"""Tells whether something that takes this long may still be begun."""

_fence: ContextVar[Fence | None] = ContextVar("paycordon_fence", default=None)


class FenceClosed(RetryLater):
    """The worker's right to the account ends too soon: the request was not sent."""


class NotCarried(PayloadInvalid):
    """The message only names what it is about; `Gateway.fetch` reads the rest."""


@contextmanager
def fenced(fence: Fence) -> Iterator[None]:
    """Let `check_fence` ask this fence, in this thread, until the block ends."""
    token = _fence.set(fence)
    try:
        yield
    finally:
        _fence.reset(token)


def check_fence(takes: timedelta = timedelta(0)) -> None:
    """Go on only if the worker may still change the account. An adapter calls it right before each write leaves.

    A worker owns an account under a lease. One that was stopped for longer (a suspended machine, a full disk) and
    goes on afterwards would undo what another has done since. Between this check and the socket it can be stopped
    still: such a late write is found because every round begins by reading the gateway, and because a worker that
    finds its lease lost after a change has the account looked at again.

    Call it in the thread that `apply` was called in, outside of what turns the SDK's exceptions into declared errors.
    Without a worker, as in a test of an adapter by itself, it does nothing.

    Args:
        takes: how long the request may take until it is given up; it is not begun if that is longer than the lease.

    Raises:
        FenceClosed: the request must not leave. If an earlier one of the same change did, the adapter raises
            `OutcomeUnknown` instead, as for any other `RetryLater`.
    """
    fence = _fence.get()
    if fence is not None and not fence(takes):
        raise FenceClosed("the lease of this worker does not last for another request")


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
    def for_scopes(cls, scopes: Iterable[Scope]) -> Restriction:
        """What holds of these scopes ask for at the gateway, all together: the most severe of each."""
        asked = {Scope.PAYOUT: cls.NONE, Scope.OUTFLOW: cls.PAYOUTS_HELD, Scope.PAYOUTS: cls.PAYOUTS_HELD}
        return max((asked.get(scope, cls.BLOCKED) for scope in scopes), key=lambda each: each.rank, default=cls.NONE)


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


ASKED_AS = "asked_as"
"""Where an event's `extra` lists the ids that a guard may have given to the request for what it tells of.

A `payout.requested` that the guard, and perhaps people after it, let through is then a `payout.updated`: it is neither
counted twice nor held once more after its release.
"""


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


class ActParameters(BaseModel):
    """What a person says of an act; an adapter subclasses it for each of its acts, and describes the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Act:
    """Something a person may have done at a gateway, beyond restrictions. Nothing here is ever done automatically.

    Attributes:
        support: how well, by which means, and what it does not do.
        parameters: what must be said besides the account.
        undone_by: the act that undoes it; none if nothing does.
        two_people: whether a second person must agree; always so for what cannot be undone.
    """

    support: Support
    parameters: type[ActParameters]
    undone_by: str | None = None
    two_people: bool = True


@dataclass(frozen=True, slots=True)
class Performed:
    """What the gateway says after an act.

    Attributes:
        reference: the id of what was made or changed there.
        state: its state as read back, in the gateway's own words.
        already: whether it was found to be so, and nothing was sent.
    """

    reference: str
    state: str
    already: bool


class GatewaySettings(BaseModel):
    """What the configuration says of one instance; an adapter subclasses it with its keys and endpoints."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    adapter: str
    mode: Mode


_S = TypeVar("_S", bound=GatewaySettings)


class Gateway(ABC, Generic[_S]):
    """One configured connection to a gateway.

    `verify` and `translate` are pure; all others speak to the gateway through its own SDK and are only ever called by
    workers and people. They raise nothing but the declared errors. SDK-internal retries are off: the core's driver
    retries, with the key it was given.

    Attributes:
        keeps_missed: for how long the gateway lists what it could not deliver; none if it keeps no such list.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[GatewaySettings]]
    capabilities: ClassVar[Mapping[Restriction, Support]]
    acts: ClassVar[Mapping[str, Act]] = {}
    keeps_missed: ClassVar[timedelta | None] = None

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
            NotCarried: a known type whose content has to be read from the gateway first.
            PayloadInvalid: a known type whose content cannot be read, or that holds what is never taken.
        """

    def fetch(self, message: Message) -> Message:  # noqa: ARG002
        """Return a message with what it only named, read from the gateway, so that it can be translated.

        Called by workers when `translate` raised `NotCarried`; an adapter that never does need not override it. The
        events of what is returned have the ids that the gateway's other ways of telling the same would give them, so
        that something told twice is judged once.

        Raises:
            RetryLater, Refused: the gateway could not be read.
            PayloadInvalid: what the message names is not there, or is none of the gateway's.
        """
        raise Refused(f"`{self.name}` has nothing to fetch")

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
        several requests of it derive theirs from it. `check_fence` is called right before each request that writes.

        Raises:
            RetryLater: nothing happened.
            Refused: the gateway will not do it.
            OutcomeUnknown: it may have happened; the core reads before anything else.
        """

    def missed(self, since: datetime) -> Iterable[Message]:  # noqa: ARG002
        """Read what the gateway could not deliver since a moment, as `verify` would have returned it.

        An adapter of a gateway that keeps no such list does not override it, and leaves `keeps_missed` empty.

        Raises:
            RetryLater, Refused: the gateway could not be read, further than what was yielded.
        """
        raise Refused(f"`{self.name}` keeps no list of what it could not deliver")

    def perform(self, subject: Subject, act: str, parameters: ActParameters, key: str) -> Performed:  # noqa: ARG002
        """Do one of `acts` for a person and read it back. An adapter without acts does not override it.

        Idempotent, beyond the time that the gateway remembers `key`: it reads first, and what is already so is not
        done again. `check_fence` is called right before each request that writes.

        Args:
            subject: whose account it is about.
            act: its name in `acts`.
            parameters: of the type that the act names.
            key: the idempotency key of this one act, the same for every try of it.

        Raises:
            RetryLater: nothing happened.
            Refused: the gateway will not do it, cannot, or what the person saw there has changed since.
            OutcomeUnknown: it may have happened; ask again under the same key, which reads before anything else.
        """
        raise Refused(f"`{self.name}` has no act `{act}`")
