"""The sidecar as a FastAPI application."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import JsonValue
from sqlalchemy import text

from paycordon.errors import StoreUnavailable
from paycordon.events import Event
from paycordon.gateways import Gateway
from paycordon.intake import Intake
from paycordon.judging import SCREENED_STAGES
from paycordon.metrics import Metrics
from paycordon.review.appeals import Appeal, receive
from paycordon.screening import Cordon, utc_now
from paycordon.server.access import Access
from paycordon.store import Store

_PROTECTED = ("/v1", "/metrics", "/docs", "/openapi.json")
_FIELD_NAME = re.compile(r"[a-z_]{1,40}")
_LONG_NUMBER = re.compile(r"\d(?:[ -]?\d){11,}")
_ping = text("SELECT 1")


def create_app(
    cordon: Cordon,
    gateways: Mapping[str, Gateway[Any]],
    *,
    api_token: str | None = None,
    docs: bool = False,
    clock: Callable[[], datetime] = utc_now,
) -> FastAPI:
    """Make the sidecar's application. It starts nothing and owns nothing: close the cordon when serving has ended.

    `POST /webhooks/{instance}` takes deliveries. `GET /healthz` says that the process lives, `GET /readyz` that the
    store can be reached. With a token there are also `POST /v1/screen`, which answers an event with its decision id,
    outcome and merchant reason, `POST /v1/appeals`, which takes what a merchant objects, and `GET /metrics`; all need
    the token, for the numbers of holds and blocks are nothing to show where webhooks come in.

    Args:
        cordon: the engine; its store and metrics are used.
        gateways: the adapters by instance.
        api_token: what callers present as `Authorization: Bearer …`; without one those endpoints do not exist.
        docs: whether to serve the interface's description at `/docs`, behind the token.
        clock: says what time it is, UTC.
    """
    described = docs and api_token is not None
    app = FastAPI(
        title="Paycordon",
        docs_url="/docs" if described else None,
        redoc_url=None,
        openapi_url="/openapi.json" if described else None,
    )
    app.add_exception_handler(RequestValidationError, _refuse)
    app.mount("/webhooks", Intake(gateways, cordon.store, clock, cordon.metrics))
    _add_health(app, cordon.store)
    if api_token is not None:
        _add_screening(app, cordon, gateways)
        _add_appeals(app, cordon.store, clock)
        _add_metrics(app, cordon.metrics)
        app.add_middleware(Access, token=api_token, protected=_PROTECTED)
    return app


def _add_health(app: FastAPI, store: Store) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        ready = await asyncio.to_thread(_reachable, store)
        return JSONResponse({"status": "ok" if ready else "unavailable"}, 200 if ready else 503)


def _reachable(store: Store) -> bool:
    try:
        with store.read() as connection:
            connection.execute(_ping)
    except StoreUnavailable:
        return False
    return store.trouble is None  # a locked database can still be read


def _add_screening(app: FastAPI, cordon: Cordon, instances: Collection[str]) -> None:
    @app.post("/v1/screen", response_model=dict[str, JsonValue])
    async def screen(event: Event) -> dict[str, JsonValue] | JSONResponse:
        """Judge an event. The answer holds all that may leave the risk team, and nothing else.

        `outcome` is what was decided and never changes; `in_force` is what stands in the way now, after what people
        have released or placed since: `allow` and `review` let the activity go on.
        """
        if instances and event.instance not in instances:
            # Whatever is held there, no worker would enforce.
            problem = "is not the name of a configured gateway instance"
            return JSONResponse({"errors": [{"at": "instance", "problem": problem}]}, 422)
        decision = await cordon.screen_async(event)
        now = decision.outcome
        if event.stage in SCREENED_STAGES:
            standing = await cordon.in_force_async(decision)
            now = standing if standing.stops or now.stops else now
        return {**decision.outward(), "in_force": now.value}


def _add_appeals(app: FastAPI, store: Store, clock: Callable[[], datetime]) -> None:
    def keep(appeal: Appeal) -> bool:
        try:
            with store.write() as connection:
                receive(connection, appeal, clock())
        except StoreUnavailable:
            return False
        return True

    @app.post("/v1/appeals", status_code=202)
    async def appeals(appeal: Appeal) -> JSONResponse:
        """Take what a merchant objects. The answer is the same whoever they are and whatever stands."""
        kept = await asyncio.to_thread(keep, appeal)
        return JSONResponse({"status": "received"}, 202) if kept else JSONResponse({"status": "unavailable"}, 503)


def _add_metrics(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/metrics")
    async def numbers() -> Response:
        return PlainTextResponse(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    """Say what is wrong with an event, and where, without repeating any of its values."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # what the handler is registered for
    errors = [{"at": _place(item["loc"]), "problem": _LONG_NUMBER.sub("…", item["msg"])} for item in error.errors()]
    return JSONResponse({"errors": errors}, 422)


def _place(location: Sequence[str | int]) -> str:
    """Write a location as `payout.amount`; a name that is none of ours came with the request and is left out."""
    parts = location[1:] if location[:1] == ("body",) else location
    return ".".join(str(p) if isinstance(p, int) or _FIELD_NAME.fullmatch(p) else "…" for p in parts)
