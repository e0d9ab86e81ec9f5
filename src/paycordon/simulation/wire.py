"""Plain HTTP for simulators: one request a connection, bodies of a bounded size."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

MAX_BODY = 1_000_000
PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in: header names in lower case, the path still percent-encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer; a text is sent as it is, anything else as JSON, nothing as an empty body."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


def handler_for(
    answer: Callable[[Request], Answer | None], stopping: threading.Event, methods: Iterable[str]
) -> type[BaseHTTPRequestHandler]:
    """Return the handler class for a server that answers these methods with this function, until `stopping` is set."""

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_SECONDS

        def respond(self) -> None:
            found = None if stopping.is_set() else answer(self._request())
            try:
                if found is None:
                    self.connection.shutdown(socket.SHUT_RDWR)
                else:
                    self._send(found)
            except OSError:
                self.close_connection = True  # the client has gone; there is nobody left to answer

        def _request(self) -> Request:
            length = min(int(self.headers.get("content-length") or 0), MAX_BODY)
            body = self.rfile.read(length)
            target = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            return Request(self.command, target.path, target.query, headers, body)

        def _send(self, found: Answer) -> None:
            text = found.body if isinstance(found.body, str) else json.dumps(found.body, default=str)
            sent = b"" if found.body is None else text.encode()
            self.send_response(found.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Stay silent: requests carry keys."""

    for method in methods:
        setattr(Handler, f"do_{method}", Handler.respond)
    return Handler
