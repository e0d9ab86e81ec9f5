"""Adyen's webhook endpoints, and the courier that delivers to them.

Three tries within a minute, then a queue with growing pauses for 30 days:
https://docs.adyen.com/development-resources/webhooks/troubleshoot. Adyen queues per endpoint, so that nothing overtakes
what waits; here each delivery is retried for itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from paycordon.simulation import Courier, disorder_from, post
from paycordon.simulation import Endpoint as AnyEndpoint
from paycordon_adyen.simulator import webhooks
from paycordon_adyen.simulator.ledger import CLASSIC, PLATFORM, Told

TIMEOUT_SECONDS = 10.0
_GIVEN_UP_AFTER = timedelta(days=30)
_LONGEST = timedelta(hours=8)


def _retries() -> Iterator[timedelta]:
    waited = timedelta(0)
    minutes = (2, 5, 10, 15, 30, 60, 120, 240)
    for pause in (*(timedelta(seconds=s) for s in (9, 18, 27)), *(timedelta(minutes=m) for m in minutes)):
        waited += pause
        yield pause
    while waited + _LONGEST <= _GIVEN_UP_AFTER:
        waited += _LONGEST
        yield _LONGEST


RETRIES = tuple(_retries())
"""Pauses before the next try."""


@dataclass(frozen=True, slots=True)
class Endpoint(AnyEndpoint):
    """Where webhooks of one family are delivered to, as they are set up apart at Adyen.

    Attributes:
        family: `platform`, or `classic` for notifications of payments and disputes.
        batch: how many notifications go together at most.
        login: `user:password` of basic authentication; empty for none.
    """

    family: str = PLATFORM
    batch: int = 1
    login: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        AnyEndpoint.__post_init__(self)
        webhooks.sign(b"", self.secret or "00")
        if self.family not in (PLATFORM, CLASSIC):
            raise ValueError(f"there are webhooks of the families `{PLATFORM}` and `{CLASSIC}`")


class AdyenCourier(Courier[Endpoint, Told]):
    """Delivers webhooks as Adyen does; notifications in batches if an endpoint takes them.

    Args:
        clock: the simulator's present.
        random: decides about disorder.
        livemode: whether deliveries are those of the live environment.
    """

    def __init__(self, clock: Callable[[], datetime], random: Random, *, livemode: bool) -> None:
        super().__init__(clock, retries=RETRIES, random=random)
        self._livemode = livemode

    def wants(self, endpoint: Endpoint, message: Told) -> bool:
        """Tell whether something that is told is delivered to an endpoint."""
        return endpoint.family == message.family and endpoint.subscribes(message.type)

    def named(self, endpoint: Endpoint, message: Told) -> tuple[str, str]:  # noqa: ARG002 - the same for each
        """Return the id and the type of what is told."""
        return message.id, message.type

    def batch(self, endpoint: Endpoint, message: Told) -> int:  # noqa: ARG002 - an endpoint has one family
        """Return how many go together: of webhooks of the platform always one."""
        return endpoint.batch if endpoint.family == CLASSIC else 1

    def send(self, endpoint: Endpoint, messages: Sequence[Told]) -> int:
        """Deliver and return the status that is answered.

        Raises:
            OSError: nobody answers there.
        """
        if endpoint.family == CLASSIC:
            items = [webhooks.signed_item(told.body, endpoint.secret) for told in messages]
            body = webhooks.classic_body(items, livemode=self._livemode)
            headers = webhooks.headers_of(body, login=endpoint.login)
        else:
            (told,) = messages
            body = json.dumps(told.body).encode()
            headers = webhooks.headers_of(body, endpoint.secret, endpoint.login)
        return post(endpoint.url, body, headers, timeout=TIMEOUT_SECONDS)


def endpoint_from(id_: str, fields: dict[str, Any]) -> Endpoint:
    """Make an endpoint from JSON-like values; shares of disorder stand beside the rest, `delay_seconds` as a number.

    Raises:
        ValueError: the address is not on this machine, or the key is not written in hexadecimal digits.
        TypeError: a field is missing or unknown.
    """
    disorder, rest = disorder_from(fields)
    return Endpoint(id_, disorder=disorder, **rest)
