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

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from paycordon.simulation import Control
from paycordon_stripe.simulator.event_log import PLATFORM

if TYPE_CHECKING:
    from paycordon_stripe.simulator.server import StripeSimulator


def control_of(simulator: StripeSimulator) -> Control:
    """Return what is seen and done at `/_simulator/` of a simulated Stripe."""
    looks = {
        "accounts": lambda id_: {**simulator.account(id_), "payouts": simulator.payouts(id_)},
        "changes": lambda id_: [asdict(change) for change in simulator.changes(id_)],
        "events": lambda id_: simulator.events(None if id_ == PLATFORM else id_),
        "requests": lambda _: [
            {"method": r.method, "path": r.path, "idempotency_key": r.idempotency_key} for r in simulator.requests
        ],
        "webhooks": lambda _: [
            {"id": each.id, "url": each.url, "connect": each.connect, "thin": each.thin, "events": each.events}
            for each in simulator.webhooks()
        ],
    }
    steps = {
        "accounts": lambda body: simulator.create_account(**body),
        "charges": lambda body: simulator.charge(**_owned(body)),
        "deauthorizations": lambda body: simulator.deauthorize(**body),
        "decisions": lambda body: simulator.decide_dispute(**_owned(body)),
        "disputes": lambda body: simulator.open_dispute(**_owned(body)),
        "failures": lambda body: simulator.fail_payout(**_owned(body)),
        "funds": lambda body: simulator.fund(**_owned(body)),
        "onboard": lambda body: simulator.onboard(**body),
        "rejections": lambda body: simulator.reject_as_stripe(**body),
        "reviews": lambda body: simulator.open_review(**_owned(body)),
        "set": lambda body: simulator.set_by_hand(body["account"], body["path"], body["value"]),
        "warnings": lambda body: simulator.warn_of_fraud(**_owned(body)),
        "webhooks": lambda body: simulator.add_webhook(**body),
    }
    return Control(simulator, looks, steps)


def _owned(body: dict[str, Any]) -> dict[str, Any]:
    return {"account": None, **body}
