"""What this distribution brings to Paycordon; named in the entry point group `paycordon`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from paycordon.gateways import Gateway
from paycordon.hookspecs import hookimpl
from paycordon.simulators import Simulator
from paycordon_adyen.gateway import AdyenGateway


@hookimpl
def register_gateways() -> Iterable[type[Gateway[Any]]]:
    """Bring the adapter named `adyen`."""
    return [AdyenGateway]


@hookimpl
def register_simulators() -> Iterable[type[Simulator]]:
    """Bring what `paycordon simulate adyen` runs."""
    from paycordon_adyen.simulator.command import SimulatedAdyen  # only that command needs the simulator

    return [SimulatedAdyen]
