"""Signed calls to MATCH, and its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, Field, StrictStr

from paycordon.errors import ConfigError, RetryLater
from paycordon.exchange.calling import Answered, Line, check_url
from paycordon.feeds.contract import Period

_SERVICE = "MATCH"


class MatchAccess(BaseModel):
    """How MATCH is reached; part of the settings of whatever uses it.

    Attributes:
        url: of the service, such as `https://api.mastercard.com/fraud/merchant/v3`.
        acquirer_id: the acquirer's ICA number, under which is asked and listed.
        consumer_key: of the project at Mastercard Developers.
        signing_key: its RSA private key in PEM; `openssl pkcs12 -in key.p12 -nodes -nocerts` makes one of a `.p12`.
        within: how long an answer is waited for.
        tax_ids: whose tax numbers are sent; the public description wants those of the United States only in an
            inquiry, and any registration number in a listing.
    """

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    acquirer_id: Annotated[str, Field(pattern=r"^\d{1,11}$")]
    consumer_key: Annotated[StrictStr, Field(repr=False, min_length=1)]
    signing_key: Annotated[StrictStr, Field(repr=False, min_length=1)]
    within: Annotated[Period, Field(gt=timedelta(0), le=timedelta(minutes=2))] = timedelta(seconds=30)
    tax_ids: Literal["all", "us"] = "all"


class MatchClient:
    """Calls MATCH.

    Args:
        access: how.

    Raises:
        ConfigError: the key cannot be read, or the address is not `https`.
    """

    def __init__(self, access: MatchAccess) -> None:
        check_url(access.url)
        self.access, self._key = access, _private_key(access.signing_key)
        self._line = Line(_SERVICE, access.within.total_seconds())

    def post(self, path: str, document: Mapping[str, Any], query: Mapping[str, Any], *, writing: bool) -> Any:
        """Send a document, and return the answer's.

        Raises:
            RetryLater, Refused, OutcomeUnknown: as the answer, or its absence, means.
        """
        return self._call("POST", path, json.dumps(document).encode(), query, writing=writing)

    def get(self, path: str, query: Mapping[str, Any]) -> Any:
        """Read.

        Raises:
            RetryLater, Refused: as the answer, or its absence, means.
        """
        return self._call("GET", path, b"", query, writing=False)

    def _call(self, method: str, path: str, body: bytes, query: Mapping[str, Any], *, writing: bool) -> Any:
        from oauth1.oauth import OAuth

        url = self.access.url.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        signed = OAuth.get_authorization_header(url, method, body, self.access.consumer_key, self._key)
        headers = {"authorization": signed, "content-type": "application/json"}
        answered = self._line.call(method, url, headers, body or None, writing=writing)
        said = _error(answered)
        if said is not None and said.get("Recoverable") in (True, "true"):
            raise RetryLater(f"{_SERVICE} asks to try again", after=answered.after)
        if answered.status >= 400 or said is not None:
            shown = Answered(max(answered.status, 400), answered.body, answered.after)
            raise self._line.problem(shown, said and said.get("ReasonCode"), writing=writing)
        return answered.body


def _error(answered: Answered) -> Mapping[str, Any] | None:
    """Return the first error of an answer: `{"Errors": {"Error": [{…}]}}`, which may come with any status."""
    errors = answered.body.get("Errors") if isinstance(answered.body, dict) else None
    each = errors.get("Error") if isinstance(errors, dict) else None
    first = each[0] if isinstance(each, list) and each else each
    return first if isinstance(first, dict) else {} if errors is not None else None


def _private_key(pem: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        import iso3166  # noqa: F401
        import oauth1.oauth  # noqa: F401
    except ImportError:
        raise ConfigError("MATCH needs the extra `match`", hint="pip install 'paycordon[match]'") from None
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        hint = "openssl pkcs12 -in key.p12 -nodes -nocerts -out match_key.pem"
        raise ConfigError("`signing_key` is not an RSA private key in PEM", hint=hint)
    return key
