"""The simulator's state: every object, the money, what will happen, what is told, and the log of changes."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from paycordon.simulation import Ledger as AnyLedger
from paycordon_adyen.simulator.books import Books
from paycordon_adyen.simulator.problems import unknown

Json = dict[str, Any]
Shelf = dict[str, Json]
MAX_TOLD = 20_000
PLATFORM, CLASSIC = "platform", "classic"
"""The two families of webhooks."""

_ID = {  # what ids of a kind begin with
    "legalEntities": "LE",
    "transferInstruments": "SE",
    "businessLines": "BL",
    "accountHolders": "AH",
    "balanceAccounts": "BA",
    "sweeps": "SWPC",
    "payoutSchedules": "PS",
    "platformSchedules": "PPS",
    "transactionRules": "TR",
    "transferLimits": "TL",
}


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that is told: by which family of webhooks, of which type, when, about whom, and its content.

    `id` is the simulator's own, as Adyen gives none; of a classic notification the content is one item, unsigned.
    """

    id: str
    family: str
    type: str
    at: datetime
    account: str
    body: Json


class Ledger(AnyLedger):
    """All state of one simulator. Whoever uses it holds `lock`.

    Args:
        clock: the simulator's present.
        livemode: whether its webhooks are those of the live environment.
        platform: the id of the balance platform.
        merchant: the code of the merchant account that takes the payments.

    Attributes:
        listener: hears of everything that is told.
        arrived: hears of the balance accounts that money has come to.
    """

    def __init__(self, clock: Callable[[], datetime], *, livemode: bool, platform: str, merchant: str) -> None:
        super().__init__(clock)
        self.livemode = livemode
        self.platform = platform
        self.merchant = merchant
        self.books: dict[str, Books] = {}
        self.told: deque[Told] = deque(maxlen=MAX_TOLD)
        self.listener: Callable[[Told], None] = lambda _: None
        self.arrived: Callable[[str], None] = lambda _: None
        self._shelves: dict[str, Shelf] = {}

    def new_id(self, kind: str) -> str:
        """Return an id that is new here, without a run of digits that could be taken for a card number."""
        return f"{_ID[kind]}00000000SIM{self.next_number(kind):010d}"

    def new_reference(self) -> str:
        """Return a reference of sixteen signs, as transfers, payments and disputes have them."""
        return f"SIM0{self.next_number('reference'):08d}PSPX"

    def stamp(self, at: datetime | None = None) -> str:
        """Return a time, the present by default, as Adyen writes it."""
        return (at or self.clock()).isoformat(timespec="seconds")

    def shelf(self, kind: str) -> Shelf:
        """Return the objects of a kind, oldest first."""
        return self._shelves.setdefault(kind, {})

    def find(self, kind: str, id_: str) -> Json:
        """Return an object.

        Raises:
            Problem: there is none.
        """
        found = self.shelf(kind).get(id_)
        if found is None:
            raise unknown(kind, id_)
        return found

    def of(self, kind: str, **fields: str) -> list[Json]:
        """Return the objects of a kind that have these fields, oldest first."""
        held = self.shelf(kind).values()
        return [each for each in held if all(each.get(name) == value for name, value in fields.items())]

    def holder_of(self, balance_account: str) -> Json:
        """Return whose a balance account is.

        Raises:
            Problem: there is no such balance account.
        """
        account = self.find("balanceAccounts", balance_account)
        return self.find("accountHolders", account["accountHolderId"])

    def put(self, kind: str, object_: Json) -> Json:
        """Put an object there in place of the one of its id."""
        self.shelf(kind)[object_["id"]] = object_
        return object_

    def replace(self, kind: str, after: Json, owner: str, prefix: str) -> bool:
        """Put a new version of an object there, note each difference for its owner, and tell whether there is any."""
        before = self.shelf(kind)[after["id"]]
        self.put(kind, after)
        self.note(owner, before, after, prefix)
        return before != after

    def tell(self, type_: str, account: str, data: Json, family: str = PLATFORM) -> None:
        """Tell of something, with a copy of its content."""
        number = f"told-{self.next_number('told')}"
        told = Told(number, family, type_, self.clock(), account, copy.deepcopy(data))
        self.told.append(told)
        self.listener(told)

    def notify(self, item: Json, account: str) -> None:
        """Send a notification of a payment or dispute."""
        whole = {"eventDate": self.stamp(), "success": "true", **item}
        self.tell(item["eventCode"], account, whole, CLASSIC)

    def event(self, name: str, account: str, data: Json) -> None:
        """Send a webhook of the balance platform: `accountHolder.updated` and its data."""
        type_ = f"balancePlatform.{name}"
        body = {
            "data": {"balancePlatform": self.platform, **data},
            "environment": "live" if self.livemode else "test",
            "timestamp": self.stamp(),
            "type": type_,
        }
        self.tell(type_, account, body)
