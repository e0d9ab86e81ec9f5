"""MATCH keeps to the contract of recipients."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from match_world import CONSUMER, KEY, OWN, PARTY, PEM, PREFIX

from paycordon.exchange.contract import Contribution, ContributionKind, Outgoing, Verb
from paycordon.exchange.match.listing import MatchRecipient
from paycordon.simulated.match import MatchSimulator
from paycordon.testing import Answer, HttpSimulator, RecipientConformance, RecipientHarness, Request


class Front(HttpSimulator):
    """The kit's faults in front of the simulated list."""

    stall = 0.8

    def __init__(self) -> None:
        super().__init__()
        front = self

        class Behind(MatchSimulator):
            @property
            def base_url(self) -> str:
                return front.url

        self.behind = Behind({CONSUMER: (KEY.public_key(), [OWN])})

    def answer(self, request: Request) -> Answer:
        return self.behind.answer_api(request, None)


def terminated(id_: str) -> Contribution:
    """A merchant of its own for each id of ours."""
    own = {"merchant_id": named(id_), "legal_name": f"Bait Shop {id_} Ltd", "tax_id": f"IE{named(id_)}"}
    return Contribution(kind=ContributionKind.TERMINATION, party=PARTY.model_copy(update=own), reason="match:13")


def named(id_: str) -> str:
    return f"m{hashlib.sha256(id_.encode()).hexdigest()[:10]}"


class MatchHarness(RecipientHarness):
    kind = MatchRecipient
    secrets = (PEM, CONSUMER)

    def __init__(self) -> None:
        self.simulator = self.front = Front()
        self.ids: set[str] = set()
        self.front.__enter__()

    def settings(self, place: Path) -> Mapping[str, Any]:
        access = {"acquirer_id": OWN, "consumer_key": CONSUMER, "signing_key": PEM}
        return {"url": f"{self.front.url}{PREFIX}", "within": 0.5, **access}

    def there(self) -> Mapping[str, int]:
        listed = [each.merchant["MerchantId"] for each in self.front.behind.ledger.listed.values()]
        return {id_: listed.count(named(id_)) for id_ in self.ids}

    def content(self, kind: ContributionKind) -> Contribution:
        return terminated("ctr_1")

    def personal(self) -> list[str]:
        return ["Bait Shop", "Example", "9999999W", "bait.example", "Elm Avenue"]

    def close(self) -> None:
        self.front.__exit__(None, None, None)


class TestMatch(RecipientConformance):
    def harness(self) -> RecipientHarness:
        self.made = MatchHarness()
        return self.made

    def add(self, subject: Any, id_: str = "ctr_1", kind: ContributionKind | None = None) -> Outgoing:
        self.made.ids.add(id_)
        return Outgoing(f"paycordon-add-{id_}", Verb.ADD, id_, content=terminated(id_))
