"""The money of one balance account, in minor units by currency."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Books:
    """What is there, and what of it is reserved for transfers under way."""

    balance: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)

    def available(self, currency: str) -> int:
        """Return what may be sent; below zero if the account owes."""
        return self.balance.get(currency, 0) - self.reserved.get(currency, 0)

    def add(self, currency: str, amount: int) -> None:
        """Add money, or take it if below zero."""
        self.balance[currency] = self.balance.get(currency, 0) + amount

    def reserve(self, currency: str, amount: int) -> None:
        """Reserve money, or set it free if below zero."""
        self.reserved[currency] = self.reserved.get(currency, 0) + amount

    def shown(self) -> list[dict[str, Any]]:
        """Return the balances as Adyen shows them."""
        return [
            {
                "available": self.available(currency),
                "balance": balance,
                "currency": currency,
                "pending": 0,
                "reserved": -self.reserved.get(currency, 0),
            }
            for currency, balance in sorted(self.balance.items())
        ]
