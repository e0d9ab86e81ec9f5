"""The events the simulator has made: snapshots, their thin twins, and how far each has been delivered."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from paycordon_stripe.simulator import events

Json = dict[str, Any]
MAX_EVENTS = 20_000
READABLE_FOR = timedelta(days=30)
PLATFORM = "platform"


@dataclass(slots=True)
class Happened:
    """One event: its snapshot form, if it has one, its thin form, whose it is, and which endpoints still miss it."""

    owner: str
    at: datetime
    snapshot: Json | None
    thin: Json
    undelivered: set[str] = field(default_factory=set)

    def as_snapshot(self) -> Json | None:
        """Return the snapshot as it stands, `pending_webhooks` included."""
        return None if self.snapshot is None else {**self.snapshot, "pending_webhooks": len(self.undelivered)}

    def notification(self) -> Json:
        """Return what a thin endpoint is sent: the thin event without what has to be fetched."""
        return {name: value for name, value in self.thin.items() if name not in ("changes", "data")}


class EventLog:
    """All events, oldest first, of the last thirty days and bounded in number."""

    def __init__(self, new_id: Callable[[str], str], *, livemode: bool) -> None:
        self._all: deque[Happened] = deque(maxlen=MAX_EVENTS)
        self._new_id = new_id
        self._livemode = livemode
        self.listener: Callable[[Happened], None] = lambda _: None

    def happened(
        self, type_: str, owner: str, object_: Json, at: datetime, *, previous: Json | None = None, cause: Json
    ) -> Happened:
        """Note an event of v1 with its thin twin, and tell the listener."""
        account = None if owner == PLATFORM else owner
        content, before = copy.deepcopy(object_), copy.deepcopy(previous)
        id_ = self._new_id("evt")
        snapshot = events.event(type_, content, at, account=account, previous=before, livemode=self._livemode, id_=id_)
        snapshot |= {"pending_webhooks": 0, "request": cause}
        thin = self._thin(f"v1.{type_}", owner, at, cause)
        thin |= {"related_object": _related(object_), "snapshot_event": snapshot["id"]}
        return self._add(Happened(owner, at, snapshot, thin))

    def happened_v2(self, type_: str, owner: str, related: Json, at: datetime, cause: Json) -> Happened:
        """Note an event of v2, which has no snapshot, and tell the listener."""
        return self._add(Happened(owner, at, None, self._thin(type_, owner, at, cause) | {"related_object": related}))

    def of(self, owner: str, now: datetime) -> Iterator[Happened]:
        """Yield the readable events of an account or the platform, newest first."""
        return (each for each in self.readable(now) if each.owner == owner)

    def readable(self, now: datetime) -> Iterator[Happened]:
        """Yield all readable events, newest first."""
        return (each for each in reversed(self._all) if now - each.at <= READABLE_FOR)

    def _thin(self, type_: str, owner: str, at: datetime, cause: Json) -> Json:
        request = {**cause, "idempotency_key": cause["idempotency_key"] or ""}
        reason = {"type": "request", "request": request} if cause["id"] else None
        return {
            "id": self._new_id("evt_test_65" if not self._livemode else "evt_65"),
            "object": "v2.core.event",
            "type": type_,
            "livemode": self._livemode,
            "created": iso(at),
            "context": None if owner == PLATFORM else owner,
            "reason": reason,
            "changes": None,
        }

    def _add(self, happened: Happened) -> Happened:
        self._all.append(happened)
        self.listener(happened)
        return happened


def iso(at: datetime) -> str:
    """Write a time as v2 of the API does."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


_PATHS = {
    "account": "/v1/accounts/{id}",
    "balance": "/v1/balance",
    "balance_settings": "/v1/balance_settings",
    "bank_account": "/v1/accounts/{account}/external_accounts/{id}",
    "capability": "/v1/accounts/{account}/capabilities/{id}",
    "card": "/v1/accounts/{account}/external_accounts/{id}",
    "person": "/v1/accounts/{account}/persons/{id}",
    "radar.early_fraud_warning": "/v1/radar/early_fraud_warnings/{id}",
}


def _related(object_: Json) -> Json:
    kind = object_["object"]
    path = _PATHS.get(kind, f"/v1/{kind}s/{{id}}")
    fields = {"id": object_.get("id", kind), "account": object_.get("account")}
    return {"id": fields["id"], "type": kind, "url": path.format(**fields)}
