"""What one synthetic merchant does, put down as events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

START = datetime(2026, 1, 5, tzinfo=UTC)
"""The first moment of every portfolio, a Monday."""
DAYS = 120

Line = dict[str, Any]

# A zone of each country and its distance from UTC in winter, in hours: shapes need the hour of the day, not the minute.
PLACES: dict[str, tuple[str, float]] = {
    "AU": ("Australia/Sydney", 11),
    "BE": ("Europe/Brussels", 1),
    "BR": ("America/Sao_Paulo", -3),
    "CA": ("America/Toronto", -5),
    "CO": ("America/Bogota", -5),
    "DE": ("Europe/Berlin", 1),
    "ES": ("Europe/Madrid", 1),
    "FR": ("Europe/Paris", 1),
    "GB": ("Europe/London", 0),
    "IN": ("Asia/Kolkata", 5.5),
    "IT": ("Europe/Rome", 1),
    "KE": ("Africa/Nairobi", 3),
    "MX": ("America/Mexico_City", -6),
    "NG": ("Africa/Lagos", 1),
    "NL": ("Europe/Amsterdam", 1),
    "PH": ("Asia/Manila", 8),
    "RO": ("Europe/Bucharest", 2),
    "SG": ("Asia/Singapore", 8),
    "TH": ("Asia/Bangkok", 7),
    "US": ("America/New_York", -5),
}
EURO = ("BE", "DE", "ES", "FR", "IT", "NL")
SENDING = ("US", "GB", "AU", "CA", "DE", "FR", "NL")
"""Countries that people send money home from, and pay from for what is abroad."""
RECEIVING = ("PH", "IN", "KE", "MX", "NG", "CO", "RO", "TH", "BR")
_CURRENCIES = {"GB": "GBP", "AU": "AUD", "CA": "CAD"}


class Payer(NamedTuple):
    """Somebody who pays, by the token that a gateway has for the card or account."""

    token: str
    country: str


class Life:
    """Collects the events of a merchant; times are days since the start of the portfolio, with fractions.

    `bank` is where it is paid out to, a wallet for virtual currency if `wallet` says so; on the day `moves_on` it
    becomes another one. `told` are the identifiers that it named so far, as kind and value.

    Args:
        random: the merchant's own, so that no merchant depends on another.
        id: the merchant's; everything of it is named after it.
        country, mcc: of the merchant.
        age: for how many days the account has existed at the start; negative: it is opened later.
    """

    def __init__(self, random: Random, id: str, country: str, mcc: str, age: float) -> None:  # noqa: A002
        self.random = random
        self.id = id
        self.country = country
        self.opened = -age
        self.bank = f"{id} first account"
        self.wallet = False
        self.moves_on: float | None = None
        self.told: list[tuple[str, str]] = []
        self.lines: list[Line] = []
        self.currency = "EUR" if country in EURO or country == "RO" else _CURRENCIES.get(country, "USD")
        self._balance = 0
        self._number = 0
        created = _time(self.opened)
        self._whose = {
            "gateway": "synthetic",
            "instance": "portfolio",
            "mode": "test",
            "account": {"id": f"acct-{id}", "country": country, "created_at": created},
            "merchant": {"id": id, "country": country, "mcc": mcc, "created_at": created},
        }

    def onboard(self, *, shared: Sequence[tuple[str, str]] = ()) -> None:
        """Apply, if the account is opened within the portfolio; `shared` replaces its own identifiers of a kind."""
        if self.opened >= 0:
            own = {"email": f"owner@{self.id}.example", "device": f"device {self.id}", self._account: self.bank}
            self._add("merchant.onboarding", self.opened, named={**own, **dict(shared)})

    def change_bank(self, day: float, bank: str) -> None:
        """Be paid out elsewhere from now on."""
        self.bank = bank
        self._add("merchant.changed", day, named={self._account: bank})

    def pay(self, day: float, amount: float, payer: Payer, hour: float) -> float:
        """Take a payment at an hour of the payer's clock on that day; returns when that was."""
        zone, distance = PLACES[payer.country]
        at = int(day) + (hour - distance) / 24
        if not 0 <= at < DAYS or at < self.opened:
            return at
        minor = round(amount * 100)
        self._balance += minor
        who = {"payer": payer.token, "payer_country": payer.country, "payer_time_zone": zone}
        self._add("payment.succeeded", at, "payment", minor, who)
        return at

    def refund(self, day: float, amount: float, payer: Payer) -> None:
        """Give money back."""
        if 0 <= day < DAYS:
            self._balance -= round(amount * 100)
            who = {"payer": payer.token, "payer_country": payer.country}
            self._add("payment.refunded", day, "payment", round(amount * 100), who)

    def dispute(self, day: float, amount: float, payer: Payer, reason: str) -> None:
        """Have a payment disputed."""
        if 0 <= day < DAYS:
            who = {"payer": payer.token, "reason": reason, "status": "open"}
            self._add("dispute.opened", day, "dispute", round(amount * 100), who)

    def payout(self, day: float, *, share: float = 1.0, by_hand: bool = False, instant: bool = False) -> None:
        """Be paid out what there is, or a share of it."""
        if self.moves_on is not None and day >= self.moves_on:
            self.change_bank(self.moves_on, f"{self.id} second account")
            self.moves_on = None
        minor = int(self._balance * share)
        if minor <= 0 or not 0 <= day < DAYS:
            return
        self._balance -= minor
        method = "instant" if instant else "standard"
        where = {"destination": f"ba {self.bank}", "automatic": not by_hand, "method": method, "status": "pending"}
        self._add("payout.requested", day, "payout", minor, where, {self._account: self.bank})

    @property
    def _account(self) -> str:
        return "wallet" if self.wallet else "bank_account"

    def _add(
        self,
        type_: str,
        day: float,
        part: str = "",
        minor: int = 0,
        more: Line | None = None,
        named: dict[str, str] | None = None,
    ) -> None:
        self._number += 1
        id_ = f"{self.id}-{self._number}"
        line: Line = {"id": id_, "type": type_, "occurred_at": _time(day), **self._whose}
        if part:
            line[part] = {"id": f"{part}-{id_}", "amount": {"minor": minor, "currency": self.currency}, **(more or {})}
        if named:
            line["identifiers"] = [{"kind": kind, "value": f"synthetic {value}"} for kind, value in named.items()]
            self.told += [(kind, f"synthetic {value}") for kind, value in named.items()]
        self.lines.append(line)


def _time(day: float) -> str:
    return (START + timedelta(seconds=round(day * 86_400))).isoformat().replace("+00:00", "Z")
