"""A worker in a process of its own, against the gateway that `shared_gateway.py` serves.

    python one_worker.py STORE GATEWAY

Works until nothing is due, and exits.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from typing import Any
from urllib.request import Request, urlopen

from paycordon.enforcement import Limits, Reconciler, Timing
from paycordon.events import Mode, Subject
from paycordon.gateways import Applied, Change, Gateway, GatewaySettings, GatewayState, Restriction, check_fence
from paycordon.screening import utc_now
from paycordon.store import Store
from paycordon.working import owner_name

SCHEDULES = {Restriction.PAYOUTS_HELD: ("manual", True), Restriction.BLOCKED: ("manual", False)}


class Remote(Gateway[GatewaySettings]):
    """Accounts with a payout schedule and a switch for charges, over HTTP."""

    name = "remote"
    settings_type = GatewaySettings
    capabilities = {}

    def __init__(self, address: str) -> None:
        super().__init__("acme", GatewaySettings(adapter="remote", mode=Mode.TEST))
        self._address = address

    def verify(self, delivery: Any, now: Any) -> Any:
        raise AssertionError("not a part of reconciling")

    def translate(self, message: Any) -> Any:
        raise AssertionError("not a part of reconciling")

    def resolve(self, event: Any) -> Any:
        raise AssertionError("not a part of reconciling")

    def read(self, subject: Subject) -> GatewayState:
        return self._asked(subject.account, None)

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        wanted = dict(change.baseline)
        if change.to in SCHEDULES:
            schedule, charges = SCHEDULES[change.to]
            wanted = {"schedule": schedule, "charges": charges and wanted["charges"]}
        check_fence()
        return Applied(self._asked(subject.account, wanted))

    def _asked(self, account: str, settings: dict[str, Any] | None) -> GatewayState:
        body = None if settings is None else json.dumps(settings).encode()
        with urlopen(Request(f"{self._address}/{account}", data=body), timeout=30) as answer:
            found = json.load(answer)
        held, charging = found["schedule"] == "manual", found["charges"]
        restriction = Restriction.NONE if not held else Restriction.PAYOUTS_HELD if charging else Restriction.BLOCKED
        return GatewayState(restriction, found)


def main(url: str, address: str) -> None:
    store = Store.open(url, patience=timedelta(seconds=30))
    worker = Reconciler(
        store, Remote(address), owner=owner_name(), clock=utc_now, sleep=time.sleep, timing=Timing(), limits=Limits()
    )
    while worker.run_once():
        pass
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
