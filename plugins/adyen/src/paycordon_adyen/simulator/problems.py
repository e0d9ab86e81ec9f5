"""Errors in the two shapes that Adyen gives them: one for its balance platform and transfers, one for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SECURITY = "https://docs.adyen.com/errors/security/unauthorized"
_GENERAL = "https://docs.adyen.com/errors/general"
_KINDS = {401: "security", 403: "security", 500: "internal"}


@dataclass(frozen=True, slots=True)
class InvalidField:
    """A field that is refused, and why."""

    name: str
    value: str
    message: str


class Problem(Exception):
    """An answer other than 2xx. `code` and `title` are Adyen's own where its descriptions show them."""

    def __init__(
        self, status: int, detail: str, *, code: str = "", title: str = "", fields: Sequence[InvalidField] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code or f"00_{status}"
        self.title = title or _TITLES.get(status, "Unprocessable Entity")
        self.fields = tuple(fields)

    def body(self, service: str, request_id: str) -> dict[str, Any]:
        """Return the error as a service words it: `bcl` and `btl` one way, `lem` and disputes the other."""
        if service in ("bcl", "btl"):
            return self._as_rest_error(request_id)
        return {
            "errorCode": self.code,
            "errorType": _KINDS.get(self.status, "validation"),
            "message": self.detail,
            "pspReference": request_id,
            "status": self.status,
        }

    def _as_rest_error(self, request_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "detail": self.detail,
            "errorCode": self.code,
            "requestId": request_id,
            "status": self.status,
            "title": self.title,
            "type": _SECURITY if self.status in (401, 403) else f"{_GENERAL}/{_TYPES.get(self.status, 'invalid')}",
        }
        if self.fields:
            shown["invalidFields"] = [
                {"name": each.name, "value": each.value, "message": each.message} for each in self.fields
            ]
        return shown


_TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    422: "Invalid request provided",
    429: "Too many requests",
    500: "Internal server error",
}
_TYPES = {404: "not-found", 422: "invalid-field-value", 429: "too-many-requests", 500: "internal-error"}


def bad(name: str, value: object, message: str) -> Problem:
    """Return Adyen's answer for a value it does not take."""
    return Problem(422, message, code="30_031", fields=[InvalidField(name, str(value), message)])


def unknown(kind: str, id_: str) -> Problem:
    """Return Adyen's answer for something that is not there: 404 where its descriptions list that, or else 422."""
    return Problem(404 if kind == "transferLimits" else 422, f"{kind} `{id_}` does not exist", code="30_112")
