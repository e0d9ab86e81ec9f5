"""The sidecar answers with what may leave the risk team, to those who may ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.routing import Mount

from paycordon.screening import Cordon
from paycordon.server import create_app
from paycordon.store import Store, schema
from paycordon.store.deliveries import counts
from paycordon.testing import make_event

TOKEN = "a-synthetic-token-for-tests-only-0123"
BEARER = {"authorization": f"Bearer {TOKEN}"}
CARD = "4111111111111111"  # the schemes' published test number
Ask = Callable[..., httpx.Response]


def ask(app: Any, method: str, path: str, **more: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://sidecar.example") as client:
            return await client.request(method, path, **more)

    return asyncio.run(send())


@pytest.fixture
def app(store: Store, make_cordon: Callable[[Store], Cordon]) -> Any:
    return create_app(make_cordon(store), {}, api_token=TOKEN)


def event_json(**overrides: Any) -> dict[str, Any]:
    return make_event("payout.requested").model_dump(mode="json", exclude_none=True) | overrides


def payment_json() -> dict[str, Any]:
    return make_event("payment.succeeded").model_dump(mode="json", exclude_none=True)


def test_screening_answers_only_what_may_leave(app: Any) -> None:
    response = ask(app, "POST", "/v1/screen", json=event_json(), headers=BEARER)
    assert response.status_code == 200
    assert set(response.json()) == {"decision_id", "outcome", "merchant_reason", "in_force"}
    assert response.json()["outcome"] == "allow"
    again = ask(app, "POST", "/v1/screen", json=event_json(), headers=BEARER)
    assert again.json() == response.json()


def test_an_instance_that_is_not_configured_is_refused(store: Store, make_cordon: Callable[[Store], Cordon]) -> None:
    cordon = make_cordon(store)
    app = create_app(cordon, {"acme_us": object()}, api_token=TOKEN)  # type: ignore[dict-item]  # only its name is used
    response = ask(app, "POST", "/v1/screen", json=event_json(), headers=BEARER)
    assert response.status_code == 422
    assert [error["at"] for error in response.json()["errors"]] == ["instance"]
    with store.read() as connection:
        assert connection.execute(select(schema.events)).all() == []
    assert ask(app, "POST", "/v1/screen", json=event_json(instance="acme_us"), headers=BEARER).status_code == 200


def test_what_stands_in_the_way_now_is_told_apart_from_what_was_decided(app: Any, store: Store) -> None:
    def answer() -> tuple[str, str]:
        told = ask(app, "POST", "/v1/screen", json=event_json(), headers=BEARER).json()
        return told["outcome"], told["in_force"]

    assert answer() == ("allow", "allow")
    given = dict.fromkeys(("id", "decision_id", "subject_kind", "subject_id", "rule", "merchant_reason"), "synthetic")
    hold = {**given, "merchant": "m_1", "instance": "acme", "account": "acct_1", "outcome": "hold", "created_at": 0}
    with store.write() as connection:
        connection.execute(
            schema.holds.insert().values({**hold, "source": "decision", "scope": "payouts", "two_people": 0})
        )
    assert answer() == ("allow", "hold"), "a hold placed since stands in the way of what was allowed"
    payment = ask(app, "POST", "/v1/screen", json=payment_json(), headers=BEARER).json()
    assert payment["in_force"] == "allow", "a payment is context, and holds do not touch it"
    with store.write() as connection:
        connection.execute(schema.holds.update().values(released_at=1))
    assert answer() == ("allow", "allow")


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"bearer {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        "Bearer é",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/screen"), ("GET", "/metrics"), ("GET", "/v1/other")])
def test_without_the_token_nothing_is_told(sqlite_app: Any, method: str, path: str, given: str | None) -> None:
    headers = [] if given is None else [("authorization", given.encode("latin-1"))]
    response = ask(sqlite_app, method, path, json=event_json(), headers=headers)
    assert (response.status_code, response.content) == (401, b"")


@pytest.fixture
def sqlite_app(sqlite_store: Store, make_cordon: Callable[[Store], Cordon]) -> Any:
    return create_app(make_cordon(sqlite_store), {}, api_token=TOKEN)


def test_without_a_configured_token_the_endpoints_do_not_exist(
    sqlite_store: Store, make_cordon: Callable[[Store], Cordon]
) -> None:
    app = create_app(make_cordon(sqlite_store), {}, docs=True)
    for method, path in (("POST", "/v1/screen"), ("GET", "/metrics"), ("GET", "/docs"), ("GET", "/openapi.json")):
        assert ask(app, method, path, headers={"authorization": "Bearer "}).status_code == 404
    assert ask(app, "GET", "/healthz").status_code == 200


def test_docs_are_off_unless_asked_for_and_need_the_token(
    sqlite_store: Store, make_cordon: Callable[[Store], Cordon], sqlite_app: Any
) -> None:
    assert ask(sqlite_app, "GET", "/openapi.json", headers=BEARER).status_code == 404
    described = create_app(make_cordon(sqlite_store), {}, api_token=TOKEN, docs=True)
    assert ask(described, "GET", "/openapi.json").status_code == 401
    assert "/v1/screen" in ask(described, "GET", "/openapi.json", headers=BEARER).json()["paths"]


@pytest.mark.parametrize(
    ("overrides", "at"),
    [
        ({"id": CARD}, ""),
        ({"extra": {"note": f"card {CARD}"}}, ""),
        ({"extra": {CARD: 1}}, ""),
        ({CARD: 1}, "…"),
        ({"payout": {"id": CARD, "amount": {"minor": CARD, "currency": CARD}}}, "payout.amount.minor"),
        ({"occurred_at": f"{CARD} o'clock"}, "occurred_at"),
        ({"mode": CARD}, "mode"),
        ({"type": f"payout.a{CARD}."}, "type"),
        ({"identifiers": [{"kind": "email", "value": CARD}]}, ""),
    ],
)
def test_refusal_names_the_place_and_repeats_no_value(sqlite_app: Any, overrides: dict[str, Any], at: str) -> None:
    response = ask(sqlite_app, "POST", "/v1/screen", json=event_json(**overrides), headers=BEARER)
    assert response.status_code == 422
    assert CARD not in response.text
    assert any(item["at"].startswith(at) and item["problem"] for item in response.json()["errors"])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 100_000, b"\xff", b'{"id": ' + b"9" * 10_000 + b"}", b"null", b"[]"]
)
def test_body_that_is_no_event_is_a_client_error_and_not_ours(sqlite_app: Any, body: bytes) -> None:
    headers = {**BEARER, "content-type": "application/json"}
    response = ask(sqlite_app, "POST", "/v1/screen", content=body, headers=headers)
    assert response.status_code in (400, 422)
    assert b"999999" not in response.content


def test_large_body_is_413(sqlite_app: Any) -> None:
    body = json.dumps(event_json(extra={"filling": "x" * 1_100_000})).encode()
    headers = {**BEARER, "content-type": "application/json"}
    assert ask(sqlite_app, "POST", "/v1/screen", content=body, headers=headers).status_code == 413


def test_a_body_that_does_not_come_is_408(sqlite_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paycordon.intake.asgi.PATIENCE_SECONDS", 0.05)

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    assert ask(sqlite_app, "POST", "/v1/screen", content=never(), headers=BEARER).status_code == 408


def test_metrics_count_decisions_by_outcome_and_stage(app: Any) -> None:
    ask(app, "POST", "/v1/screen", json=event_json(), headers=BEARER)
    ask(app, "POST", "/v1/screen", json=event_json(id="e2", type="loyalty.changed"), headers=BEARER)
    lines = ask(app, "GET", "/metrics", headers=BEARER).text.splitlines()
    assert 'paycordon_decisions_total{outcome="allow",stage="payout"} 1.0' in lines
    assert 'paycordon_decisions_total{outcome="allow",stage="other"} 1.0' in lines
    assert "paycordon_screening_seconds_count 2.0" in lines


def test_health_says_that_it_lives_and_whether_the_store_can_be_reached(app: Any) -> None:
    assert ask(app, "GET", "/healthz").json() == {"status": "ok"}
    assert ask(app, "GET", "/readyz").json() == {"status": "ok"}


def test_unreachable_store_is_not_ready_but_alive(make_cordon: Callable[[Store], Cordon]) -> None:
    store = Store.open("sqlite:////proc/nowhere.db", patience=timedelta(milliseconds=50), migrate=False)
    app = create_app(make_cordon(store), {}, api_token=TOKEN)
    response = ask(app, "GET", "/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "unavailable"})
    assert ask(app, "GET", "/healthz").status_code == 200
    screened = ask(app, "POST", "/v1/screen", json=event_json(), headers=BEARER)
    assert (screened.status_code, screened.json()["outcome"]) == (200, "hold")


def test_mounted_in_a_host_the_token_is_still_needed(sqlite_app: Any) -> None:
    host = Starlette(routes=[Mount("/risk", sqlite_app)])
    assert ask(host, "GET", "/risk/metrics").status_code == 401
    assert ask(host, "GET", "/risk/metrics", headers=BEARER).status_code == 200
    assert ask(host, "GET", "/risk/healthz").status_code == 200
    assert ask(host, "POST", "/risk/webhooks/unknown").status_code == 404


def test_unknown_webhook_is_404_and_nothing_is_stored(app: Any, store: Store) -> None:
    assert ask(app, "POST", "/webhooks/unknown", content=b"{}").status_code == 404
    assert sum(counts(store).values()) == 0
