"""What aggregates know of an event: one function makes the facts, for the store and for a backtest alike."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from paycordon.aggregates.localtime import local_time
from paycordon.events import Event, Payment

MAX_TEXT = 255
"""Longer texts are kept as their digest, which is as good for telling them apart, so that an index can hold them."""

# Stands between parts of a key; no id contains it (see `events.OpaqueId`).
SEPARATOR = "\x1f"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Facts(NamedTuple):
    """An event as aggregates see it.

    `occurred_at` is in microseconds since 1970 UTC, `amount` in minor units; `payer_hour` (0 to 23) and
    `payer_weekday` (ISO, 1 to 7) are by the payer's local time. `account` names the instance as well. `identifiers`
    are pairs of kind and digest, each once, the first of a kind first.
    """

    instance: str
    id: str
    type: str
    merchant: str
    account: str
    occurred_at: int
    amount: int | None
    currency: str | None
    payer: str | None
    destination: str | None
    method: str | None
    status: str | None
    reason: str | None
    payer_country: str | None
    country: str | None
    mcc: int | None
    payer_hour: int | None
    payer_weekday: int | None
    identifiers: tuple[tuple[str, str], ...]

    def identifier(self, kind: str) -> str | None:
        """The digest of the first identifier of a kind."""
        return next((digest for each, digest in self.identifiers if each == kind), None)


def facts_of(event: Event, merchant: str) -> Facts:
    """Reduce an event to its facts.

    Args:
        event: with its identifiers as digests (`Digester.conceal`); a plain value is taken where there is no digest.
        merchant: the merchant that the event was resolved to.
    """
    payout, dispute, payment = event.payout, event.dispute, event.payment
    amount = event.amount
    status = payout.status if payout else dispute.status if dispute else None
    payer = payment.payer if payment else dispute.payer if dispute else None
    local = _payers_time(event.occurred_at, payment)
    identifiers = dict.fromkeys((str(i.kind), bounded(i.digest or i.value or "")) for i in event.identifiers)
    return Facts(
        event.instance,
        event.id,
        str(event.type),
        merchant,
        bounded(f"{event.instance}{SEPARATOR}{event.account.id}"),
        (event.occurred_at - _EPOCH) // _MICROSECOND,
        amount.minor if amount else None,
        amount.currency if amount else None,
        _bounded(payer),
        _bounded(payout.destination) if payout else None,
        _bounded(payout.method) if payout else None,
        _bounded(status),
        _bounded(dispute.reason) if dispute else None,
        payment.payer_country if payment else None,
        event.merchant.country,
        int(event.merchant.mcc) if event.merchant.mcc else None,
        local.hour if local else None,
        local.isoweekday() if local else None,
        tuple(identifiers),
    )


def bounded(text: str) -> str:
    """Return a text, or what stands for it when it is long."""
    return text if len(text) <= MAX_TEXT else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _bounded(text: str | None) -> str | None:
    return bounded(text) if text else None


def _payers_time(at: datetime, payment: Payment | None) -> datetime | None:
    if payment is None or not (payment.payer_time_zone or payment.payer_country):
        return None
    return local_time(at, payment.payer_time_zone, payment.payer_country)
