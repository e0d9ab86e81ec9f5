"""Tell whether a webhook delivery is Adyen's: https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures.

Two families arrive at the same door. Notifications of payments and disputes come in batches, each item signed by itself
over eight of its fields; webhooks of the balance platform and of the Management API are signed over their exact bytes,
in a header. Neither signs a time: a delivery of last year is as authentic as one of today, and it is the message's id
that keeps it from counting twice. The vendor's helper looks at the first item of a batch only and takes `null` for
"None", so both schemes are built from `paycordon.signatures`; the tests check one against the other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import NoReturn

from pydantic import JsonValue

from paycordon.errors import SignatureInvalid
from paycordon.gateways import Delivery, Message
from paycordon.signatures import matches_any

HEADER = "hmacsignature"
ITEMS, ITEM = "notificationItems", "NotificationRequestItem"
MAX_ITEMS = 1_000
"""Far more than Adyen sends in one delivery (usually one), and few enough to verify at once."""

_SIGNED = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
_SIGNED_AFTER_AMOUNT = ("eventCode", "success")
_DIGEST_LENGTH = 44  # of an HMAC-SHA-256 in base64
_Json = Mapping[str, JsonValue]


def verify(delivery: Delivery, keys: Sequence[bytes], logins: Sequence[str]) -> Sequence[Message]:
    """Return the messages of an authentic delivery; one item that is not authentic makes the whole delivery invalid.

    Args:
        delivery: headers in lower case and the exact bytes of the body.
        keys: the HMAC keys of all webhooks that deliver here and of both sides of a rotation; one must match.
        logins: `user:password` of basic authentication, one of which must be given; empty if none is set up.

    Raises:
        SignatureInvalid: whatever else the delivery is.
    """
    if logins:
        _require_login(delivery.headers.get("authorization"), logins)
    body = _parse(delivery.body)
    if ITEMS in body:
        return _items(body, keys)
    _require_signature(keys, delivery.body, delivery.headers.get(HEADER))
    return [_message(body)]


def signed_text(item: _Json) -> str:
    """Return what Adyen signs of an item of a notification: eight values, joined by colons that nothing escapes.

    Raises:
        SignatureInvalid: a value is neither a text nor a number, so that Adyen cannot have signed it.
    """
    amount = item.get("amount")
    amounts: _Json = amount if isinstance(amount, Mapping) else {}
    values = [
        *(item.get(name) for name in _SIGNED),
        amounts.get("value"),
        amounts.get("currency"),
        *(item.get(name) for name in _SIGNED_AFTER_AMOUNT),
    ]
    return ":".join(_signed_value(value) for value in values)


def _signed_value(value: JsonValue) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise SignatureInvalid("a signed field of the notification is neither a text nor a number")


def _require_login(header: object, logins: Sequence[str]) -> None:
    given = header.encode("utf-8", "surrogatepass") if isinstance(header, str) else b""
    right = False
    for login in logins:
        expected = b"Basic " + base64.b64encode(login.encode())
        right |= hmac.compare_digest(expected, given)
    if not right:
        raise SignatureInvalid("the delivery does not carry the login of this instance's webhooks")


def _require_signature(keys: Sequence[bytes], signed: bytes, signature: object) -> None:
    if not isinstance(signature, str) or len(signature) != _DIGEST_LENGTH:
        raise SignatureInvalid("the delivery has no readable signature")
    try:
        digest = base64.b64decode(signature.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise SignatureInvalid("the signature of the delivery is not base64") from None
    if not matches_any(keys, signed, [digest]):
        raise SignatureInvalid("no HMAC key of this instance made the signature")


def _items(body: _Json, keys: Sequence[bytes]) -> list[Message]:
    items = body.get(ITEMS)
    if not isinstance(items, list) or not 0 < len(items) <= MAX_ITEMS:
        raise SignatureInvalid(f"`{ITEMS}` is not a list of some items")
    return [_item_message(_authentic(item, keys), body.get("live")) for item in items]


def _authentic(wrapped: JsonValue, keys: Sequence[bytes]) -> dict[str, JsonValue]:
    item = wrapped.get(ITEM) if isinstance(wrapped, Mapping) else None
    if not isinstance(item, Mapping):
        raise SignatureInvalid(f"an item of the delivery is no `{ITEM}`")
    additional = item.get("additionalData")
    if not isinstance(additional, Mapping):
        raise SignatureInvalid("an item of the delivery is not signed")
    try:
        signed = signed_text(item).encode("utf-8")
    except (UnicodeEncodeError, ValueError):  # half a character, or a number too long to be written
        raise SignatureInvalid("a signed field of the notification cannot be read") from None
    _require_signature(keys, signed, additional.get("hmacSignature"))
    # What is stored is the same whichever key signed it.
    return {**item, "additionalData": {key: value for key, value in additional.items() if key != "hmacSignature"}}


def _item_message(item: dict[str, JsonValue], live: JsonValue) -> Message:
    code, reference = item.get("eventCode"), item.get("pspReference")
    if not (isinstance(code, str) and code and isinstance(reference, str) and reference):
        raise SignatureInvalid("the notification is signed but has no readable `eventCode` and `pspReference`")
    id_ = ":".join((reference, code, _signed_value(item.get("success"))))
    return Message(id=_short(id_), type=code, body={"live": live, ITEM: item})


def _message(body: _Json) -> Message:
    type_ = body.get("type")
    if not (isinstance(type_, str) and type_):
        raise SignatureInvalid("the delivery is signed but has no readable `type`")
    return Message(id=_platform_id(type_, body), type=type_, body=body)


def _platform_id(type_: str, body: _Json) -> str:
    """Name a statement of the platform: transfers are numbered, for the others what they say has to do."""
    data = body.get("data")
    if type_.startswith("balancePlatform.transfer.") and isinstance(data, Mapping):
        id_, number = data.get("id"), data.get("sequenceNumber")
        if isinstance(id_, str) and id_ and isinstance(number, int) and not isinstance(number, bool):
            return _short(f"transfer:{id_}:{number}")
    try:
        text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise SignatureInvalid("the delivery is signed but not readable") from None
    return f"said:{hashlib.sha256(text).hexdigest()}"


def _short(id_: str) -> str:
    if len(id_) <= 200 and id_.isprintable():
        return id_
    return f"long:{hashlib.sha256(id_.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _parse(body: bytes) -> _Json:
    try:
        found = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise SignatureInvalid("the delivery is not readable as JSON") from None
    if not isinstance(found, Mapping):
        raise SignatureInvalid("the delivery is not readable as an object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"`{name}` is not JSON")
