"""The base of gateway simulators that speak HTTP."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from pydantic import JsonValue

from paycordon.testing.faults import Fault, FaultPlan

MAX_BODY = 1_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the simulator received it: header names in lower case, path still percent-encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a simulator answers, with a JSON body."""

    status: int
    body: JsonValue
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpSimulator(ABC):
    """A stateful gateway on 127.0.0.1, on a port of the system's choice, from `__enter__` to `__exit__`.

    A subclass implements `answer`, which runs one request at a time. Faults planned in `faults` are acted out around
    it; an unanswered request is kept waiting for `stall` seconds, so the client's own time-out has to be shorter.
    """

    stall = 2.0

    def __init__(self) -> None:
        self.faults = FaultPlan()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        simulator = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65_537)
                if self.raw_requestline and self.parse_request():
                    simulator._serve(self)
                self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

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

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = min(int(handler.headers.get("content-length") or 0), MAX_BODY)
        target = urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, target.path, target.query, headers, handler.rfile.read(length))
        answer = self._answer_or_fail(request)
        if answer is not None:
            _send(handler, answer)

    def _answer_or_fail(self, request: Request) -> Answer | None:
        with self._lock:
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


def _send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    body = json.dumps(answer.body).encode()
    try:
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
    except OSError:
        # The client gave up waiting; there is nobody left to answer.
        handler.close_connection = True
