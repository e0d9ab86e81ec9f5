"""The errors of the service, as its description writes them."""

from __future__ import annotations

from typing import Any


class Problem(Exception):
    """A request is refused.

    Args:
        status: of HTTP.
        reason: the code, such as `AUTHENTICATION_FAILED`.
        source: which field it is about, or `System`.
        recoverable: whether the same request may go through later.
    """

    def __init__(self, status: int, reason: str, source: str = "System", *, recoverable: bool = False) -> None:
        self.status = status
        self.body: dict[str, Any] = {
            "Errors": {
                "Error": [
                    {
                        "Source": source,
                        "ReasonCode": reason,
                        "Description": reason.replace("_", " ").capitalize(),
                        "Recoverable": recoverable,
                    }
                ]
            }
        }
        super().__init__(reason)
