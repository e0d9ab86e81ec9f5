"""The simulator's state: accounts, capabilities, payouts, transfers, and the log of what has changed."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from paycordon_stripe.simulator.problems import no_access, unknown

Json = dict[str, Any]
PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Changed:
    """One effective change: what was `old` is now `new`. `request` counts requests from 1; 0 is by hand."""

    at: datetime
    account: str
    what: str
    old: Any
    new: Any
    request: int


class Ledger:
    """All state of one simulator. Whoever uses it holds `lock`."""

    def __init__(self, clock: Callable[[], datetime], *, livemode: bool) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.livemode = livemode
        self.accounts: dict[str, Json] = {}
        self.capabilities: dict[str, dict[str, Json]] = {}
        self.payouts: dict[str, dict[str, Json]] = {}
        self.transfers: dict[str, Json] = {}
        self.disputes: dict[str, dict[str, Json]] = {}
        self.changes: list[Changed] = []
        self.request = 0
        self._ids = 0

    def new_id(self, prefix: str) -> str:
        """Return an id that is new here."""
        self._ids += 1
        return f"{prefix}_1Sim{self._ids:016d}"

    def now(self) -> int:
        """Return the present in seconds since 1970."""
        return int(self.clock().timestamp())

    def account(self, id_: str) -> Json:
        """Return an account.

        Raises:
            Problem: there is none.
        """
        if id_ not in self.accounts:
            raise no_access(id_)
        return self.accounts[id_]

    def payout(self, account: str, id_: str) -> Json:
        """Return a payout of an account.

        Raises:
            Problem: there is none.
        """
        if id_ not in self.payouts.get(account, {}):
            raise unknown("payout", id_)
        return self.payouts[account][id_]

    def changed(self, account: str, what: str, old: Any, new: Any) -> None:
        """Note a change, if it is one."""
        if old != new:
            self.changes.append(Changed(self.clock(), account, what, old, new, self.request))

    def note(self, account: str, before: Json, after: Json, prefix: str = "") -> None:
        """Note every leaf in which two versions of an object differ."""
        old, new = dict(_leaves(before)), dict(_leaves(after))
        for path in sorted(old.keys() | new.keys()):
            self.changed(account, prefix + path, old.get(path), new.get(path))

    def set_by_hand(self, account: str, path: str, value: Any) -> None:
        """Change a setting as a person in the dashboard would; `path` has full stops between its names.

        `capabilities.<name>.requested` reaches the capability.

        Raises:
            Problem: there is no such account.
        """
        before = copy.deepcopy(self.account(account))
        *outer, last = path.split(".")
        if outer[:1] == ["capabilities"] and last == "requested":
            self.request_capability(account, outer[1], value)
            return
        place = self.accounts[account]
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
        self.note(account, before, self.accounts[account])

    def request_capability(self, account: str, name: str, requested: bool) -> Json:
        """Request a capability or give it back, and return it."""
        held = self.capabilities[account].setdefault(name, _capability(account, name))
        self.changed(account, f"capabilities.{name}.requested", held["requested"], requested)
        if held["requested"] != requested:
            held["requested"], held["requested_at"] = requested, self.now() if requested else None
        owner = self.accounts[account]
        granted = "active" if owner["details_submitted"] else "inactive"
        held["status"] = granted if requested else "unrequested"
        owner["capabilities"][name] = held["status"]
        owner["charges_enabled"] = owner["capabilities"].get("card_payments") == "active"
        return held


def _capability(account: str, name: str) -> Json:
    return {
        "id": name,
        "object": "capability",
        "account": account,
        "requested": False,
        "requested_at": None,
        "status": "unrequested",
        "requirements": {"currently_due": [], "disabled_reason": None},
    }


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
