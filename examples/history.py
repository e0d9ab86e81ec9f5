"""Print a synthetic history as JSON lines: twenty-four merchants, eight weeks, nobody in it exists.

In this example, we: let honest merchants take payments and be paid out each week; let five of them move to another bank
account, as people do; let two lose their account to a thief, who names a bank account of his own and takes what there
is; and let payers dispute what these two then do not deliver. The same lines come out each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

MERCHANTS, WEEKS = 24, 8
MOVES = {5: 4, 11: 6, 14: 5, 17: 3, 23: 7}
"""Honest merchants by number, and the week from which on they have another bank account."""
STOLEN = {8: 5, 20: 6}
"""Merchants by number, and the week in which somebody else is paid out."""
START = datetime(2026, 1, 5, 9, tzinfo=UTC)
COUNTRIES = ("NL", "NL", "DE", "FR", "BE")
CATEGORIES = ("5942", "5812", "5999", "7299")

Line = dict[str, Any]


def history(random: Random) -> Iterator[Line]:
    """All events, merchant by merchant."""
    for number in range(MERCHANTS):
        takings = random.randrange(200_00, 1_500_00)
        for week in range(WEEKS):
            monday = START + timedelta(weeks=week, minutes=number)
            for day in range(3):
                yield _payment(number, f"{number}-{week}-{day}", monday + timedelta(days=day), takings // 3, random)
            stolen = STOLEN.get(number) == week
            amount = 4 * takings + 1_000_00 if stolen else takings
            yield _payout(number, week, monday + timedelta(days=4), amount, _bank_account(number, week))
        if number in STOLEN:
            for late in range(3):
                at = START + timedelta(weeks=STOLEN[number] + 1, days=late, minutes=number)
                yield _dispute(number, f"{number}-{STOLEN[number]}-{late}", at, takings // 3)


def _bank_account(number: int, week: int) -> str:
    if STOLEN.get(number) == week:
        return f"thief-{number}"
    return f"{number}-{'new' if week >= MOVES.get(number, WEEKS) else 'first'}"


def _event(kind: str, number: int, id_: str, at: datetime, **parts: Any) -> Line:
    merchant = {
        "id": f"merchant-{number}",
        "country": COUNTRIES[number % len(COUNTRIES)],
        "mcc": CATEGORIES[number % len(CATEGORIES)],
    }
    where = {"gateway": "stripe", "instance": "try", "mode": "test", "account": {"id": f"acct_{number}"}}
    return {"id": id_, "type": kind, "occurred_at": at.isoformat(), **where, "merchant": merchant, **parts}


def _payment(number: int, id_: str, at: datetime, minor: int, random: Random) -> Line:
    payer = f"payer-{random.randrange(500)}"
    payment = {"id": f"pay-{id_}", "amount": {"minor": minor, "currency": "EUR"}, "payer": payer, "payer_country": "NL"}
    return _event("payment.succeeded", number, f"paid-{id_}", at, payment=payment)


def _payout(number: int, week: int, at: datetime, minor: int, bank_account: str) -> Line:
    payout = {
        "id": f"po-{number}-{week}",
        "amount": {"minor": minor, "currency": "EUR"},
        "destination": f"ba-{bank_account}",
    }
    named = [{"kind": "bank_account", "value": f"synthetic {bank_account}"}]
    return _event("payout.requested", number, f"payout-{number}-{week}", at, payout=payout, identifiers=named)


def _dispute(number: int, id_: str, at: datetime, minor: int) -> Line:
    dispute = {"id": f"dp-{id_}", "amount": {"minor": minor, "currency": "EUR"}, "payment": f"pay-{id_}"}
    return _event("dispute.opened", number, f"disputed-{id_}", at, dispute=dispute)


if __name__ == "__main__":
    for line in sorted(history(Random(1)), key=lambda each: each["occurred_at"]):
        print(json.dumps(line))
