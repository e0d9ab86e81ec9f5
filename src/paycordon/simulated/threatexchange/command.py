"""The simulator as `paycordon simulate threatexchange` runs it: one group, two members."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from paycordon.errors import ConfigError
from paycordon.simulated.threatexchange.server import ThreatExchangeSimulator
from paycordon.simulation import PREFIX
from paycordon.simulators import Described, Simulator, SimulatorOptions

TOKEN = "5550001|simulated_secret"  # noqa: S105 - it protects nothing but the simulator
OTHER = "5550002"
GROUP = "7770001"


class SimulatedThreatExchange(Simulator):
    """ThreatExchange on this machine."""

    name: ClassVar[str] = "threatexchange"
    about: ClassVar[str] = "ThreatExchange: descriptors, edits, deletions, reactions and updates of a privacy group"

    def __init__(self, options: SimulatorOptions) -> None:
        """Take the options."""
        if options.webhooks:
            raise ConfigError("the simulated ThreatExchange sends no webhooks", hint="leave `--webhook` out")
        self._token = options.api_key or TOKEN
        self._own = options.api_key is None
        app = self._token.partition("|")[0]
        members = {self._token: app, f"{OTHER}|other": OTHER}
        self._simulator = ThreatExchangeSimulator(members, GROUP, port=options.port)
        if options.clock is not None:
            self._simulator.shift(options.clock - datetime.now(UTC))

    def start(self) -> Described:
        """Listen, and say how to point a feed and a recipient at it."""
        self._simulator.start()
        address = self._simulator.base_url
        token = TOKEN if self._own else "your token"
        use = (
            f"feed:      format: threatexchange, source: {address}/v19.0/{GROUP}, token: env:NAME with {token}",
            f"recipient: format: threatexchange, url: {address}/v19.0, group: '{GROUP}', token: the same",
            f"let another member (app {OTHER}) describe something by POST to {address}{PREFIX}descriptors",
        )
        return Described(address, f"{address}{PREFIX}", use)

    def stop(self) -> None:
        """Stop listening."""
        self._simulator.stop()
