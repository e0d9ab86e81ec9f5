"""Managed payout schedules: Adyen pays out a balance account by itself.

Adyen's descriptions do not say at which time of the day; here it is 07:00 Central European time, as for sweeps. On
weekends nothing is paid out: what is due then is on the next working day. Public holidays are not known here.
"""

from __future__ import annotations

import calendar
import copy
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial

from paycordon_adyen.simulator import transfers
from paycordon_adyen.simulator.calls import NO_CONTENT, Answered, Call, cursor_page, merged
from paycordon_adyen.simulator.ledger import Json, Ledger
from paycordon_adyen.simulator.problems import Problem, bad, unknown
from paycordon_adyen.simulator.times import next_day

_INNER = ("executions", "last_run")
_FRIDAY = 4


def create(call: Call) -> Json:
    """Create a payout schedule of a balance account from one of the platform's; it is enabled unless told otherwise.

    Raises:
        Problem: there is no such account, platform schedule or transfer instrument.
    """
    return shown(put(call.ledger, call.id, call.body))


def put(ledger: Ledger, account: str, fields: Json) -> Json:
    """Put a payout schedule there and tell of it.

    Raises:
        Problem: as `create`.
    """
    holder = ledger.holder_of(account)
    platforms = ledger.find("platformSchedules", fields["balancePlatformPayoutScheduleId"])
    now = ledger.stamp()
    made = {
        "currency": platforms["currency"],
        "enabled": True,
        **fields,
        "balanceAccountId": account,
        "createdAt": now,
        "id": ledger.new_id("payoutSchedules"),
        "updatedAt": now,
        "executions": [],
    }
    _require_lawful(ledger, made)
    ledger.put("payoutSchedules", made)
    ledger.event("balanceAccountPayoutSchedule.created", holder["id"], _told(made))
    _await(ledger, made)
    return made


def listed(call: Call) -> Json:
    """Return a page of a balance account's payout schedules."""
    call.ledger.find("balanceAccounts", call.id)
    found = [shown(each) for each in call.ledger.of("payoutSchedules", balanceAccountId=call.id)]
    if "currency" in call.query:
        found = [each for each in found if each["currency"] == call.query["currency"]]
    page, following, before = cursor_page(call, found)
    links = {"self": call.url, "next": following, "previous": before}
    return {
        "balanceAccountPayoutSchedules": page,
        "link": {name: {"href": href} for name, href in links.items() if href},
    }


def retrieve(call: Call) -> Json:
    """Return a payout schedule."""
    return shown(_found(call))


def update(call: Call) -> Json:
    """Change a payout schedule.

    Raises:
        Problem: there is none, or it would not be lawful.
    """
    before = _found(call)
    after = merged(before, call.body)
    _require_lawful(call.ledger, after)
    change(call.ledger, after)
    return shown(call.ledger.find("payoutSchedules", call.id))


def change(ledger: Ledger, after: Json) -> None:
    """Put a new version of a payout schedule there, and tell of it if it differs."""
    before = ledger.find("payoutSchedules", after["id"])
    holder = ledger.holder_of(after["balanceAccountId"])
    if ledger.replace("payoutSchedules", after, holder["id"], f"payoutSchedules.{after['id']}."):
        after["updatedAt"] = ledger.stamp()
        ledger.event("balanceAccountPayoutSchedule.updated", holder["id"], _told(after))
        if _timing(before) != _timing(after):
            _await(ledger, after)


def delete(call: Call) -> Answered:
    """Delete a payout schedule."""
    held = _found(call)
    holder = call.ledger.holder_of(held["balanceAccountId"])
    del call.ledger.shelf("payoutSchedules")[held["id"]]
    call.ledger.changed(holder["id"], f"payoutSchedules.{held['id']}", "made", None)
    call.ledger.event("balanceAccountPayoutSchedule.deleted", holder["id"], _told(held))
    return NO_CONTENT


def executions(call: Call) -> Json:
    """Return what a payout schedule has done, newest first."""
    found = copy.deepcopy(_found(call)["executions"][::-1])
    asked = call.query.get("results")
    kept = [each for each in found if asked is None or each["result"] in asked]
    page, limit = call.query["offset"], call.query.get("limit", 10)  # here the offset is the number of a page
    return {"payoutScheduleExecutions": kept[(page - 1) * limit : page * limit]}


def shown(schedule: Json) -> Json:
    """Return a copy of a payout schedule, as it is answered."""
    return copy.deepcopy({name: value for name, value in schedule.items() if name not in _INNER})


def _found(call: Call) -> Json:
    account, id_ = call.ids
    held = call.ledger.find("payoutSchedules", id_)
    if held["balanceAccountId"] != account:
        raise unknown("payoutSchedules", id_)
    return held


def _told(schedule: Json) -> Json:
    left_out = ("id", "balancePlatformPayoutScheduleId", "createdAt", "updatedAt")
    fields = {name: value for name, value in shown(schedule).items() if name not in left_out}
    return {**fields, "balanceAccountPayoutScheduleId": schedule["id"]}


def _require_lawful(ledger: Ledger, schedule: Json) -> None:
    instrument = schedule["transferInstrumentId"]
    found = ledger.find("transferInstruments", instrument)
    if found["legalEntityId"] != ledger.holder_of(schedule["balanceAccountId"])["legalEntityId"]:
        raise bad("transferInstrumentId", instrument, "belongs to another legal entity")
    bounds = {"weekly": 5, "monthly": 31}.get(schedule["frequency"])
    value = schedule.get("frequencyValue")
    if value is not None and (bounds is None or not 1 <= value <= bounds):
        raise Problem(422, "frequencyValue does not go with the frequency", code="30_031")


def _timing(schedule: Json) -> tuple[object, ...]:
    return schedule["enabled"], schedule["frequency"], schedule.get("frequencyValue")


def _await(ledger: Ledger, schedule: Json) -> None:
    if schedule["enabled"]:
        due = next_day(_due(schedule), ledger.clock())
        ledger.timeline.at(due, partial(_at_its_time, ledger, schedule["id"], _timing(schedule)))


def _due(schedule: Json) -> Callable[[date], bool]:
    value = schedule.get("frequencyValue", 1)
    if schedule["frequency"] == "weekly":
        return lambda day: day.isoweekday() == value
    if schedule["frequency"] == "monthly":
        return lambda day: (
            day.weekday() <= _FRIDAY and any(_is_day(day - timedelta(days=n), value) for n in _before(day))
        )
    return lambda day: day.weekday() <= _FRIDAY


def _before(day: date) -> range:
    """Return how many days back a date counts for a day: on a Monday those of the weekend too."""
    return range(3) if day.weekday() == 0 else range(1)


def _is_day(day: date, value: int) -> bool:
    return day.day == min(value, calendar.monthrange(day.year, day.month)[1])


def _at_its_time(ledger: Ledger, id_: str, timing: tuple[object, ...]) -> None:
    held = ledger.shelf("payoutSchedules").get(id_)
    if held is None or _timing(held) != timing or held.get("last_run") == ledger.stamp():
        return
    held["last_run"] = ledger.stamp()
    _run(ledger, held)
    _await(ledger, held)


def _run(ledger: Ledger, schedule: Json) -> None:
    account = schedule["balanceAccountId"]
    books = ledger.books.get(account)
    if books is None:
        return
    amount = books.available(schedule["currency"]) - (schedule.get("retainedAmount") or 0)
    amount = min(amount, schedule.get("maxPayoutAmount") or amount)
    holder = ledger.holder_of(account)
    if amount < max(schedule.get("minPayoutAmount") or 1, 1):
        _executed(ledger, schedule, "skipped", reason="The amount is below the minimum.", reasonCode="amountTooLow")
        return
    if holder["status"] != "active":
        reason = "The account holder is not active."
        _executed(ledger, schedule, "failed", reason=reason, reasonCode="accountHierarchyNotActive")
        return
    asked = {
        "amount": {"currency": schedule["currency"], "value": amount},
        "balanceAccountId": account,
        "category": "bank",
        "counterparty": {"transferInstrumentId": schedule["transferInstrumentId"]},
        "reference": schedule.get("reference") or schedule["id"],
    }
    _executed(ledger, schedule, "succeeded", transferId=transfers.put(ledger, asked)["id"])


def _executed(ledger: Ledger, schedule: Json, result: str, **details: str) -> None:
    now = ledger.stamp()
    made = {"id": f"EXSIM{ledger.next_number('execution'):010d}", "result": result, "triggeredAt": now}
    schedule["executions"].append({**made, "resultDetails": details})
    told = {
        "balanceAccountId": schedule["balanceAccountId"],
        "balanceAccountPayoutScheduleId": schedule["id"],
        "result": result,
        "resultDetails": details,
        "triggeredAt": now,
    }
    owner = ledger.holder_of(schedule["balanceAccountId"])["id"]
    ledger.event(f"balanceAccountPayoutScheduleExecution.{result}", owner, told)


def of_platform(call: Call) -> Json:
    """Return the payout schedules that the platform offers."""
    _require_platform(call)
    return {"balancePlatformPayoutSchedules": copy.deepcopy(call.ledger.of("platformSchedules"))}


def one_of_platform(call: Call) -> Json:
    """Return one of them."""
    _require_platform(call)
    return copy.deepcopy(call.ledger.find("platformSchedules", call.id))


def _require_platform(call: Call) -> None:
    if call.ids[0] != call.ledger.platform:
        raise Problem(403, "Not the right permission to access this service.")
