"""Watch and steer a simulator that runs in another process, over HTTP.

=======  ==================================  =====================================================================
GET      `/_simulator/accounts/<id>`         the account, with `requested` and `payouts`
GET      `/_simulator/changes/<id>`          every effective change of the account
GET      `/_simulator/events/<id>`           the events of an account, or of the `platform`, oldest first
GET      `/_simulator/requests`              method, path and idempotency key of every request
GET      `/_simulator/clock`                 the simulator's present
GET      `/_simulator/webhooks`              the endpoints
GET      `/_simulator/deliveries`            every delivery that was tried
POST     `/_simulator/accounts`              put an account there, `{"country", "balance": {"usd": 5000}}`; its `id`
POST     `/_simulator/onboard`               `{"account"}`: submit synthetic details for an account
POST     `/_simulator/set`                   `{"account", "path", "value"}`: change a setting by hand
POST     `/_simulator/funds`                 `{"account", "amount", "currency", "pending_days"}`
POST     `/_simulator/charges`               `{"account", "amount", "currency"}`: a payer pays; its `id`
POST     `/_simulator/disputes`              `{"account", "charge", "reason"}`: a payer disputes; its `id`
POST     `/_simulator/decisions`             `{"account", "dispute", "status"}`: `won`, `lost` or `prevented`
POST     `/_simulator/warnings`              `{"account", "charge", "fraud_type"}`: an early fraud warning; its `id`
POST     `/_simulator/reviews`               `{"account", "charge", "reason"}`: a review is opened; its `id`
POST     `/_simulator/failures`              `{"account", "payout", "code"}`: the bank sends a payout back
POST     `/_simulator/rejections`            `{"account", "reason"}`: Stripe itself rejects an account
POST     `/_simulator/deauthorizations`      `{"account"}`: the account's owner ends the platform's access
POST     `/_simulator/clock`                 `{"advance_seconds"}`: let time pass
POST     `/_simulator/rate_limit`            `{"per_second"}`: requests a second before a 429; `null` for no limit
POST     `/_simulator/webhooks`              `{"url", "secret", "connect", "thin", "events", "duplicated" …}`; its `id`
POST     `/_simulator/faults`                `{"kind", "method", "path", "times", "seconds", "status"}`
DELETE   `/_simulator/faults`                forget the faults that still wait
DELETE   `/_simulator/webhooks/<id>`         deliver to an endpoint no more
=======  ==================================  =====================================================================

`account` is left out, or null, for what the platform itself owns.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from paycordon_stripe.simulator.event_log import PLATFORM
from paycordon_stripe.simulator.faults import Fault, FaultKind
from paycordon_stripe.simulator.problems import Problem
from paycordon_stripe.simulator.wire import Answer, Request

if TYPE_CHECKING:
    from paycordon_stripe.simulator.server import StripeSimulator

PREFIX = "/_simulator/"


def answer(simulator: StripeSimulator, request: Request) -> Answer:
    """Answer a request to the control endpoint."""
    what, _, id_ = request.path.removeprefix(PREFIX).partition("/")
    try:
        if request.method == "GET":
            return Answer(200, _look(simulator, what, id_), {})
        if request.method == "DELETE":
            return Answer(200, _forget(simulator, what, id_), {})
        return Answer(200, _steer(simulator, what, json.loads(request.form or "{}")), {})
    except Problem as problem:
        return Answer(problem.status, problem.body, {})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        return Answer(400, {"error": f"{type(error).__name__}: {error}"}, {})


def _look(simulator: StripeSimulator, what: str, id_: str) -> Any:
    looks: dict[str, Callable[[], Any]] = {
        "accounts": lambda: {**simulator.account(id_), "payouts": simulator.payouts(id_)},
        "changes": lambda: [asdict(change) for change in simulator.changes(id_)],
        "clock": lambda: {"now": simulator.clock().isoformat()},
        "deliveries": lambda: [asdict(attempt) for attempt in simulator.deliveries()],
        "events": lambda: simulator.events(None if id_ == PLATFORM else id_),
        "requests": lambda: [
            {"method": r.method, "path": r.path, "idempotency_key": r.idempotency_key} for r in simulator.requests
        ],
        "webhooks": lambda: [
            {"id": each.id, "url": each.url, "connect": each.connect, "thin": each.thin, "events": each.events}
            for each in simulator.webhooks()
        ],
    }
    if what not in looks:
        raise Problem(404, f"nothing to see at {what}")
    return looks[what]()


def _forget(simulator: StripeSimulator, what: str, id_: str) -> Any:
    if what == "faults":
        simulator.faults.clear()
    elif what == "webhooks":
        simulator.remove_webhook(id_)
    else:
        raise Problem(404, f"nothing to forget at {what}")
    return {}


def _steer(simulator: StripeSimulator, what: str, body: dict[str, Any]) -> Any:
    steps: dict[str, Callable[[], Any]] = {
        "accounts": lambda: simulator.create_account(**body),
        "charges": lambda: simulator.charge(**_owned(body)),
        "clock": lambda: _advance(simulator, **body),
        "deauthorizations": lambda: simulator.deauthorize(**body),
        "decisions": lambda: simulator.decide_dispute(**_owned(body)),
        "disputes": lambda: simulator.open_dispute(**_owned(body)),
        "failures": lambda: simulator.fail_payout(**_owned(body)),
        "faults": lambda: simulator.inject(Fault(**{**body, "kind": FaultKind(body["kind"])})),
        "funds": lambda: simulator.fund(**_owned(body)),
        "onboard": lambda: simulator.onboard(**body),
        "rate_limit": lambda: setattr(simulator.rate_limit, "per_second", body["per_second"]),
        "rejections": lambda: simulator.reject_as_stripe(**body),
        "reviews": lambda: simulator.open_review(**_owned(body)),
        "set": lambda: simulator.set_by_hand(body["account"], body["path"], body["value"]),
        "warnings": lambda: simulator.warn_of_fraud(**_owned(body)),
        "webhooks": lambda: simulator.add_webhook(**body),
    }
    if what not in steps:
        raise Problem(404, f"nothing to do at {what}")
    made = steps[what]()
    return {"id": made} if isinstance(made, str) else made or {}


def _owned(body: dict[str, Any]) -> dict[str, Any]:
    return {"account": None, **body}


def _advance(simulator: StripeSimulator, advance_seconds: float) -> dict[str, str]:
    return {"now": simulator.advance(timedelta(seconds=advance_seconds)).isoformat()}
