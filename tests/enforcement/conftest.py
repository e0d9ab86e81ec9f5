"""A gateway in memory with many accounts, and what it takes to hold and release them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest

from paycordon.decisions import Outcome, Scope
from paycordon.events import Event, Mode, Subject
from paycordon.gateways import (
    Applied,
    Change,
    Delivery,
    Gateway,
    GatewaySettings,
    GatewayState,
    Grade,
    Message,
    Restriction,
    Settings,
    Support,
    check_fence,
)
from paycordon.store import Store, holds, schema
from paycordon.store.holds import NewHold, Source
from paycordon.testing import NOON

SCHEDULES = {Restriction.PAYOUTS_HELD: ("manual", True), Restriction.BLOCKED: ("manual", False)}


class Accounts(Gateway[GatewaySettings]):
    """Each account has a payout schedule and may take charges or not.

    Attributes:
        settings_of: what each account has.
        writes: how often each was changed.
        trouble: raised by every call, as long as it is set.
        latency_s: how long each call takes.
        schedules: what `apply` makes of each restriction.
    """

    name = "accounts"
    settings_type = GatewaySettings
    capabilities = {
        Restriction.PAYOUTS_HELD: Support(Grade.FULL, "schedule to manual"),
        Restriction.BLOCKED: Support(Grade.FULL, "schedule to manual, charges off"),
    }

    def __init__(self, instance: str = "acme") -> None:
        super().__init__(instance, GatewaySettings(adapter="accounts", mode=Mode.TEST))
        self.settings_of: dict[str, dict[str, Any]] = {}
        self.writes: Counter[str] = Counter()
        self.reads = 0
        self.schedules = dict(SCHEDULES)
        self.trouble: Exception | None = None
        self.latency_s = 0.0
        self.before_write: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def verify(self, delivery: Delivery, now: datetime) -> Sequence[Message]:
        raise AssertionError("not a part of reconciling")

    def translate(self, message: Message) -> Sequence[Event]:
        raise AssertionError("not a part of reconciling")

    def resolve(self, event: Event) -> Event:
        raise AssertionError("not a part of reconciling")

    def read(self, subject: Subject) -> GatewayState:
        self._answer()
        with self._lock:
            self.reads += 1
            return self._state(subject.account)

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        self.before_write()
        check_fence()
        self._answer()
        with self._lock:
            wanted = dict(change.baseline)
            if change.to in self.schedules:
                schedule, charges = self.schedules[change.to]
                wanted = {"schedule": schedule, "charges": charges and wanted["charges"]}
            if self.settings_of[subject.account] != wanted:
                self.settings_of[subject.account] = wanted
                self.writes[subject.account] += 1
            return Applied(self._state(subject.account))

    def _answer(self) -> None:
        if self.latency_s:
            time.sleep(self.latency_s)
        if self.trouble is not None:
            raise self.trouble

    def _state(self, account: str) -> GatewayState:
        settings: Settings = dict(self.settings_of[account])
        held, charging = settings["schedule"] == "manual", settings["charges"]
        restriction = Restriction.NONE if not held else Restriction.PAYOUTS_HELD if charging else Restriction.BLOCKED
        return GatewayState(restriction, settings)


class Held:
    """Merchants with accounts at a gateway, held and released without decisions."""

    def __init__(self, store: Store, gateway: Accounts, now: datetime = NOON) -> None:
        self.store, self.gateway, self.now = store, gateway, now
        self._count = 0

    def add(self, account: str, merchant: str, schedule: str = "daily") -> None:
        """Let a merchant have an account."""
        self.gateway.settings_of[account] = {"schedule": schedule, "charges": True}
        row = {"instance": self.gateway.instance, "account": account, "merchant": merchant}
        with self.store.write() as connection:
            connection.execute(schema.accounts.insert().values(row))

    def place(self, account: str, merchant: str, outcome: Outcome = Outcome.HOLD) -> str:
        """Hold a merchant for something at an account; returns the hold's id."""
        self._count += 1
        wanted = NewHold(
            merchant=merchant,
            instance=self.gateway.instance,
            account=account,
            subject_kind="payout",
            subject_id=f"po_{self._count}",
            outcome=outcome,
            scope=Scope.CHARGES if outcome is Outcome.BLOCK else Scope.PAYOUTS,
            rule="p/r",
            merchant_reason="",
            source=Source.PERSON,
            placed_by="ann",
            internal_reason="a test",
        )
        number = self._count
        with self.store.write() as connection:
            return holds.place_by_hand(connection, wanted, self.now, lambda n: number.to_bytes(n, "big")).id

    def release(self, hold: str) -> None:
        """Release a hold."""
        with self.store.write() as connection:
            holds.release(connection, hold, by="ann", reason="looked at", now=self.now)


@pytest.fixture
def accounts() -> Accounts:
    return Accounts()


@pytest.fixture
def held(store: Store, accounts: Accounts) -> Held:
    return Held(store, accounts)
