"""Let a simulator built on `paycordon.simulation` follow the conformance kit's plan of faults."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from paycordon.simulation import Fault as Simulated
from paycordon.simulation import FaultKind, Faults
from paycordon.testing.faults import Fault, FaultPlan

STALLED_SECONDS = 5.0


class PlannedFaults(Faults):
    """To put in place of a simulator's `faults`; an answer that never comes lets the client wait for five seconds.

    Args:
        plan: the harness's.
        waits: how many answers that never come are waited for, where the kit would wait for all too many; after that
            the connection breaks at once, which leaves the client as ignorant. All of them by default.
    """

    MEANING: ClassVar[dict[Fault, Simulated]] = {
        Fault.RATE_LIMITED: Simulated(FaultKind.ANSWER, status=429),
        Fault.ERROR_BEFORE: Simulated(FaultKind.ERROR_BEFORE),
        Fault.ERROR_AFTER: Simulated(FaultKind.ERROR_AFTER),
        Fault.TIMEOUT_BEFORE: Simulated(FaultKind.LOST_BEFORE, seconds=STALLED_SECONDS),
        Fault.TIMEOUT_AFTER: Simulated(FaultKind.LOST_AFTER, seconds=STALLED_SECONDS),
        Fault.UNREACHABLE: Simulated(FaultKind.LOST_BEFORE),
    }

    def __init__(self, plan: FaultPlan, waits: int | None = None) -> None:
        super().__init__()
        self._plan = plan
        self._waits = waits

    def take(self, method: str, path: str) -> Simulated | None:  # noqa: ARG002 - the plan counts requests only
        """Return the fault that the plan has for this request, if any."""
        planned = self._plan.take()
        if planned is None:
            return None
        fault = self.MEANING[planned]
        if not fault.seconds or self._waits is None:
            return fault
        self._waits -= 1
        return fault if self._waits >= 0 else replace(fault, seconds=0.0)
