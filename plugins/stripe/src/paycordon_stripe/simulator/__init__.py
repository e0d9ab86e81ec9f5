"""A stateful simulator of Stripe Connect: real HTTP, on this machine only.

For tests, demonstrations and trying out policies. It keeps accounts, their people, bank accounts and capabilities,
balances, payouts, transfers, charges, refunds, disputes, warnings and events; pays out by schedule as its clock is
advanced; sends signed webhooks; treats idempotency keys as Stripe does; fails on demand; and keeps a log of every
effective change. It also runs by itself: `paycordon simulate stripe`.
"""

from __future__ import annotations

from paycordon.simulation import Attempt, Changed, Disorder, Fault, FaultKind, Faults
from paycordon_stripe.simulator.courier import Endpoint
from paycordon_stripe.simulator.server import Recorded, StripeSimulator
from paycordon_stripe.simulator.webhooks import send, signed_delivery

__all__ = [
    "Attempt",
    "Changed",
    "Disorder",
    "Endpoint",
    "Fault",
    "FaultKind",
    "Faults",
    "Recorded",
    "StripeSimulator",
    "send",
    "signed_delivery",
]
