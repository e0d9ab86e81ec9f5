"""ThreatExchange keeps to the contract of recipients."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paycordon.exchange.contract import Worth
from paycordon.exchange.threatexchange import REACTIONS, ThreatExchangeRecipient
from paycordon.simulated.threatexchange import ThreatExchangeSimulator
from paycordon.simulated.threatexchange.sharing import Descriptor
from paycordon.testing import Answer, HttpSimulator, RecipientConformance, RecipientHarness, Request

TOKEN = "555|secret-of-ours"
IDS = ("ctr_1", "ctr_2", "ctr_probe", *(f"ctr_{kind}" for kind in ("termination", "sighting", "relay")))
IDS += tuple(f"ctr_{number}{after}" for number in range(2) for after in range(4))


class Front(HttpSimulator):
    """The kit's faults in front of the simulated exchange."""

    stall = 0.8

    def __init__(self) -> None:
        super().__init__()
        self.behind = ThreatExchangeSimulator({TOKEN: "555"}, "777")

    def answer(self, request: Request) -> Answer:
        return self.behind.answer_api(request, None)


class ThreatExchangeHarness(RecipientHarness):
    kind = ThreatExchangeRecipient
    secrets = ("secret-of-ours",)

    def __init__(self) -> None:
        self.simulator = self.front = Front()
        ledger, now = self.front.behind.ledger, datetime.now(UTC)
        about = ledger._indicator("URI", "https://judged.example/")
        ledger.descriptors["700"] = Descriptor("700", "666", about.id, {"status": "MALICIOUS"}, [], now, now)
        self.front.__enter__()

    def settings(self, place: Path) -> Mapping[str, Any]:
        return {"url": f"{self.front.url}/v19.0", "group": "777", "token": TOKEN, "within": 0.5}

    def there(self) -> Mapping[str, int]:
        return {id_: len(self.front.behind.ledger.tagged(tag(id_))) for id_ in IDS}

    def judged(self) -> Sequence[str]:
        worth = {reaction: worth for worth, reaction in REACTIONS.items()}
        given = self.front.behind.ledger.descriptors["700"].reactions
        return [Worth(worth[name]) for name, members in given.items() for _ in members]

    def close(self) -> None:
        self.front.__exit__(None, None, None)


def tag(id_: str) -> str:
    return f"paycordon_{hashlib.sha256(id_.encode()).hexdigest()[:24]}"


class TestThreatExchange(RecipientConformance):
    def harness(self) -> RecipientHarness:
        return ThreatExchangeHarness()
