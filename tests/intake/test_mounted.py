"""From a delivery over HTTP to a recorded decision, with the intake where the sidecar mounts it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
from sqlalchemy import select

from paycordon.intake import DeliveryWorker
from paycordon.screening import Cordon
from paycordon.server import create_app
from paycordon.store import Store, schema
from paycordon.testing import FrozenClock, make_event


def test_delivery_to_the_sidecar_ends_as_a_decision(
    store: Store, door: Any, make_cordon: Callable[[Store], Cordon], clock: FrozenClock
) -> None:
    cordon = make_cordon(store)
    app = create_app(cordon, {"tiny_1": door.gateway}, clock=clock)
    body = door.body_of(door.message("msg_1", make_event("payout.requested", instance="tiny_1")))

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x.example") as client:
            return await client.post("/webhooks/tiny_1", content=body, headers=door.signed(body))

    assert asyncio.run(post()).status_code == 200
    assert DeliveryWorker(store, {"tiny_1": door.gateway}, cordon, clock, "w").run_once() == 1
    with store.read() as connection:
        assert connection.execute(select(schema.decisions.c.event_id)).scalars().all() == ["evt_payout.requested"]
