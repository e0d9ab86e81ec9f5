"""Errors in the shape Stripe gives them."""

from __future__ import annotations

from typing import Any


class Problem(Exception):
    """An answer other than 200: status and Stripe's error object."""

    def __init__(
        self, status: int, message: str, *, type_: str = "invalid_request_error", code: str = "", param: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        fields = {"type": type_, "message": message, "code": code, "param": param}
        self.body: dict[str, Any] = {"error": {key: value for key, value in fields.items() if value}}


def unknown(kind: str, id_: str) -> Problem:
    """Return Stripe's answer for an object that is not there."""
    return Problem(404, f"No such {kind}: '{id_}'", code="resource_missing", param="id")


def no_access(account: str) -> Problem:
    """Return Stripe's answer for a connected account that is not there or not ours."""
    text = f"The provided key does not have access to account '{account}' (or that account does not exist)."
    return Problem(403, text, code="account_invalid")


def bad(param: str, message: str, code: str = "parameter_invalid") -> Problem:
    """Return Stripe's answer for a parameter it does not take."""
    return Problem(400, message, code=code, param=param)


def missing(param: str) -> Problem:
    """Return Stripe's answer for a parameter that has to be there."""
    return bad(param, f"Missing required param: {param}.", "parameter_missing")
