"""The money of one account: what is available, since when, and what is still pending. Amounts in minor units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class Lot:
    """Money that came, or will come, at one time; below zero, what the account owes."""

    at: datetime
    amount: int


@dataclass(slots=True)
class Books:
    """Lots per currency, oldest first: the age of held money decides when Stripe pays it out by itself."""

    _available: dict[str, list[Lot]] = field(default_factory=dict)
    _pending: dict[str, list[Lot]] = field(default_factory=dict)

    def currencies(self) -> Iterable[str]:
        """Return the currencies there have ever been."""
        return sorted(self._available.keys() | self._pending.keys())

    def available(self, currency: str) -> int:
        """Return what can be paid out; below zero if the account owes."""
        return sum(lot.amount for lot in self._available.get(currency, ()))

    def pending(self, currency: str) -> int:
        """Return what is not available yet."""
        return sum(lot.amount for lot in self._pending.get(currency, ()))

    def available_since(self, currency: str, before: datetime) -> int:
        """Return how much of what is available has been so since before a time."""
        old = sum(lot.amount for lot in self._available.get(currency, ()) if lot.at <= before)
        return max(0, min(old, self.available(currency)))

    def add(self, currency: str, amount: int, at: datetime) -> None:
        """Make money available; what is owed is taken from it first."""
        lots = self._available.setdefault(currency, [])
        while lots and lots[0].amount < 0 < amount:
            part = min(amount, -lots[0].amount)
            lots[0].amount += part
            amount -= part
            if lots[0].amount == 0:
                del lots[0]
        if amount:
            lots.append(Lot(at, amount))

    def expect(self, currency: str, amount: int, available_on: datetime) -> None:
        """Note money that becomes available later."""
        self._pending.setdefault(currency, []).append(Lot(available_on, amount))

    def take(self, currency: str, amount: int, at: datetime) -> None:
        """Take money, the oldest first; what is not there is owed."""
        lots = self._available.setdefault(currency, [])
        while lots and amount and lots[0].amount > 0:
            part = min(amount, lots[0].amount)
            lots[0].amount -= part
            amount -= part
            if lots[0].amount == 0:
                del lots[0]
        if amount:
            lots.append(Lot(at, -amount))

    def ripen(self, now: datetime) -> Iterator[str]:
        """Make available what is due, and yield the currencies in which something was."""
        for currency, lots in self._pending.items():
            due = [lot for lot in lots if lot.at <= now]
            lots[:] = [lot for lot in lots if lot.at > now]
            for lot in due:
                self.add(currency, lot.amount, lot.at)
            if due:
                yield currency
