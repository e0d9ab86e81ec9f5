"""What this distribution brings to Paycordon; named in the entry point group `paycordon`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from paycordon.demonstration import Demonstration
from paycordon.gateways import Gateway
from paycordon.hookspecs import hookimpl
from paycordon.simulators import Simulator
from paycordon_stripe.gateway import StripeGateway


@hookimpl
def register_gateways() -> Iterable[type[Gateway[Any]]]:
    """Bring the adapter named `stripe`."""
    return [StripeGateway]


@hookimpl
def register_demonstrations() -> Iterable[type[Demonstration]]:
    """Bring what `paycordon demo` plays."""
    from paycordon_stripe.demonstration import StripeDemonstration  # only the demonstration needs the simulator

    return [StripeDemonstration]


@hookimpl
def register_simulators() -> Iterable[type[Simulator]]:
    """Bring what `paycordon simulate stripe` runs."""
    from paycordon_stripe.simulator.command import SimulatedStripe  # only that command needs the simulator

    return [SimulatedStripe]
