"""The errors of the Graph API, as its description writes them."""

from __future__ import annotations

from typing import Any


class Problem(Exception):
    """A request is refused: with a status of HTTP, the API's own code, and a sentence."""

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status = status
        kind = "OAuthException" if code == 190 else "GraphMethodException"
        self.body: dict[str, Any] = {"error": {"message": message, "type": kind, "code": code, "fbtrace_id": "sim"}}
        super().__init__(message)


def missing() -> Problem:
    """Say that there is no such object, or that the member may not see it."""
    return Problem(404, 100, "Unsupported request. Object does not exist or cannot be loaded")
