"""Legal entities, as the Legal Entity Management API treats them."""

from __future__ import annotations

from paycordon_adyen.simulator import account_holders
from paycordon_adyen.simulator.calls import NO_CONTENT, Answered, Call, merged
from paycordon_adyen.simulator.ledger import Json
from paycordon_adyen.simulator.problems import bad

_DETAILS = ("individual", "organization", "soleProprietorship", "trust", "unincorporatedPartnership")


def create(call: Call) -> Json:
    """Create a legal entity.

    Raises:
        Problem: its type does not go with its details.
    """
    _require_details(call.body["type"], call.body)
    id_ = call.ledger.new_id("legalEntities")
    return call.ledger.put("legalEntities", {**call.body, "id": id_, "transferInstruments": []})


def retrieve(call: Call) -> Json:
    """Return a legal entity."""
    return call.ledger.find("legalEntities", call.id)


def update(call: Call) -> Json:
    """Change a legal entity; the account holders of it hear of it.

    Raises:
        Problem: there is none, or it would become of another type.
    """
    before = call.ledger.find("legalEntities", call.id)
    if call.body.get("type", before["type"]) != before["type"]:
        raise bad("type", call.body["type"], "the type of a legal entity cannot be changed")
    after = merged(before, call.body)
    for holder in call.ledger.of("accountHolders", legalEntityId=call.id):
        call.ledger.note(holder["id"], before, after, f"legalEntities.{call.id}.")
    call.ledger.put("legalEntities", after)
    if after != before:
        account_holders.tell_of_entity(call.ledger, call.id)
    return after


def check(call: Call) -> Json:
    """Return the verification problems of a legal entity, and of those associated with it."""
    found = call.ledger.find("legalEntities", call.id)
    return {"problems": account_holders.problems_of(call.ledger, found["id"])}


def business_lines(call: Call) -> Json:
    """Return the business lines of a legal entity."""
    call.ledger.find("legalEntities", call.id)
    return {"businessLines": call.ledger.of("businessLines", legalEntityId=call.id)}


def create_business_line(call: Call) -> Json:
    """Create a business line."""
    call.ledger.find("legalEntities", call.body["legalEntityId"])
    return call.ledger.put("businessLines", {**call.body, "id": call.ledger.new_id("businessLines")})


def retrieve_business_line(call: Call) -> Json:
    """Return a business line."""
    return call.ledger.find("businessLines", call.id)


def update_business_line(call: Call) -> Json:
    """Change a business line."""
    return call.ledger.put("businessLines", merged(call.ledger.find("businessLines", call.id), call.body))


def delete_business_line(call: Call) -> Answered:
    """Delete a business line."""
    call.ledger.find("businessLines", call.id)
    del call.ledger.shelf("businessLines")[call.id]
    return NO_CONTENT


def _require_details(type_: str, body: Json) -> None:
    for name in _DETAILS:
        if (name == type_) is not (name in body):
            raise bad(name, "", f"a legal entity of type {type_} has {type_} details and no others")
