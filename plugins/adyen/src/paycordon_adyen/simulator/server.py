"""The simulator as an HTTP server on 127.0.0.1, with the paths of Adyen's four services."""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Self

from paycordon.simulation import Answer, Fault, KeyInUse, KeyReused, Keys, Request
from paycordon_adyen.simulator import described, sweeps, synthetic
from paycordon_adyen.simulator.calls import Answered
from paycordon_adyen.simulator.control import control_of
from paycordon_adyen.simulator.courier import AdyenCourier
from paycordon_adyen.simulator.ledger import Ledger
from paycordon_adyen.simulator.problems import Problem
from paycordon_adyen.simulator.routes import carry_out
from paycordon_adyen.simulator.steering import Steering

MAX_RECORDED = 10_000
MAX_KEY = 64
KEPT_FOR = timedelta(days=31)
"""Adyen keeps keys for 31 days at least: https://docs.adyen.com/development-resources/api-idempotency."""

API_KEY = "simulated-api-key"
HMAC_KEY = "5A" * 32
"""What it signs with unless told otherwise; made up."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request to the simulated API, for tests of what was sent."""

    method: str
    path: str
    query: str
    idempotency_key: str | None
    body: str
    headers: Mapping[str, str]


class AdyenSimulator(Steering):
    """One simulated balance platform with its account holders; use it as a context manager.

    Args:
        port: where to listen on 127.0.0.1; 0 lets the system choose.
        api_key: the only key it takes, for all services.
        hmac_key: what `signed_delivery` signs with, and endpoints without a key of their own; hexadecimal digits.
        livemode: whether its webhooks are those of the live environment.
        clock: the world's clock, UTC; `advance` lets the simulator's run ahead of it.
        rate_limit: how many requests a second it takes before it answers 429; no limit by default.
        seed: of everything random, which is the disorder of deliveries.
        platform: the id of the balance platform.
        merchant: the code of the merchant account that takes payments.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str = API_KEY,
        hmac_key: str = HMAC_KEY,
        livemode: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rate_limit: int | None = None,
        seed: int = 0,
        platform: str = "SyntheticPlatform",
        merchant: str = "SyntheticMerchant",
    ) -> None:
        super().__init__(port=port, clock=clock, rate_limit=rate_limit)
        self.api_key = api_key
        self.hmac_key = hmac_key
        self.requests: list[Recorded] = []
        self.ledger = Ledger(self.clock, livemode=livemode, platform=platform, merchant=merchant)
        self.courier = AdyenCourier(self.clock, Random(seed), livemode=livemode)  # noqa: S311 - no secrets
        self.ledger.listener = self.courier.take
        self.ledger.arrived = lambda account: sweeps.money_came(self.ledger, account)
        offered = synthetic.platform_schedule(
            self.ledger.new_id("platformSchedules"), platform, self.ledger.stamp(self.clock())
        )
        self.ledger.put("platformSchedules", offered)
        self._requests_run = 0
        self._keys: Keys[Answered] = Keys(KEPT_FOR)
        self._control = control_of(self)

    def start(self) -> Self:
        """Listen and answer in threads of its own."""
        described.prepare()
        return super().start()

    def answer_control(self, request: Request) -> Answer:
        """Answer a request to watch or steer the simulator."""
        try:
            return self._control.answer(request)
        except Problem as problem:
            return Answer(problem.status, problem.body("bcl", _new_reference()), {})

    def refusal(self, status: int) -> Answer:
        """Return an error of Adyen's with a status; of 429 it says when to come back."""
        body = Problem(status, "simulated").body("bcl", _new_reference())
        return Answer(status, body, {"Retry-After": "3"} if status == 429 else {})

    def answer_api(self, request: Request, fault: Fault | None) -> Answer:
        """Answer a request to one of Adyen's services."""
        reference = _new_reference()
        headers = {"pspReference": reference}
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        if key is not None:
            headers["idempotency-key"] = key
        try:
            found = self._answered(request, key, fault)
        except Problem as problem:
            found = Answered(problem.status, problem.body(_service(request.path), reference))
            if problem.status == 429:
                headers["Retry-After"] = "1"
        return Answer(found.status, found.body, headers)

    def _answered(self, request: Request, key: str | None, fault: Fault | None) -> Answered:
        self._authenticate(request)
        body = request.body.decode("utf-8", "replace")
        recorded = Recorded(request.method, request.path, request.query, key, body, request.headers)
        with self.ledger.lock:
            self.requests = [*self.requests[-MAX_RECORDED:], recorded]
        if not self.rate_limit.take():
            raise Problem(429, "Too many requests were made.")
        if key is None:
            return self._run(recorded, fault, lambda _: None)
        if len(key) > MAX_KEY:
            raise Problem(422, f"an idempotency key has at most {MAX_KEY} signs", code="00_422")
        return self._once(recorded, key, fault)

    def _authenticate(self, request: Request) -> None:
        given = request.headers.get("x-api-key", "")
        if not hmac.compare_digest(given.encode(), self.api_key.encode()):
            raise Problem(401, "Not authorized to access this service.")

    def _once(self, request: Recorded, key: str, fault: Fault | None) -> Answered:
        """Run a request under its key. What has succeeded is kept, also if its answer is lost; errors are not."""
        try:
            stored = self._keys.begin("", key, (request.path, request.body), self.clock())
        except KeyReused:
            raise Problem(422, "the idempotency key was used for another request", code="704") from None
        except KeyInUse:
            raise Problem(422, "request already processed or in progress", code="704") from None
        if stored is not None:
            return stored
        done: list[Answered] = []
        try:
            return self._run(request, fault, done.append)
        finally:
            self._keys.end("", key, done[0] if done else None)

    def _run(self, request: Recorded, fault: Fault | None, keep: Callable[[Answered], None]) -> Answered:
        def run() -> Answered:
            self._requests_run += 1
            self.ledger.request = self._requests_run
            found = carry_out(self.ledger, request.method, request.path, request.query, request.body, self.base_url)
            keep(found)
            return found

        service = _service(request.path)
        failure = Answered(500, Problem(500, "An unexpected error occurred.").body(service, _new_reference()))
        return self.performed(run, failure, fault)


def _service(path: str) -> str:
    return path.split("/")[1]


def _new_reference() -> str:
    return f"SIM1{next(_numbers):08d}REQX"
