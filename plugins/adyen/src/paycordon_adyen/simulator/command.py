"""The simulator as `paycordon simulate adyen` runs it: in the test environment, as test suites are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from paycordon.errors import ConfigError
from paycordon.simulation import PREFIX
from paycordon.simulators import Described, Simulator, SimulatorOptions
from paycordon_adyen.simulator.ledger import CLASSIC, PLATFORM
from paycordon_adyen.simulator.server import API_KEY, AdyenSimulator
from paycordon_adyen.simulator.stage import AdyenStage


class SimulatedAdyen(Simulator):
    """Adyen for Platforms on this machine, in the test environment."""

    name: ClassVar[str] = "adyen"
    about: ClassVar[str] = (
        "Adyen for Platforms, test environment: account holders, sweeps, transfers, disputes, webhooks"
    )

    stage = AdyenStage

    def __init__(self, options: SimulatorOptions) -> None:
        """Take the options; a webhook gets both families."""
        self._own_key = options.api_key is None
        self._simulator = AdyenSimulator(port=options.port, api_key=options.api_key or API_KEY, livemode=False)
        if options.clock is not None:
            self._simulator.shift(options.clock - datetime.now(UTC))
        for webhook in options.webhooks:
            for family in (PLATFORM, CLASSIC):
                try:
                    self._simulator.add_webhook(webhook.url, webhook.secret, family=family)
                except ValueError as error:
                    raise ConfigError(f"cannot deliver to `{webhook.url}`", hint=str(error)) from None

    def start(self) -> Described:
        """Listen, and say how to point Adyen's SDK and an instance at it."""
        self._simulator.start()
        address = self._simulator.base_url
        key = f'"{API_KEY}"' if self._own_key else "your key"
        use = (
            f'SDK:      adyen = Adyen.Adyen(xapikey={key}, platform="test"), and of each API that you use',
            f'          adyen.transfers.transfers_api.baseUrl = "{address}/btl/v4" (/bcl/v2, /lem/v4)',
            f"instance: base_url: {address} (with mode: test)",
        )
        return Described(address, f"{address}{PREFIX}", use)

    def stop(self) -> None:
        """Stop listening and delivering."""
        self._simulator.stop()
