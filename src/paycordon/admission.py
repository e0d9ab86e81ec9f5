"""What an event says of itself: whether it is the one recorded under its id, and where it comes from."""

from __future__ import annotations

import logging
from collections.abc import Collection

from paycordon.events import Event

_MAX_STRANGE = 100
_logger = logging.getLogger("paycordon")


class Instances:
    """The gateway instances that are configured; without any, all names are taken."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = frozenset(names)
        self._strange: set[str] = set()

    def warn_of(self, instance: str) -> None:
        """Say once that a name is none of the configured instances': whatever is held there, no worker enforces."""
        if not self.names or instance in self.names or instance in self._strange:
            return
        if len(self._strange) < _MAX_STRANGE:
            self._strange.add(instance)
            _logger.error(
                "events of `%s` come in, which is not among `gateways`: holds are not enforced there", instance
            )


def is_repeated(event: Event, recorded: str) -> bool:
    """Tell whether an event asks for what the recorded one of its id asked for; what else is known may have grown."""
    if not recorded:  # erased: what it asked for is not known any more
        return False
    before = Event.model_validate_json(recorded)
    if None not in (event.merchant.id, before.merchant.id) and event.merchant.id != before.merchant.id:
        return False
    return _matter(event) == _matter(before)


def _matter(event: Event) -> tuple[object, ...]:
    payout = event.payout
    return event.type, event.mode, event.subject, payout and (payout.amount, payout.destination)
