"""Transfer instruments: the bank accounts that legal entities are paid out to."""

from __future__ import annotations

from paycordon_adyen.simulator import account_holders
from paycordon_adyen.simulator.calls import NO_CONTENT, Answered, Call, merged
from paycordon_adyen.simulator.ledger import Json, Ledger
from paycordon_adyen.simulator.problems import Problem, bad

_SHOWN = 4


def create(call: Call) -> Json:
    """Create a transfer instrument.

    Raises:
        Problem: there is no such legal entity, or no bank account is given.
    """
    entity = call.ledger.find("legalEntities", call.body["legalEntityId"])
    if "accountIdentification" not in call.body["bankAccount"]:
        raise bad("bankAccount.accountIdentification", "", "is required")
    made = {**call.body, "id": call.ledger.new_id("transferInstruments"), "problems": []}
    call.ledger.put("transferInstruments", made)
    _list_at(call.ledger, entity["id"])
    return made


def retrieve(call: Call) -> Json:
    """Return a transfer instrument."""
    return call.ledger.find("transferInstruments", call.id)


def update(call: Call) -> Json:
    """Change a transfer instrument: from then on money goes to another bank account.

    Raises:
        Problem: there is none, or it would become another legal entity's.
    """
    before = call.ledger.find("transferInstruments", call.id)
    if call.body["legalEntityId"] != before["legalEntityId"]:
        raise bad("legalEntityId", call.body["legalEntityId"], "the legal entity cannot be changed")
    after = merged(before, call.body)
    after["bankAccount"] = call.body["bankAccount"]
    for holder in call.ledger.of("accountHolders", legalEntityId=after["legalEntityId"]):
        call.ledger.note(holder["id"], before, after, f"transferInstruments.{call.id}.")
    call.ledger.put("transferInstruments", after)
    _list_at(call.ledger, after["legalEntityId"])
    return after


def delete(call: Call) -> Answered:
    """Delete a transfer instrument.

    Raises:
        Problem: there is none, or sweeps or payout schedules go there.
    """
    held = call.ledger.find("transferInstruments", call.id)
    sweeps = [each for each in call.ledger.of("sweeps") if each["counterparty"].get("transferInstrumentId") == call.id]
    if sweeps or call.ledger.of("payoutSchedules", transferInstrumentId=call.id):
        raise Problem(422, "the transfer instrument is in use by sweeps or payout schedules", code="30_117")
    del call.ledger.shelf("transferInstruments")[call.id]
    _list_at(call.ledger, held["legalEntityId"])
    return NO_CONTENT


def relist(ledger: Ledger, entity: str) -> None:
    """List its transfer instruments at a legal entity."""
    held = ledger.of("transferInstruments", legalEntityId=entity)
    listed = [{"id": each["id"], "accountIdentifier": masked(each)} for each in held]
    ledger.put("legalEntities", {**ledger.find("legalEntities", entity), "transferInstruments": listed})


def _list_at(ledger: Ledger, entity: str) -> None:
    """List them at their legal entity, and at the capabilities of its account holders, who hear of it."""
    relist(ledger, entity)
    account_holders.tell_of_entity(ledger, entity)


def masked(instrument: Json) -> str:
    """Return the bank account's number as it is listed."""
    account = instrument["bankAccount"]["accountIdentification"]
    number = str(account.get("iban") or account.get("accountNumber") or "")
    return f"{'*' * max(0, len(number) - _SHOWN)}{number[-_SHOWN:]}"
