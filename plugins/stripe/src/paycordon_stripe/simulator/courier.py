"""Stripe's webhook endpoints, and the courier that delivers to them.

Signatures carry the time of the world's clock, which receivers compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from paycordon.simulation import Courier, disorder_from
from paycordon.simulation import Endpoint as AnyEndpoint
from paycordon_stripe.simulator import webhooks
from paycordon_stripe.simulator.event_log import PLATFORM, Happened

RETRIES = tuple(timedelta(minutes=m) for m in (5, 30, 120, 300, 600, 600, 600, 600, 600, 600))
"""Pauses before the next try: about three days altogether, as in live mode."""
RETRIES_IN_TEST_MODE = RETRIES[:2]
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Endpoint(AnyEndpoint):
    """Where events are delivered to.

    Attributes:
        connect: whether it gets events of connected accounts, or else those of the platform itself.
        thin: whether it gets notifications of thin events, or else snapshots.
    """

    connect: bool = True
    thin: bool = False

    def wants(self, happened: Happened) -> bool:
        """Tell whether an event is delivered here."""
        told = happened.thin if self.thin else happened.snapshot
        if told is None or self.connect is (happened.owner == PLATFORM):
            return False
        return self.subscribes(told["type"])


class StripeCourier(Courier[Endpoint, Happened]):
    """Delivers events as Stripe does, one by one.

    Args:
        clock: the simulator's present.
        world: what signatures are stamped with.
        retries: the pauses between tries.
        random: decides about disorder.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        world: Callable[[], datetime],
        *,
        retries: Iterable[timedelta],
        random: Random,
    ) -> None:
        super().__init__(clock, retries=retries, random=random)
        self._world = world

    def wants(self, endpoint: Endpoint, message: Happened) -> bool:
        """Tell whether an event is delivered to an endpoint."""
        return endpoint.wants(message)

    def queued(self, endpoint: Endpoint, message: Happened) -> None:
        """Let the event know of a delivery to come."""
        message.undelivered.add(endpoint.id)

    def delivered(self, endpoint: Endpoint, message: Happened) -> None:
        """Let the event know of a delivery made."""
        message.undelivered.discard(endpoint.id)

    def named(self, endpoint: Endpoint, message: Happened) -> tuple[str, str]:
        """Return the event's id and type."""
        body = _body(endpoint, message)
        return body["id"], body["type"]

    def send(self, endpoint: Endpoint, messages: Sequence[Happened]) -> int:
        """Deliver an event and return the status that is answered.

        Raises:
            OSError: nobody answers there.
        """
        (happened,) = messages
        body = _body(endpoint, happened)
        return webhooks.send(endpoint.url, body, endpoint.secret, self._world(), timeout=TIMEOUT_SECONDS)


def _body(endpoint: Endpoint, happened: Happened) -> dict[str, Any]:
    return happened.notification() if endpoint.thin else happened.as_snapshot() or {}


def endpoint_from(id_: str, fields: dict[str, Any]) -> Endpoint:
    """Make an endpoint from JSON-like values; shares of disorder stand beside the rest, `delay_seconds` as a number.

    Raises:
        ValueError: the address is not on this machine.
        TypeError: a field is missing or unknown.
    """
    disorder, rest = disorder_from(fields)
    return Endpoint(id_, disorder=disorder, **rest)
