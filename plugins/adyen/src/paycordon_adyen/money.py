"""Adyen's amounts in ISO 4217 minor units.

Adyen counts in minor units as well, with exceptions (https://docs.adyen.com/development-resources/currency-codes): it
keeps two decimals for the Chilean peso and the Icelandic króna, which have none by the standard, and none for the
rupiah and the escudo of Cape Verde, which have two.
"""

from __future__ import annotations

from paycordon.adapting import amounts
from paycordon.adapting.fields import Node
from paycordon.events import Money

_DECIMALS_MORE = {"CLP": 2, "ISK": 2, "CVE": -2, "IDR": -2}


def money(amount: int, currency: str) -> Money:
    """Return an Adyen amount as money; see `paycordon.adapting.amounts.money`.

    Raises:
        PayloadInvalid: the currency is not a three-letter code, or the amount is beyond belief.
    """
    return amounts.money(amount, currency, _DECIMALS_MORE)


def money_of(node: Node, key: str = "amount") -> Money:
    """Return an amount of an Adyen object, without its sign: what direction money goes is said elsewhere.

    Raises:
        PayloadInvalid: it has no readable value or currency.
    """
    amount = node.child(key)
    return money(abs(amount.needed_integer("value")), amount.needed_text("currency"))
