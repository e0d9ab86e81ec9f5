"""Synthetic histories, policies and deployments."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from paycordon.backtest.history import open_file
from paycordon.backtest.judge import Selection
from paycordon.backtest.run import Keys, Run, Settings, run
from paycordon.backtest.selection import select
from paycordon.backtest.state import opened

Line = dict[str, Any]
START = datetime(2026, 3, 1, tzinfo=UTC)
KEYS = Keys({"k1": bytes(range(32))}, "k1")

POLICY = """
policy: payouts
version: {version}
on_error: review
params: {{large: 900 EUR}}
aggregates:
  payouts_1d: {{count: payout.requested, window: 24h}}
rules:
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor > {large} && event.payout.amount.currency == "EUR"
    then: {then}
    merchant_reason: additional_information_required
    internal_reason: more than usual
  - id: known
    on: [payout.requested]
    when: findings.exists(f, f.code == "indicator.match")
    then: block
    merchant_reason: additional_information_required
  - id: many
    on: [payout.requested]
    when: aggregates.payouts_1d >= 4
    then: review
"""


def payout(n: int, **changes: Any) -> Line:
    """A payout of a merchant; of `merchant` 7 is of Sweden, the others are of the Netherlands."""
    merchant = changes.pop("merchant", n % 5)
    minor, currency = changes.pop("minor", 100_00), changes.pop("currency", "EUR")
    return {
        "id": f"evt_{n}",
        "type": "payout.requested",
        "occurred_at": (START + timedelta(minutes=n)).isoformat(),
        "gateway": "acme_pay",
        "instance": "acme",
        "account": {"id": f"acct_{merchant}"},
        "merchant": {"id": f"m_{merchant}", "country": "SE" if merchant == 7 else "NL", "mcc": "5999"},
        "payout": {"id": f"po_{n}", "amount": {"minor": minor, "currency": currency}, "destination": "ba_1"},
    } | changes


def about(type_: str, n: int, merchant: int, at: datetime) -> Line:
    """A dispute, payment or refund of a merchant."""
    part = type_.split(".")[0]
    amount = {"minor": 50_00, "currency": "EUR"}
    return payout(n, merchant=merchant, occurred_at=at.isoformat()) | {
        "type": type_,
        "payout": None,
        part: {"id": f"{part}_{n}", "amount": amount},
    }


class History:
    """Writes histories, runs backtests in this process, and looks at what came of them."""

    start = START
    payout = staticmethod(payout)
    about = staticmethod(about)
    keys = KEYS

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, lines: list[Line | str], name: str = "history.jsonl") -> Path:
        """Write lines; texts as they are."""
        path = self.directory / name
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return path

    def policy(self, name: str = "payouts.yaml", *, large: int = 900_00, then: str = "hold", version: int = 1) -> Path:
        """Write a policy."""
        path = self.directory / name
        path.write_text(POLICY.format(large=large, then=then, version=version))
        return path

    def selection(self, *paths: Path) -> Selection:
        """Select policies."""
        return select([str(path) for path in paths])

    @contextmanager
    def run(
        self, path: Path, state: Path | None = None, settings: Settings | None = None, **sides: Path
    ) -> Iterator[Run]:
        """Run a backtest, by default in this process."""
        chosen = {side: self.selection(policy) for side, policy in sides.items()}
        with opened(state or self.directory / "state") as kept:
            done = run(open_file(path), chosen, kept, KEYS, settings or Settings(processes=1), lambda *_: None)
            try:
                yield done
            finally:
                done.duck.close()

    def outcomes(self, done: Run, side: str = "new") -> dict[int, str]:
        """The outcome of each judged event by its position."""
        return dict(done.duck.execute(f"SELECT position, {side}_outcome FROM judged ORDER BY 1").fetchall())


@pytest.fixture
def history(tmp_path: Path) -> History:
    """A place for a history and its policies."""
    return History(tmp_path)


def _random_events(seed: int, number: int) -> list[Line]:
    chance = random.Random(seed)
    merchants = [f"m_{n}" for n in range(6)]
    events: list[Line] = []
    for n in range(number):
        if events and chance.random() < 0.04:
            events.append(json.loads(json.dumps(chance.choice(events))))  # delivered again
            continue
        late = timedelta(minutes=chance.choice([0, 0, 0, 0, 3, 90, 4_000]))
        at = START + timedelta(minutes=n * 7 // 2) - late
        account = chance.randrange(9)
        owner = merchants[account % 6] if account < 8 or chance.random() < 0.5 else chance.choice(merchants)
        named = chance.random() < 0.6
        event: Line = {
            "id": f"evt_{n}",
            "occurred_at": at.isoformat(),
            "gateway": chance.choice(["acme_pay", "other_pay"]),
            "instance": "acme",
            "account": {"id": f"acct_{account}", "country": chance.choice(["NL", "DE", "SE"])},
            "merchant": {"id": owner, "country": chance.choice(["NL", "DE"]), "mcc": chance.choice(["5999", "7995"])}
            if named
            else {},
        }
        amount = {
            "minor": chance.choice([1, 99_99, 500_00, 2_000_00, 2**62]),
            "currency": chance.choice(["EUR", "SEK"]),
        }
        type_ = chance.choice(
            ["payment.succeeded"] * 4
            + ["payment.refunded", "payout.requested", "payout.requested", "payout.requested", "payout.updated"]
            + ["dispute.opened", "merchant.changed", "merchant.onboarding", "payout.other"]
        )
        event["type"] = type_
        payer = chance.choice([None, "tok_1", "tok_2", "tok_3"])
        part = type_.split(".")[0]
        if part == "payout":
            event["payout"] = {"id": f"po_{n}", "amount": amount, "destination": chance.choice(["ba_1", "ba_2", None])}
        elif part == "payment":
            zone = chance.choice([None, "Europe/Amsterdam", "Asia/Tokyo"])
            event["payment"] = {"id": f"py_{n}", "amount": amount, "payer": payer, "payer_time_zone": zone}
        elif part == "dispute":
            event["dispute"] = {"id": f"dp_{n}", "amount": amount, "payer": payer}
        if chance.random() < 0.4:
            event["identifiers"] = [
                {"kind": kind, "value": f"{kind}-{chance.randrange(5)}"}
                for kind in chance.sample(["bank_account", "device", "email"], chance.randrange(1, 3))
            ]
        events.append(event)
    return events


@pytest.fixture
def random_events() -> Callable[[int, int], list[Line]]:
    """Makes histories with late, repeated and unattributed events, ties, two currencies and identifiers."""
    return _random_events
