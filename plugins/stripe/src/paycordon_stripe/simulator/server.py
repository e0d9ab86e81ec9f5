"""The simulator as an HTTP server on 127.0.0.1."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, ClassVar, Self
from urllib.parse import unquote

from paycordon.simulation import Answer, Fault, KeyInUse, KeyReused, Keys, Request
from paycordon_stripe.simulator import automatic, webhooks
from paycordon_stripe.simulator.control import control_of
from paycordon_stripe.simulator.courier import RETRIES, RETRIES_IN_TEST_MODE, StripeCourier
from paycordon_stripe.simulator.events import API_VERSION
from paycordon_stripe.simulator.forms import BadForm, decode
from paycordon_stripe.simulator.ledger import Ledger
from paycordon_stripe.simulator.parameters import prepare
from paycordon_stripe.simulator.problems import Problem
from paycordon_stripe.simulator.routes import ROUTES, carry_out
from paycordon_stripe.simulator.steering import Steering

MAX_RECORDED = 10_000
KEPT_FOR = timedelta(hours=24)
REASON_HEADER = "Stripe-Rate-Limited-Reason"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.\w+)?")
_numbers = itertools.count(1)
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored answer, and the id of the request that it answered."""

    status: int
    body: dict[str, Any]
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request to the simulated API, for tests of what was sent; `form` is the body or query before decoding."""

    method: str
    path: str
    account: str | None
    idempotency_key: str | None
    params: Mapping[str, Any]
    form: str
    headers: Mapping[str, str]


class StripeSimulator(Steering):
    """One simulated Stripe platform with its connected accounts; use it as a context manager.

    Args:
        port: where to listen on 127.0.0.1; 0 lets the system choose.
        api_key: the only key it takes.
        webhook_secret: what `signed_delivery` and `send` sign with, and endpoints without a secret of their own.
        livemode: whether its objects and events are those of live mode.
        clock: the world's clock, UTC; `advance` lets the simulator's run ahead of it.
        rate_limit: how many requests a second it takes before it answers 429; no limit by default.
        seed: of everything random, which is the disorder of deliveries.
    """

    methods: ClassVar[tuple[str, ...]] = ("GET", "POST", "DELETE")

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str = "sk_simulated",
        webhook_secret: str = "whsec_simulated",  # noqa: S107 - it protects nothing but the simulator
        livemode: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rate_limit: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(port=port, clock=clock, rate_limit=rate_limit)
        self.api_key = api_key
        self.webhook_secret = webhook_secret
        self.requests: list[Recorded] = []
        self.ledger = Ledger(self.clock, livemode=livemode, each_midnight=automatic.midnight)
        retries = RETRIES if livemode else RETRIES_IN_TEST_MODE
        self.courier = StripeCourier(self.clock, clock, retries=retries, random=Random(seed))  # noqa: S311 - no secrets
        self.ledger.log.listener = self.courier.take
        self._requests_run = 0
        self._keys: Keys[Stored] = Keys(KEPT_FOR)
        self._control = control_of(self)

    def start(self) -> Self:
        """Listen and answer in threads of its own."""
        prepare(route.takes for route in ROUTES)
        return super().start()

    def signed_delivery(self, event: Mapping[str, Any], at: datetime | None = None) -> tuple[dict[str, str], bytes]:
        """Return headers and body of a webhook delivery, signed now or at a time."""
        return webhooks.signed_delivery(event, self.webhook_secret, at or self._world())

    def send(self, url: str, event: Mapping[str, Any]) -> int:
        """Deliver an event to an endpoint and return the status it answers."""
        return webhooks.send(url, event, self.webhook_secret, self._world())

    def answer(self, request: Request) -> Answer | None:
        """Answer one request, with an id; nothing means that the connection closes without an answer."""
        found = super().answer(request)
        return found and replace(found, headers={"Request-Id": new_request_id(), **found.headers})

    def answer_control(self, request: Request) -> Answer:
        """Answer a request to watch or steer the simulator."""
        try:
            return self._control.answer(request)
        except Problem as problem:
            return Answer(problem.status, problem.body, {})

    def refusal(self, status: int) -> Answer:
        """Return Stripe's error object with a status; of 429 it says when to come back."""
        problem = Problem(status, "simulated", type_="api_error", code="simulated")
        return Answer(status, problem.body, {"Retry-After": "3"} if status == 429 else {})

    def answer_api(self, request: Request, fault: Fault | None) -> Answer:
        """Answer a request to Stripe's API."""
        headers = {"Request-Id": new_request_id()}
        headers |= {"Stripe-Version": request.headers.get("stripe-version", API_VERSION)}
        try:
            answered, more = self._answered(request, fault, headers["Request-Id"])
        except BadForm as error:
            answered, more = _stored(Problem(400, f"Invalid parameter: {error}")), {}
        except Problem as problem:
            answered, more = _stored(problem), {REASON_HEADER: "global-rate"} if problem.status == 429 else {}
        sent_back = {"idempotency-key": "Idempotency-Key", "stripe-account": "Stripe-Account"}
        headers |= {shown: request.headers[name] for name, shown in sent_back.items() if name in request.headers}
        return Answer(answered.status, answered.body, headers | more)

    def _answered(self, request: Request, fault: Fault | None, id_: str) -> tuple[Stored, dict[str, str]]:
        """Return what to answer, and further headers of it.

        Raises:
            BadForm, Problem: it is refused before it runs.
        """
        self._authenticate(request)
        params = _parameters(request)
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        account = request.headers.get("stripe-account") or request.headers.get("stripe-context")  # v2 calls it context
        recorded = Recorded(request.method, request.path, account, key, params, _form(request), request.headers)
        with self.ledger.lock:
            self.requests = [*self.requests[-MAX_RECORDED:], recorded]
        if not self.rate_limit.take():
            raise Problem(429, "Request rate limit exceeded.", code="rate_limit")
        if key is None:
            return self._run(recorded, fault, id_), {}
        return self._once(recorded, key, fault, id_)

    def _authenticate(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            raise Problem(401, "Invalid API Key provided.", type_="invalid_request_error")
        if not _VERSION.fullmatch(request.headers.get("stripe-version", API_VERSION)):
            raise Problem(400, "Invalid Stripe API version.")

    def _once(self, request: Recorded, key: str, fault: Fault | None, id_: str) -> tuple[Stored, dict[str, str]]:
        scope = f"{self.api_key}/{request.account}"
        same = (request.method, request.path, json.dumps(request.params, sort_keys=True))
        stored = self._stored_under(scope, key, same)
        if stored is not None:
            return stored, {"Idempotent-Replayed": "true", "Original-Request": stored.request_id}
        fresh = self._run(request, fault, id_)
        begun = fresh.status < 400 or fresh.status >= 500
        self._keys.end(scope, key, fresh if begun else None)
        return fresh, {}

    def _stored_under(self, scope: str, key: str, same: object) -> Stored | None:
        try:
            return self._keys.begin(scope, key, same, self.clock())
        except KeyReused:
            text = "Keys for idempotent requests can only be used with the parameters they were first used with."
            raise Problem(400, text, type_="idempotency_error") from None
        except KeyInUse:
            text = "There is currently another in-progress request using this Idempotent Key."
            raise Problem(409, text, type_="idempotency_error", code="idempotency_key_in_use") from None

    def _run(self, request: Recorded, fault: Fault | None, id_: str) -> Stored:
        failure = Stored(500, Problem(500, "An unknown error occurred", type_="api_error").body, id_)
        return self.performed(lambda: self._carried_out(request, id_), failure, fault)

    def _carried_out(self, request: Recorded, id_: str) -> Stored:
        self._requests_run += 1
        self.ledger.request = self._requests_run
        self.ledger.cause = {"id": id_, "idempotency_key": request.idempotency_key}
        version = request.headers.get("stripe-version", API_VERSION)
        try:
            path = unquote(request.path)
            found = carry_out(self.ledger, request.method, path, request.account, dict(request.params), version)
            return Stored(200, found, id_)
        except Problem as problem:
            return _stored(problem, id_)


def new_request_id() -> str:
    """Return an id that no other request has."""
    return f"req_sim{next(_numbers)}"


def _parameters(request: Request) -> dict[str, Any]:
    """Read a request's parameters: JSON in a POST of v2, a form or query otherwise.

    Raises:
        BadForm, Problem: they cannot be read.
    """
    if request.method != "POST":
        return decode(_form(request))
    in_json = request.path.startswith("/v2/")
    type_ = request.headers.get("content-type", "application/json" if in_json else _FORM)
    if not type_.startswith("application/json" if in_json else _FORM):
        raise Problem(400, f"Unsupported content type: {type_}")
    if not in_json:
        return decode(_form(request))
    try:
        found = json.loads(_form(request) or "{}")
    except ValueError:
        raise Problem(400, "The request body is not valid JSON.", code="invalid_json") from None
    if not isinstance(found, dict):
        raise Problem(400, "The request body is not an object.", code="invalid_json")
    return found


def _form(request: Request) -> str:
    return request.body.decode("utf-8", "replace") if request.method == "POST" else request.query


def _stored(problem: Problem, id_: str = "") -> Stored:
    return Stored(problem.status, problem.body, id_)
