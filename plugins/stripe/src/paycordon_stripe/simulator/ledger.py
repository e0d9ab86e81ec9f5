"""The simulator's state: every object, the money, what will happen, what has happened, and the log of changes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime
from typing import Any

from paycordon.simulation import Changed, next_midnight
from paycordon.simulation import Ledger as AnyLedger
from paycordon_stripe.simulator import shapes
from paycordon_stripe.simulator.books import Books
from paycordon_stripe.simulator.event_log import PLATFORM, EventLog
from paycordon_stripe.simulator.problems import no_access, unknown

__all__ = ["PLATFORM", "Changed", "Json", "Ledger"]

Json = dict[str, Any]
Shelf = dict[str, Json]
NO_CAUSE: Json = {"id": None, "idempotency_key": None}


class Ledger(AnyLedger):
    """All state of one simulator. Whoever uses it holds `lock`.

    Args:
        clock: the simulator's present.
        livemode: whether its objects are those of live mode.
        each_midnight: what happens at every midnight, UTC: payouts by schedule.
    """

    def __init__(
        self, clock: Callable[[], datetime], *, livemode: bool, each_midnight: Callable[[Ledger], None] = lambda _: None
    ) -> None:
        super().__init__(clock)
        self.livemode = livemode
        self.accounts: dict[str, Json] = {}
        self.capabilities: dict[str, dict[str, Json]] = {}
        self.books: dict[str, Books] = {}
        self.rejected: dict[str, Json] = {}
        self.balance_settings: dict[str, Json] = {}
        self.cause = NO_CAUSE
        self.log = EventLog(self.new_id, livemode=livemode)
        self._shelves: dict[str, dict[str, Shelf]] = {}
        self._each_midnight = each_midnight
        self._has_midnights = False

    def now(self) -> int:
        """Return the present in seconds since 1970."""
        return int(self.clock().timestamp())

    def new_id(self, prefix: str) -> str:
        """Return an id that is new here."""
        return f"{prefix}_1Sim{self.next_number(prefix):016d}"

    def by_nobody(self) -> None:
        """From now on what happens is no request's doing."""
        super().by_nobody()
        self.cause = NO_CAUSE

    def keep_books(self, owner: str) -> Books:
        """Keep account of an owner's money from now on, and let midnights come; without money none is needed."""
        if not self._has_midnights:
            self._has_midnights = True
            self.timeline.at(next_midnight(self.clock()), self._at_midnight)
        return self.books.setdefault(owner, Books())

    def _at_midnight(self) -> None:
        self.timeline.at(next_midnight(self.clock()), self._at_midnight)
        self._each_midnight(self)

    def shelf(self, kind: str, owner: str) -> Shelf:
        """Return the objects of a kind that an account or the platform has, oldest first."""
        return self._shelves.setdefault(kind, {}).setdefault(owner, {})

    def find(self, kind: str, owner: str, id_: str) -> Json:
        """Return an object of an account or the platform.

        Raises:
            Problem: there is none.
        """
        found = self.shelf(kind, owner).get(id_)
        if found is None:
            raise unknown(kind.rstrip("s"), id_)
        return found

    def anywhere(self, owner: str, id_: str) -> Json | None:
        """Return the object of an id, of whatever kind, if this owner has it; for `expand`."""
        if id_ in self.accounts:
            return self.accounts[id_]
        return next((shelves[owner][id_] for shelves in self._shelves.values() if id_ in shelves.get(owner, {})), None)

    def account(self, id_: str) -> Json:
        """Return an account.

        Raises:
            Problem: there is none.
        """
        if id_ not in self.accounts:
            raise no_access(id_)
        return self.accounts[id_]

    def add(self, kind: str, owner: str, object_: Json, event: str) -> Json:
        """Put a new object there and tell of it."""
        self.shelf(kind, owner)[object_["id"]] = object_
        self.emit(event, owner, object_)
        return object_

    def edit(self, owner: str, object_: Json, changes: Json, *events: str) -> Json:
        """Change an object in place and tell of it, with what it was before; unless nothing changes."""
        previous = {name: object_.get(name) for name, value in changes.items() if object_.get(name) != value}
        if previous:
            object_.update(changes)
            for event in events:
                self.emit(event, owner, object_, previous)
        return object_

    def emit(self, type_: str, owner: str, object_: Json, previous: Json | None = None) -> None:
        """Make an event of what has happened; `previous` counts for `*.updated` only.

        Of an account that the platform has no access to any more, it does not hear.
        """
        if owner != PLATFORM and owner not in self.accounts:
            return
        before = previous if type_.endswith("updated") else None
        self.log.happened(type_, owner, object_, self.clock(), previous=before, cause=self.cause)

    def replace_account(self, after: Json) -> None:
        """Put a new version of an account in place of the old one, note each difference, and tell of it."""
        id_ = after["id"]
        before = self.accounts[id_]
        self.accounts[id_] = after
        self.note(id_, before, after)
        previous = {name: before.get(name) for name in after if before.get(name) != after[name]}
        if previous:
            self.emit("account.updated", id_, after, previous)

    def set_by_hand(self, account: str, path: str, value: Any) -> None:
        """Change a setting as a person in the dashboard would; `path` has full stops between its names.

        `capabilities.<name>.requested` reaches the capability.

        Raises:
            Problem: there is no such account.
        """
        after = copy.deepcopy(self.account(account))
        *outer, last = path.split(".")
        if outer[:1] == ["capabilities"] and last == "requested":
            self.request_capability(account, outer[1], value)
            return
        place = after
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
        self.replace_account(after)

    def request_capability(self, account: str, name: str, requested: bool) -> Json:
        """Request a capability or give it back, tell of it, and return it."""
        held = self.capabilities[account].setdefault(name, shapes.capability(account, name))
        self.changed(account, f"capabilities.{name}.requested", held["requested"], requested)
        changes: Json = {"requested": requested, "status": self._status(account, requested)}
        if held["requested"] != requested:
            changes["requested_at"] = self.now() if requested else None
        known = dict(self.accounts[account]["capabilities"])
        self.edit(account, held, changes, "capability.updated")
        owner = self.accounts[account]
        enabled = owner["charges_enabled"]
        owner["capabilities"][name] = held["status"]
        owner["charges_enabled"] = owner["capabilities"].get("card_payments") == "active"
        if known != owner["capabilities"]:
            self.emit("account.updated", account, owner, {"capabilities": known, "charges_enabled": enabled})
        return held

    def _status(self, account: str, requested: bool) -> str:
        if not requested:
            return "unrequested"
        active = self.accounts[account]["details_submitted"] and account not in self.rejected
        return "active" if active else "inactive"
