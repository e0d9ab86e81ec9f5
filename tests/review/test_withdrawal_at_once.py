"""A withdrawal in the middle of screening, and two workers on one withdrawal: still every decision, each once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Standards
from paycordon.events import Identifier
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.record.verify import verify
from paycordon.review.withdrawal import Rejudging
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, indicators, withdrawals
from paycordon.store.indicators import Correction, Indicator
from paycordon.testing import FrozenClock, make_event

POLICY = """\
policy: payouts
version: 1
on_error: review
rules:
  - id: known-identifier
    on: [payout.requested]
    when: findings.exists(f, f.code == "indicator.match")
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""
EVENTS, THREADS = 40, 3


@pytest.fixture
def cordon(store: Store, tmp_path: Path, digester: Digester, clock: FrozenClock) -> Iterator[Cordon]:
    path = tmp_path / "payouts.yaml"
    path.write_text(POLICY)
    limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
    made = Cordon(
        store,
        load_policies([path]),
        Plugins({"checks": builtin_checks}),
        digester,
        limits=limits,
        clock=clock,
        standards=Standards(most_merchants=1_000),  # more merchants than usual have the same account here
    )
    yield made
    made.close()


def screen(cordon: Cordon, number: int) -> None:
    cordon.screen(
        make_event(
            "payout.requested",
            id=f"evt_{number}",
            account={"id": f"acct_{number}"},
            merchant={"id": f"m_{number}"},
            identifiers=[{"kind": "bank_account", "value": "A"}],
        )
    )


def together(*work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_every_decision_is_listed_whenever_the_withdrawal_comes(cordon: Cordon, clock: FrozenClock) -> None:
    store = cordon.store
    digest = cordon.digester.digest(Identifier(kind="bank_account", value="A"))
    wrong = Indicator("bank_account", digest, "IWF", "case-7", 90, "confirmed")
    with store.write() as connection:
        indicators.add(connection, wrong, clock())
    enough = threading.Event()

    def worker(first: int) -> None:
        for number in range(first, EVENTS * THREADS, THREADS):
            screen(cordon, number)
            if number > EVENTS * THREADS // 3:
                enough.set()

    def withdraw() -> None:
        assert enough.wait(60)
        with store.write() as connection:
            indicators.withdraw(
                *(connection, digest, "IWF", "case-7", clock()), correction=Correction("ada", "the source took it back")
            )

    together(*(lambda first=first: worker(first) for first in range(THREADS)), withdraw)

    with store.read() as connection:
        (withdrawal,) = withdrawals.listed(connection)
        found = {item.decision_id for item in withdrawals.items(connection, withdrawal.id)}
        used = set(connection.execute(text("SELECT id FROM decisions WHERE body LIKE '%case-7%'")).scalars())
        all_ = connection.execute(text("SELECT COUNT(*) FROM decisions")).scalar_one()
    assert found == used
    assert 0 < len(used) < all_ == EVENTS * THREADS


def test_two_workers_tell_each_case_once(cordon: Cordon, clock: FrozenClock) -> None:
    store = cordon.store
    digest = cordon.digester.digest(Identifier(kind="bank_account", value="A"))
    with store.write() as connection:
        indicators.add(connection, Indicator("bank_account", digest, "IWF", "case-7", 90, "confirmed"), clock())
    for number in range(110):
        screen(cordon, number)
    with store.write() as connection:
        because = Correction("ada", "the source took it back")
        indicators.withdraw(connection, digest, "IWF", "case-7", clock(), correction=because)

    def work() -> None:
        one = Rejudging(store, lambda: cordon.policies, clock=clock)
        while one.step():
            pass

    together(work, work, work)

    with store.read() as connection:
        told = connection.execute(
            text("SELECT COUNT(*), COUNT(DISTINCT case_id) FROM case_events WHERE kind = 'withdrawal'")
        ).one()
        (withdrawal,) = withdrawals.listed(connection)
    assert tuple(told) == (110, 110)
    assert withdrawal.finished_at is not None
    report = verify(store)
    assert report.ok, report.problems
