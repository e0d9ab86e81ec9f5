"""What an adapter brings so that `paycordon demo` can show it offline: a simulator, deliveries, and a look at both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Self

from paycordon.events import Identifier


@dataclass(frozen=True, slots=True)
class ShownDelivery:
    """One call of the gateway's webhook, ready to be posted.

    Attributes:
        title: what it is, for a reader who knows no gateway.
        account: the account it is about.
        headers: as the gateway sends them, signature included.
        body: the exact bytes.
        event_id: the id its event will have; none for a delivery that must not become one.
    """

    title: str
    account: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    event_id: str | None = None


class Demonstration(ABC):
    """A gateway simulated on this machine. Use as a context manager: it listens on loopback between enter and exit."""

    adapter: ClassVar[str]

    @abstractmethod
    def __enter__(self) -> Self:
        """Start the simulator."""

    @abstractmethod
    def __exit__(self, *_: object) -> None:
        """Stop the simulator."""

    @abstractmethod
    def settings(self) -> Mapping[str, str | list[str]]:
        """Return the settings of an instance that speaks to the simulator; secrets are the simulator's own."""

    @abstractmethod
    def indicators(self) -> Sequence[Identifier]:
        """Return synthetic identifiers that the coalition is to know; one of the deliveries carries them."""

    @abstractmethod
    def deliveries(self, now: datetime) -> Sequence[ShownDelivery]:
        """Return deliveries signed at `now`: honest ones, one hit by the indicators, one forged, one sent twice."""

    @abstractmethod
    def at_gateway(self, account: str) -> str:
        """Say in a few words how the account stands at the simulator, asked there and not of the adapter."""
