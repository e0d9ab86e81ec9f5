"""A policy can ask that a list has answered about a merchant before it is signed or paid."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from match_world import DIGESTER, PARTY, inquiry

from paycordon.checks.inquiry import InquiryMade, InquirySettings
from paycordon.decisions import Decision, Outcome
from paycordon.errors import RetryLater
from paycordon.hookspecs import hookimpl
from paycordon.inquiring import Inquiries
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.screening import Cordon, Limits
from paycordon.simulation import Fault, FaultKind
from paycordon.store import Store
from paycordon.testing import FrozenClock, make_event

POLICY = """\
policy: signing
version: 1
on_error: review
rules:
  - id: not-asked
    on: [merchant.onboarding, payout.requested]
    when: findings.exists(f, f.code == "inquiry.missing")
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""


class Registers:
    @hookimpl
    def register_checks(self) -> list[type[InquiryMade]]:
        return [InquiryMade]


@pytest.fixture
def screen(sqlite_store: Store, tmp_path: Path, clock: FrozenClock) -> Any:
    (tmp_path / "signing.yaml").write_text(POLICY)
    limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
    made: list[Cordon] = []

    def start(days: int | None) -> Callable[..., Decision]:
        plugins = Plugins({"inquiry": Registers()}, {"inquiry": InquirySettings(max_age_days=days)})
        policies = load_policies([tmp_path / "signing.yaml"])
        made.append(Cordon(sqlite_store, policies, plugins, DIGESTER, limits=limits, clock=clock))
        return lambda type_, number, merchant="m-17": made[-1].screen(
            make_event(type_, id=f"evt_{number}", merchant={"id": merchant}, account={"id": f"acct_{merchant}"})
        )

    yield start
    for cordon in made:
        cordon.close()


def test_who_was_not_asked_about_is_held_and_who_was_is_not(
    match: Any, sqlite_store: Store, clock: FrozenClock, screen: Any
) -> None:
    judged = screen(90)
    asks = Inquiries(sqlite_store, {"terminated": inquiry(match)}, clock=clock)
    match.inject(Fault(FaultKind.ERROR_BEFORE, path="inquiry"))
    with pytest.raises(RetryLater):
        asks.ask("m-17", PARTY, by="onboarding")

    (finding,) = judged("merchant.onboarding", 1, "m-1").findings
    assert (finding.code, finding.evidence) == ("inquiry.missing", {"max_age_days": 90})
    assert judged("payout.requested", 2, "m-1").outcome is Outcome.HOLD
    asks.ask("m-17", PARTY, by="onboarding")
    assert judged("merchant.onboarding", 3).outcome is Outcome.ALLOW
    clock.advance(timedelta(days=91))
    late = judged("payout.requested", 4)
    assert (late.outcome, "answered_at" in late.findings[0].evidence) == (Outcome.HOLD, True)


def test_nothing_is_asked_for_without_the_setting(screen: Any) -> None:
    assert screen(None)("merchant.onboarding", 1).findings == ()
