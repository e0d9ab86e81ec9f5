"""Watch and steer a simulator that runs in another process, over HTTP.

=======  ====================================  ===================================================================
GET      `/_simulator/settings/<id>`           an account holder with its accounts, sweeps, schedules, rules, limits
GET      `/_simulator/changes/<id>`            every effective change of the account holder
GET      `/_simulator/transfers/<id>`          its transfers, oldest first
GET      `/_simulator/told/<id>`               what was told of it, oldest first; of all without an id
GET      `/_simulator/requests`                method, path and idempotency key of every request
GET      `/_simulator/clock`                   the simulator's present
GET      `/_simulator/webhooks`                the endpoints
GET      `/_simulator/deliveries`              every delivery that was tried
POST     `/_simulator/account_holders`         put one there, `{"balance": {"EUR": 5000}}`; its `id`
POST     `/_simulator/balance_accounts`        `{"holder", "balance"}`: a further one; its `id`
POST     `/_simulator/sweeps`                  `{"holder", …}`: a sweep, with Adyen's fields; its `id`
POST     `/_simulator/payout_schedules`        `{"holder", …}`: a managed payout schedule; its `id`
POST     `/_simulator/onboard`                 `{"holder"}`: its verification ends well
POST     `/_simulator/problems`                `{"holder", "capabilities", "code", "message"}`: it ends with a problem
POST     `/_simulator/set`                     `{"kind", "id", "changes"}`: change something by hand
POST     `/_simulator/disabled`                `{"sweep", "reason"}`: Adyen sets a sweep to inactive
POST     `/_simulator/funds`                   `{"holder", "amount", "currency"}`
POST     `/_simulator/received`                `{"holder", "amount", "currency"}`: a bank transfer comes in; its `id`
POST     `/_simulator/payments`                `{"holder", "amount", "currency"}`: a payer pays; its `id`
POST     `/_simulator/refunds`                 `{"payment", "amount"}`; its `id`
POST     `/_simulator/disputes`                `{"payment", "code", "reason", "network"}`: a payer disputes; its `id`
POST     `/_simulator/steps`                   `{"dispute", "code"}`: it goes on, as `CHARGEBACK_REVERSED`
POST     `/_simulator/fraud`                   `{"payment"}`: a card scheme reports fraud; its `id`
POST     `/_simulator/failures`                `{"transfer", "reason"}`: the bank sends a transfer back
POST     `/_simulator/scores`                  `{"holder", "risk", "signals"}`: a risk score
POST     `/_simulator/warnings`                `{"holder", "amount", "currency", "days"}`: of a negative balance
POST     `/_simulator/clock`                   `{"advance_seconds"}`: let time pass
POST     `/_simulator/rate_limit`              `{"per_second"}`: requests a second before a 429; `null` for no limit
POST     `/_simulator/webhooks`                `{"url", "secret", "family", "batch", "login", "events", …}`; its `id`
POST     `/_simulator/faults`                  `{"kind", "method", "path", "times", "seconds", "status"}`
DELETE   `/_simulator/faults`                  forget the faults that still wait
DELETE   `/_simulator/webhooks/<id>`           deliver to an endpoint no more
=======  ====================================  ===================================================================
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from paycordon.simulation import Control

if TYPE_CHECKING:
    from paycordon_adyen.simulator.server import AdyenSimulator


def control_of(simulator: AdyenSimulator) -> Control:
    """Return what is seen and done at `/_simulator/` of a simulated Adyen."""
    looks = {
        "settings": simulator.settings,
        "changes": lambda id_: [asdict(change) for change in simulator.changes(id_)],
        "transfers": simulator.transfers,
        "told": lambda id_: [asdict(each) for each in simulator.told(id_ or None)],
        "requests": lambda _: [
            {"method": r.method, "path": r.path, "idempotency_key": r.idempotency_key} for r in simulator.requests
        ],
        "webhooks": lambda _: [
            {"id": each.id, "url": each.url, "family": each.family, "events": each.events}
            for each in simulator.webhooks()
        ],
    }
    steps = {
        "account_holders": lambda body: simulator.create_account_holder(**body),
        "balance_accounts": lambda body: simulator.add_balance_account(**body),
        "sweeps": lambda body: simulator.add_sweep(**body),
        "payout_schedules": lambda body: simulator.add_payout_schedule(**body),
        "onboard": lambda body: simulator.onboard(**body),
        "problems": lambda body: simulator.fail_verification(body.pop("holder"), *body.pop("capabilities", ()), **body),
        "set": lambda body: simulator.set_by_hand(body["kind"], body["id"], body["changes"]),
        "disabled": lambda body: simulator.disable_sweep(**body),
        "funds": lambda body: simulator.fund(**body),
        "received": lambda body: simulator.receive(**body),
        "payments": lambda body: simulator.pay(**body),
        "refunds": lambda body: simulator.refund(**body),
        "disputes": lambda body: simulator.open_dispute(**body),
        "steps": lambda body: simulator.go_on(**body),
        "fraud": lambda body: simulator.report_fraud(**body),
        "failures": lambda body: simulator.fail_transfer(**body),
        "scores": lambda body: simulator.score(body["holder"], body["risk"], *body.get("signals", ())),
        "warnings": lambda body: simulator.warn_of_negative_balance(**body),
        "webhooks": lambda body: simulator.add_webhook(**body),
    }
    return Control(simulator, looks, steps)
