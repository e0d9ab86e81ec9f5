"""The simulator as its users meet it: through Adyen's own SDK, requests and answers held to Adyen's descriptions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import Adyen
import pytest
import requests
from jsonschema import Draft202012Validator
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest

from paycordon.testing.clock import FrozenClock
from paycordon_adyen.simulator import AdyenSimulator

SERVICES = {
    "/bcl/v2": "BalancePlatformService-v2",
    "/btl/v4": "TransferService-v4",
    "/lem/v4": "LegalEntityService-v4",
    "/ca/services/DisputeService/v30": "DisputeService-v30",
}
ENVELOPES = {
    "accountHolder": "BalancePlatformConfigurationNotification-v2",
    "balanceAccount": "BalancePlatformConfigurationNotification-v2",
    "score": "BalancePlatformConfigurationNotification-v2",
    "transfer": "BalancePlatformTransferNotification-v4",
    "negativeBalanceCompensationWarning": "BalancePlatformNegativeBalanceCompensationWarningNotification-v1",
}


def specs_folder() -> Path | None:
    named = os.environ.get("PAYCORDON_SPECS")
    found = Path(named) if named else Path(__file__).resolve().parents[5] / "shared" / "specs"
    return found if (found / "adyen").is_dir() else None


class Descriptions:
    """Adyen's published descriptions; fields that they do not know are errors."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cache  # noqa: B019 - lives as long as the session
    def spec(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self._folder / f"{name}.json").read_text())
        return found

    @cache  # noqa: B019
    def api(self, name: str) -> OpenAPI:
        spec = {**self.spec(f"adyen/{name}"), "servers": [{"url": "/"}]}
        return OpenAPI.from_dict(spec, Config(spec_validator_cls=None))  # the vendor's own, and large

    @cache  # noqa: B019
    def closed(self, name: str) -> dict[str, Any]:
        return {"schemas": _closed(self.spec(name)["components"]["schemas"])}

    def check_request(self, method: str, path: str, query: str, body: str, headers: Any) -> None:
        prefix = next(prefix for prefix in SERVICES if path.startswith(f"{prefix}/"))
        args = dict(pair.split("=", 1) for pair in query.split("&")) if query else {}
        self.api(SERVICES[prefix]).validate_request(
            MockRequest(
                "http://localhost",
                method.lower(),
                path.removeprefix(prefix),
                args={key: requests.utils.unquote(value) for key, value in args.items()},
                headers=dict(headers),
                data=body.encode() or b"",
                content_type="application/json",
            )
        )

    def check_answer(self, method: str, path: str, status: int, body: Any) -> None:
        prefix = next(prefix for prefix in SERVICES if path.startswith(f"{prefix}/"))
        name = f"adyen/{SERVICES[prefix]}"
        operation = _operation(self.spec(name), method, path.removeprefix(prefix))
        assert str(status) in operation["responses"], f"{method} {path} is not described to answer {status}"
        content = operation["responses"][str(status)].get("content", {}).get("application/json", {}).get("schema")
        if content is None:
            assert not body
            return
        self.check(name, content["$ref"].rpartition("/")[2], body, f"{method} {path}")

    def check_told(self, family: str, type_: str, body: Any) -> None:
        """Hold the body of a delivery, as it is sent, to the description of the webhook."""
        name = ENVELOPES[_kind(type_)] if family == "platform" else "Webhooks-v1"
        hook = self.spec(f"adyen-webhooks/{name}")["webhooks"][type_ if family == "platform" else f"/{type_}"]
        schema = hook["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        self.check(f"adyen-webhooks/{name}", schema.rpartition("/")[2], body, type_)
        items = body.get("notificationItems", ())
        assert {each["NotificationRequestItem"]["eventCode"] for each in items} <= {type_}

    def check(self, name: str, schema: str, value: Any, what: str) -> None:
        reference = {"$ref": f"#/components/schemas/{schema}", "components": self.closed(name)}
        problems = [f"{e.json_path}: {e.message[:300]}" for e in Draft202012Validator(reference).iter_errors(value)]
        assert problems == [], what


def _kind(type_: str) -> str:
    name = type_.removeprefix("balancePlatform.").split(".")[0]
    return next(kind for kind in ENVELOPES if name.startswith(kind))


def _operation(spec: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    parts = path.split("/")
    fits: list[tuple[int, dict[str, Any]]] = []
    for known, operations in spec["paths"].items():
        of = known.split("/")
        same = len(of) == len(parts) and all(a == b or a.startswith("{") for a, b in zip(of, parts, strict=True))
        if same and method.lower() in operations:
            fits.append((known.count("{"), operations[method.lower()]))
    assert fits, f"the description does not know {method} {path}"
    return min(fits, key=lambda each: each[0])[1]


def _closed(schema: Any) -> Any:
    """Close every object that lists its fields, and leave the rest as it is."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _closed(value) for name, value in schema.items() if name not in ("example", "examples")}
    if isinstance(schema.get("eventCode"), dict):
        made["eventCode"] = {"type": "string"}  # some of Adyen's lists of codes lack the very code of their webhook
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


@pytest.fixture(scope="session")
def descriptions() -> Descriptions | None:
    folder = specs_folder()
    return Descriptions(folder) if folder else None


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def simulator(clock: FrozenClock, descriptions: Descriptions | None) -> Iterator[AdyenSimulator]:
    """A simulator; whatever it tells is held to the descriptions at the end, where they are here."""
    with AdyenSimulator(clock=clock, livemode=False) as running:
        yield running
        for told in running.told() if descriptions else ():
            body = told.body
            if told.family == "classic":
                body = json.loads(running.signed_delivery(told)[1])
            descriptions.check_told(told.family, told.type, body)


class Kept:
    """The SDK's own transport, which also keeps what was sent and answered."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.answers: list[tuple[str, str, int, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def request(self, method: str, url: str, **given: Any) -> Any:
        found = self._inner.request(method, url, **given)
        self.answers.append((method, urlsplit(url).path, found[2], json.loads(found[0]) if found[0] else None))
        return found


def pointed_at(simulator: AdyenSimulator, key: str | None = None) -> Any:
    """Adyen's SDK with every API of the four services pointed at a simulator."""
    sdk = Adyen.Adyen(xapikey=key or simulator.api_key, platform="test")
    for service in (sdk.balancePlatform, sdk.transfers, sdk.legalEntityManagement, sdk.disputes):
        for name in vars(service):
            api = getattr(service, name)
            if name.endswith("_api"):
                api.baseUrl = simulator.base_url + urlsplit(api.baseUrl).path
    return sdk


@pytest.fixture
def sdk(simulator: AdyenSimulator, descriptions: Descriptions | None) -> Iterator[Any]:
    """Adyen's SDK; what goes over the wire is held to the descriptions at the end, where they are here."""
    made = pointed_at(simulator)
    made.client._init_http_client()
    made.client.http_client = kept = Kept(made.client.http_client)
    yield made
    for method, path, status, body in kept.answers if descriptions else ():
        descriptions.check_answer(method, path, status, body)


@pytest.fixture
def lawful(simulator: AdyenSimulator, descriptions: Descriptions | None) -> Iterator[None]:
    """Hold every request of a test to the descriptions, where they are here."""
    yield
    for sent in simulator.requests if descriptions else ():
        descriptions.check_request(sent.method, sent.path, sent.query, sent.body, sent.headers)


@pytest.fixture
def holder(simulator: AdyenSimulator) -> str:
    """A verified account holder with 1,000.00 EUR."""
    return simulator.create_account_holder(balance={"EUR": 100_000})


class Receiver:
    """An endpoint that answers as it is told, and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[], int] = lambda: 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.answer())
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/adyen"

    def __enter__(self) -> Receiver:
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.got]

    @property
    def items(self) -> list[Any]:
        return [each["NotificationRequestItem"] for body in self.bodies for each in body.get("notificationItems", ())]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running
