"""Appeals reach the merchant's case, once, and the answer tells nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from paycordon.screening import Cordon
from paycordon.server import create_app
from paycordon.store import Store, cases, schema
from paycordon.store.cases import State
from paycordon.testing import NOON, make_event

TOKEN = "a-synthetic-token-for-tests-only-0123"


@pytest.fixture
def app(store: Store, make_cordon: Callable[[Store], Cordon]) -> Any:
    cordon = make_cordon(store)
    cordon.screen(make_event("payout.requested"))
    return create_app(cordon, {}, api_token=TOKEN)


def appeal(app: Any, token: str = TOKEN, **body: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://sidecar.example") as client:
            return await client.post("/v1/appeals", json=body, headers={"authorization": f"Bearer {token}"})

    return asyncio.run(send())


def found(store: Store) -> list[tuple[str, int, str | None]]:
    with store.read() as connection:
        rows = connection.execute(select(schema.cases)).all()
        events = schema.case_events
        notes = connection.execute(select(events.c.note).where(events.c.kind == "appeal")).scalars().all()
    return [(row.state, row.priority, note) for row in rows for note in (notes or [None])]


def test_an_appeal_opens_a_case_and_counts_once(app: Any, store: Store) -> None:
    for _ in range(2):
        answer = appeal(app, id="a-1", merchant="m_1", text="we sell books")
        assert (answer.status_code, answer.json()) == (202, {"status": "received"})
    assert found(store) == [("open", 1, "we sell books")]


def test_a_closed_case_is_opened_again(app: Any, store: Store) -> None:
    with store.write() as connection:
        case = cases.get(connection, cases.open_for(connection, "m_1", NOON, lambda n: bytes(n)))
        cases.change(connection, case, state="closed", closed_at=1, closed_by="ann", resolution="uphold")
    appeal(app, id="a-1", merchant="m_1", text="we sell books")
    with store.read() as connection:
        [again] = cases.queue(connection, merchant="m_1")
    assert (again.id, again.state, again.closed_at) == (case.id, State.OPEN, None)


def test_the_answer_tells_nothing_about_a_merchant(app: Any, store: Store) -> None:
    known = appeal(app, id="a-1", merchant="m_1", text="x")
    unknown = appeal(app, id="a-2", merchant="nobody", text="x")
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert len(found(store)) == 1


def test_nobody_appeals_without_the_token(app: Any, store: Store) -> None:
    assert appeal(app, token="wrong", id="a-1", merchant="m_1", text="x").status_code == 401
    assert found(store) == []


@pytest.mark.parametrize("words", ["", "x" * 4_001, "my card 4111 1111 1111 1111"])
def test_what_cannot_be_taken_is_refused_without_being_repeated(app: Any, store: Store, words: str) -> None:
    answer = appeal(app, id="a-1", merchant="m_1", text=words)
    assert answer.status_code == 422
    assert "4111" not in answer.text
    assert found(store) == []
