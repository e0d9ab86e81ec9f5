"""The simulator as `paycordon simulate match` runs it: one consumer, two acquirers, a key of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from paycordon.errors import ConfigError
from paycordon.simulated.match.server import PREFIX, MatchSimulator
from paycordon.simulation import PREFIX as CONTROL
from paycordon.simulators import Described, Simulator, SimulatorOptions

CONSUMER_KEY = "simulated_consumer"
ACQUIRERS = ("1996", "2001")


class SimulatedMatch(Simulator):
    """Mastercard's list of terminated merchants on this machine."""

    name: ClassVar[str] = "match"
    about: ClassVar[str] = "Mastercard's list of terminated merchants (MATCH): inquiries, listings, later matches"

    def __init__(self, options: SimulatorOptions) -> None:
        """Take the options; the key that requests are signed with is made here, and can be fetched from its control."""
        if options.webhooks:
            raise ConfigError("MATCH sends no webhooks", hint="leave `--webhook` out")
        self._key = generate_private_key(public_exponent=65537, key_size=2048)
        self._consumer = options.api_key or CONSUMER_KEY
        self._simulator = MatchSimulator({self._consumer: (self._key.public_key(), ACQUIRERS)}, port=options.port)
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        self._simulator.looks["signing_key"] = lambda _: pem
        if options.clock is not None:
            self._simulator.shift(options.clock - datetime.now(UTC))

    def start(self) -> Described:
        """Listen, and say how to point an inquiry at it."""
        self._simulator.start()
        address = self._simulator.base_url
        use = (
            f"key:      curl -s {address}{CONTROL}signing_key > match_key.pem",
            f"inquiry:  format: match, url: {address}{PREFIX}, acquirer_id: '{ACQUIRERS[0]}',",
            f"          consumer_key: env:NAME with {self._consumer}, signing_key: file:match_key.pem",
            f"list somebody as another acquirer ('{ACQUIRERS[1]}') by POST to {address}{CONTROL}listed",
        )
        return Described(address, f"{address}{CONTROL}", use)

    def stop(self) -> None:
        """Stop listening."""
        self._simulator.stop()
