"""A tiny gateway that signs the whole body, and an intake before a real store."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import httpx
import pytest
from pydantic import ValidationError

from paycordon.errors import PayloadInvalid, SignatureInvalid
from paycordon.events import Event, Mode, Subject
from paycordon.gateways import (
    Applied,
    Change,
    Delivery,
    Gateway,
    GatewaySettings,
    GatewayState,
    Message,
    NotCarried,
    Restriction,
    Support,
)
from paycordon.intake import Intake
from paycordon.metrics import Metrics
from paycordon.signatures import matches_any
from paycordon.store import Store
from paycordon.testing import FrozenClock, make_event

SECRET = b"a synthetic secret for tests only"


class TinyGateway(Gateway[GatewaySettings]):
    """Deliveries are `{"messages": [{"id", "type", "events": [...]}]}`, signed by HMAC in `x-signature`.

    `on_resolve` stands for what happens when the gateway is asked for more. A message of the type `named` holds
    nothing; `on_fetch` says what it is about.
    """

    name: ClassVar[str] = "tiny"
    settings_type: ClassVar[type[GatewaySettings]] = GatewaySettings
    capabilities: ClassVar[Mapping[Restriction, Support]] = {}

    def __init__(self, instance: str) -> None:
        super().__init__(instance, GatewaySettings(adapter="tiny", mode=Mode.LIVE))
        self.on_resolve: Callable[[Event], Event] = lambda event: event
        self.on_fetch: Callable[[Message], Message] = lambda message: message

    def verify(self, delivery: Delivery, now: datetime) -> Sequence[Message]:
        try:
            given = bytes.fromhex(delivery.headers.get("x-signature", ""))
        except ValueError as error:
            raise SignatureInvalid("the signature is unreadable") from error
        if not matches_any([SECRET], delivery.body, [given]):
            raise SignatureInvalid("the signature is wrong")
        if delivery.body == b"crash verify":
            raise ZeroDivisionError("personal data")
        content = json.loads(delivery.body)
        return [Message(item["id"], item.get("type", "known"), item) for item in content["messages"]]

    def translate(self, message: Message) -> Iterable[Event]:
        if message.type == "crash":
            raise ZeroDivisionError("personal data")
        if message.type == "named":
            raise NotCarried("the message only names what it is about")
        try:
            return [Event.model_validate(item) for item in message.body.get("events", [])]  # type: ignore[union-attr]
        except ValidationError as error:
            raise PayloadInvalid("not an event") from error

    def fetch(self, message: Message) -> Message:
        return self.on_fetch(message)

    def resolve(self, event: Event) -> Event:
        return self.on_resolve(event)

    def read(self, subject: Subject) -> GatewayState:
        raise NotImplementedError

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        raise NotImplementedError


def message(id_: str = "msg_1", *events: Event, **more: Any) -> dict[str, Any]:
    given = events or (make_event("payment.succeeded", instance="tiny_1", id=f"evt_{id_}"),)
    return {"id": id_, "events": [event.model_dump(mode="json", exclude_none=True) for event in given], **more}


def body_of(*messages: Mapping[str, Any]) -> bytes:
    return json.dumps({"messages": messages}).encode()


def signed(body: bytes) -> dict[str, str]:
    return {"x-signature": hmac.new(SECRET, body, hashlib.sha256).hexdigest()}


@dataclass
class Door:
    """An intake with its gateway, and a client that speaks to it through ASGI."""

    intake: Intake
    gateway: TinyGateway
    metrics: Metrics
    message: Callable[..., dict[str, Any]] = field(default=message)
    body_of: Callable[..., bytes] = field(default=body_of)
    signed: Callable[[bytes], dict[str, str]] = field(default=signed)

    def request(self, method: str, path: str, body: bytes = b"", headers: Any = ()) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.intake)
            async with httpx.AsyncClient(transport=transport, base_url="http://door.example") as client:
                return await client.request(method, path, content=body, headers=headers)

        return asyncio.run(send())

    def deliver(self, *messages: Mapping[str, Any]) -> int:
        body = body_of(*messages)
        return self.request("POST", "/tiny_1", body, signed(body)).status_code

    def counted(self, answer: str, instance: str = "tiny_1") -> float:
        labels = {"instance": instance, "answer": answer}
        return self.metrics.registry.get_sample_value("paycordon_deliveries_total", labels) or 0.0


@pytest.fixture
def make_door(clock: FrozenClock) -> Callable[[Store], Door]:
    def make(store: Store) -> Door:
        gateway, metrics = TinyGateway("tiny_1"), Metrics()
        return Door(Intake({"tiny_1": gateway}, store, clock, metrics), gateway, metrics)

    return make


@pytest.fixture
def door(store: Store, make_door: Callable[[Store], Door]) -> Door:
    return make_door(store)
