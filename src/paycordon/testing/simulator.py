"""The base of gateway simulators that adapters are tested with: one method to write."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Self

from paycordon.simulation.wire import Answer, Request, handler_for
from paycordon.testing.faults import Fault, FaultPlan

__all__ = ["Answer", "HttpSimulator", "Request"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class HttpSimulator(ABC):
    """A stateful gateway on 127.0.0.1, on a port of the system's choice, from `__enter__` to `__exit__`.

    A subclass implements `answer`, which runs one request at a time. Faults planned in `faults` are acted out around
    it; an unanswered request is kept waiting for `stall` seconds, so the client's own time-out has to be shorter.
    """

    stall = 2.0

    def __init__(self) -> None:
        self.faults = FaultPlan()
        self.instead: list[Answer] = []
        """Answers that the next requests get without being carried out."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        handler = handler_for(self._answer_or_fail, self._stopping, METHODS)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)

    @property
    def url(self) -> str:
        """Where it listens, without a final slash."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @abstractmethod
    def answer(self, request: Request) -> Answer:
        """Carry out a request on the simulator's state and answer it."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer_or_fail(self, request: Request) -> Answer | None:
        with self._lock:
            if self.instead:
                return self.instead.pop(0)
            fault = self.faults.take()
            answer = self.answer(request) if fault is None or fault.takes_effect else None
        match fault:
            case None:
                return answer
            case Fault.RATE_LIMITED:
                return Answer(429, {"error": "rate_limited"})
            case Fault.ERROR_BEFORE | Fault.ERROR_AFTER:
                return Answer(500, {"error": "internal"})
            case Fault.TIMEOUT_BEFORE | Fault.TIMEOUT_AFTER:
                self._stopping.wait(self.stall)
        return None
