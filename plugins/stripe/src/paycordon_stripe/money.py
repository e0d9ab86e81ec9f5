"""Stripe's amounts in ISO 4217 minor units.

Stripe counts in minor units as well, with exceptions (https://docs.stripe.com/currencies): it keeps two decimals for
currencies that have none by the standard (ISK, UGX), and none for the ariary, to which the standard gives two.
"""

from __future__ import annotations

from paycordon.errors import PayloadInvalid
from paycordon.events import Money
from paycordon_stripe.shapes import Node

MAX_AMOUNT = 10**15
"""Beyond any amount Stripe takes (twelve digits), and within what every database counts exactly."""

_STRIPE_HAS_TWO_DECIMALS_MORE = frozenset({"ISK", "UGX"})
_STRIPE_HAS_TWO_DECIMALS_LESS = frozenset({"MGA"})


def money(amount: int, currency: str) -> Money:
    """Return a Stripe amount as money; what Stripe's finer unit leaves over is rounded up, away from small limits.

    Raises:
        PayloadInvalid: the currency is not a three-letter code, or the amount is beyond belief.
    """
    if abs(amount) > MAX_AMOUNT:
        raise PayloadInvalid("`amount` is larger than any amount of stripe's")
    code = currency.upper()
    if not (len(code) == 3 and code.isascii() and code.isalpha()):
        raise PayloadInvalid("`currency` is not a three-letter code")
    if code in _STRIPE_HAS_TWO_DECIMALS_MORE:
        amount = -(-amount // 100)
    elif code in _STRIPE_HAS_TWO_DECIMALS_LESS:
        amount *= 100
    return Money(minor=amount, currency=code)


def money_of(node: Node, key: str = "amount") -> Money:
    """Return the amount of a Stripe object.

    Raises:
        PayloadInvalid: it has no readable amount or currency.
    """
    return money(node.needed_integer(key), node.needed_text("currency"))
