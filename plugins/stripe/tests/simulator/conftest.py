"""The simulator as its users meet it: through Stripe's own SDK, each answer held to Stripe's description."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from paycordon.testing.clock import FrozenClock
from paycordon_stripe.simulator import StripeSimulator

SPEC = "stripe/stripe-subset-from-sdk-16.1.0.openapi.json"


class Shapes:
    """The objects in Stripe's description, by the name each carries in `object`; fields it does not know are errors."""

    def __init__(self, folder: Path) -> None:
        spec = json.loads((folder / SPEC).read_text())
        self._components = {"schemas": _strict(spec["components"]["schemas"])}
        # Each type of event has this field, while the description has only what all of them have in common.
        self._components["schemas"]["v2.core._event.Event"]["properties"]["related_object"] = {}
        self._names = {}
        for name, schema in spec["components"]["schemas"].items():
            kinds = schema.get("properties", {}).get("object", {}).get("enum", [])
            own_module = name.split(".")[-2].startswith("_")
            if not name.startswith("params") and len(kinds) == 1 and own_module:
                self._names[kinds[0]] = name

    def check(self, answer: Any) -> None:
        """Fail unless an object, or each in a list, is as described."""
        if isinstance(answer.get("data"), list):
            for each in answer["data"]:
                self.check(each)
        elif answer.get("object") in self._names:
            reference = f"#/components/schemas/{self._names[answer['object']]}"
            validator = Draft202012Validator({"$ref": reference, "components": self._components})
            problems = [_deepest(error) for error in validator.iter_errors(answer)]
            assert problems == [], answer["object"]

    def knows(self, kind: str) -> bool:
        return kind in self._names


def _deepest(error: ValidationError) -> str:
    found = best_match([error]) or error
    return f"{found.json_path}: {found.message[:200]}"


def _strict(schema: Any) -> Any:
    """Write an OpenAPI schema as JSON Schema: null where it is allowed, nothing that is not described."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _strict(value) for name, value in schema.items() if name not in ("nullable", "example")}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    if schema.get("nullable") is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made


@pytest.fixture(autouse=True)
def lawful() -> None:
    """Let these tests ask for what Stripe would refuse: here the answers are held to the description."""


@pytest.fixture(scope="session")
def shapes() -> Shapes | None:
    named = os.environ.get("PAYCORDON_SPECS")
    folder = Path(named) if named else Path(__file__).resolve().parents[5] / "shared" / "specs"
    return Shapes(folder) if (folder / SPEC).exists() else None


@pytest.fixture
def simulator(clock: FrozenClock) -> Iterator[StripeSimulator]:
    with StripeSimulator(clock=clock, livemode=False, api_key="sk_test_simulated") as running:
        yield running


def checking(kind: type[Any], answers: list[Any]) -> Any:
    """A transport of the SDK that keeps what it was answered."""

    class Checking(kind):  # type: ignore[misc]
        def request(self, *args: Any, **kwargs: Any) -> Any:
            return self._kept(super().request(*args, **kwargs))

        async def request_async(self, *args: Any, **kwargs: Any) -> Any:
            return self._kept(await super().request_async(*args, **kwargs))

        def _kept(self, answer: Any) -> Any:
            answers.append(json.loads(answer[0]))
            return answer

    return Checking


@pytest.fixture
def answers(shapes: Shapes | None) -> Iterator[list[Any]]:
    """What the SDK was answered; each is held to the description at the end, where that is here."""
    kept: list[Any] = []
    yield kept
    for answer in kept if shapes else ():
        shapes.check(answer)


@pytest.fixture
def client(simulator: StripeSimulator, answers: list[Any]) -> stripe.StripeClient:
    addresses = {"api": simulator.base_url, "connect": simulator.base_url}
    http = checking(stripe.RequestsClient, answers)(timeout=10)
    return stripe.StripeClient(simulator.api_key, base_addresses=addresses, http_client=http, client_id="ca_1Sim")


Drive = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def drive(request: pytest.FixtureRequest, simulator: StripeSimulator, client: Any, answers: list[Any]) -> Drive:
    """Call a verb of the SDK by its dotted name, in the one way or the other."""
    if request.param == "sync":
        return lambda verb, *args, **named: _found(client, verb)(*args, **named)
    pytest.importorskip("httpx")
    addresses = {"api": simulator.base_url, "connect": simulator.base_url}

    def call(verb: str, *args: Any, **named: Any) -> Any:
        async def run() -> Any:
            http = checking(stripe.HTTPXClient, answers)(timeout=10)
            own = stripe.StripeClient(
                simulator.api_key, base_addresses=addresses, http_client=http, client_id="ca_1Sim"
            )
            try:
                return await _found(own, f"{verb}_async")(*args, **named)
            finally:
                await http.close_async()

        return asyncio.run(run())

    return call


def _found(client: Any, verb: str) -> Any:
    for name in verb.split("."):
        client = getattr(client, name)
    return client


@pytest.fixture
def account(simulator: StripeSimulator) -> str:
    """An onboarded account with 1,000.00 USD."""
    return simulator.create_account(balance={"usd": 100_000})


@pytest.fixture
def of(account: str) -> dict[str, str]:
    """Options of a call that is made for that account."""
    return {"stripe_account": account}
