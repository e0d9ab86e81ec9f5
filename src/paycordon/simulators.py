"""What an adapter brings so that `paycordon simulate` can run its gateway on this machine, for tests and trying out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar


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


class Simulator(ABC):
    """A gateway on this machine, from `start` to `stop`. It listens on loopback only, and calls nobody else.

    A subclass is made with the options it is to run with.
    """

    name: ClassVar[str]
    """What `paycordon simulate` calls it: the adapter's name."""
    about: ClassVar[str]
    """One sentence: what it simulates."""

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
