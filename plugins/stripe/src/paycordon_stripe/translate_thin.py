"""What Stripe's thin events mean, as far as they say it themselves. Pure.

A thin event names its object and holds nothing of it: https://docs.stripe.com/event-destinations#thin-events. Those of
v1 (`v1.payout.paid`) have a twin with content, which has to be fetched. Those of v2 that are about accounts need none:
the account's id is all that is taken from an account event before workers re-read the account.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from paycordon.errors import PayloadInvalid
from paycordon.events import Account, EventType
from paycordon.gateways import Message
from paycordon_stripe.shapes import Node

V1 = "v1."
_ACCOUNT = re.compile(r"v2\.core\.account(\[[a-z_.]{1,64}\])?\.(created|updated|closed|capability_status_updated)")
_PERSON = re.compile(r"v2\.core\.account_person\.(created|updated|deleted)")
_OF_PERSON = re.compile(r"/v2/core/accounts/([A-Za-z0-9_]{1,255})/persons/[A-Za-z0-9_]{1,255}")

THIN_TYPES = (
    "v2.core.account.created",
    "v2.core.account.updated",
    "v2.core.account.closed",
    "v2.core.account[identity].updated",
    "v2.core.account[requirements].updated",
    "v2.core.account[defaults].updated",
    "v2.core.account[configuration.merchant].updated",
    "v2.core.account[configuration.merchant].capability_status_updated",
    "v2.core.account[configuration.recipient].updated",
    "v2.core.account[configuration.recipient].capability_status_updated",
    "v2.core.account_person.created",
    "v2.core.account_person.updated",
    "v2.core.account_person.deleted",
)
"""The types of v2 to subscribe a thin endpoint to."""


def is_thin(message: Message) -> bool:
    """Tell whether a message is a thin event."""
    return message.body.get("object") == "v2.core.event"


def reader_of(type_: str) -> Callable[[Node], dict[str, Any] | None] | None:
    """Return what reads a type of v2; none if this adapter does not know it."""
    if matched := _ACCOUNT.fullmatch(type_):
        return lambda envelope: _account(envelope, matched[2] == "created", matched[1])
    return _person if _PERSON.fullmatch(type_) else None


def context_of(body: Mapping[str, Any]) -> str | None:
    """Return the account in whose name a thin event's objects are read; none for the platform.

    Raises:
        PayloadInvalid: `context` is not a text.
    """
    # An organisation's context names the platform first: `acct_platform/acct_connected`.
    return (Node(body, "event").text("context") or "").rpartition("/")[2] or None


def _account(envelope: Node, created: bool, section: str | None) -> dict[str, Any]:
    account = envelope.child("related_object").needed_text("id")
    return {
        "type": EventType.MERCHANT_ONBOARDING if created else EventType.MERCHANT_CHANGED,
        "account": Account(id=account),
        "extra": {"changed": [section.strip("[]")] if section else []},
    }


def _person(envelope: Node) -> dict[str, Any]:
    matched = _OF_PERSON.fullmatch(envelope.child("related_object").text("url") or "")
    if matched is None:
        raise PayloadInvalid("`event.related_object.url` does not name the account of a person")
    return {
        "type": EventType.MERCHANT_CHANGED,
        "account": Account(id=matched[1]),
        "extra": {"changed": ["person"]},
    }
