"""A gateway or a source of a check that does not answer keeps no screening waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from paycordon.checks.base import Check, CheckSettings
from paycordon.coalition.identifiers import Digester
from paycordon.context import Context
from paycordon.decisions import ErrorKind, Finding, Outcome
from paycordon.errors import RetryLater
from paycordon.events import Event, Mode
from paycordon.gateways import Gateway, GatewaySettings
from paycordon.hookspecs import hookimpl
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.screening import Cordon, Limits
from paycordon.store import Store
from paycordon.testing import make_event
from paycordon.working import Worker

POLICY = """\
policy: p
version: 1
on_error: hold
rules:
  - id: never
    on: [payout.requested]
    when: event.payout.amount.minor < 0
    then: review
    references: [synthetic]
"""
AT_ONCE = 0.2
"""Far below what a dead party would cost, far above what a busy machine adds; the benchmark has the number."""


class OnFeed(Check[CheckSettings]):
    """Asks a feed that is dead: it raises, or it hangs."""

    id = "on_feed"
    emits = {"feed.hit": "a feed names the merchant"}
    hangs: threading.Event | None = None

    @hookimpl
    def screen_payout(self, event: Event, context: Context) -> list[Finding]:
        if self.hangs is None:
            raise ConnectionError("the feed is gone")
        self.hangs.wait(10)
        return []


class Brings:
    @hookimpl
    def register_checks(self) -> list[type[Check[Any]]]:
        return [OnFeed]


class Hanging(Gateway[GatewaySettings]):
    """A gateway of which no call comes back before it is let go."""

    name = "hanging"
    settings_type = GatewaySettings
    capabilities = {}

    def __init__(self) -> None:
        super().__init__("acme", GatewaySettings(adapter="hanging", mode=Mode.LIVE))
        self.entered, self.let_go = threading.Event(), threading.Event()
        self.threads: set[str] = set()

    def _hang(self, *_: Any) -> Any:
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        self.let_go.wait(30)
        raise RetryLater("it hung")

    verify = translate = resolve = read = apply = _hang


@pytest.fixture
def hanging() -> Hanging:
    return Hanging()


@pytest.fixture
def feed() -> Iterator[threading.Event]:
    end = threading.Event()
    yield end
    end.set()


@pytest.fixture
def cordon(sqlite_store: Store, digester: Digester, tmp_path: Path) -> Iterator[Cordon]:
    path = tmp_path / "p.yaml"
    path.write_text(POLICY)
    limits = Limits(check_deadline=timedelta(milliseconds=100))
    made = Cordon(sqlite_store, load_policies([path]), Plugins({"feeds": Brings()}), digester, limits=limits)
    yield made
    made.close()


def asked(cordon: Cordon, number: int) -> tuple[Any, float]:
    started = time.perf_counter()
    decision = cordon.screen(make_event("payout.requested", id=f"evt_{number}"))
    return decision, time.perf_counter() - started


def test_a_feed_that_is_gone_means_what_the_policy_says_at_once(cordon: Cordon) -> None:
    answers = [asked(cordon, number) for number in range(20)]
    assert {(d.outcome, d.rule) for d, _ in answers} == {(Outcome.HOLD, "p/on_error")}
    kinds = [d.errors[0].kind for d, _ in answers]
    # A machine that is busy with something else may take longer than the deadline to come to a check at all.
    assert kinds.count(ErrorKind.RAISED) > 10
    assert set(kinds) <= {ErrorKind.RAISED, ErrorKind.LATE}
    assert sorted(seconds for _, seconds in answers)[10] < AT_ONCE


def test_a_feed_that_hangs_means_the_same_in_time(cordon: Cordon, feed, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(cordon, 0)
    monkeypatch.setattr(OnFeed, "hangs", feed)
    decision, seconds = asked(cordon, 1)
    assert (decision.outcome, decision.errors[0].kind) == (Outcome.HOLD, ErrorKind.LATE)
    assert seconds < 5  # it would hang for ten


def test_a_gateway_that_hangs_is_never_asked_while_screening(
    sqlite_store: Store, digester: Digester, hanging: Any, tmp_path: Path
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(POLICY.replace("< 0", "> 0").replace("review", "hold\n    merchant_reason: review_pending"))
    cordon = Cordon(sqlite_store, load_policies([path]), Plugins({}), digester)
    stop = threading.Event()
    worker = threading.Thread(target=Worker(cordon, {hanging.instance: hanging}).run, args=(stop,))
    worker.start()
    try:
        answers = [asked(cordon, number) for number in range(20)]
        assert hanging.entered.wait(10)  # a worker is in the middle of a call that does not come back
        answers += [asked(cordon, number) for number in range(20, 40)]
    finally:
        stop.set()
        hanging.let_go.set()
        worker.join(10)
        cordon.close()
    assert {decision.outcome for decision, _ in answers} == {Outcome.HOLD}
    assert sorted(seconds for _, seconds in answers)[20] < AT_ONCE
    assert hanging.threads == {"paycordon reconciliation of acme"}
