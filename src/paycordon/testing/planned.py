"""Let a simulator built on `paycordon.simulation` follow the conformance kit's plan of faults."""

from __future__ import annotations

from typing import ClassVar

from paycordon.simulation import Fault as Simulated
from paycordon.simulation import FaultKind, Faults
from paycordon.testing.faults import Fault, FaultPlan

STALLED_SECONDS = 5.0


class PlannedFaults(Faults):
    """To put in place of a simulator's `faults`; an answer that never comes lets the client wait for five seconds."""

    MEANING: ClassVar[dict[Fault, Simulated]] = {
        Fault.RATE_LIMITED: Simulated(FaultKind.ANSWER, status=429),
        Fault.ERROR_BEFORE: Simulated(FaultKind.ERROR_BEFORE),
        Fault.ERROR_AFTER: Simulated(FaultKind.ERROR_AFTER),
        Fault.TIMEOUT_BEFORE: Simulated(FaultKind.LOST_BEFORE, seconds=STALLED_SECONDS),
        Fault.TIMEOUT_AFTER: Simulated(FaultKind.LOST_AFTER, seconds=STALLED_SECONDS),
        Fault.UNREACHABLE: Simulated(FaultKind.LOST_BEFORE),
    }

    def __init__(self, plan: FaultPlan) -> None:
        super().__init__()
        self._plan = plan

    def take(self, method: str, path: str) -> Simulated | None:  # noqa: ARG002 - the plan counts requests only
        """Return the fault that the plan has for this request, if any."""
        fault = self._plan.take()
        return None if fault is None else self.MEANING[fault]
