"""The people behind an account, as the simulated API treats them."""

from __future__ import annotations

from paycordon_stripe.simulator import shapes
from paycordon_stripe.simulator.accounts import concealed
from paycordon_stripe.simulator.calls import Call, merged_metadata, page
from paycordon_stripe.simulator.ledger import Json

_NESTED = ("address", "dob", "relationship", "verification")
_NOT_SHOWN = ("documents", "expand", "metadata", "person_token")


def listed(call: Call) -> Json:
    """Return one page of an account's people, of some relationships if asked for."""
    call.ledger.account(call.id)
    wanted = [name for name, value in call.params.get("relationship", {}).items() if value]
    held = call.ledger.shelf("persons", call.id).values()
    kept = [each for each in held if not wanted or any(each["relationship"].get(name) for name in wanted)]
    return page(call, kept, f"/v1/accounts/{call.id}/persons")


def retrieve(call: Call) -> Json:
    """Return one person."""
    account, id_ = call.ids
    call.ledger.account(account)
    return call.ledger.find("persons", account, id_)


def create(call: Call) -> Json:
    """Add a person to an account."""
    ledger, account = call.ledger, call.id
    ledger.account(account)
    new = shapes.made("person", id=ledger.new_id("person"), account=account, created=ledger.now())
    new |= _changes(new, call.params)
    return ledger.add("persons", account, new, "person.created")


def update(call: Call) -> Json:
    """Change a person."""
    held = retrieve(call)
    return call.ledger.edit(call.ids[0], held, _changes(held, call.params), "person.updated")


def delete(call: Call) -> Json:
    """Take a person off an account."""
    account, id_ = call.ids
    held = retrieve(call)
    del call.ledger.shelf("persons", account)[id_]
    call.ledger.emit("person.deleted", account, held)
    return {"id": id_, "object": "person", "deleted": True}


def _changes(held: Json, params: Json) -> Json:
    given = concealed({name: value for name, value in params.items() if name not in _NOT_SHOWN})
    for name in _NESTED:
        if isinstance(given.get(name), dict):
            given[name] = {**held[name], **given[name]}
    if "metadata" in params:
        given["metadata"] = merged_metadata(held["metadata"], params["metadata"])
    return given
