"""What a message means, and what of it may be stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from paycordon.cardnumbers import looks_like_card_number, paths_of_card_numbers
from paycordon.errors import PaycordonError, PayloadInvalid, type_and_place
from paycordon.events import Event
from paycordon.gateways import Gateway, Message, NotCarried

MAX_ID = 255
_REMOVED = "removed: looked like a card number"


def events_of(gateway: Gateway[Any], message: Message) -> Sequence[Event]:
    """Translate a message and hold the adapter to its contract.

    Raises:
        NotCarried: the message has to be fetched first.
        PayloadInvalid: the message cannot be read, or its events belong to another instance or mode.
    """
    events = list(gateway.translate(message))
    for event in events:
        if event.instance != gateway.instance or event.mode != gateway.settings.mode:
            raise PayloadInvalid(f"an event of type `{event.type}` belongs to another instance or mode")
    return events


def events_with_content(gateway: Gateway[Any], message: Message) -> Sequence[Event]:
    """The same for a message that may have to be fetched first; speaks to the gateway if it has to.

    Raises:
        RetryLater, Refused: what the message names cannot be read.
        PayloadInvalid: the message cannot be read, or its events belong to another instance or mode.
    """
    try:
        return events_of(gateway, message)
    except NotCarried:
        return events_of(gateway, gateway.fetch(message))


def storable(gateway: Gateway[Any], message: Message) -> Message | None:
    """Return what is to be stored of a message, or none when it means nothing here.

    Whatever looks like a card number is replaced first. Gateways have no business sending one, but merchants write
    some of the texts they send: refusing the whole message would let a merchant keep its own account from being
    screened by putting one into its name.

    Raises:
        PayloadInvalid: the message cannot be read, or its id or type cannot be stored.
    """
    if next(paths_of_card_numbers(dict(message.body)), None) is not None:
        message = replace(message, body=_without_card_numbers(dict(message.body)))
    try:
        if not events_of(gateway, message):
            return None
    except NotCarried:
        pass  # what it is about is read by a worker, for whom nobody waits
    if not all(0 < len(text) <= MAX_ID and text.isprintable() for text in (message.id, message.type)):
        raise PayloadInvalid("the message's id or type cannot be stored")
    return message


def _without_card_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            _REMOVED if looks_like_card_number(key) else key: _without_card_numbers(item) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_card_numbers(item) for item in value]
    return _REMOVED if next(paths_of_card_numbers(value), None) is not None else value


def described(error: Exception) -> str:
    """Say what went wrong without repeating what it was about.

    Our own errors carry nothing personal; of others only the type and the place are named.
    """
    if isinstance(error, PaycordonError):
        return f"{type(error).__name__}: {error}"
    return type_and_place(error)
