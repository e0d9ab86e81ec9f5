"""Tell whether a webhook delivery is Stripe's: https://docs.stripe.com/webhooks#verify-manually.

The vendor's own helper takes one secret, lets times from the future pass and raises four kinds of errors on odd input,
so the scheme is built from `paycordon.signatures`; the tests check one against the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NoReturn

from paycordon.errors import SignatureInvalid
from paycordon.gateways import Delivery, Message
from paycordon.signatures import matches_any, require_fresh

HEADER = "stripe-signature"
MAX_HEADER_LENGTH = 4_096
_TIME = re.compile(r"[0-9]{1,11}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


def verify(delivery: Delivery, secrets: Sequence[str], now: datetime) -> Sequence[Message]:
    """Return the one event of an authentic delivery.

    Args:
        delivery: headers in lower case and the exact bytes of the body.
        secrets: the signing secrets of all endpoints and of both sides of a rotation; one of them must match.
        now: the present, UTC; a signature counts for five minutes to either side of it.

    Raises:
        SignatureInvalid: whatever else the delivery is.
    """
    signed_at, candidates = _parse_header(delivery.headers.get(HEADER))
    signed = signed_at.encode() + b"." + delivery.body
    if not matches_any([secret.encode() for secret in secrets], signed, candidates):
        raise SignatureInvalid("no signature of the delivery matches a webhook secret of this instance")
    require_fresh(datetime.fromtimestamp(int(signed_at), UTC), now)
    return [_message(delivery.body)]


def _parse_header(header: object) -> tuple[str, list[bytes]]:
    """Take `t=<seconds>,v1=<hex>[,v1=<hex>…]` apart; other schemes and junk between them do not count."""
    if not isinstance(header, str) or len(header) > MAX_HEADER_LENGTH:
        raise SignatureInvalid(f"the delivery has no readable `{HEADER}` header")
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    digests = [value for name, _, value in pairs if name == "v1" and _DIGEST.fullmatch(value)]
    if len(times) != 1 or not _TIME.fullmatch(times[0]) or not digests:
        raise SignatureInvalid(f"the `{HEADER}` header is not of the form `t=…,v1=…`")
    return times[0], [bytes.fromhex(digest) for digest in digests]


def _message(body: bytes) -> Message:
    event = _parse(body)
    if not isinstance(event, Mapping):
        raise SignatureInvalid("the delivery is signed but not readable as an object")
    id_, type_ = event.get("id"), event.get("type")
    if not (isinstance(id_, str) and 0 < len(id_) <= 255 and isinstance(type_, str) and type_):
        raise SignatureInvalid("the delivery is signed but has no readable `id` and `type`")
    return Message(id=id_, type=type_, body=event)


def _parse(body: bytes) -> object:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise SignatureInvalid("the delivery is signed but not readable as JSON") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"`{name}` is not JSON")
