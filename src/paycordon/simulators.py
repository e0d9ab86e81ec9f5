"""What an adapter brings so that `paycordon simulate` can run its gateway on this machine, for tests and trying out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from paycordon.events import Money
from paycordon.gateways import Restriction


@dataclass(frozen=True, slots=True)
class SimulatedWebhook:
    """Where the simulated gateway delivers what happens to accounts, signed.

    Attributes:
        url: on this machine; anything else is refused.
        secret: what deliveries are signed with.
    """

    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """How to run a simulator.

    Attributes:
        port: where to listen on 127.0.0.1; 0 lets the system choose.
        api_key: the only key it takes; one of its own by default.
        webhooks: where it delivers from the start.
        clock: what its clock shows at the start, UTC; the present by default.
    """

    port: int = 0
    api_key: str | None = field(default=None, repr=False)
    webhooks: Sequence[SimulatedWebhook] = ()
    clock: datetime | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """A simulator that runs.

    Attributes:
        address: where the gateway's API is, without a final slash.
        control: where it is watched and steered over HTTP.
        use: lines that say how to point the vendor's SDK and an instance of Paycordon at it.
    """

    address: str
    control: str
    use: Sequence[str]


STAGE_BEGINS_BEFORE = timedelta(hours=1)
"""So long before the present a stage's clock begins, so that a scenario can let time pass and not outrun the world."""


@dataclass(frozen=True, slots=True)
class Applicant:
    """Somebody who applies at a gateway; synthetic.

    Attributes:
        merchant: the facilitator's own id of the merchant.
        name: of the company.
        email: where it is written to.
        bank_account: the number of the bank account that it is to be paid out to, an IBAN.
    """

    merchant: str
    name: str
    email: str
    bank_account: str = field(repr=False)


class Stage(ABC):
    """A simulated gateway in words that all gateways share, so that one scenario can be played at each.

    Everything is done as it is at the gateway: by its own API through the vendor's SDK where a facilitator does it, at
    the simulator where the gateway, a bank or a payer does; and told by the gateway's own signed webhooks. Use as a
    context manager: it listens on loopback between enter and exit.
    """

    @abstractmethod
    def __enter__(self) -> Self:
        """Start the simulator, in test mode, its clock `STAGE_BEGINS_BEFORE` behind."""

    @abstractmethod
    def __exit__(self, *_: object) -> None:
        """Stop the simulator."""

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Return the settings of an instance that speaks to the simulator; secrets are the simulator's own."""

    @abstractmethod
    def deliver_to(self, url: str) -> None:
        """Deliver to this webhook of the instance from now on all that it is to hear of."""

    @abstractmethod
    def open_account(self, applicant: Applicant) -> str:
        """Let somebody apply and be accepted; return the account's id. It has money, and is paid out by schedule."""

    @abstractmethod
    def change_bank_account(self, account: str, number: str) -> None:
        """Let the merchant have payouts sent to another bank account from now on."""

    @abstractmethod
    def pay(self, account: str, amount: Money, payer: str) -> str:
        """Let a payer pay, and return the payment's id; the same payer is the same card."""

    @abstractmethod
    def dispute(self, account: str, payment: str) -> None:
        """Let the payer of a payment dispute it."""

    @abstractmethod
    def pay_out(self, account: str, amount: Money, key: str, *, guarded: Any = None) -> str:
        """Pay out by the backend's own call under an idempotency key, and return the payout's id.

        Args:
            account: whose money.
            amount: how much.
            key: the same for every try of one payout.
            guarded: the engine that screens the call first; none to send it as it is.

        Raises:
            Held, Blocked: the guard stopped it.
        """

    @abstractmethod
    def lift_by_hand(self, account: str) -> None:
        """Let a person at the gateway's website undo what holds the payouts of an account."""

    @abstractmethod
    def settings_of(self, account: str) -> Mapping[str, Any]:
        """Return all that decides whether money moves, as the gateway keeps it; to be compared, not understood."""

    @abstractmethod
    def restriction(self, account: str) -> Restriction:
        """Say how far an account is restricted, asked at the simulator and not of the adapter."""

    @abstractmethod
    def later(self, by: timedelta) -> None:
        """Let time pass at the gateway, in all less than `STAGE_BEGINS_BEFORE`."""

    @abstractmethod
    def told(self) -> None:
        """Return once all webhooks so far have been delivered."""


class Simulator(ABC):
    """A gateway on this machine, from `start` to `stop`. It listens on loopback only, and calls nobody else.

    A subclass is made with the options it is to run with.
    """

    name: ClassVar[str]
    """What `paycordon simulate` calls it: the adapter's name."""
    about: ClassVar[str]
    """One sentence: what it simulates."""
    stage: ClassVar[type[Stage] | None] = None
    """What plays scenarios that all gateways share at it; with it the adapter takes part in the parity suite."""

    @abstractmethod
    def __init__(self, options: SimulatorOptions) -> None:
        """Take the options; nothing runs yet.

        Raises:
            ConfigError: it cannot run with these options.
        """

    @abstractmethod
    def start(self) -> Described:
        """Listen, and say where.

        Raises:
            OSError: the port cannot be listened at.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stop listening and delivering; returns soon, whatever hangs."""
