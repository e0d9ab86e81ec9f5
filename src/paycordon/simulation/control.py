"""Watch and steer a simulator that runs in another process, over HTTP at `/_simulator/`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from paycordon.simulation.faults import Fault, FaultKind
from paycordon.simulation.wire import Answer, Request

if TYPE_CHECKING:
    from paycordon.simulation.server import SimulatedServer

T = TypeVar("T")
PREFIX = "/_simulator/"
Look = Callable[[str], Any]
Step = Callable[[dict[str, Any]], Any]


class Control:
    """What can be seen and done at `/_simulator/`: what every simulator has, and its gateway's own.

    A look gets the id in the path; a step the body, and what it returns is answered (a text as `{"id": …}`).

    Args:
        simulator: what is watched and steered.
        looks: what the gateway's simulator shows, by the name in the path.
        steps: what it lets happen.
    """

    def __init__(self, simulator: SimulatedServer, looks: Mapping[str, Look], steps: Mapping[str, Step]) -> None:
        self._simulator = simulator
        self._looks: dict[str, Look] = {
            "clock": lambda _: {"now": simulator.clock().isoformat()},
            "deliveries": lambda _: [asdict(attempt) for attempt in simulator.deliveries()],
            **looks,
        }
        self._steps: dict[str, Step] = {
            "clock": lambda body: self._advance(**body),
            "faults": lambda body: simulator.inject(Fault(**{**body, "kind": FaultKind(body["kind"])})),
            "rate_limit": lambda body: setattr(simulator.rate_limit, "per_second", body["per_second"]),
            **steps,
        }
        self._forgets: dict[str, Look] = {
            "faults": lambda _: simulator.faults.clear(),
            "webhooks": simulator.remove_webhook,
        }

    def answer(self, request: Request) -> Answer:
        """Answer a request; what a simulator refuses as its gateway would is let through.

        Raises:
            Exception: whatever the gateway's own looks and steps refuse with.
        """
        what, _, id_ = request.path.removeprefix(PREFIX).partition("/")
        try:
            if request.method == "GET":
                return Answer(200, _found(self._looks, what, "see")(id_), {})
            if request.method == "DELETE":
                _found(self._forgets, what, "forget")(id_)
                return Answer(200, {}, {})
            made = _found(self._steps, what, "do")(json.loads(request.body or b"{}"))
            return Answer(200, {"id": made} if isinstance(made, str) else made or {}, {})
        except _Nothing as error:
            return Answer(404, {"error": str(error)}, {})
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            return Answer(400, {"error": f"{type(error).__name__}: {error}"}, {})

    def _advance(self, advance_seconds: float) -> dict[str, str]:
        return {"now": self._simulator.advance(timedelta(seconds=advance_seconds)).isoformat()}


class _Nothing(Exception):
    """There is nothing of that name."""


def _found(of: Mapping[str, T], what: str, verb: str) -> T:
    if what not in of:
        raise _Nothing(f"nothing to {verb} at {what}")
    return of[what]
