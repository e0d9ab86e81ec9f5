"""What Stripe could not deliver, read from its Events API: https://docs.stripe.com/api/events/list.

Stripe keeps events for thirty days, and says of each whether all endpoints took it. Those of a connected account are
listed only when asked for in its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import stripe

from paycordon.errors import Refused, RetryLater
from paycordon.gateways import Message
from paycordon_stripe.errors import reading

_PAGE = 100
_Params = dict[str, Any]
_Lister = Callable[[_Params], Any]


def missed(client: stripe.StripeClient, since: datetime) -> Iterator[Message]:
    """Yield the events that no endpoint took since a moment: the platform's, then each connected account's.

    What is yielded is what the delivery would have held. An account whose events may not be read any more, as one that
    has been disconnected, is passed over.

    Raises:
        RetryLater, Refused: the lists cannot be read; what was yielded stays true.
    """
    yield from _of(client, None, since)
    for account in _pages(lambda params: client.v1.accounts.list(params), {}):  # type: ignore[arg-type]  # a dict
        try:
            yield from _of(client, str(account["id"]), since)
        except Refused:
            continue


def _of(client: stripe.StripeClient, account: str | None, since: datetime) -> Iterator[Message]:
    options: stripe.RequestOptions = {} if account is None else {"stripe_account": account}
    params: _Params = {"delivery_success": False, "created": {"gte": int(since.timestamp())}}
    found = _pages(lambda given: client.v1.events.list(given, options), params)  # type: ignore[arg-type]  # a dict
    # Stripe lists the newest first; in the order they happened, what follows from one another does so here too.
    for event in reversed(list(found)):
        body = event if account is None else {**event, "account": account}
        yield Message(id=str(event["id"]), type=str(event["type"]), body=body)


def _pages(lister: _Lister, params: _Params) -> Iterator[dict[str, Any]]:
    """Follow a list to its end, a page at a time; the SDK's own iterator would raise what nobody declares."""
    after: _Params = {}
    while True:
        asked = {**params, "limit": _PAGE, **after}
        page = reading(lambda asked=asked: lister(asked).to_dict())  # type: ignore[misc]  # bound at once
        try:
            yield from page["data"]
            if not page.get("has_more") or not page["data"]:
                return
            after = {"starting_after": page["data"][-1]["id"]}
        except (KeyError, TypeError):
            raise RetryLater("a list of stripe cannot be read") from None
