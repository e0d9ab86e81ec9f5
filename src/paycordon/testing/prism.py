"""Prism, a peer that serves a gateway's published description and says of every request whether it is as described.

Prism (https://github.com/stoplightio/prism, Apache-2.0) is a program of its own, for Node, and no dependency: a test
that wants it is skipped where it is not installed. It answers with the description's examples and keeps no state, so it
says whether a request is lawful, never whether something was done. What is wrong with a request or an answer it says in
the header `VIOLATIONS` of the answer. Fields of forms that the description does not know pass silently; in JSON they do
not.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pytest

VIOLATIONS = "sl-violations"
"""The header of an answer in which Prism lists what is wrong with the request or with the answer."""

STARTS_WITHIN_SECONDS = 60.0


class Prism:
    """Prism on 127.0.0.1, from `__enter__` to `__exit__`, as a process of its own.

    Args:
        executable: the program, as `node_modules/.bin/prism`; 5.14 is the last for Node 20.
        description: an OpenAPI document.
    """

    def __init__(self, executable: str, description: Path) -> None:
        self._command = (executable, "mock", "--host", "127.0.0.1", "--port")
        self._description = description
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        """Start it, and wait until it listens."""
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._output = tempfile.TemporaryFile()
        command = (*self._command, str(port), str(self._description))
        self._process = subprocess.Popen(command, stdout=self._output, stderr=subprocess.STDOUT)  # noqa: S603
        try:
            self._wait(port)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._output is not None:
            self._output.close()

    def _wait(self, port: int) -> None:
        process, deadline = self._process, time.monotonic() + STARTS_WITHIN_SECONDS
        while not _listens(port):
            if process is None or process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Prism does not start:\n{self._said()}")
            time.sleep(0.1)

    def _said(self) -> str:
        if self._output is None:
            return ""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")[-2_000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
