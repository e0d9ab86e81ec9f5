"""Paycordon's adapter for Adyen for Platforms: signed deliveries in, payout holds and account holder blocks out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paycordon_adyen.gateway import AdyenGateway, AdyenSettings
    from paycordon_adyen.guarded_client import guard

__all__ = ["AdyenGateway", "AdyenSettings", "guard"]

_HOMES = {
    "AdyenGateway": "paycordon_adyen.gateway",
    "AdyenSettings": "paycordon_adyen.gateway",
    "guard": "paycordon_adyen.guarded_client",
}


def __getattr__(name: str) -> object:
    # The vendor's SDK takes most of a second to import; who only verifies deliveries never needs it.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(import_module(home), name)
