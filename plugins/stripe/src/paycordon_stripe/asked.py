"""By which ids a guarded payout and its delivery know each other: from what both of them say."""

from __future__ import annotations

from collections.abc import Sequence

from paycordon.adapting.guarding import asked_id
from paycordon.events import Payout

PATH = "/v1/payouts"
_USUAL_METHOD = "standard"


def said_of(payout: Payout, destination: str | None) -> list[object]:
    """Return what counts of a request to pay out, all of which Stripe tells of the payout it makes."""
    return [payout.amount.minor, payout.amount.currency, payout.method or _USUAL_METHOD, destination or ""]


def asked_as(account: str, idempotency_key: str, payout: Payout, payout_method: str | None) -> Sequence[str]:
    """Return the ids that a guarded request for a payout may have, which did or did not name where it goes."""
    named = dict.fromkeys((None, payout.destination, payout_method))
    return [asked_id(PATH, account, idempotency_key, said_of(payout, each)) for each in named]
