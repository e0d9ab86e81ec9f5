"""A gateway that several worker processes share, over HTTP on this machine, with the time that a call takes."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class SharedGateway:
    """Accounts by id; use it as a context manager.

    Attributes:
        accounts: the settings of each.
        writes: how often each was changed.
    """

    def __init__(self, latency_s: float = 0.0) -> None:
        self.accounts: dict[str, dict[str, Any]] = {}
        self.writes: Counter[str] = Counter()
        self.latency_s = latency_s
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                time.sleep(gateway.latency_s)
                self._answer(gateway.accounts[self.path.strip("/")])

            def do_POST(self) -> None:
                wanted = json.loads(self.rfile.read(int(self.headers["content-length"])))
                time.sleep(gateway.latency_s)
                account = self.path.strip("/")
                if gateway.accounts[account] != wanted:
                    gateway.accounts[account] = wanted
                    gateway.writes[account] += 1
                self._answer(wanted)

            def _answer(self, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
