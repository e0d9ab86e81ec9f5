"""Events as the simulated API shows them: snapshots in v1, thin ones in v2, for thirty days."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase

from paycordon_stripe.simulator.calls import Call, in_range, page
from paycordon_stripe.simulator.event_log import Happened
from paycordon_stripe.simulator.ledger import PLATFORM, Json
from paycordon_stripe.simulator.problems import bad, unknown

MAX_TYPES = 20


def listed(call: Call) -> Json:
    """Return one page of the events of an account or the platform, of the last thirty days."""
    params = call.params
    types = params.get("types", [params["type"]] if "type" in params else [])
    if len(types) > MAX_TYPES:
        raise bad("types", f"You may pass up to {MAX_TYPES} types.")
    found = [each for each in _readable(call) if each.snapshot and _of_type(each.snapshot["type"], types)]
    if "created" in params:
        found = [each for each in found if each.snapshot and in_range(each.snapshot["created"], params["created"])]
    if "delivery_success" in params:
        found = [each for each in found if (not each.undelivered) == params["delivery_success"]]
    return page(call, [shown for each in found[::-1] if (shown := each.as_snapshot())], "/v1/events")


def retrieve(call: Call) -> Json:
    """Return one snapshot event."""
    for each in _readable(call):
        if each.snapshot and each.snapshot["id"] == call.id:
            return each.as_snapshot() or {}
    raise unknown("event", call.id)


def list_thin(call: Call) -> Json:
    """Return the latest events of v2, of one object if asked for."""
    params = call.params
    found = [each.thin for each in _all_readable(call) if _of_type(each.thin["type"], params.get("types", []))]
    if "object_id" in params:
        found = [each for each in found if each["related_object"]["id"] == params["object_id"]]
    if "created" in params:
        found = [each for each in found if in_range(_time(each["created"]), _times(params["created"]))]
    limit = params.get("limit", 20)
    return {"data": found[:limit], "next_page_url": None, "previous_page_url": None}


def retrieve_thin(call: Call) -> Json:
    """Return one event of v2; the platform may read those of its connected accounts."""
    for each in _all_readable(call):
        if each.thin["id"] == call.id:
            return each.thin
    raise unknown("event", call.id)


def _readable(call: Call) -> list[Happened]:
    return list(call.ledger.log.of(call.owner, call.ledger.clock()))


def _all_readable(call: Call) -> list[Happened]:
    owners = {call.owner} if call.owner != PLATFORM else {PLATFORM, *call.ledger.accounts}
    return [each for each in call.ledger.log.readable(call.ledger.clock()) if each.owner in owners]


def _of_type(type_: str, asked: list[str]) -> bool:
    return not asked or any(fnmatchcase(type_, each) for each in asked)


def _time(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        raise bad("created", f"Invalid timestamp: {text}") from None


def _times(asked: Json) -> Json:
    return {name: _time(str(value)) for name, value in asked.items()}
