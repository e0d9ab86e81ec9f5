"""Paycordon: hold or block merchants, payouts and disputes on the coalition's risk checks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paycordon.aggregates import Aggregate
    from paycordon.checks.base import Check, CheckSettings
    from paycordon.context import Context
    from paycordon.decisions import Decision, Finding, Outcome
    from paycordon.errors import (
        Blocked,
        ConfigError,
        Held,
        PaycordonError,
        PayloadInvalid,
        Stopped,
        StoreUnavailable,
    )
    from paycordon.events import (
        Account,
        Dispute,
        Event,
        EventType,
        Identifier,
        IdentifierKind,
        Merchant,
        Mode,
        Money,
        Payment,
        Payout,
    )
    from paycordon.gateways import Gateway, GatewaySettings
    from paycordon.hookspecs import hookimpl
    from paycordon.screening import Cordon

__all__ = [  # noqa: RUF022 - one alphabet, whatever the case
    "Account",
    "Aggregate",
    "Blocked",
    "Check",
    "CheckSettings",
    "ConfigError",
    "Context",
    "Cordon",
    "Decision",
    "Dispute",
    "Event",
    "EventType",
    "Finding",
    "Gateway",
    "GatewaySettings",
    "Held",
    "hookimpl",
    "Identifier",
    "IdentifierKind",
    "Merchant",
    "Mode",
    "Money",
    "Outcome",
    "PaycordonError",
    "PayloadInvalid",
    "Payment",
    "Payout",
    "Stopped",
    "StoreUnavailable",
]

_MODULES = {
    "aggregates": ("Aggregate",),
    "checks.base": ("Check", "CheckSettings"),
    "context": ("Context",),
    "decisions": ("Decision", "Finding", "Outcome"),
    "errors": ("Blocked", "ConfigError", "Held", "PaycordonError", "PayloadInvalid", "Stopped", "StoreUnavailable"),
    "events": (
        *("Account", "Dispute", "Event", "EventType", "Identifier", "IdentifierKind"),
        *("Merchant", "Mode", "Money", "Payment", "Payout"),
    ),
    "gateways": ("Gateway", "GatewaySettings"),
    "hookspecs": ("hookimpl",),
    "screening": ("Cordon",),
}
_HOMES = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    # The models and the engine take half a second to import; `paycordon --help` and plugins by name need neither.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    found: object = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
