"""Lists of transfers."""

from __future__ import annotations

from datetime import datetime

from paycordon_adyen.simulator.calls import Call, cursor_page
from paycordon_adyen.simulator.ledger import Json
from paycordon_adyen.simulator.moving import shown
from paycordon_adyen.simulator.problems import bad


def listed(call: Call) -> Json:
    """Return a page of the transfers that were made between two times.

    Raises:
        Problem: nothing says whose, or a time cannot be read.
    """
    query = call.query
    if not any(name in query for name in ("balancePlatform", "accountHolderId", "balanceAccountId")):
        raise bad("balancePlatform", "", "balancePlatform, accountHolderId or balanceAccountId is required")
    since, until = _time(query, "createdSince"), _time(query, "createdUntil")
    found = [
        shown(each)
        for each in call.ledger.shelf("transfers").values()
        if since <= datetime.fromisoformat(each["createdAt"]) <= until and _asked_for(each, query)
    ]
    if query.get("sortOrder") == "desc":
        found.reverse()
    page, following, before = cursor_page(call, found)
    links = {"next": following, "prev": before}
    return {"data": page, "_links": {name: {"href": href} for name, href in links.items() if href}}


def _asked_for(transfer: Json, query: Json) -> bool:
    found = {
        "balancePlatform": transfer["balancePlatform"],
        "accountHolderId": transfer["accountHolder"]["id"],
        "balanceAccountId": transfer["balanceAccount"]["id"],
        "reference": transfer["reference"],
        "category": transfer["category"],
    }
    return all(query.get(name, value) == value for name, value in found.items())


def _time(query: Json, name: str) -> datetime:
    try:
        found = datetime.fromisoformat(query[name])
    except ValueError:
        raise bad(name, query[name], "is not a date and time") from None
    if found.tzinfo is None:
        raise bad(name, query[name], "has no time zone")
    return found
