"""Paycordon's adapter for Stripe Connect: signed deliveries in, payout holds and capability blocks out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paycordon_stripe.gateway import StripeGateway, StripeSettings
    from paycordon_stripe.guarded_client import guard

__all__ = ["StripeGateway", "StripeSettings", "guard"]

_HOMES = {
    "StripeGateway": "paycordon_stripe.gateway",
    "StripeSettings": "paycordon_stripe.gateway",
    "guard": "paycordon_stripe.guarded_client",
}


def __getattr__(name: str) -> object:
    # The vendor's SDK takes most of a second to import; who only verifies deliveries never needs it.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(import_module(home), name)
