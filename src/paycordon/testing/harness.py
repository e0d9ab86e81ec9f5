"""What an adapter's author supplies to the conformance kit: facts about the gateway, a corpus and a simulator."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from paycordon.events import EventType, Mode, Money, Subject
from paycordon.gateways import Delivery, Gateway, Restriction, Settings
from paycordon.testing.clock import NOON
from paycordon.testing.faults import FaultPlan

Statement = Mapping[str, Any]
"""One thing the gateway says, as JSON; `GatewayHarness.wrap` turns one or several into the body of a delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A recorded statement of the live mode and what it means.

    Attributes:
        statement: what the gateway said, with synthetic values.
        means: the types of the events it yields, in order; empty for a near miss, which must yield nothing.
        account: the id of the account that all its events are about.
        about: the id of the payout, dispute or payment that its events carry, if they carry one.
        amount: the amount that its events carry, if they carry one.
    """

    statement: Statement
    means: tuple[EventType | str, ...] = ()
    account: str = ""
    about: str = ""
    amount: Money | None = None


class GatewayHarness(ABC):
    """A gateway adapter together with a running, stateful simulator of its gateway.

    The first attributes are facts about the gateway's signature scheme; they choose which attacks make sense, and an
    adapter that meets fewer of them declares a weaker scheme for everyone to see.

    Attributes:
        signs_time: whether the signature covers the time of sending, so that old deliveries can be told.
        batches: whether a delivery may hold several statements, each signed by itself.
        signed_fields: the only body fields that the signature covers, as endings of dotted paths (`amount.value`);
            `None` when it covers the whole body.
        secrets: three different webhook secrets of the gateway's form; the third is never configured.
        credentials: what else must never be shown: API keys, passwords.
        corpus: recorded statements by name: each type the adapter reads, and near misses that must yield nothing.
        unknown_account: a well-formed account id that the simulator does not know.
        faults: the plan that the simulator follows; see `FaultPlan.take`.
        now: the time at which the kit plays; the adapter must not look at another clock.
    """

    signs_time: ClassVar[bool]
    batches: ClassVar[bool] = False
    signed_fields: ClassVar[frozenset[str] | None] = None
    secrets: Sequence[str]
    credentials: Sequence[str] = ()
    corpus: Mapping[str, Recorded]
    unknown_account: str
    faults: FaultPlan
    now: datetime = NOON

    @cached_property
    def gateway(self) -> Gateway[Any]:
        """The adapter under test: live, with the first two secrets, as in the middle of a rotation."""
        return self.build(self.secrets[:2], Mode.LIVE)

    @abstractmethod
    def build(self, secrets: Sequence[str], mode: Mode) -> Gateway[Any]:
        """Construct the adapter with these webhook secrets, in this mode, speaking to the simulator.

        Its own time-out should be short (a fifth of a second), as the kit waits for it to pass many times.
        """

    @abstractmethod
    def as_test(self, statement: Statement) -> Statement:
        """Return the same statement as the gateway's test mode would make it."""

    def wrap(self, *statements: Statement) -> bytes:
        """Return the body of a delivery of these statements, unsigned; one statement is its own body by default."""
        (statement,) = statements
        return json.dumps(statement).encode()

    @abstractmethod
    def sign(self, body: bytes, at: datetime, secret: str) -> Delivery:
        """Sign a body as the gateway does. The body may be anything, also what no gateway would send."""

    def sign_each(self, items: Sequence[tuple[Statement, str]], at: datetime) -> Delivery:
        """Return one delivery of several statements, each signed with its own secret; needed when `batches` is set."""
        raise NotImplementedError("a harness that sets `batches` implements `sign_each`")

    @abstractmethod
    def subject(self) -> Subject:
        """Make a new account at the simulator and return it as a subject.

        Its settings should be ordinary and unlike a new account's defaults, so that a release which restores
        defaults is seen.
        """

    @abstractmethod
    def settings_at_gateway(self, subject: Subject) -> Settings:
        """Return a copy of all settings of the account straight from the simulator, not through the adapter."""

    @abstractmethod
    def restriction_at_gateway(self, subject: Subject) -> Restriction:
        """Say what the simulator would stop for this account now, worked out from its own state."""

    @abstractmethod
    def changes(self, subject: Subject) -> int:
        """Say how many requests have changed this account's settings so far; writing what is already so is none."""

    @abstractmethod
    def change_by_hand(self, subject: Subject) -> None:
        """Alter one of the settings that the adapter reads, as a person at the gateway's dashboard would.

        Done twice it need not come back to the start, but each time something must differ from before.
        """

    def deliver(self, statement: Statement, at: datetime | None = None, secret: int = 0) -> Delivery:
        """Return a delivery of one statement, signed at a time (now by default) with one of the secrets."""
        return self.sign(self.wrap(statement), at or self.now, self.secrets[secret])
