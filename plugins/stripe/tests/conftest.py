from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pytest
import stripe
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest
from pydantic import SecretStr

from paycordon.events import Mode, Money, Subject, SubjectKind
from paycordon.gateways import Delivery, Restriction
from paycordon.testing import FaultPlan, GatewayHarness, PlannedFaults, Recorded, Statement
from paycordon.testing.clock import NOON, FrozenClock
from paycordon_stripe.gateway import StripeGateway, StripeSettings
from paycordon_stripe.simulator import Recorded as Sent
from paycordon_stripe.simulator import StripeSimulator, events, webhooks

INSTANCE = "stripe_sim"
ACCT = "acct_1Recorded"
TIMEOUT_SECONDS = 10.0
OF_THE_KIT_SECONDS = 1.0  # it makes thousands of requests, none of which may be late on a busy machine


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe, "enable_telemetry", False)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def simulator(clock: FrozenClock) -> Iterator[StripeSimulator]:
    with StripeSimulator(clock=clock) as running:
        yield running


@pytest.fixture
def make_gateway(clock: FrozenClock) -> Callable[..., StripeGateway]:
    def make(base_url: str = "http://127.0.0.1:9", **settings: Any) -> StripeGateway:
        given = {
            "adapter": "stripe",
            "mode": Mode.LIVE,
            "api_key": "sk_simulated",
            "webhook_secrets": ["whsec_simulated"],
            "base_url": base_url,
            "timeout_seconds": TIMEOUT_SECONDS,
        }
        return StripeGateway(INSTANCE, StripeSettings(**{**given, **settings}), clock=clock)

    return make


@pytest.fixture
def gateway(simulator: StripeSimulator, make_gateway: Callable[..., StripeGateway]) -> StripeGateway:
    return make_gateway(simulator.base_url)


@pytest.fixture
def hasty(simulator: StripeSimulator, make_gateway: Callable[..., StripeGateway]) -> StripeGateway:
    """It waits for a second only: for the one call that is to time out; any other may be late by itself."""
    return make_gateway(simulator.base_url, timeout_seconds=1.0)


@pytest.fixture
def subject_of() -> Callable[[str], Subject]:
    return lambda account: Subject(instance=INSTANCE, kind=SubjectKind.ACCOUNT, id=account, account=account)


NOT_DESCRIBED = frozenset(
    {
        "POST /v1/charges",
        "POST /v1/accounts/*/persons",
        "POST /v1/accounts/*/persons/*",
        "GET /v1/accounts/*/external_accounts/*",
        "POST /v1/accounts/*/external_accounts/*",
    }
)
"""Operations that tests use and that the description, which is a part of Stripe's API, leaves out; `*` is an id."""


class Contract:
    """Stripe's published description of its API, to which recorded requests are held.

    Stripe takes nested forms, which no tool checks; so a recorded form or query is decoded, its texts are given the
    types their schemas ask for, and the request is checked as if that were a JSON body. Unknown fields are errors.
    """

    def __init__(self, folder: Path) -> None:
        spec = json.loads((folder / "stripe" / "stripe-subset-from-sdk-16.1.0.openapi.json").read_text())
        self._schemas = spec["components"]["schemas"]
        self._bodies: list[tuple[str, re.Pattern[str], dict[str, Any]]] = []
        for path, operations in spec["paths"].items():
            pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
            for method, operation in operations.items():
                schema = _as_body(operation)
                operation["operationId"] = f"{method} {path}"  # v1 and v2 have the same, which they may not
                self._bodies.append((method, pattern, schema))
        self._api = OpenAPI.from_dict(spec)

    def check(self, request: Sent) -> None:
        """Fail unless the description knows the request, each of its fields, and their types."""
        method = request.method.lower()
        schema = self._schema(method, request.path)
        if schema is None and _without_ids(request) in NOT_DESCRIBED:
            return
        params = dict(request.params)
        is_json = request.path.startswith("/v2/") and method == "post"
        self._api.validate_request(
            MockRequest(
                "http://localhost",
                method,
                request.path,
                headers={"Authorization": request.headers["authorization"]},
                data=json.dumps(params if is_json else self._typed(params, schema or {})).encode(),
                content_type="application/json",
            )
        )

    def _schema(self, method: str, path: str) -> dict[str, Any] | None:
        return next((s for known, pattern, s in self._bodies if known == method and pattern.fullmatch(path)), None)

    def _typed(self, value: Any, schema: dict[str, Any]) -> Any:
        if "$ref" in schema:
            return self._typed(value, self._schemas[schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            options = [self._typed(value, option) for option in schema["anyOf"]]
            return next((option for option in options if option != value), value)
        if isinstance(value, dict):
            known, other = schema.get("properties", {}), schema.get("additionalProperties") or {}
            # Empty takes a value back, which the description, unlike the SDK's types, leaves out.
            said = {key: inner for key, inner in value.items() if inner != "" or key not in known}
            return {key: self._typed(inner, known.get(key, other)) for key, inner in said.items()}
        if isinstance(value, list):
            return [self._typed(inner, schema.get("items", {})) for inner in value]
        if schema.get("type") == "integer" and value.lstrip("-").isdigit():
            return int(value)
        return value == "true" if schema.get("type") == "boolean" and value in ("true", "false") else value


def _as_body(operation: dict[str, Any]) -> dict[str, Any]:
    """Describe an operation's query or form as a JSON body, in place, and return its schema."""
    content = operation.get("requestBody", {}).get("content", {})
    schemas = [each["schema"] for each in content.values()]
    query = {each["name"]: each["schema"] for each in operation.get("parameters", []) if each["in"] == "query"}
    schema = schemas[0] if schemas else {"type": "object", "properties": query, "additionalProperties": False}
    operation["parameters"] = [each for each in operation.get("parameters", []) if each["in"] == "path"]
    operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return dict(schema)


def _without_ids(request: Sent) -> str:
    return f"{request.method} {re.sub(r'/[a-z]+_[A-Za-z0-9]*[A-Z0-9][A-Za-z0-9_]*', '/*', request.path)}"


@pytest.fixture(scope="session")
def specs() -> Path | None:
    """The folder with the vendors' published descriptions, if it is here."""
    named = os.environ.get("PAYCORDON_SPECS")
    found = Path(named) if named else Path(__file__).resolve().parents[4] / "shared" / "specs"
    return found if found.is_dir() else None


@pytest.fixture(scope="session")
def contract(specs: Path | None) -> Contract | None:
    return Contract(specs) if specs else None


@pytest.fixture(autouse=True)
def lawful(request: pytest.FixtureRequest, contract: Contract | None) -> Iterator[None]:
    """Hold every request that a test sends to Stripe's own description of its API, where that is here."""
    used = contract and "simulator" in request.fixturenames
    simulator = request.getfixturevalue("simulator") if used else None
    yield
    for sent in simulator.requests if simulator and contract else ():
        contract.check(sent)


class StripeHarness(GatewayHarness):
    """The adapter, or a faulty variant of it, with the simulator."""

    signs_time = True
    credentials = ("sk_simulated",)
    _WEEKLY: ClassVar[dict[str, Any]] = {
        "interval": "weekly",
        "delay_days": 7,
        "weekly_anchor": "monday",
        "weekly_payout_days": ["monday", "thursday"],
    }

    def __init__(self, simulator: StripeSimulator, adapter: type[StripeGateway] = StripeGateway) -> None:
        self._simulator = simulator
        self._adapter = adapter
        self._plan = FaultPlan()
        simulator.faults = PlannedFaults(self._plan, waits=2)
        simulator.create_account(id=ACCT)
        simulator.put("payouts", ACCT, events.payout("po_1Sim", NOON, status="paid"))
        simulator.put("disputes", ACCT, events.dispute("dp_1Sim", NOON, status="won"))
        simulator.put("disputes", "platform", events.dispute("dp_2Sim", NOON, charge="ch_2Sim", status="lost"))
        for id_, destination in (("ch_2Sim", ACCT), ("ch_3Sim", None)):
            simulator.put("charges", "platform", events.charge(id_, NOON, destination=destination))
        simulator.put("transfers", "platform", events.transfer("tr_1Sim", ACCT, NOON, reversals={"data": []}))

    @property
    def secrets(self) -> Sequence[str]:
        return ("whsec_old0000000", "whsec_new0000000", "whsec_foreign000")

    def build(self, secrets: Sequence[str], mode: Mode) -> StripeGateway:
        settings = StripeSettings(
            adapter="stripe",
            mode=mode,
            api_key=SecretStr("sk_simulated"),
            webhook_secrets=tuple(SecretStr(secret) for secret in secrets),
            base_url=self._simulator.base_url,
            timeout_seconds=OF_THE_KIT_SECONDS,
        )
        return self._adapter(INSTANCE, settings, clock=lambda: self.now)

    @cached_property
    def corpus(self) -> Mapping[str, Recorded]:
        return recorded_statements()

    def as_test(self, statement: Statement) -> Statement:
        return {**statement, "livemode": False}

    def sign(self, body: bytes, at: datetime, secret: str) -> Delivery:
        return Delivery({"stripe-signature": webhooks.sign(body, secret, at)}, body)

    @property
    def faults(self) -> FaultPlan:
        return self._plan

    def subject(self) -> Subject:
        payouts = {"debit_negative_balances": True, "schedule": dict(self._WEEKLY), "statement_descriptor": None}
        account = self._simulator.create_account(settings={"payments": {}, "payouts": payouts}, metadata={"own": "1"})
        return Subject(instance=INSTANCE, kind=SubjectKind.ACCOUNT, id=account, account=account)

    @property
    def unknown_account(self) -> str:
        return "acct_1Unknown"

    def settings_at_gateway(self, subject: Subject) -> Mapping[str, Any]:
        return self._simulator.account(subject.account)

    def restriction_at_gateway(self, subject: Subject) -> Restriction:
        account = self._simulator.account(subject.account)
        if account["settings"]["payouts"]["schedule"]["interval"] != "manual":
            return Restriction.NONE
        return Restriction.PAYOUTS_HELD if any(account["requested"].values()) else Restriction.BLOCKED

    def changes(self, subject: Subject) -> int:
        return len({change.request for change in self._simulator.changes(subject.account) if change.request})

    def change_by_hand(self, subject: Subject) -> None:
        schedule = self._simulator.schedule(subject.account)
        interval = "daily" if schedule["interval"] == "manual" else schedule["interval"]
        changed = {**schedule, "interval": interval, "delay_days": schedule["delay_days"] + 1}
        self._simulator.set_by_hand(subject.account, "settings.payouts.schedule", changed)


def recorded_statements() -> dict[str, Recorded]:
    """One statement of each kind of object, and near misses, all about one account."""
    payout, dispute = events.payout("po_1Sim", NOON), events.dispute("dp_1Sim", NOON)
    charge = events.charge("ch_1Sim", NOON)
    application = {"id": "ca_1", "object": "application"}
    made = {
        "onboarding": ("account.updated", events.account(ACCT, NOON, payouts_enabled=False), "merchant.onboarding"),
        "account changed": ("account.updated", events.account(ACCT, NOON), "merchant.changed"),
        "authorized": ("account.application.authorized", application, "merchant.onboarding"),
        "bank account": ("account.external_account.created", events.bank_account("ba_2", ACCT), "merchant.changed"),
        "debit card": ("account.external_account.updated", events.debit_card("card_2", ACCT), "merchant.changed"),
        "person": ("person.created", events.person("person_1", ACCT), "merchant.changed"),
        "payout created": ("payout.created", payout, "payout.requested"),
        "payout failed": ("payout.failed", {**payout, "status": "failed"}, "payout.updated"),
        "dispute opened": ("charge.dispute.created", dispute, "dispute.opened"),
        "dispute closed": ("charge.dispute.closed", {**dispute, "status": "lost"}, "dispute.updated"),
        "payment": ("charge.succeeded", charge, "payment.succeeded"),
        "refund": ("charge.refunded", {**charge, "amount_refunded": 4_200}, "payment.refunded"),
    }
    corpus = {}
    for name, (type_, object_, meaning) in made.items():
        money = type_.startswith(("payout.", "charge."))
        corpus[name] = Recorded(
            statement=events.event(type_, object_, NOON, account=ACCT, previous={}),
            means=(meaning,),
            account=ACCT,
            about=object_["id"] if money else "",
            amount=Money(minor=object_["amount"], currency=object_["currency"].upper()) if money else None,
        )
    for_account = {
        "destination charge disputed": (
            "charge.dispute.created",
            events.dispute("dp_2Sim", NOON, charge="ch_2Sim"),
            "dispute.opened",
        ),
        "transfer": ("transfer.created", events.transfer("tr_1Sim", ACCT, NOON), "payout.updated"),
    }
    for name, (type_, object_, meaning) in for_account.items():
        amount = Money(minor=object_["amount"], currency=object_["currency"].upper())
        statement = events.event(type_, object_, NOON)
        corpus[name] = Recorded(statement=statement, means=(meaning,), account=ACCT, about=object_["id"], amount=amount)
    near_misses = {
        "own dispute": events.event("charge.dispute.created", events.dispute("dp_3", NOON, charge="ch_3Sim"), NOON),
        "own payout": events.event("payout.created", payout, NOON),
        "own payment": events.event("charge.succeeded", charge, NOON),
        "authorisation": events.event("charge.succeeded", {**charge, "captured": False}, NOON, account=ACCT),
        "another type": events.event("payout.reconciliation_completed", payout, NOON, account=ACCT),
        "thin event": {
            "id": "evt_thin",
            "object": "v2.core.event",
            "type": "v1.balance.available",
            "livemode": True,
            "related_object": {"id": ACCT, "type": "account", "url": f"/v1/accounts/{ACCT}"},
        },
    }
    return corpus | {name: Recorded(statement=statement) for name, statement in near_misses.items()}


@pytest.fixture
def make_harness(simulator: StripeSimulator) -> Callable[..., StripeHarness]:
    return lambda adapter=StripeGateway: StripeHarness(simulator, adapter)
