"""What `paycordon simulate` can run without any adapter, registered through the same hook as everybody's."""

from __future__ import annotations

from collections.abc import Iterable

from paycordon.hookspecs import hookimpl
from paycordon.simulators import Simulator


@hookimpl
def register_simulators() -> Iterable[type[Simulator]]:
    """Register them."""
    from paycordon.simulated.match.command import SimulatedMatch
    from paycordon.simulated.threatexchange.command import SimulatedThreatExchange

    return [SimulatedMatch, SimulatedThreatExchange]
