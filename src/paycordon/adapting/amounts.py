"""Amounts of gateways that count some currencies otherwise than ISO 4217 does."""

from __future__ import annotations

from collections.abc import Mapping

from paycordon.errors import PayloadInvalid
from paycordon.events import Money

MAX_AMOUNT = 10**15
"""Beyond any amount a gateway takes, and within what every database counts exactly."""


def money(amount: int, currency: str, decimals_more: Mapping[str, int]) -> Money:
    """Return a gateway's amount as money; what its finer unit leaves over is rounded up, away from small limits.

    Args:
        amount: in the gateway's minor units.
        currency: the code, in upper or lower case.
        decimals_more: by how many decimals the gateway's unit is finer than the standard's; negative for coarser.

    Raises:
        PayloadInvalid: the currency is not a three-letter code, or the amount is beyond belief.
    """
    if abs(amount) > MAX_AMOUNT:
        raise PayloadInvalid("`amount` is larger than any amount of money")
    code = currency.upper()
    if not (len(code) == 3 and code.isascii() and code.isalpha()):
        raise PayloadInvalid("`currency` is not a three-letter code")
    finer = decimals_more.get(code, 0)
    minor = -(-amount // 10**finer) if finer > 0 else amount * 10**-finer
    return Money(minor=minor, currency=code)
