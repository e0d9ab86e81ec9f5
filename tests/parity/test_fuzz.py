"""Deliveries that somebody has tampered with: none is taken, none answered 5xx, none raises what is not declared.

Real deliveries of each gateway's simulator are damaged, and put to the same door that gateways use. What is accepted
nevertheless must be authentic by a second opinion that shares no code with the adapter: a scheme that signs a part of
what it sends leaves the rest to be changed. `PAYCORDON_FUZZ` is how many for each gateway: 300 here, 10,000 and more in
`PAYCORDON_FUZZ=10000 pytest tests/parity/test_fuzz.py`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from werkzeug import Request, Response

from paycordon.errors import PayloadInvalid, SignatureInvalid
from paycordon.events import Event, Money
from paycordon.gateways import Delivery, NotCarried
from paycordon.server import create_app

from .conftest import IBANS, STAGES, applicant

COUNT = int(os.environ.get("PAYCORDON_FUZZ", "300"))
Headers = dict[str, str]
Sent = tuple[Headers, bytes]
GATEWAYS = pytest.mark.parametrize("gateway", sorted(STAGES))


def recorded(gateway: str, httpserver: Any) -> tuple[list[Sent], Mapping[str, Any]]:
    """Everything that a short story makes the simulated gateway deliver, and the settings it was signed under."""
    taken: list[Sent] = []

    def take(request: Request) -> Response:
        taken.append(({name.lower(): value for name, value in request.headers.items()}, request.get_data()))
        return Response(status=200)

    httpserver.expect_request(f"/webhooks/{gateway}").respond_with_handler(take)
    with STAGES[gateway]() as stage:
        stage.deliver_to(httpserver.url_for(f"/webhooks/{gateway}"))
        account = stage.open_account(applicant("m_1"))
        stage.change_bank_account(account, IBANS[1])
        payment = stage.pay(account, Money(minor=2_000, currency="EUR"), "payer")
        stage.dispute(account, payment)
        stage.pay_out(account, Money(minor=5_000, currency="EUR"), "key")
        stage.told()
        return taken, stage.settings()


def stripe_authentic(headers: Headers, body: bytes, settings: Mapping[str, Any]) -> bool:
    parts = [each.partition("=")[::2] for each in headers.get("stripe-signature", "").split(",")]
    time = next((value for name, value in parts if name == "t"), "")
    wanted = hmac.new(settings["webhook_secrets"][0].encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    return wanted in [value for name, value in parts if name == "v1"]


def adyen_authentic(headers: Headers, body: bytes, settings: Mapping[str, Any]) -> bool:
    key = bytes.fromhex(settings["hmac_keys"][0])

    def signed(text: bytes, signature: object) -> bool:
        try:
            given = base64.b64decode(str(signature), validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.new(key, text, hashlib.sha256).digest() == given

    found = json.loads(body)
    if "notificationItems" not in found:
        return signed(body, headers.get("hmacsignature"))
    for each in found["notificationItems"]:
        item = each["NotificationRequestItem"]
        fields = [item.get("pspReference"), item.get("originalReference"), item.get("merchantAccountCode")]
        fields += [item.get("merchantReference"), item["amount"]["value"], item["amount"]["currency"]]
        fields += [item.get("eventCode"), item.get("success")]
        # As Adyen writes them, whatever the JSON makes of them: `true`, and nothing for what is not there.
        text = ":".join("" if v is None else str(v).lower() if isinstance(v, bool) else str(v) for v in fields)
        if not signed(text.encode(), item["additionalData"]["hmacSignature"]):
            return False
    return True


AUTHENTIC: dict[str, Callable[[Headers, bytes, Mapping[str, Any]], bool]] = {
    "stripe": stripe_authentic,
    "adyen": adyen_authentic,
}


class Damage:
    """Ways to tamper with a delivery; each returns another one."""

    def __init__(self, seed: int, sent: list[Sent]) -> None:
        self.random = random.Random(seed)
        self._sent = sent
        self.ways = [
            self.flip, self.cut, self.insert, self.truncate, self.swap, self.double, self.header, self.drop,
            self.foreign, self.junk, self.value, self.forged_item, self.nest,
        ]  # fmt: skip

    def one(self) -> tuple[str, Sent]:
        way = self.random.choice(self.ways)
        headers, body = self.random.choice(self._sent)
        return way.__name__, way(dict(headers), body)

    def _at(self, body: bytes) -> int:
        return self.random.randrange(max(1, len(body)))

    def flip(self, headers: Headers, body: bytes) -> Sent:
        at = self._at(body)
        return headers, body[:at] + bytes([body[at] ^ (1 << self.random.randrange(8))]) + body[at + 1 :]

    def cut(self, headers: Headers, body: bytes) -> Sent:
        at = self._at(body)
        return headers, body[:at] + body[at + self.random.randrange(1, 40) :]

    def insert(self, headers: Headers, body: bytes) -> Sent:
        at = self._at(body)
        return headers, body[:at] + self.random.randbytes(self.random.randrange(1, 9)) + body[at:]

    def truncate(self, headers: Headers, body: bytes) -> Sent:
        return headers, body[: self._at(body)]

    def swap(self, headers: Headers, body: bytes) -> Sent:
        i, j = sorted((self._at(body), self._at(body)))
        return headers, body[:i] + body[j : j + 1] + body[i + 1 : j] + body[i : i + 1] + body[j + 1 :]

    def double(self, headers: Headers, body: bytes) -> Sent:
        return headers, body + body

    def header(self, headers: Headers, body: bytes) -> Sent:
        name = self.random.choice(sorted(headers))
        at = self._at(headers[name].encode())
        return {**headers, name: headers[name][:at] + self.random.choice("=,;x0é\x7f ") + headers[name][at + 1 :]}, body

    def drop(self, headers: Headers, body: bytes) -> Sent:
        return {name: value for name, value in headers.items() if "signature" not in name}, body

    def foreign(self, headers: Headers, body: bytes) -> Sent:
        return dict(self.random.choice(self._sent)[0]), body

    def junk(self, headers: Headers, body: bytes) -> Sent:
        made = [b"", b"null", b"[]", b"{}", b'""', b"1e999", b"[" * 5_000, b"\xff\xfe", b'{"a":' * 3_000]
        return headers, self.random.choice(made)

    def value(self, headers: Headers, body: bytes) -> Sent:
        found = json.loads(body)
        places = list(_places(found))
        place = self.random.choice(places)
        _put(found, place, self.random.choice([None, True, "", "x" * 3_000, -1, 10**30, [], {}, "\u0000", 1.5]))
        return headers, json.dumps(found).encode()

    def forged_item(self, headers: Headers, body: bytes) -> Sent:
        found = json.loads(body)
        if not isinstance(found.get("notificationItems"), list):
            return self.value(headers, body)
        forged = json.loads(json.dumps(found["notificationItems"][0]))
        forged["NotificationRequestItem"]["pspReference"] = "FORGED"
        found["notificationItems"].append(forged)
        return headers, json.dumps(found).encode()

    def nest(self, headers: Headers, body: bytes) -> Sent:
        return headers, b'{"notificationItems":[' + body + b"]}"


def _places(value: Any, at: tuple[Any, ...] = ()) -> Any:
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*at, key))


def _put(value: Any, place: tuple[Any, ...], new: Any) -> None:
    for key in place[:-1]:
        value = value[key]
    value[place[-1]] = new


async def posted(app: Any, path: str, headers: Headers, body: bytes) -> int:
    """Put a delivery to the door and return its status."""
    raw = [(name.encode("latin-1", "ignore"), value.encode("latin-1", "ignore")) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": raw, "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80), "root_path": ""}
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])

    await app({**scope, "asgi": {"version": "3.0"}, "client": ("127.0.0.1", 1)}, receive, send)
    return statuses[0]


@GATEWAYS
def test_no_damaged_delivery_is_taken(make_world, httpserver, gateway: str) -> None:
    sent, settings = recorded(gateway, httpserver)
    assert len(sent) > 5
    world = make_world(gateway)
    # The world's simulator signs with the same keys as the one that was recorded; only its door is used here.
    app = create_app(world.cordon, world.gateways)
    damage = Damage(7, sent)
    answers: Counter[int] = Counter()

    async def all_of_them() -> None:
        for _ in range(COUNT):
            way, (headers, body) = damage.one()
            status = await posted(app, f"/webhooks/{gateway}", {**headers, "content-length": str(len(body))}, body)
            answers[status] += 1
            assert status < 500, (way, status)
            if status == 200 or status == 400:  # taken for authentic
                assert (headers, body) in sent or AUTHENTIC[gateway](headers, body, settings), (way, status)

    asyncio.run(all_of_them())
    print(f"{gateway}: {COUNT} damaged deliveries answered {dict(answers)}")
    assert answers[401] > COUNT / 2


@GATEWAYS
def test_the_adapter_raises_nothing_but_what_is_declared(make_world, httpserver, gateway: str) -> None:
    sent, _ = recorded(gateway, httpserver)
    adapter = make_world(gateway).gateways[gateway]
    damage = Damage(11, sent)
    kinds: Counter[str] = Counter()
    for _ in range(COUNT):
        _, (headers, body) = damage.one()
        try:
            messages = adapter.verify(Delivery(headers, body), datetime.now(UTC))
        except SignatureInvalid:
            kinds["refused"] += 1
            continue
        for message in messages:
            try:
                events = list(adapter.translate(message))
                assert all(isinstance(each, Event) for each in events)
                kinds["read"] += 1
            except (PayloadInvalid, NotCarried):
                kinds["unreadable"] += 1
    print(f"{gateway}: {dict(kinds)}")
    assert kinds["refused"] > COUNT / 2
