"""A simulated gateway as an HTTP server on 127.0.0.1."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from paycordon.simulation.control import PREFIX
from paycordon.simulation.courier import Attempt, Courier
from paycordon.simulation.faults import Fault, FaultKind, Faults
from paycordon.simulation.ledger import Ledger
from paycordon.simulation.limits import RateLimit
from paycordon.simulation.wire import Answer, Request, handler_for

LOOKING_EVERY_SECONDS = 0.1
STOPPED_WITHIN_SECONDS = 1.0
A = TypeVar("A")


class SimulatedServer(ABC):
    """One simulated gateway; use it as a context manager, or between `start` and `stop`.

    A subclass makes `ledger` and `courier` in its constructor, and answers the gateway's API. Faults are acted out
    around that: those that meet a request before it runs here, the others by `performed`, which the subclass calls.

    Args:
        port: where to listen on 127.0.0.1; 0 lets the system choose.
        clock: the world's clock, UTC; `advance` lets the simulator's run ahead of it.
        rate_limit: how many requests a second it takes; no limit by default.

    Attributes:
        methods: the HTTP methods it answers.
        faults: what goes wrong with the requests to come.
    """

    methods: ClassVar[tuple[str, ...]] = ("GET", "POST", "PATCH", "DELETE")
    ledger: Ledger
    courier: Courier[Any, Any]

    def __init__(self, *, port: int, clock: Callable[[], datetime], rate_limit: int | None) -> None:
        self.faults = Faults()
        self.rate_limit = RateLimit(self.clock, rate_limit)
        self._world = clock
        self._ahead = timedelta(0)
        self._port = port
        self._stopping = threading.Event()
        self._work = threading.Event()
        self._starting = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._threads: list[threading.Thread] = []

    @abstractmethod
    def answer_api(self, request: Request, fault: Fault | None) -> Answer:
        """Answer a request to the gateway's API, which meets this fault once it runs."""

    @abstractmethod
    def answer_control(self, request: Request) -> Answer:
        """Answer a request to watch or steer the simulator."""

    @abstractmethod
    def refusal(self, status: int) -> Answer:
        """Return the gateway's answer when a fault of kind `ANSWER` meets a request."""

    @property
    def base_url(self) -> str:
        """Where it listens, without a final slash; only while it runs."""
        if self._server is None:
            raise RuntimeError("the simulator is not running; call `start` or use it in `with`")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def clock(self) -> datetime:
        """Return the simulator's present: the world's, and what it was advanced by."""
        return self._world() + self._ahead

    def shift(self, by: timedelta) -> None:
        """Move the simulator's clock on; `advance` also lets happen what is due then."""
        self._ahead += by

    @contextmanager
    def step(self) -> Iterator[None]:
        """Do something by hand: everything overdue happens first, and what is done is told at once."""
        with self.ledger.lock:
            self.ledger.catch_up()
            self.ledger.by_nobody()
            yield
        self.wake()

    def advance(self, by: timedelta) -> datetime:
        """Let time pass: everything due happens, in order and at its own time. Returns the new present.

        Raises:
            ValueError: time does not go back.
        """
        if by < timedelta(0):
            raise ValueError("time does not go back")
        with self.step():
            self.shift(by)
            self.ledger.catch_up()
        return self.clock()

    def wake(self) -> None:
        """Let the courier look for work, in a thread of its own that starts with the first endpoint."""
        with self._starting:
            if self._server is not None and len(self._threads) == 1 and self.courier.endpoints:
                self._begin(self._carry, (self._stopping,))
        self._work.set()

    def start(self) -> Self:
        """Listen and answer in threads of its own."""
        self._stopping = threading.Event()  # a new one: what still hangs from an earlier run must not wake up
        handler = handler_for(self.answer, self._stopping, self.methods)
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        self._begin(self._server.serve_forever, (0.02,))
        self.wake()
        return self

    def stop(self) -> None:
        """Stop listening and delivering; requests that hang are let go."""
        self._stopping.set()
        self._work.set()
        if self._server is not None:
            self._server.shutdown()
            for thread in self._threads:
                thread.join(STOPPED_WITHIN_SECONDS)  # a receiver that does not answer is not waited for
            self._server.server_close()
        self._server, self._threads = None, []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def inject(self, fault: Fault) -> None:
        """Let a fault wait for its requests."""
        self.faults.add(fault)

    def answer(self, request: Request) -> Answer | None:
        """Answer one request; nothing means that the connection closes without an answer."""
        if request.path.startswith(PREFIX):
            return self.answer_control(request)
        fault = self.faults.take(request.method, request.path)
        if fault is not None and fault.kind is FaultKind.LOST_BEFORE:
            self._stopping.wait(fault.seconds)
            return None
        if fault is not None and fault.kind is FaultKind.ANSWER:
            return self.refusal(fault.status)
        answer = self.answer_api(request, fault)
        if fault is not None and fault.kind is FaultKind.LOST_AFTER:
            self._stopping.wait(fault.seconds)
            return None
        garbled = fault is not None and fault.kind is FaultKind.GARBLED
        return Answer(200, "<html>not json</html>", {}) if garbled else answer

    def performed(self, run: Callable[[], A], failure: A, fault: Fault | None) -> A:
        """Run a request under the lock and return its outcome, or the failure that a fault makes of it."""
        if fault is not None and fault.kind is FaultKind.ERROR_BEFORE:
            return failure
        with self.ledger.lock:
            self.ledger.catch_up()
            done = run()
        self.wake()
        if fault is not None and fault.kind is FaultKind.SLOW:
            self._stopping.wait(fault.seconds)
        return failure if fault is not None and fault.kind is FaultKind.ERROR_AFTER else done

    def remove_webhook(self, id_: str) -> None:
        """Deliver to an endpoint no more.

        Raises:
            KeyError: there is none.
        """
        self.courier.remove(id_)

    def webhooks(self) -> list[Any]:
        """Return the endpoints, their secrets left out."""
        return [replace(each, secret="") for each in list(self.courier.endpoints.values())]

    def deliveries(self) -> list[Attempt]:
        """Return what deliveries were tried, oldest first."""
        return self.courier.attempts()

    def settle(self, patience: float = 10.0) -> bool:
        """Wait, at most so many seconds, until nothing is due to be delivered; tell whether it came to that."""
        deadline = time.monotonic() + patience
        self.wake()
        while not self.courier.idle():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def _begin(self, target: Callable[..., object], arguments: tuple[object, ...]) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _carry(self, stopping: threading.Event) -> None:
        """Deliver what is due, and let happen what is due, until the simulator stops."""
        while not stopping.is_set():
            self._work.wait(LOOKING_EVERY_SECONDS)
            self._work.clear()
            with self.ledger.lock:
                self.ledger.catch_up()
            self.courier.deliver(stopping.is_set)
