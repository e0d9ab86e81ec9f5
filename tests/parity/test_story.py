"""The coalition's whole story at every gateway: what one source says stops money within seconds, and is undone exactly.

A signed bundle adds an indicator; the very next payout that is asked for is held although it carries no identifier, and
whoever is known by it is held at the gateway before anything is asked for; the source withdraws; the decisions are
found and judged again, two people release, the baseline is back, and the source is told at its own endpoint that it was
wrong. The log verifies and says all of it, and the merchant heard but neutral words.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from standardwebhooks.webhooks import Webhook
from werkzeug import Request, Response

from paycordon.decisions import Outcome
from paycordon.exchange.contract import Worth
from paycordon.feeds.items import Item
from paycordon.feeds.publishing import publish
from paycordon.gateways import Restriction
from paycordon.record.verify import verify
from paycordon.store import withdrawals

from .conftest import IBANS, STAGES, World, applicant

SOON = 20.0
NEUTRAL = "Held: additional_information_required"
SECRET = "whsec_" + "c2VjcmV0" * 4


class Source:
    """A member of the coalition that publishes what it knows."""

    def __init__(self, place: Path) -> None:
        self.bundle, self._keys = place / "bundle", place / "keys"
        self.say([])
        self.root = place / "root.json"
        self.root.write_bytes((self.bundle / "metadata" / "1.root.json").read_bytes())

    def say(self, emails: Iterable[str]) -> None:
        items = [
            Item(kind="email", value=each, reference=f"case-{number}", confidence=90, status="investigation")
            for number, each in enumerate(emails)
        ]
        publish(items, self.bundle, self._keys, datetime.now(UTC))

    def feed(self) -> dict[str, str]:
        return {"format": "bundle", "source": str(self.bundle), "root": str(self.root), "every": "1s"}


class Endpoint:
    """Where the source hears what others made of what it said: it stores what is signed, once, and answers 204."""

    def __init__(self, server: HTTPServer) -> None:
        self.heard: list[dict[str, Any]] = []
        self.url = server.url_for("/heard")
        server.expect_request("/heard", method="POST").respond_with_handler(self._hear)

    def recipient(self, source: str) -> dict[str, Any]:
        return {"format": "post", "url": self.url, "secrets": [SECRET], "source": source}

    def _hear(self, request: Request) -> Response:
        self.heard.append(Webhook(SECRET).verify(request.data, dict(request.headers)))
        return Response(status=204)


def until(world: World, happened) -> float:
    """Let workers work until something has happened; returns after how many seconds it had."""
    begun = time.monotonic()
    while not happened():
        assert time.monotonic() - begun < SOON
        world.settle()
    return time.monotonic() - begun


@pytest.mark.parametrize("gateway", sorted(STAGES))
def test_what_a_source_says_stops_money_and_what_it_takes_back_is_undone(
    make_world, tmp_path, httpserver, gateway: str
) -> None:
    source, told = Source(tmp_path), Endpoint(httpserver)
    world = make_world(gateway, feeds={"coalition": source.feed()}, exchange={"source": told.recipient("coalition")})
    stage = world.stages[gateway]
    account = stage.open_account(applicant("m_1", email="known@goods.example"))
    quiet = stage.open_account(applicant("m_2", email="known@goods.example", bank=IBANS[1]))
    before = stage.settings_of(account), stage.settings_of(quiet)
    world.settle()
    assert world.pay_out(gateway, account, 1_000, "key-1") == "paid"
    world.settle()

    source.say(["known@goods.example"])
    took = world.pull("coalition", SOON)
    # Nothing was delivered since, and the call names nobody but the account.
    assert world.pay_out(gateway, account, 3_000, "key-3") == NEUTRAL
    assert {rule for _, rule, _ in world.held("m_1")} == {"parity/known"}
    assert world.held("m_2") == set()
    stopped = until(world, lambda: world.held("m_2"))
    world.settle()
    assert world.restriction(gateway, account) is world.restriction(gateway, quiet) is Restriction.PAYOUTS_HELD
    assert {rule for _, rule, _ in world.held("m_2")} == {"parity/known"}
    held = [each for each in world.seen(gateway, account) if each.outcome is Outcome.HOLD]
    assert {each.reason for each in held} == {"additional_information_required"}

    source.say([])
    until(world, lambda: world.counting("coalition") == 0)
    with world.cordon.store.read() as connection:
        (withdrawal,) = [each.id for each in withdrawals.listed(connection)]
    world.release_unsupported(withdrawal)
    world.settle()
    assert world.held("m_1") == world.held("m_2") == set()
    assert world.restriction(gateway, account) is Restriction.NONE
    assert (stage.settings_of(account), stage.settings_of(quiet)) == before
    assert world.pay_out(gateway, account, 3_000, "key-3") == "paid"

    world.feed_back("coalition", "case-0", Worth.FALSE_POSITIVE)
    until(world, lambda: told.heard)
    (message,) = told.heard
    said = message["data"]
    assert (message["type"], said["theirs"], said["worth"]) == ("feedback", "case-0", "false_positive")
    assert "m_1" not in json.dumps(message)
    world.settle()
    assert (world.logged("feedback.given"), world.logged("feedback.sent")) == (1, 1)
    assert verify(world.cordon.store).ok
    print(f"{gateway}: an indicator counted {took:.1f} s after it was published, and held {stopped:.1f} s later")
