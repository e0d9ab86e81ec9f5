"""Acme Pay's adapter under the conformance kit."""

from __future__ import annotations

import copy
import hashlib
import hmac
import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pytest
from acme_pay import AcmePay, AcmeSettings
from acme_simulator import API_KEY, AcmeSimulator
from pydantic import SecretStr

from paycordon.events import Mode, Money, Subject, SubjectKind
from paycordon.gateways import Delivery, Restriction, Settings
from paycordon.testing import GatewayConformance, GatewayHarness, Recorded, Statement

ONBOARDED = {
    "id": "msg_1",
    "type": "account.created",
    "live": True,
    "created": 1_772_452_000,
    "data": {"account": "acct_9", "name": "Synthetic Shop", "country": "NL", "email": "owner@shop.example"},
}
PAID_OUT: dict[str, Any] = {
    "id": "msg_2",
    "type": "payout.created",
    "live": True,
    "created": 1_772_452_100,
    "data": {"account": "acct_9", "id": "po_1", "cents": 12_500, "currency": "EUR"},
}
FAILED = {**PAID_OUT, "id": "msg_5", "type": "payout.failed"}
DISPUTED = {**PAID_OUT, "id": "msg_3", "type": "dispute.created", "data": {**PAID_OUT["data"], "id": "dp_1"}}


class AcmeHarness(GatewayHarness):
    signs_time = True
    secrets = ("acme_secret_one", "acme_secret_two", "acme_secret_three")
    credentials = (API_KEY,)
    unknown_account = "acct_0"
    corpus = {
        "an account is opened": Recorded(statement=ONBOARDED, means=("merchant.onboarding",), account="acct_9"),
        "a payout is made": Recorded(
            statement=PAID_OUT,
            means=("payout.requested",),
            account="acct_9",
            about="po_1",
            amount=Money(minor=12_500, currency="EUR"),
        ),
        "that payout fails": Recorded(
            statement=FAILED,
            means=("payout.updated",),
            account="acct_9",
            about="po_1",
            amount=Money(minor=12_500, currency="EUR"),
        ),
        "a payment is disputed": Recorded(
            statement=DISPUTED,
            means=("dispute.opened",),
            account="acct_9",
            about="dp_1",
            amount=Money(minor=12_500, currency="EUR"),
        ),
        "a payout is previewed": Recorded(statement={**PAID_OUT, "id": "msg_4", "type": "payout.created.preview"}),
    }

    def __init__(self, simulator: AcmeSimulator, adapter: type[AcmePay] = AcmePay) -> None:
        self.simulator = simulator
        self.adapter = adapter
        self.faults = simulator.faults
        self._anchors = itertools.cycle(["monday", "tuesday"])

    def build(self, secrets: Sequence[str], mode: Mode) -> AcmePay:
        settings = AcmeSettings(
            adapter="acme_pay",
            mode=mode,
            url=self.simulator.url,
            api_key=SecretStr(API_KEY),
            webhook_secrets=tuple(map(SecretStr, secrets)),
            timeout=0.4,
        )
        return self.adapter("acme", settings)

    def as_test(self, statement: Statement) -> Statement:
        return {**statement, "live": False}

    def sign(self, body: bytes, at: datetime, secret: str) -> Delivery:
        time = str(int(at.timestamp()))
        digest = hmac.new(secret.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()
        return Delivery({"acme-signature": f"t={time},s={digest}"}, body)

    def subject(self) -> Subject:
        account = self.simulator.open_account()
        return Subject(instance="acme", kind=SubjectKind.ACCOUNT, id=account, account=account)

    def settings_at_gateway(self, subject: Subject) -> Settings:
        return copy.deepcopy(self.simulator.accounts[subject.account])

    def restriction_at_gateway(self, subject: Subject) -> Restriction:
        account = self.simulator.accounts[subject.account]
        if account["payout_schedule"]["interval"] != "manual":
            return Restriction.NONE
        return Restriction.PAYOUTS_HELD if account["payments"] else Restriction.BLOCKED

    def changes(self, subject: Subject) -> int:
        return self.simulator.changes[subject.account]

    def change_by_hand(self, subject: Subject) -> None:
        account = self.simulator.accounts[subject.account]
        account["payout_schedule"] = {"interval": "weekly", "anchor": next(self._anchors)}


@pytest.fixture(scope="module")
def simulator() -> Iterator[AcmeSimulator]:
    with AcmeSimulator() as running:
        yield running


class TestAcmePay(GatewayConformance):
    @pytest.fixture
    def harness(self, simulator: AcmeSimulator) -> GatewayHarness:
        return AcmeHarness(simulator)
