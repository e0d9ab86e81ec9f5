"""Give up the access to an account: https://docs.stripe.com/connect/oauth-reference#post-deauthorize."""

from __future__ import annotations

from paycordon_stripe.simulator import accounts
from paycordon_stripe.simulator.calls import Call
from paycordon_stripe.simulator.ledger import Json


def deauthorize(call: Call) -> Json:
    """End the platform's own access to an account."""
    id_ = call.params.get("stripe_user_id", "")
    accounts.deauthorize(call.ledger, id_)
    return {"stripe_user_id": id_}
