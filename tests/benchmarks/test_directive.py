"""What a screening takes that has something to hide, beside an honest one and one that opens a case, in one run."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.decisions import Outcome
from paycordon.events import Event, Identifier
from paycordon.people import Person, Role
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.review import directives
from paycordon.screening import Cordon, utc_now
from paycordon.store import Store, indicators
from paycordon.store.directives import Kind, Terms
from paycordon.store.indicators import Indicator
from paycordon.testing import make_event

ROUNDS = 600
POLICY = """\
policy: payouts
version: 1
on_error: review
rules:
  - id: known
    on: [payout.requested]
    when: findings.exists(f, f.code == "indicator.match" && event.payout.amount.minor > 1)
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
  - id: odd
    on: [payout.requested]
    when: event.payout.amount.minor == 77
    then: review
    references: [synthetic]
"""
KNOWN, OTHER = "GB00000000000000000000", "GB11111111111111111111"


@pytest.fixture
def cordon(store: Store, digester: Digester, tmp_path: Path) -> Iterator[Cordon]:
    path = tmp_path / "payouts.yaml"
    path.write_text(POLICY)
    made = Cordon(store, load_policies([path]), Plugins({"checks": builtin_checks}), digester)
    digest = digester.digest(Identifier(kind="bank_account", value=KNOWN))
    known = Indicator(
        digest=digest, kind="bank_account", source="IWF", reference="c", confidence=90, status="confirmed"
    )
    now = utc_now()
    terms = Terms(Kind.KEEP_OPEN, "m_kept", "", "Synthetic Bureau", "LETTER-7", now, now + timedelta(days=9))
    role = Person("rhea", frozenset({Role.RESTRICTED}))
    with store.write() as connection:
        indicators.add(connection, known, now)
        directives.place(connection, terms, by=role, reason="r", now=now, longest=timedelta(days=183))
    yield made
    made.close()


def payout(number: int, merchant: str, minor: int, account: str) -> Event:
    return make_event(
        "payout.requested",
        id=f"evt_{number}",
        merchant={"id": merchant},
        account={"id": f"acct_{merchant}"},
        payout={"id": f"po_{number}", "amount": {"minor": minor, "currency": "EUR"}},
        identifiers=[{"kind": "bank_account", "value": account}],
    )


def test_a_screening_that_hides_something(cordon: Cordon, benchmark) -> None:
    """Interleaved, so that whatever else the machine does falls on all three alike."""
    numbers = itertools.count(1)
    ways = {"honest": ("m_honest", 500, OTHER), "reviewed": ("m_case", 77, OTHER), "kept open": ("m_kept", 500, KNOWN)}
    expected = {"honest": Outcome.ALLOW, "reviewed": Outcome.REVIEW, "kept open": Outcome.ALLOW}
    taken: dict[str, list[float]] = {name: [] for name in ways}

    def one_of_each() -> None:
        for name, (merchant, minor, account) in ways.items():
            event = payout(next(numbers), merchant, minor, account)
            started = time.perf_counter()
            decision = cordon.screen(event)
            taken[name].append(time.perf_counter() - started)
            assert decision.outcome is expected[name]

    benchmark.pedantic(one_of_each, rounds=ROUNDS, warmup_rounds=20)
    medians = {name: statistics.median(each) for name, each in taken.items()}
    ratios = {name: round(median / medians["honest"], 2) for name, median in medians.items()}
    print({name: f"{median * 1000:.2f} ms" for name, median in medians.items()}, ratios)
