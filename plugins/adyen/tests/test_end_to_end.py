"""The adapter, its guard and the whole core together, on a real store, against the simulator."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.decisions import Outcome
from paycordon.enforcement import Reconciler, Timing
from paycordon.errors import Held
from paycordon.events import Identifier, Subject, SubjectKind
from paycordon.gateways import Delivery, Restriction
from paycordon.intake import Answer, DeliveryWorker, Intake
from paycordon.metrics import Metrics
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.record.verify import verify
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, holds, indicators, restrictions
from paycordon.testing import FrozenClock
from paycordon_adyen import AdyenGateway, guard
from paycordon_adyen.client import connect
from paycordon_adyen.simulator import AdyenSimulator, Fault, FaultKind

from .conftest import CAPABILITIES, INSTANCE, batch, item, settings_of, signed_item

HELD, NONE = Restriction.PAYOUTS_HELD, Restriction.NONE
KNOWN = "NL02ABNA0123456789"
POLICY = """\
policy: end-to-end
version: 1
on_error: review
rules:
  - id: known
    on: [merchant.onboarding, merchant.changed, payout.requested]
    when: findings.exists(f, f.code == "indicator.match")
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""


@dataclass
class Deployment:
    cordon: Cordon
    gateway: AdyenGateway
    simulator: AdyenSimulator
    clock: FrozenClock
    reconciler: Reconciler
    screener: DeliveryWorker
    door: Intake

    @property
    def store(self) -> Store:
        return self.cordon.store

    def take(self, *told) -> Answer:
        headers, body = self.simulator.signed_delivery(*told)
        return self.door.take(self.gateway, Delivery(headers, body))

    def catch_up(self, account=None) -> None:
        """Deliver everything that was told, and screen it as workers do."""
        for told in self.simulator.told(account):
            self.take(told)
        while self.screener.run_once():
            pass

    def apply_with(self, iban: str) -> str:
        """Onboard an account holder that is paid out to a bank account."""
        account = self.simulator.create_account_holder(capabilities=CAPABILITIES, balance={"EUR": 100_000})
        entity = self.simulator.account_holder(account)["legalEntityId"]
        number = {"accountIdentification": {"type": "iban", "iban": iban}}
        made = {"legalEntityId": entity, "type": "bankAccount", "bankAccount": number}
        self.backend().legalEntityManagement.transfer_instruments_api.create_transfer_instrument(made)
        self.simulator.add_sweep(account)
        self.catch_up(account)
        return account

    def backend(self):
        return connect(settings_of(self.simulator.base_url, timeout_seconds=2), self.simulator.api_key)

    def settle(self, rounds: int = 12) -> None:
        for _ in range(rounds):
            while self.reconciler.run_once():
                pass
            self.clock.advance(timedelta(seconds=30))

    def row(self, account: str) -> restrictions.RestrictionRow:
        with self.store.read() as connection:
            return next(r for r in restrictions.listed(connection) if r.account == account)

    def release_all(self) -> None:
        with self.store.write() as connection:
            for hold in holds.listed(connection):
                holds.release(connection, hold.id, by="ana", agreed_by="ben", reason="documents seen", now=self.clock())

    def scalars(self, statement: str) -> list[str]:
        with self.store.read() as connection:
            return list(connection.exec_driver_sql(statement).scalars().all())


@pytest.fixture
def deployment(tmp_path, contract):
    clock = FrozenClock(datetime(2026, 7, 1, tzinfo=UTC))
    (tmp_path / "policy.yaml").write_text(POLICY)
    store = Store.open(f"sqlite:///{tmp_path / 'e2e.db'}")
    digester = Digester({"k1": b"k" * 32}, "k1")
    known = indicators.Indicator(
        digest=digester.digest(Identifier(kind="iban", value=KNOWN)),
        kind="iban",
        source="synthetic",
        reference="R-1",
        confidence=90,
        status="investigation",
    )
    with store.write() as connection:
        indicators.add(connection, known, clock())
    limits = Limits(budget=timedelta(seconds=10), check_deadline=timedelta(seconds=5))
    policies, plugins = load_policies([tmp_path / "policy.yaml"]), Plugins({"checks": builtin_checks})
    cordon = Cordon(store, policies, plugins, digester, limits=limits, clock=clock)
    with AdyenSimulator(clock=clock) as simulator:
        keys = dict.fromkeys(("api_key", "legal_entity_api_key", "disputes_api_key"), simulator.api_key)
        given = {**keys, "hmac_keys": [simulator.hmac_key], "balance_platform": "SyntheticPlatform"}
        settings = settings_of(simulator.base_url, timeout_seconds=2, **given)
        gateway = AdyenGateway(INSTANCE, settings, clock=clock)
        timing = Timing(give_up_after=50, last_retry=timedelta(seconds=20), try_pause=timedelta(milliseconds=1))
        reconciler = Reconciler(store, gateway, owner="w", clock=clock, sleep=lambda _s: None, timing=timing)
        screener = DeliveryWorker(store, {INSTANCE: gateway}, cordon, clock, "w")
        door = Intake({INSTANCE: gateway}, store, clock, Metrics())
        yield Deployment(cordon, gateway, simulator, clock, reconciler, screener, door)
        for sent in simulator.requests if contract else ():
            contract.check(sent)
    cordon.close()


def test_from_signed_deliveries_to_a_held_and_released_account_holder(deployment):
    honest, hit = deployment.apply_with("NL20INGB0001234567"), deployment.apply_with(KNOWN)
    before = deployment.simulator.settings(hit)
    deployment.settle()
    assert deployment.gateway.read(_subject(hit)).restriction is HELD
    assert deployment.gateway.read(_subject(honest)).restriction is NONE
    assert deployment.row(hit).expires_at is None
    deployment.simulator.advance(timedelta(days=3))
    booked = {a: {t["status"] for t in deployment.simulator.transfers(a)} for a in (hit, honest)}
    assert booked == {hit: set(), honest: {"booked"}}, "paid out although held, or not although not held"
    deployment.release_all()
    deployment.settle()
    assert deployment.simulator.settings(hit) == before
    assert verify(deployment.store).ok


@pytest.mark.parametrize(
    "kind",
    [FaultKind.ERROR_AFTER, FaultKind.LOST_BEFORE, FaultKind.GARBLED],
)
@pytest.mark.parametrize("phase", ["hold", "release"])
def test_failures_of_the_gateway_neither_lose_nor_double_the_change(deployment, kind, phase):
    hit = deployment.apply_with(KNOWN)
    before = deployment.simulator.settings(hit)
    if phase == "release":
        deployment.settle()
        deployment.release_all()
    deployment.simulator.inject(Fault(kind, method="PATCH", times=2))
    deployment.settle()
    row = deployment.row(hit)
    assert (row.state, row.baseline is None) == ("settled", phase == "release")
    if phase == "release":
        assert deployment.simulator.settings(hit) == before
    else:
        assert deployment.gateway.read(_subject(hit)).restriction is HELD


def test_the_guard_holds_a_transfer_and_lets_the_same_call_pass_after_the_release(deployment):
    simulator = deployment.simulator
    hit = deployment.apply_with(KNOWN)
    api = guard(deployment.backend(), deployment.cordon, INSTANCE, clock=deployment.clock).transfers.transfers_api
    asked = {
        "amount": {"currency": "EUR", "value": 1_000},
        "balanceAccountId": simulator.balance_account_of(hit),
        "category": "bank",
        "counterparty": {"transferInstrumentId": simulator.transfer_instrument_of(hit)},
        "priority": "regular",
    }
    with pytest.raises(Held) as held:
        api.transfer_funds(asked, idempotency_key="payout-1")
    assert held.value.merchant_reason == "additional_information_required"
    assert "known" not in str(held.value)
    assert simulator.transfers(hit) == []
    deployment.release_all()
    assert api.transfer_funds(asked, idempotency_key="payout-1").message["id"]
    assert len(simulator.transfers(hit)) == 1
    deployment.catch_up(hit)
    asked = deployment.scalars("SELECT id FROM events WHERE type = 'payout.requested'")
    assert len(asked) == 1, "its delivery was taken for another request"


def test_a_transfer_that_no_guard_has_seen_is_a_request(deployment):
    account = deployment.apply_with("NL20INGB0001234567")
    deployment.simulator.advance(timedelta(days=2))
    deployment.catch_up(account)

    assert deployment.scalars("SELECT id FROM events WHERE type = 'payout.requested'")


def _subject(account):
    return Subject(instance=INSTANCE, kind=SubjectKind.ACCOUNT, id=account, account=account)


def test_mode_1_the_same_delivery_twice_is_stored_and_judged_once(deployment):
    simulator = deployment.simulator
    account = simulator.create_account_holder()
    simulator.open_dispute(simulator.pay(account, 500))
    for told in simulator.told():
        first, again = deployment.take(told), deployment.take(told)
        assert (first, again) in {(Answer.STORED, Answer.REPEATED), (Answer.IGNORED, Answer.IGNORED)}
    deployment.catch_up()
    ids = deployment.scalars("SELECT id FROM events")
    assert len(ids) == len(set(ids)) > 3


def test_mode_9_nothing_gets_in_without_a_signature(deployment):
    headers, body = deployment.simulator.signed_delivery(_chargeback(deployment))
    stripped = body.replace(b"hmacSignature", b"nothing")

    assert deployment.door.take(deployment.gateway, Delivery(headers, body)) is Answer.STORED
    assert deployment.door.take(deployment.gateway, Delivery(headers, stripped)) is Answer.SIGNATURE_INVALID
    assert deployment.door.take(deployment.gateway, Delivery({}, b"{}")) is Answer.SIGNATURE_INVALID


def _chargeback(deployment):
    simulator = deployment.simulator
    simulator.open_dispute(simulator.pay(simulator.create_account_holder(), 500))
    return next(told for told in simulator.told() if told.type == "CHARGEBACK")


def test_mode_10_three_answers_are_kept_apart(deployment):
    """Adyen takes any 2xx; an error for what is not ours would make it stop sending the rest."""
    ours = _chargeback(deployment)
    foreign = type(ours)(
        ours.id, ours.family, "REPORT_AVAILABLE", ours.at, "", {**ours.body, "eventCode": "REPORT_AVAILABLE"}
    )
    wrong = deployment.simulator.signed_delivery(ours, key="BB" * 32)

    assert deployment.take(ours).status == 200
    assert (deployment.take(foreign), deployment.take(foreign).status) == (Answer.IGNORED, 200)
    assert deployment.door.take(deployment.gateway, Delivery(*wrong)).status == 401


def test_mode_11_the_door_asks_adyen_nothing_and_is_quick(deployment):
    key = deployment.simulator.hmac_key
    items = [signed_item(item("CHARGEBACK", pspReference=f"PSP{number}X"), key) for number in range(200)]
    began = time.monotonic()

    assert deployment.door.take(deployment.gateway, Delivery({}, batch(*items))) is Answer.STORED
    assert time.monotonic() - began < 5, "adyen waits ten seconds"
    assert deployment.simulator.requests == []


def test_decisions_name_what_they_rest_on(deployment):
    deployment.apply_with(KNOWN)

    outcomes = set(deployment.scalars("SELECT outcome FROM decisions"))
    assert str(Outcome.HOLD) in outcomes
    assert {"merchant.onboarding", "merchant.changed"} <= set(deployment.scalars("SELECT type FROM events"))
