"""The simulator as `paycordon simulate stripe` runs it: in test mode, as test suites and new integrations are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from paycordon.errors import ConfigError
from paycordon.simulation import PREFIX
from paycordon.simulators import Described, Simulator, SimulatorOptions
from paycordon_stripe.simulator.server import StripeSimulator
from paycordon_stripe.simulator.stage import StripeStage

API_KEY = "sk_test_simulated"


class SimulatedStripe(Simulator):
    """Stripe Connect on this machine, in test mode."""

    name: ClassVar[str] = "stripe"
    about: ClassVar[str] = "Stripe Connect in test mode: accounts, balances, payouts, disputes, events, webhooks"
    stage = StripeStage

    def __init__(self, options: SimulatorOptions) -> None:
        """Take the options; a webhook gets the events of connected accounts and those of the platform."""
        key = options.api_key or API_KEY
        self._own_key = options.api_key is None
        self._simulator = StripeSimulator(port=options.port, api_key=key, livemode=False)
        if options.clock is not None:
            self._simulator.shift(options.clock - datetime.now(UTC))
        for webhook in options.webhooks:
            for connect in (True, False):
                try:
                    self._simulator.add_webhook(webhook.url, webhook.secret, connect=connect)
                except ValueError as error:
                    raise ConfigError(f"cannot deliver to `{webhook.url}`", hint=str(error)) from None

    def start(self) -> Described:
        """Listen, and say how to point Stripe's SDK and an instance at it."""
        self._simulator.start()
        address = self._simulator.base_url
        key = f'"{API_KEY}"' if self._own_key else "your key"
        addresses = f'{{"api": "{address}", "connect": "{address}"}}'
        use = (
            f"SDK:      stripe.StripeClient({key}, base_addresses={addresses})",
            f"instance: base_url: {address} (with mode: test)",
        )
        return Described(address, f"{address}{PREFIX}", use)

    def stop(self) -> None:
        """Stop listening and delivering."""
        self._simulator.stop()
