from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import Adyen
import pytest
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest

from paycordon.events import Mode, Money, Subject, SubjectKind
from paycordon.gateways import Delivery, Restriction
from paycordon.simulation import Faults
from paycordon.testing import FaultPlan, GatewayHarness, PlannedFaults, Recorded, Statement
from paycordon.testing.clock import NOON, FrozenClock
from paycordon_adyen.client import connect
from paycordon_adyen.deliveries import signed_text
from paycordon_adyen.gateway import AdyenGateway, AdyenSettings
from paycordon_adyen.simulator import AdyenSimulator
from paycordon_adyen.simulator import Recorded as Sent

INSTANCE = "adyen_sim"
HOLDER, ACCOUNT = "AH00000000000000000000001", "BA00000000000000000000001"
TIMEOUT_SECONDS = 10.0
OF_THE_KIT_SECONDS = 1.0  # it makes thousands of requests, none of which may be late on a busy machine
CAPABILITIES = ("receivePayments", "sendToBalanceAccount", "sendToTransferInstrument")
KEYS = ("AA" * 32, "BB" * 32, "CC" * 32)
"""HMAC keys as the Customer Area shows them; the third is never configured."""


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


def settings_of(base_url: str | None = "http://127.0.0.1:9", **given: Any) -> AdyenSettings:
    """Settings of a live instance; what is given goes before what is made up."""
    made_up = {
        "adapter": "adyen",
        "mode": Mode.LIVE,
        "api_key": "key_simulated",
        "hmac_keys": KEYS[:2],
        "base_url": base_url,
        "timeout_seconds": TIMEOUT_SECONDS,
    }
    return AdyenSettings(**{**made_up, **given})


@pytest.fixture
def make_gateway(clock: FrozenClock) -> Callable[..., AdyenGateway]:
    return lambda *base_url, **given: AdyenGateway(INSTANCE, settings_of(*base_url, **given), clock=clock)


@pytest.fixture
def subject_of() -> Callable[[str], Subject]:
    return lambda account: Subject(instance=INSTANCE, kind=SubjectKind.ACCOUNT, id=account, account=account)


def specs_folder() -> Path | None:
    """The folder with the vendors' published descriptions, if it is here."""
    named = os.environ.get("PAYCORDON_SPECS")
    found = Path(named) if named else Path(__file__).resolve().parents[4] / "shared" / "specs"
    return found if found.is_dir() else None


@pytest.fixture(scope="session")
def specs() -> Path:
    folder = specs_folder()
    if folder is None:
        pytest.skip("the vendors' descriptions are not here; set PAYCORDON_SPECS to their folder")
    return folder


def digest(key: str, signed: bytes) -> str:
    return base64.b64encode(hmac.new(bytes.fromhex(key), signed, hashlib.sha256).digest()).decode()


def signed_body(body: bytes, key: str = KEYS[0]) -> Delivery:
    """A delivery of the platform's webhooks."""
    return Delivery({"hmacsignature": digest(key, body), "protocol": "SHA256"}, body)


def signed_item(item: Mapping[str, Any], key: str = KEYS[0]) -> dict[str, Any]:
    """An item of a notification with its signature."""
    additional = {**item.get("additionalData", {}), "hmacSignature": digest(key, signed_text(item).encode())}
    return {**item, "additionalData": additional}


def batch(*items: Mapping[str, Any], live: bool = True) -> bytes:
    """The body of a notification with items as they are."""
    wrapped = [{"NotificationRequestItem": item} for item in items]
    return json.dumps({"live": str(live).lower(), "notificationItems": wrapped}).encode()


def said(type_: str, data: Mapping[str, Any], at: datetime = NOON, *, live: bool = True) -> dict[str, Any]:
    """A statement of the platform's webhooks."""
    environment = "live" if live else "test"
    return {"data": dict(data), "environment": environment, "timestamp": at.isoformat(), "type": type_}


def item(code: str, **fields: Any) -> dict[str, Any]:
    """An unsigned item of a notification."""
    made_up = {
        "additionalData": {},
        "amount": {"currency": "EUR", "value": 4_200},
        "eventCode": code,
        "eventDate": NOON.isoformat(),
        "merchantAccountCode": "PlatformShared",
        "merchantReference": "order-1",
        "originalReference": "PSPPAYMENT000001",
        "paymentMethod": "visa",
        "pspReference": "PSPDISPUTE000001",
        "reason": "Other Fraud-Card Absent Environment",
        "success": "true",
    }
    return {**made_up, **fields}


def holder(**fields: Any) -> dict[str, Any]:
    """An account holder that Adyen allows everything."""
    allowed = {"enabled": True, "requested": True, "allowed": True, "verificationStatus": "valid"}
    made_up = {
        "id": HOLDER,
        "legalEntityId": "LE00000000000000000000001",
        "status": "active",
        "description": "Synthetic Books",
        "reference": "books-1",
        "metadata": {"paycordon_merchant": "m_1"},
        "contactDetails": {
            "email": "owner@books.example",
            "phone": {"number": "+31201234567", "type": "mobile"},
            "webAddress": "https://books.example/",
            "address": {"country": "NL"},
        },
        "capabilities": {"receivePayments": dict(allowed), "sendToTransferInstrument": dict(allowed)},
    }
    return copy.deepcopy({**made_up, **fields})


def transfer(**fields: Any) -> dict[str, Any]:
    """A payout to a bank account, just asked for."""
    made_up = {
        "id": "3JNC3O5ZVFLLGV4B",
        "accountHolder": {"id": HOLDER},
        "balanceAccount": {"id": ACCOUNT},
        "amount": {"currency": "EUR", "value": 12_500},
        "category": "bank",
        "categoryData": {"type": "bank", "priority": "regular"},
        "counterparty": {"transferInstrumentId": "SE00000000000000000000001"},
        "direction": "outgoing",
        "reason": "approved",
        "sequenceNumber": 1,
        "status": "received",
        "type": "bankTransfer",
    }
    return copy.deepcopy({**made_up, **fields})


def platform_payment(type_: str, status: str, **fields: Any) -> dict[str, Any]:
    """A merchant's share of a payment, or of what undoes one."""
    about = {
        "type": "platformPayment",
        "platformPaymentType": "BalanceAccount",
        "pspPaymentReference": "PSPPAYMENT000001",
        "modificationPspReference": "PSPDISPUTE000001",
    }
    return transfer(
        id="JN4227222422265",
        category="platformPayment",
        categoryData=about,
        counterparty={},
        direction="incoming",
        type=type_,
        status=status,
        **fields,
    )


@pytest.fixture
def simulator(clock: FrozenClock) -> Iterator[AdyenSimulator]:
    with AdyenSimulator(clock=clock, api_key="key_simulated") as running:
        yield running


@pytest.fixture
def gateway(simulator: AdyenSimulator, make_gateway: Callable[..., AdyenGateway]) -> AdyenGateway:
    keys = dict.fromkeys(("legal_entity_api_key", "disputes_api_key"), simulator.api_key)
    return make_gateway(simulator.base_url, **keys)


@pytest.fixture
def backend(simulator: AdyenSimulator) -> Adyen.Adyen:
    """The vendor's SDK as a platform's own code uses it, pointed at the simulator."""
    return connect(settings_of(simulator.base_url), simulator.api_key)


class AdyenHarness(GatewayHarness):
    """The adapter, or a faulty variant of it, with the simulator; statements are those of the platform's webhooks."""

    signs_time = False
    credentials = ("key_simulated", "paycordon:pass-word")
    secrets = KEYS
    unknown_account = "AH00000000UNKNOWN00001"

    def __init__(self, simulator: AdyenSimulator, adapter: type[AdyenGateway] = AdyenGateway) -> None:
        self._simulator = simulator
        self._adapter = adapter
        simulator.create_account_holder(id=HOLDER, balance={"EUR": 1_000_000})
        self._account = simulator.balance_account_of(HOLDER)
        self._transfer = self._pay_out()
        self._plan = FaultPlan()
        simulator.faults = PlannedFaults(self._plan, waits=2)

    def _pay_out(self) -> str:
        sdk = connect(settings_of(self._simulator.base_url), self._simulator.api_key)
        to = {"transferInstrumentId": self._simulator.transfer_instrument_of(HOLDER)}
        asked = {"amount": {"currency": "EUR", "value": 12_500}, "balanceAccountId": self._account, "counterparty": to}
        made = sdk.transfers.transfers_api.transfer_funds({**asked, "category": "bank", "priority": "regular"})
        return str(made.message["id"])

    def build(self, secrets: Sequence[str], mode: Mode) -> AdyenGateway:
        settings = settings_of(
            self._simulator.base_url,
            mode=mode,
            hmac_keys=tuple(secrets),
            legal_entity_api_key="key_simulated",
            payout_schedules=False,  # `test_acts.py` has them
            timeout_seconds=OF_THE_KIT_SECONDS,
        )
        return self._adapter(INSTANCE, settings)

    @cached_property
    def corpus(self) -> Mapping[str, Recorded]:
        paid = {**transfer(id=self._transfer), "balanceAccount": {"id": self._account}}
        new = holder(capabilities={"sendToTransferInstrument": {"allowed": False, "enabled": True}})
        sweep = {"id": "SWPC1", "status": "active", "counterparty": {"transferInstrumentId": "SE1"}}
        swept = {"accountId": self._account, "sweep": sweep}
        schedule = {"balanceAccountPayoutScheduleId": "PS1", "balanceAccountId": self._account, "enabled": True}
        updated = "balancePlatform.transfer.updated"
        about = {
            "onboarding": ("balancePlatform.accountHolder.created", {"accountHolder": new}, "merchant.onboarding"),
            "changed": ("balancePlatform.accountHolder.updated", {"accountHolder": holder()}, "merchant.changed"),
            "sweep": ("balancePlatform.balanceAccountSweep.created", swept, "merchant.changed"),
            "schedule": ("balancePlatform.balanceAccountPayoutSchedule.updated", schedule, "merchant.changed"),
            "payout": ("balancePlatform.transfer.created", paid, "payout.requested"),
            "payout booked": (updated, {**paid, "sequenceNumber": 2, "status": "booked"}, "payout.updated"),
            "payment": (updated, platform_payment("capture", "captured"), "payment.succeeded"),
            "chargeback": (updated, platform_payment("chargeback", "chargeback", sequenceNumber=2), "dispute.updated"),
        }
        ids = dict.fromkeys(("payout", "payout booked"), self._transfer)
        ids |= {"payment": "PSPPAYMENT000001", "chargeback": "PSPDISPUTE000001"}
        corpus = {
            name: Recorded(
                statement=said(type_, data),
                means=(meaning,),
                account=HOLDER,
                about=ids.get(name, ""),
                amount=Money(minor=12_500, currency="EUR") if name in ids else None,
            )
            for name, (type_, data, meaning) in about.items()
        }
        inner = transfer(category="internal", type="internalTransfer", sequenceNumber=7)
        near = {
            "between balance accounts": said("balancePlatform.transfer.created", inner),
            "not captured": said(updated, platform_payment("capture", "authorised", sequenceNumber=8)),
            "another type": said("balancePlatform.report.created", {"id": "1"}),
        }
        return corpus | {name: Recorded(statement=statement) for name, statement in near.items()}

    def as_test(self, statement: Statement) -> Statement:
        return {**statement, "environment": "test"}

    def sign(self, body: bytes, at: datetime, secret: str) -> Delivery:
        return signed_body(body, secret)

    @property
    def faults(self) -> FaultPlan:
        return self._plan

    def subject(self) -> Subject:
        plan, self._simulator.faults = self._simulator.faults, Faults()
        id_ = self._simulator.create_account_holder(capabilities=CAPABILITIES)
        for status in ("active", "inactive"):
            self._simulator.add_sweep(id_, status=status, schedule={"type": "weekly"})
        self._simulator.faults = plan
        return Subject(instance=INSTANCE, kind=SubjectKind.ACCOUNT, id=id_, account=id_)

    def settings_at_gateway(self, subject: Subject) -> Mapping[str, Any]:
        return self._simulator.settings(subject.account)

    def restriction_at_gateway(self, subject: Subject) -> Restriction:
        found = self._simulator.settings(subject.account)
        on = {name for name, each in found["account_holder"]["capabilities"].items() if each["enabled"]}
        suspended = found["account_holder"]["status"] != "active"
        pays = on & {"sendToTransferInstrument", "sendToThirdParty"} or any(
            each["status"] == "active" and each["type"] == "push" for each in found["sweeps"].values()
        )
        if pays and not suspended:
            return Restriction.NONE
        takes = any(name.startswith("receive") for name in on)
        return Restriction.BLOCKED if suspended and not takes else Restriction.PAYOUTS_HELD

    def changes(self, subject: Subject) -> int:
        return len({change.request for change in self._simulator.changes(subject.account) if change.request})

    def change_by_hand(self, subject: Subject) -> None:
        sweep, *_ = self._simulator.settings(subject.account)["sweeps"].values()
        other = "inactive" if sweep["status"] == "active" else "active"
        self._simulator.set_by_hand("sweeps", sweep["id"], {"status": other})


class NotificationHarness(AdyenHarness):
    """The same with the statements of notifications, each an item that is signed by itself."""

    batches = True
    signed_fields = frozenset(
        {
            *("pspReference", "originalReference", "merchantAccountCode", "merchantReference"),
            *("amount.value", "amount.currency", "eventCode", "success"),
        }
    )

    def build(self, secrets: Sequence[str], mode: Mode) -> AdyenGateway:
        gateway = super().build(secrets, mode)
        given = {**gateway.settings.model_dump(), "payments_from": "notifications"}
        return self._adapter(INSTANCE, AdyenSettings(**given))

    @cached_property
    def corpus(self) -> Mapping[str, Recorded]:
        about = {"metadata.paycordon_account": HOLDER}
        paid, refunded = "PSPPAYMENT000001", "PSPPAYMENT000002"
        made = {
            "chargeback": (item("CHARGEBACK", additionalData=about), ("dispute.opened", "dispute.updated")),
            "lost": (item("PREARBITRATION_LOST", additionalData=about), ("dispute.updated",)),
            "payment": (item("AUTHORISATION", pspReference=paid, additionalData=about), ("payment.succeeded",)),
            "refund": (
                item("REFUND", pspReference="PSP3", originalReference=refunded, additionalData=about),
                ("payment.refunded",),
            ),
            "review": (item("MANUAL_REVIEW_ACCEPT", pspReference="PSP4", success="false"), ()),
            "another code": (item("REPORT_AVAILABLE", pspReference="PSP5"), ()),
        }
        ids = {"chargeback": "PSPDISPUTE000001", "lost": "PSPDISPUTE000001", "payment": paid, "refund": refunded}
        amount = Money(minor=4_200, currency="EUR")
        return {
            name: Recorded(
                statement=statement,
                means=means,
                account=HOLDER if means else "",
                about=ids.get(name, ""),
                amount=amount if means else None,
            )
            for name, (statement, means) in made.items()
        }

    def as_test(self, statement: Statement) -> Statement:
        return {**statement, "live": "false"}

    def wrap(self, *statements: Statement) -> bytes:
        live = all(each.get("live") != "false" for each in statements)
        return batch(*[{k: v for k, v in each.items() if k != "live"} for each in statements], live=live)

    def sign(self, body: bytes, at: datetime, secret: str) -> Delivery:
        try:
            whole = json.loads(body)
            items = [each["NotificationRequestItem"] for each in whole["notificationItems"]]
            for each in items:
                each |= signed_item(each, secret)
        except Exception:  # a body that no gateway would send, and that has nothing to sign
            return Delivery({"content-type": "application/json"}, body)
        indent = 3 if body.startswith(b"{\n") else None
        return Delivery({}, json.dumps(whole, indent=indent).encode())

    def sign_each(self, items: Sequence[tuple[Statement, str]], at: datetime) -> Delivery:
        return Delivery({}, batch(*[signed_item(statement, secret) for statement, secret in items]))


@pytest.fixture
def make_harness(simulator: AdyenSimulator) -> Callable[..., AdyenHarness]:
    return lambda adapter=AdyenGateway, kind=AdyenHarness: kind(simulator, adapter)


@pytest.fixture
def make_notification_harness(simulator: AdyenSimulator) -> Callable[..., NotificationHarness]:
    return lambda adapter=AdyenGateway: NotificationHarness(simulator, adapter)


UNCHECKED = Config(spec_validator_cls=None)  # the descriptions themselves are the vendor's to check


class Contract:
    """Adyen's published descriptions of its four services, to which recorded requests are held."""

    FILES: ClassVar = {
        "/bcl/v2": "BalancePlatformService-v2",
        "/btl/v4": "TransferService-v4",
        "/lem/v4": "LegalEntityService-v4",
        "/ca/services/DisputeService/v30": "DisputeService-v30",
    }

    def __init__(self, folder: Path) -> None:
        self._services = {
            base: OpenAPI.from_dict(_only_requests(folder / "adyen" / f"{name}.json"), config=UNCHECKED)
            for base, name in self.FILES.items()
        }

    def check(self, request: Sent) -> None:
        """Fail unless the description knows the request, each of its fields and parameters, and their types."""
        base = next((each for each in self._services if request.path.startswith(f"{each}/")), None)
        assert base is not None, f"{request.path} is of no service of Adyen's"
        self._services[base].validate_request(
            MockRequest(
                "http://localhost",
                request.method.lower(),
                request.path.removeprefix(base),
                args=dict(parse_qsl(request.query)),
                headers={"X-API-Key": request.headers["x-api-key"]} if "x-api-key" in request.headers else {},
                data=request.body.encode(),
                content_type="application/json",
            )
        )


_ASKED = re.compile(
    r"/(accountHolders|balanceAccounts|transactionRules|transfers|transferInstruments)|/legalEntities(/{id})?$|/\w+D\w+"
)
"""The paths that anything here asks for; to read the others takes seconds."""


def _only_requests(path: Path) -> dict[str, Any]:
    """A description without its answers, its examples and what nobody here asks for."""
    spec = json.loads(path.read_text())
    spec["servers"] = [{"url": "http://localhost"}]
    spec["paths"] = {path: item for path, item in spec["paths"].items() if _ASKED.match(path)}
    spec["components"].pop("examples", None)
    for operations in spec["paths"].values():
        for operation in operations.values():
            operation["responses"] = {"200": {"description": "not looked at"}}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                content.pop("examples", None)
    return spec


@pytest.fixture(scope="session")
def contract() -> Contract | None:
    folder = specs_folder()
    return Contract(folder) if folder else None


@pytest.fixture
def lawful(simulator: AdyenSimulator, contract: Contract | None) -> Iterator[None]:
    """Hold every request that a test sends to Adyen's own descriptions of its API, where they are here."""
    yield
    for request in simulator.requests if contract else ():
        contract.check(request)
