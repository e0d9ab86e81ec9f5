"""Capabilities, as the simulated API treats them."""

from __future__ import annotations

from paycordon_stripe.simulator import shapes
from paycordon_stripe.simulator.calls import Call
from paycordon_stripe.simulator.ledger import Json
from paycordon_stripe.simulator.problems import bad, missing, unknown

PERMANENT = frozenset({"card_issuing", "legacy_payments", "treasury"})
"""Which capabilities cannot be given back once requested. Stripe names no list; the simulator takes these."""


def listed(call: Call) -> Json:
    """Return the list of an account's capabilities."""
    call.ledger.account(call.id)
    held = list(call.ledger.capabilities[call.id].values())
    return {"object": "list", "data": held, "has_more": False, "url": f"/v1/accounts/{call.id}/capabilities"}


def retrieve(call: Call) -> Json:
    """Return one capability of an account."""
    account, name = call.ids
    call.ledger.account(account)
    if name not in call.ledger.capabilities[account]:
        raise unknown("capability", name)
    return call.ledger.capabilities[account][name]


def update(call: Call) -> Json:
    """Request a capability or give it back."""
    account, name = call.ids
    call.ledger.account(account)
    held = call.ledger.capabilities[account].get(name)
    if "requested" not in call.params:
        if held is None:
            raise missing("requested")
        return held
    requested = call.params["requested"]
    if name in PERMANENT and not requested and (held or shapes.capability(account, name))["requested"]:
        raise bad("requested", f"The capability {name} is permanent and cannot be removed.", "capability_permanent")
    return call.ledger.request_capability(account, name, requested)
