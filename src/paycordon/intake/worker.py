"""Screen what the door has stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

from paycordon.decisions import Decision
from paycordon.errors import NotFound, PayloadInvalid, Refused, RetryLater, StoreUnavailable
from paycordon.events import Event, EventType
from paycordon.gateways import ASKED_AS, Gateway
from paycordon.intake.meaning import described, events_with_content
from paycordon.metrics import Metrics
from paycordon.store import Store
from paycordon.store.deliveries import (
    DeliveryState,
    StoredDelivery,
    any_let_through,
    claim,
    done,
    failed,
    give_back,
    pause_after,
)

DEFAULT_LEASE = timedelta(minutes=5)
BATCH = 20
# After so many failures to read the gateway, about 20 minutes, an event is judged on what its delivery carried:
# better on that than not at all.
RESOLVE_FAILURES = 5
_MAX_ASKED_AS = 8
_LONGEST_WAIT = timedelta(days=1)
_logger = logging.getLogger("paycordon")


class Screens(Protocol):
    """What a worker needs of `paycordon.screening.Cordon`."""

    def screen(self, event: Event) -> Decision:
        """Judge an event and record it; the same event again changes nothing."""


class DeliveryWorker:
    """Turns stored messages into screened events, at least once each; screening twice changes nothing.

    Any number of workers may run on one store.

    Args:
        store: where the messages are.
        gateways: the adapters by instance.
        cordon: what screens the events.
        clock: says what time it is, UTC.
        owner: a name no other worker has; leases carry it.
        instance: the only instance whose messages are worked on; those of all by default.
        lease: for how long claimed messages are this worker's; longer than one message ever takes.
        metrics: where attempts are counted.
    """

    def __init__(
        self,
        store: Store,
        gateways: Mapping[str, Gateway[Any]],
        cordon: Screens,
        clock: Callable[[], datetime],
        owner: str,
        *,
        instance: str | None = None,
        lease: timedelta = DEFAULT_LEASE,
        metrics: Metrics | None = None,
    ) -> None:
        self._store = store
        self._gateways = dict(gateways)
        self._cordon = cordon
        self._clock = clock
        self._owner = owner
        self._instance = instance
        self._lease = lease
        self._metrics = metrics or Metrics()

    def run_once(self) -> int:
        """Claim what is due, at most a batch, and work on it; return how many messages were worked on.

        A message that fails becomes due again later and does not stop the others.

        Raises:
            StoreUnavailable: the round ended early; what was claimed is free again, at the latest when its lease
                runs out.
        """
        remaining = claim(self._store, self._owner, self._clock(), self._lease, BATCH, instance=self._instance)
        worked = 0
        # Half of the lease stays in reserve, so that the message begun last is still ours when it is finished.
        until = self._clock() + self._lease / 2
        try:
            while remaining and self._clock() < until:
                self._work(remaining[0])
                del remaining[0]
                worked += 1
        finally:
            if remaining:
                with suppress(StoreUnavailable):
                    give_back(self._store, remaining)
        return worked

    def _work(self, delivery: StoredDelivery) -> None:
        """Work on one message; only an unavailable store is raised."""
        try:
            events = self._screened(delivery)
            if not done(self._store, delivery, events):
                self._failed(delivery, "its screening was not recorded")
                return
        except StoreUnavailable:
            raise
        except (NotFound, PayloadInvalid, Refused) as error:
            self._failed(delivery, described(error), final=True)
        except Exception as error:  # nothing that one message does may stop the others
            self._failed(delivery, described(error), wait=error.after if isinstance(error, RetryLater) else None)
        else:
            self._metrics.worked(delivery.instance, "done")

    def _screened(self, delivery: StoredDelivery) -> Sequence[Event]:
        gateway = self._gateways.get(delivery.instance)
        if gateway is None:
            raise NotFound(f"the instance `{delivery.instance}` is not configured")
        events = [_resolved(gateway, event, delivery) for event in events_with_content(gateway, delivery.message)]
        for event in events:
            self._cordon.screen(self._as_asked(event))
        return events

    def _as_asked(self, event: Event) -> Event:
        """Take a payout that a guard has let through for news of it, not for another request."""
        asked_as = event.extra.get(ASKED_AS)
        if event.type != EventType.PAYOUT_REQUESTED or not isinstance(asked_as, list):
            return event
        if not any_let_through(self._store, event.instance, [str(each) for each in asked_as[:_MAX_ASKED_AS]]):
            return event
        return event.model_copy(update={"type": EventType.PAYOUT_UPDATED})

    def _failed(
        self, delivery: StoredDelivery, error: str, *, wait: timedelta | None = None, final: bool = False
    ) -> None:
        pause = max(pause_after(delivery.failures + 1), min(wait or timedelta(0), _LONGEST_WAIT))
        state = failed(self._store, delivery, error, self._clock() + pause, final=final)
        if state is not None:
            _logger.warning("delivery %d of `%s` is %s: %s", delivery.id, delivery.instance, state.value, error)
            self._metrics.worked(delivery.instance, "stuck" if state is DeliveryState.STUCK else "retry")


def _resolved(gateway: Gateway[Any], event: Event, delivery: StoredDelivery) -> Event:
    """Complete an event from the gateway; one that cannot be completed is screened as it was delivered."""
    try:
        resolved = gateway.resolve(event)
    except Refused:
        return _unresolved(event, "refused")
    except Exception:  # an adapter's mistake must not keep an event from being screened for longer than an outage does
        if delivery.failures < RESOLVE_FAILURES:
            raise
        return _unresolved(event, "unreachable")
    if (resolved.instance, resolved.id, resolved.mode) != (event.instance, event.id, event.mode):
        raise PayloadInvalid("the adapter resolved an event into another one")
    return resolved


def _unresolved(event: Event, why: str) -> Event:
    """Note on the event itself that it was judged on less than it might have been."""
    return event.model_copy(update={"extra": {**event.extra, "paycordon_unresolved": why}})
