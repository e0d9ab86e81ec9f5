"""Watch and steer a simulator that runs in another process, over HTTP.

=======  ================================  ===========================================================
GET      `/_simulator/accounts/<id>`       the account, with `requested` and `payouts`
POST     `/_simulator/accounts`            put an account there; answers its `id`
GET      `/_simulator/changes/<id>`        every effective change of the account
GET      `/_simulator/requests`            method, path and idempotency key of every request
POST     `/_simulator/set`                 `{"account", "path", "value"}`: change a setting by hand
POST     `/_simulator/faults`              a fault: `{"kind", "method", "path", "times", "seconds", "status"}`
DELETE   `/_simulator/faults`              forget the faults that still wait
=======  ================================  ===========================================================
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

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
        if request.method == "DELETE" and what == "faults":
            simulator.faults.clear()
            return Answer(200, {}, {})
        return Answer(200, _steer(simulator, what, json.loads(request.form or "{}")), {})
    except Problem as problem:
        return Answer(problem.status, problem.body, {})
    except (KeyError, TypeError, ValueError) as error:
        return Answer(400, {"error": f"{type(error).__name__}: {error}"}, {})


def _look(simulator: StripeSimulator, what: str, id_: str) -> Any:
    if what == "accounts":
        return {**simulator.account(id_), "payouts": simulator.payouts(id_)}
    if what == "changes":
        return [asdict(change) for change in simulator.changes(id_)]
    if what == "requests":
        return [{"method": r.method, "path": r.path, "idempotency_key": r.idempotency_key} for r in simulator.requests]
    raise Problem(404, f"nothing to see at {what}")


def _steer(simulator: StripeSimulator, what: str, body: dict[str, Any]) -> Any:
    if what == "accounts":
        return {"id": simulator.create_account(**body)}
    if what == "set":
        simulator.set_by_hand(body["account"], body["path"], body["value"])
        return {}
    if what == "faults":
        simulator.inject(Fault(**{**body, "kind": FaultKind(body["kind"])}))
        return {}
    raise Problem(404, f"nothing to do at {what}")
