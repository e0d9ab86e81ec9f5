"""What simulators of gateways have in common: HTTP on loopback, a clock that runs ahead, faults, limits, deliveries.

An adapter's simulator builds on it: a `SimulatedServer` answers its gateway's API, a `Ledger` keeps its state and what
will happen by itself, a `Courier` brings its webhooks. For tests and trying out only; nothing in production uses it.
"""

from __future__ import annotations

from paycordon.simulation.control import PREFIX, Control
from paycordon.simulation.courier import Attempt, Courier, Disorder, Endpoint, disorder_from
from paycordon.simulation.faults import Fault, FaultKind, Faults
from paycordon.simulation.idempotency import KeyInUse, KeyReused, Keys
from paycordon.simulation.ledger import Changed, Ledger
from paycordon.simulation.limits import RateLimit
from paycordon.simulation.post import post
from paycordon.simulation.server import SimulatedServer
from paycordon.simulation.timeline import Deed, Timeline, next_midnight
from paycordon.simulation.wire import Answer, Request

__all__ = [
    "PREFIX",
    "Answer",
    "Attempt",
    "Changed",
    "Control",
    "Courier",
    "Deed",
    "Disorder",
    "Endpoint",
    "Fault",
    "FaultKind",
    "Faults",
    "KeyInUse",
    "KeyReused",
    "Keys",
    "Ledger",
    "RateLimit",
    "Request",
    "SimulatedServer",
    "Timeline",
    "disorder_from",
    "next_midnight",
    "post",
]
