"""Peers that are not ours: programs of others, installed by hand; their tests are skipped where they are not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe

from paycordon.testing.prism import VIOLATIONS, Prism

DESCRIPTION = "stripe/stripe-subset-from-sdk-16.1.0.openapi.json"


@pytest.fixture(scope="session")
def prism(specs: Path | None) -> Iterator[Prism]:
    executable = os.environ.get("PAYCORDON_PRISM")
    if not executable:
        pytest.skip("set PAYCORDON_PRISM to Prism's executable; `npm install @stoplight/prism-cli@5.14.2` brings it")
    if specs is None:
        pytest.skip("the vendors' API descriptions are not here; set PAYCORDON_SPECS to their folder")
    with Prism(executable, specs / DESCRIPTION) as running:
        yield running


@dataclass(frozen=True)
class Answered:
    method: str
    path: str
    status: int
    violations: tuple[Any, ...]

    @classmethod
    def of(cls, method: str, url: str, answer: Any) -> Answered:
        _, status, headers = answer
        said = {str(name).lower(): value for name, value in headers.items()}.get(VIOLATIONS)
        return cls(method.upper(), urlsplit(url).path, status, tuple(json.loads(said)) if said else ())


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[Answered]:
    """Every answer that the SDK gets in this test, as it came over the wire."""
    kept: list[Answered] = []
    plain, for_asyncio = stripe.RequestsClient.request, stripe.HTTPXClient.request_async

    def request(self: Any, method: str, url: str, *args: Any, **named: Any) -> Any:
        answer = plain(self, method, url, *args, **named)
        kept.append(Answered.of(method, url, answer))
        return answer

    async def request_async(self: Any, method: str, url: str, *args: Any, **named: Any) -> Any:
        answer = await for_asyncio(self, method, url, *args, **named)
        kept.append(Answered.of(method, url, answer))
        return answer

    monkeypatch.setattr(stripe.RequestsClient, "request", request)
    monkeypatch.setattr(stripe.HTTPXClient, "request_async", request_async)
    return kept
