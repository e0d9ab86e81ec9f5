"""Sweeps: standing orders that push money out of a balance account, or pull it in, as their schedules say.

Adyen pays out at 07:00 Central European time. A sweep that fails stays as it is here, and the next one is tried in its
time; Adyen says that it may set a failing sweep to `inactive`, and `disable_sweep` does that by hand.
"""

from __future__ import annotations

import copy
from datetime import datetime
from functools import partial

from paycordon_adyen.simulator import transfers
from paycordon_adyen.simulator.calls import NO_CONTENT, Answered, Call, merged, offset_page
from paycordon_adyen.simulator.ledger import Json, Ledger
from paycordon_adyen.simulator.problems import bad, unknown
from paycordon_adyen.simulator.times import BadSchedule, next_run

_INNER = ("balance_account", "last_run")
"""What the simulator keeps with a sweep and Adyen does not show."""


def create(call: Call) -> Json:
    """Create a sweep; it is active and pushes unless it is told otherwise.

    Raises:
        Problem: there is no such account or counterparty, or the schedule cannot be read.
    """
    return shown(put(call.ledger, call.id, call.body))


def put(ledger: Ledger, balance_account: str, fields: Json) -> Json:
    """Put a sweep there and tell of it.

    Raises:
        Problem: as `create`.
    """
    holder = ledger.holder_of(balance_account)
    made = {"status": "active", "type": "push", **fields}
    made |= {"id": ledger.new_id("sweeps"), "balance_account": balance_account}
    _require_lawful(ledger, made)
    ledger.put("sweeps", made)
    ledger.event("balanceAccountSweep.created", holder["id"], _told(made))
    _await(ledger, made)
    return made


def listed(call: Call) -> Json:
    """Return a page of a balance account's sweeps."""
    call.ledger.find("balanceAccounts", call.id)
    return offset_page(call, [shown(each) for each in call.ledger.of("sweeps", balance_account=call.id)], "sweeps")


def retrieve(call: Call) -> Json:
    """Return a sweep."""
    return shown(_found(call))


def update(call: Call) -> Json:
    """Change a sweep.

    Raises:
        Problem: there is none, or it would not be lawful.
    """
    before = _found(call)
    changes = {name: value for name, value in call.body.items() if name != "id"}
    after = merged(before, changes)
    if "schedule" in changes:
        after["schedule"] = changes["schedule"]
    _require_lawful(call.ledger, after)
    change(call.ledger, after)
    return shown(after)


def change(ledger: Ledger, after: Json) -> None:
    """Put a new version of a sweep there, and tell of it if it differs."""
    before = ledger.find("sweeps", after["id"])
    holder = ledger.holder_of(after["balance_account"])
    if ledger.replace("sweeps", after, holder["id"], f"sweeps.{after['id']}."):
        ledger.event("balanceAccountSweep.updated", holder["id"], _told(after))
        if before["schedule"] != after["schedule"] or before["status"] != after["status"]:
            _await(ledger, after)


def delete(call: Call) -> Answered:
    """Delete a sweep."""
    held = _found(call)
    holder = call.ledger.holder_of(held["balance_account"])
    del call.ledger.shelf("sweeps")[held["id"]]
    call.ledger.changed(holder["id"], f"sweeps.{held['id']}", shown(held), None)
    call.ledger.event("balanceAccountSweep.deleted", holder["id"], _told(held))
    return NO_CONTENT


def shown(sweep: Json) -> Json:
    """Return a copy of a sweep, as it is answered."""
    return copy.deepcopy({name: value for name, value in sweep.items() if name not in _INNER})


def money_came(ledger: Ledger, balance_account: str) -> None:
    """Run the sweeps that wait for a balance."""
    for sweep in ledger.of("sweeps", balance_account=balance_account, status="active"):
        if sweep["schedule"]["type"] == "balance":
            _run(ledger, sweep)


def _found(call: Call) -> Json:
    account, id_ = call.ids
    call.ledger.find("balanceAccounts", account)
    held = call.ledger.find("sweeps", id_)
    if held["balance_account"] != account:
        raise unknown("sweeps", id_)
    return held


def _told(sweep: Json) -> Json:
    return {"accountId": sweep["balance_account"], "sweep": shown(sweep)}


def _require_lawful(ledger: Ledger, sweep: Json) -> None:
    given = [(name, value) for name, value in sweep["counterparty"].items() if value]
    if len(given) != 1:
        raise bad("counterparty", "", "exactly one counterparty is required")
    name, id_ = given[0]
    if name == "transferInstrumentId":
        transfers.require_own_instrument(ledger, sweep["balance_account"], id_)
    elif name == "balanceAccountId":
        ledger.find("balanceAccounts", id_)
    elif sweep["type"] == "push":
        raise bad("counterparty.merchantAccount", id_, "only a sweep that pulls has a merchant account")
    if "sweepAmount" in sweep and "targetAmount" in sweep:
        raise bad("sweepAmount", "", "give either sweepAmount or targetAmount")
    _next(ledger, sweep)


def _next(ledger: Ledger, sweep: Json) -> datetime | None:
    zone = ledger.find("balanceAccounts", sweep["balance_account"])["timeZone"]
    try:
        return next_run(sweep["schedule"], ledger.clock(), zone)
    except BadSchedule as error:
        raise bad("schedule.cronExpression", sweep["schedule"].get("cronExpression", ""), str(error)) from None


def _await(ledger: Ledger, sweep: Json) -> None:
    """Let a sweep run when its schedule says so; what is superseded by then does nothing."""
    due = _next(ledger, sweep) if sweep["status"] == "active" else None
    if due is not None:
        ledger.timeline.at(due, partial(_at_its_time, ledger, sweep))


def _at_its_time(ledger: Ledger, sweep: Json) -> None:
    held = ledger.shelf("sweeps").get(sweep["id"])
    if held is None or held["status"] != "active" or held["schedule"] != sweep["schedule"]:
        return
    if held.get("last_run") == ledger.stamp():
        return  # it was switched off and on before its time, and awaits it twice
    held["last_run"] = ledger.stamp()
    _run(ledger, held)
    _await(ledger, held)


def _run(ledger: Ledger, sweep: Json) -> None:
    books = ledger.books.get(sweep["balance_account"])
    if books is None:
        return
    currency, there = sweep["currency"], books.available(sweep["currency"])
    target = sweep.get("targetAmount", {}).get("value", 0)
    if sweep["type"] == "push":
        if there < max(sweep.get("triggerAmount", {}).get("value", 0), 1):
            return
        amount = sweep.get("sweepAmount", {}).get("value") or there - target
    else:
        if there > sweep.get("triggerAmount", {}).get("value", 0):
            return
        amount = sweep.get("sweepAmount", {}).get("value") or target - there
    if amount > 0:
        transfers.by_sweep(ledger, sweep, {"currency": currency, "value": amount})
