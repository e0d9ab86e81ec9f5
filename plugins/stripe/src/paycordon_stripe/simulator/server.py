"""The simulator as an HTTP server on 127.0.0.1."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from paycordon_stripe.simulator import accounts, control, webhooks
from paycordon_stripe.simulator.faults import Fault, FaultKind, Faults
from paycordon_stripe.simulator.forms import BadForm, decode
from paycordon_stripe.simulator.idempotency import Keys, Stored
from paycordon_stripe.simulator.ledger import Changed, Json, Ledger
from paycordon_stripe.simulator.problems import Problem
from paycordon_stripe.simulator.routes import carry_out
from paycordon_stripe.simulator.wire import Answer, Request, handler_for

MAX_RECORDED = 10_000


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


class StripeSimulator:
    """One simulated Stripe platform with its connected accounts; use it as a context manager.

    Args:
        port: where to listen on 127.0.0.1; 0 lets the system choose.
        api_key: the only key it takes.
        webhook_secret: what `signed_delivery` and `send` sign with.
        livemode: whether its objects and events are those of live mode.
        clock: the present, UTC.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str = "sk_simulated",
        webhook_secret: str = "whsec_simulated",  # noqa: S107 - it protects nothing but the simulator
        livemode: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.api_key = api_key
        self.webhook_secret = webhook_secret
        self.clock = clock
        self.ledger = Ledger(clock, livemode=livemode)
        self.faults = Faults()
        self.requests: list[Recorded] = []
        self._requests_run = 0
        self._keys = Keys()
        self._port = port
        self._stopping = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """Where it listens, without a final slash; only while it runs."""
        if self._server is None:
            raise RuntimeError("the simulator is not running; call `start` or use it in `with`")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Self:
        """Listen and answer in threads of its own."""
        self._stopping.clear()
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler_for(self.answer, self._stopping))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening; requests that hang are let go."""
        self._stopping.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def create_account(self, *, enabled: bool = True, **fields: Any) -> str:
        """Put an account there, as if it had been onboarded, and return its id.

        Args:
            enabled: whether it may take payments and be paid out, with `card_payments` and `transfers` active.
            fields: replace fields of Stripe's account object; `id` as well.
        """
        with self.ledger.lock:
            id_ = str(fields.pop("id", None) or self.ledger.new_id("acct"))
            new = accounts.blank(self.ledger, id_, fields.get("country", "US"))
            new |= {"details_submitted": enabled, "payouts_enabled": enabled, **fields}
            self.ledger.accounts[id_], self.ledger.capabilities[id_], self.ledger.payouts[id_] = new, {}, {}
            for name in ("card_payments", "transfers") if enabled else ():
                self.ledger.request_capability(id_, name, True)
            self.ledger.changes = [change for change in self.ledger.changes if change.account != id_]
            return id_

    def account(self, id_: str) -> Json:
        """Return a copy of an account as it is now, with its capabilities' requests under `requested`."""
        with self.ledger.lock:
            found = copy.deepcopy(self.ledger.account(id_))
            found["requested"] = {name: c["requested"] for name, c in self.ledger.capabilities[id_].items()}
            return found

    def schedule(self, id_: str) -> Json:
        """Return a copy of an account's payout schedule."""
        found: Json = self.account(id_)["settings"]["payouts"]["schedule"]
        return found

    def payouts(self, id_: str) -> list[Json]:
        """Return copies of an account's payouts, oldest first."""
        with self.ledger.lock:
            return copy.deepcopy(list(self.ledger.payouts.get(id_, {}).values()))

    def put(self, kind: str, account: str, object_: Json) -> None:
        """Put a payout or dispute there (`payouts`, `disputes`), in Stripe's own shape."""
        with self.ledger.lock:
            getattr(self.ledger, kind).setdefault(account, {})[object_["id"]] = copy.deepcopy(object_)

    def set_by_hand(self, id_: str, path: str, value: Any) -> None:
        """Change a setting as a person in the dashboard would: `settings.payouts.schedule.interval`."""
        with self.ledger.lock:
            self.ledger.request = 0
            self.ledger.set_by_hand(id_, path, value)

    def changes(self, id_: str) -> list[Changed]:
        """Return every effective change of an account since it was put there."""
        with self.ledger.lock:
            return [change for change in self.ledger.changes if change.account == id_]

    def inject(self, fault: Fault) -> None:
        """Let a fault wait for its requests."""
        self.faults.add(fault)

    def signed_delivery(self, event: Mapping[str, Any], at: datetime | None = None) -> tuple[dict[str, str], bytes]:
        """Return headers and body of a webhook delivery, signed now or at a time."""
        return webhooks.signed_delivery(event, self.webhook_secret, at or self.clock())

    def send(self, url: str, event: Mapping[str, Any]) -> int:
        """Deliver an event to an endpoint and return the status it answers."""
        return webhooks.send(url, event, self.webhook_secret, self.clock())

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

    def _answer_api(self, request: Request, fault: Fault | None) -> Answer:
        try:
            self._authenticate(request)
            params = decode(request.form)
            if request.method == "POST":
                self._check_type(request)
        except BadForm as error:
            return _of(Problem(400, f"Invalid parameter: {error}"))
        except Problem as problem:
            return _of(problem)
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        recorded = Recorded(request.method, request.path, request.account, key, params, request.form, request.headers)
        with self.ledger.lock:
            self.requests = [*self.requests[-MAX_RECORDED:], recorded]
        if key is None:
            return _answer(self._run(recorded, fault))
        return self._once(recorded, key, fault)

    def _authenticate(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            raise Problem(401, "Invalid API Key provided.", type_="invalid_request_error")

    def _check_type(self, request: Request) -> None:
        type_ = request.headers.get("content-type", "application/x-www-form-urlencoded")
        if not type_.startswith("application/x-www-form-urlencoded"):
            raise Problem(400, f"Unsupported content type: {type_}")

    def _once(self, request: Recorded, key: str, fault: Fault | None) -> Answer:
        scope = f"{self.api_key}/{request.account}"
        same = (request.method, request.path, json.dumps(request.params, sort_keys=True))
        try:
            stored = self._keys.begin(scope, key, same, self.clock())
        except Problem as problem:
            return _of(problem)
        if stored is not None:
            return Answer(stored.status, stored.body, {"Idempotent-Replayed": "true"})
        fresh = self._run(request, fault)
        begun = fresh.status < 400 or fresh.status >= 500
        self._keys.end(scope, key, fresh if begun else None)
        return _answer(fresh)

    def _run(self, request: Recorded, fault: Fault | None) -> Stored:
        failure = Stored(500, Problem(500, "An unknown error occurred", type_="api_error").body)
        if fault is not None and fault.kind is FaultKind.ERROR_BEFORE:
            return failure
        with self.ledger.lock:
            self._requests_run += 1
            self.ledger.request = self._requests_run
            try:
                path = unquote(request.path)
                found = carry_out(self.ledger, request.method, path, request.account, dict(request.params))
                done = Stored(200, copy.deepcopy(found))
            except Problem as problem:
                done = Stored(problem.status, problem.body)
        if fault is not None and fault.kind is FaultKind.SLOW:
            self._stopping.wait(fault.seconds)
        return failure if fault is not None and fault.kind is FaultKind.ERROR_AFTER else done


def _of(problem: Problem) -> Answer:
    return Answer(problem.status, problem.body, {})


def _answer(stored: Stored) -> Answer:
    return Answer(stored.status, stored.body, {})
