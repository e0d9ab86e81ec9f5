"""The simulator as an HTTP server on 127.0.0.1."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from random import Random
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from paycordon_stripe.simulator import automatic, control, webhooks
from paycordon_stripe.simulator.courier import RETRIES, RETRIES_IN_TEST_MODE, Courier
from paycordon_stripe.simulator.events import API_VERSION
from paycordon_stripe.simulator.faults import Fault, FaultKind, Faults
from paycordon_stripe.simulator.forms import BadForm, decode
from paycordon_stripe.simulator.idempotency import Keys, Stored
from paycordon_stripe.simulator.ledger import Ledger
from paycordon_stripe.simulator.limits import REASON_HEADER, RateLimit
from paycordon_stripe.simulator.parameters import prepare
from paycordon_stripe.simulator.problems import Problem
from paycordon_stripe.simulator.routes import ROUTES, carry_out
from paycordon_stripe.simulator.steering import Steering
from paycordon_stripe.simulator.wire import Answer, Request, handler_for, new_request_id

MAX_RECORDED = 10_000
LOOKING_EVERY_SECONDS = 0.1
STOPPED_WITHIN_SECONDS = 1.0
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.\w+)?")
_FORM = "application/x-www-form-urlencoded"


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
        self.api_key = api_key
        self.webhook_secret = webhook_secret
        self.faults = Faults()
        self.requests: list[Recorded] = []
        self._world = clock
        self._ahead = timedelta(0)
        self.ledger = Ledger(self.clock, livemode=livemode, each_midnight=automatic.midnight)
        retries = RETRIES if livemode else RETRIES_IN_TEST_MODE
        self.courier = Courier(self.clock, clock, retries=retries, random=Random(seed))  # noqa: S311 - no secrets
        self.ledger.log.listener = self.courier.take
        self.rate_limit = RateLimit(self.clock, rate_limit)
        self._requests_run = 0
        self._keys = Keys()
        self._port = port
        self._stopping = threading.Event()
        self._work = threading.Event()
        self._starting = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._threads: list[threading.Thread] = []

    @property
    def base_url(self) -> str:
        """Where it listens, without a final slash; only while it runs."""
        if self._server is None:
            raise RuntimeError("the simulator is not running; call `start` or use it in `with`")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def clock(self) -> datetime:
        """Return the simulator's present: the world's, and what it was advanced by."""
        return self._world() + self._ahead

    def shift(self, by: timedelta) -> None:
        """Move the simulator's clock on; `advance` also lets happen what is due then."""
        self._ahead += by

    def wake(self) -> None:
        """Let the courier look for work, in a thread of its own that starts with the first endpoint."""
        with self._starting:
            if self._server is not None and len(self._threads) == 1 and self.courier.endpoints:
                self._begin(self._carry, (self._stopping,))
        self._work.set()

    def start(self) -> Self:
        """Listen and answer in threads of its own."""
        self._stopping = threading.Event()  # a new one: what still hangs from an earlier run must not wake up
        prepare(route.takes for route in ROUTES)
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler_for(self.answer, self._stopping))
        self._begin(self._server.serve_forever, (0.02,))
        self.wake()
        return self

    def stop(self) -> None:
        """Stop listening and delivering; requests that hang are let go."""
        self._stopping.set()
        self._work.set()
        if self._server is not None:
            self._server.shutdown()
            for thread in self._threads:
                thread.join(STOPPED_WITHIN_SECONDS)  # a receiver that does not answer is not waited for
            self._server.server_close()
        self._server, self._threads = None, []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def inject(self, fault: Fault) -> None:
        """Let a fault wait for its requests."""
        self.faults.add(fault)

    def signed_delivery(self, event: Mapping[str, Any], at: datetime | None = None) -> tuple[dict[str, str], bytes]:
        """Return headers and body of a webhook delivery, signed now or at a time."""
        return webhooks.signed_delivery(event, self.webhook_secret, at or self._world())

    def send(self, url: str, event: Mapping[str, Any]) -> int:
        """Deliver an event to an endpoint and return the status it answers."""
        return webhooks.send(url, event, self.webhook_secret, self._world())

    def answer(self, request: Request) -> Answer | None:
        """Answer one request; nothing means that the connection closes without an answer."""
        if request.path.startswith(control.PREFIX):
            return control.answer(self, request)
        fault = self.faults.take(request.method, request.path)
        if fault is not None and fault.kind is FaultKind.LOST_BEFORE:
            self._stopping.wait(fault.seconds)
            return None
        if fault is not None and fault.kind is FaultKind.ANSWER:
            problem = Problem(fault.status, "simulated", type_="api_error", code="simulated")
            return Answer(problem.status, problem.body, {"Retry-After": "3"} if fault.status == 429 else {})
        answer = self._answer_api(request, fault)
        if fault is not None and fault.kind is FaultKind.LOST_AFTER:
            self._stopping.wait(fault.seconds)
            return None
        garbled = fault is not None and fault.kind is FaultKind.GARBLED
        return Answer(200, "<html>not json</html>", {}) if garbled else answer

    def _begin(self, target: Callable[..., object], arguments: tuple[object, ...]) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _carry(self, stopping: threading.Event) -> None:
        """Deliver what is due, and let happen what is due, until the simulator stops."""
        while not stopping.is_set():
            self._work.wait(LOOKING_EVERY_SECONDS)
            self._work.clear()
            with self.ledger.lock:
                self.ledger.catch_up()
            self.courier.deliver(stopping.is_set)

    def _answer_api(self, request: Request, fault: Fault | None) -> Answer:
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
        recorded = Recorded(request.method, request.path, request.account, key, params, request.form, request.headers)
        with self.ledger.lock:
            self.requests = [*self.requests[-MAX_RECORDED:], recorded]
        self.rate_limit.take()
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
        stored = self._keys.begin(scope, key, same, self.clock())
        if stored is not None:
            return stored, {"Idempotent-Replayed": "true", "Original-Request": stored.request_id}
        fresh = self._run(request, fault, id_)
        begun = fresh.status < 400 or fresh.status >= 500
        self._keys.end(scope, key, fresh if begun else None)
        return fresh, {}

    def _run(self, request: Recorded, fault: Fault | None, id_: str) -> Stored:
        failure = Stored(500, Problem(500, "An unknown error occurred", type_="api_error").body, id_)
        if fault is not None and fault.kind is FaultKind.ERROR_BEFORE:
            return failure
        with self.ledger.lock:
            done = self._carried_out(request, id_)
        self.wake()
        if fault is not None and fault.kind is FaultKind.SLOW:
            self._stopping.wait(fault.seconds)
        return failure if fault is not None and fault.kind is FaultKind.ERROR_AFTER else done

    def _carried_out(self, request: Recorded, id_: str) -> Stored:
        self.ledger.catch_up()
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


def _parameters(request: Request) -> dict[str, Any]:
    """Read a request's parameters: JSON in a POST of v2, a form or query otherwise.

    Raises:
        BadForm, Problem: they cannot be read.
    """
    if request.method != "POST":
        return decode(request.form)
    in_json = request.path.startswith("/v2/")
    type_ = request.headers.get("content-type", "application/json" if in_json else _FORM)
    if not type_.startswith("application/json" if in_json else _FORM):
        raise Problem(400, f"Unsupported content type: {type_}")
    if not in_json:
        return decode(request.form)
    try:
        found = json.loads(request.form or "{}")
    except ValueError:
        raise Problem(400, "The request body is not valid JSON.", code="invalid_json") from None
    if not isinstance(found, dict):
        raise Problem(400, "The request body is not an object.", code="invalid_json")
    return found


def _stored(problem: Problem, id_: str = "") -> Stored:
    return Stored(problem.status, problem.body, id_)
