"""Stripe's amounts in ISO 4217 minor units.

Stripe counts in minor units as well, with exceptions (https://docs.stripe.com/currencies): it keeps two decimals for
currencies that have none by the standard (ISK, UGX), and none for the ariary, to which the standard gives two.
"""

from __future__ import annotations

from paycordon.adapting import amounts
from paycordon.events import Money
from paycordon_stripe.shapes import Node

_DECIMALS_MORE = {"ISK": 2, "UGX": 2, "MGA": -2}


def money(amount: int, currency: str) -> Money:
    """Return a Stripe amount as money; see `paycordon.adapting.amounts.money`.

    Raises:
        PayloadInvalid: the currency is not a three-letter code, or the amount is beyond belief.
    """
    return amounts.money(amount, currency, _DECIMALS_MORE)


def money_of(node: Node, key: str = "amount") -> Money:
    """Return the amount of a Stripe object.

    Raises:
        PayloadInvalid: it has no readable amount or currency.
    """
    return money(node.needed_integer(key), node.needed_text("currency"))
