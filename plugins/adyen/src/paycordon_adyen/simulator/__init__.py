"""A stateful simulator of Adyen for Platforms: real HTTP, on this machine only.

For tests, demonstrations and trying out policies. It keeps legal entities, transfer instruments, account holders with
their capabilities, balance accounts, sweeps, payout schedules, transaction rules, transfer limits, transfers, payments
and disputes; pays out by schedule and lets reviews lapse as its clock is advanced; sends signed webhooks of both
families; takes idempotency keys; fails on demand; and keeps a log of every effective change. It also runs by itself:
`paycordon simulate adyen`.
"""

from __future__ import annotations

from paycordon.simulation import Attempt, Changed, Disorder, Fault, FaultKind, Faults
from paycordon_adyen.simulator.courier import Endpoint
from paycordon_adyen.simulator.ledger import Told
from paycordon_adyen.simulator.problems import Problem
from paycordon_adyen.simulator.server import AdyenSimulator, Recorded

__all__ = [
    "AdyenSimulator",
    "Attempt",
    "Changed",
    "Disorder",
    "Endpoint",
    "Fault",
    "FaultKind",
    "Faults",
    "Problem",
    "Recorded",
    "Told",
]
