"""Plain HTTP for the simulator: one request a connection, bodies of a bounded size."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

MAX_BODY = 1_000_000
PATIENCE_SECONDS = 30
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in; header names in lower case, `form` is the body of a POST or the query of the rest."""

    method: str
    path: str
    headers: Mapping[str, str]
    form: str

    @property
    def account(self) -> str | None:
        """The connected account it is made for; v2 of the API calls it the context."""
        return self.headers.get("stripe-account") or self.headers.get("stripe-context")


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer; a text is sent as it is, anything else as JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]


def new_request_id() -> str:
    """Return an id that no other request has."""
    return f"req_sim{next(_numbers)}"


def handler_for(answer: Callable[[Request], Answer | None], stopping: threading.Event) -> type[BaseHTTPRequestHandler]:
    """Return the handler class for a server that answers with this function, until `stopping` is set."""

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_SECONDS

        def do_GET(self) -> None:
            self._respond()

        do_POST = do_DELETE = do_GET  # noqa: N815 - the base class's names

        def _respond(self) -> None:
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
            body = self.rfile.read(length).decode("utf-8", "replace")
            target = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            return Request(self.command, target.path, headers, body if self.command == "POST" else target.query)

        def _send(self, found: Answer) -> None:
            text = found.body if isinstance(found.body, str) else json.dumps(found.body, default=str)
            self.send_response(found.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            if "Request-Id" not in found.headers:
                self.send_header("Request-Id", new_request_id())
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Stay silent: requests carry keys."""

    return Handler
