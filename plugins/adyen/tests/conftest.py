from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from paycordon.events import Mode, Subject, SubjectKind
from paycordon.gateways import Delivery
from paycordon.testing.clock import NOON, FrozenClock
from paycordon_adyen.deliveries import signed_text
from paycordon_adyen.gateway import AdyenGateway, AdyenSettings

INSTANCE = "adyen_sim"
HOLDER, ACCOUNT = "AH00000000000000000000001", "BA00000000000000000000001"
TIMEOUT_SECONDS = 0.4
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
def make_gateway() -> Callable[..., AdyenGateway]:
    return lambda *base_url, **given: AdyenGateway(INSTANCE, settings_of(*base_url, **given))


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
