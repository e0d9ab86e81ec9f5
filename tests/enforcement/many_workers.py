"""Rounds of holds and releases on many merchants, each followed by worker processes that make a gateway agree."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import shared_gateway

from paycordon.decisions import Outcome, Scope
from paycordon.store import Store, holds, schema
from paycordon.store.holds import NewHold, Source

HERE = Path(__file__).parent
PATIENCE = 600
EXPECTED = {0: ("daily", True), 1: ("manual", True), 2: ("manual", False)}


@dataclass(frozen=True)
class Round:
    """How many workers settled how many accounts, in what time."""

    workers: int
    placed: int
    accounts: int
    seconds: float

    @property
    def accounts_per_s(self) -> float:
        return self.accounts / self.seconds


class Scene:
    """Merchants with an account each, and what the holds on them ask for."""

    def __init__(self, store: Store, url: str, gateway: shared_gateway.SharedGateway, merchants: int) -> None:
        self.store, self.url, self.gateway = store, url, gateway
        self.names = [f"m_{n}" for n in range(merchants)]
        self.active: dict[str, list[tuple[str, Scope]]] = {name: [] for name in self.names}
        self.changes = 0
        self._randomness = random.Random(1)
        rows = [{"instance": "acme", "account": f"a_{name}", "merchant": name} for name in self.names]
        gateway.accounts.update({row["account"]: {"schedule": "daily", "charges": True} for row in rows})
        with store.write() as connection:
            connection.execute(schema.accounts.insert(), rows)
            connection.execute(schema.merchants.insert(), [{"merchant": name, "seq": 0} for name in self.names])

    def place(self, scope: Scope, count: int) -> None:
        """Place that many holds, at least one on each merchant if there are enough."""
        chosen = [*self.names, *self._randomness.choices(self.names, k=max(0, count - len(self.names)))][:count]
        for start in range(0, len(chosen), 100):
            with self.store.write() as connection:
                for merchant in chosen[start : start + 100]:
                    wanted = NewHold(
                        merchant, "acme", f"a_{merchant}", "account", f"a_{merchant}", Outcome.HOLD, scope, "p/r", "",
                        Source.PERSON, placed_by="ana", internal_reason="many",
                    )  # fmt: skip
                    placed = holds.place_by_hand(connection, wanted, datetime.now(UTC), self._randomness.randbytes)
                    self.active[merchant].append((placed.id, scope))
        self.changes += 1

    def release(self, scope: Scope) -> None:
        """Release all holds of a scope."""
        for merchant, active in self.active.items():
            with self.store.write() as connection:
                for hold, _ in (each for each in active if each[1] is scope):
                    holds.release(connection, hold, by="ana", reason="r", now=datetime.now(UTC))
            self.active[merchant] = [each for each in active if each[1] is not scope]
        self.changes += 1

    def settle(self, workers: int, placed: int) -> Round:
        """Let that many worker processes work until nothing is due."""
        command = [sys.executable, str(HERE / "one_worker.py"), self.url, self.gateway.address]
        started = time.monotonic()
        running = [subprocess.Popen(command) for _ in range(workers)]
        codes = [process.wait(PATIENCE) for process in running]
        assert codes == [0] * workers
        return Round(workers, placed, len(self.names), time.monotonic() - started)

    def check(self) -> None:
        """Each account has what its holds ask for, and was changed as often as that changed, no more."""
        for merchant, active in self.active.items():
            level = max(({Scope.PAYOUTS: 1, Scope.CHARGES: 2}[scope] for _, scope in active), default=0)
            found = self.gateway.accounts[f"a_{merchant}"]
            assert (found["schedule"], found["charges"]) == EXPECTED[level], (merchant, active, found)
        assert set(self.gateway.writes.values()) == {self.changes}
