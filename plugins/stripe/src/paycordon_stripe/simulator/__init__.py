"""A stateful simulator of the Stripe calls this adapter and its guard make: real HTTP, on this machine only.

For tests, demonstrations and trying out policies. It keeps accounts, capabilities, payouts and transfers, treats
idempotency keys as Stripe does, fails on demand, and keeps a log of every effective change. It also runs by itself:
`python -m paycordon_stripe.simulator --port 8420`.
"""

from __future__ import annotations

from paycordon_stripe.simulator.faults import Fault, FaultKind, Faults
from paycordon_stripe.simulator.ledger import Changed
from paycordon_stripe.simulator.server import Recorded, StripeSimulator
from paycordon_stripe.simulator.webhooks import send, signed_delivery

__all__ = ["Changed", "Fault", "FaultKind", "Faults", "Recorded", "StripeSimulator", "send", "signed_delivery"]
