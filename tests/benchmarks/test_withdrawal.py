"""Every decision that used a withdrawn indicator is found among a million on the embedded store, within 10 s.

Run with `pytest -m soak -s tests/benchmarks/test_withdrawal.py`; the store takes some 2 GB of disk for a while.
"""

from __future__ import annotations

import csv
import json
import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from paycordon.cli import build
from paycordon.decisions import Decision, Finding, Outcome, PolicyRef, RuleMatch
from paycordon.events import Mode, Subject, SubjectKind
from paycordon.store import Store, indicators, uses
from paycordon.store.indicators import Correction, Indicator
from paycordon.store.schema import micros
from paycordon.store.withdrawals import count
from paycordon.testing import NOON, make_event

LIMIT_S = 10.0
POLICY = "a" * 64
NAMES = ("payouts", "disputes", "changes", "velocity")
OTHERS = 100  # one in so many of the rest used another indicator


def indicator(reference: str) -> Indicator:
    return Indicator("iban", f"k1:{'c' * 60}{reference[-4:]}", "IWF", reference, 90, "confirmed")


def decision(number: int, used: Indicator | None) -> Decision:
    """A decision as screening makes it: findings of several checks, aggregates, four policies in force."""
    said = [
        Finding(check="payout_velocity", code="payout.velocity", confidence=0.4, evidence={"payouts": 7, "hours": 24})
    ]
    matches = [RuleMatch(policy="payouts", rule="fast", outcome=Outcome.ALLOW, internal_reason="seven in a day")]
    if used is not None:
        names = ("kind", "digest", "source", "status", "reference")
        evidence = {name: getattr(used, name) for name in names}
        said.append(Finding(check="indicator_match", code="indicator.match", confidence=0.9, evidence=evidence))
        reason = "additional_information_required"
        matches.append(RuleMatch(policy="payouts", rule="known", outcome=Outcome.HOLD, merchant_reason=reason))
    return Decision(
        id=f"dec_{number:028x}",
        event_id=f"evt_{number}",
        event_type="payout.requested",
        instance="acme",
        mode=Mode.LIVE,
        merchant=f"m_{number % 20_000}",
        subject=Subject(instance="acme", kind=SubjectKind.PAYOUT, id=f"po_{number}", account=f"acct_{number % 20_000}"),
        outcome=matches[-1].outcome,
        findings=tuple(said),
        matches=tuple(matches),
        aggregates={f"payouts.number_{n}": n * number for n in range(6)},
        policies=tuple(
            PolicyRef(name=n, version=3, digest=POLICY) for n in ("payouts", "disputes", "changes", "velocity")
        ),
        decided_at=NOON + timedelta(seconds=number),
    )


def rows(total: int, wrong: Indicator, used: int) -> Iterator[tuple[int, Decision, str]]:
    """Decisions and their texts: every so many-th used the indicator, some of the rest another one."""
    kinds = [decision(1, each) for each in (None, indicator("case-9999"), wrong)]
    texts = [each.model_dump_json() for each in kinds]
    step = total // used
    for number in range(total):
        kind = 2 if number % step == 0 and number < step * used else int(number % OTHERS == 1)
        text = texts[kind].replace(f"dec_{1:028x}", f"dec_{number:028x}").replace('"evt_1"', f'"evt_{number}"')
        yield number, kinds[kind], text.replace('"m_1"', f'"m_{number % 20_000}"')


def fill(path: Path, total: int, wrong: Indicator, used: int) -> None:
    """Write decisions, events, uses and holds straight into the tables, as the ledger would have."""
    event = make_event("payout.requested").model_dump_json(exclude_none=True)
    database = sqlite3.connect(path)
    database.execute("PRAGMA synchronous=OFF")
    database.execute("PRAGMA cache_size=-400000")
    decided, used_rows, held, events = [], [], [], []
    for number, made, text in rows(total, wrong, used):
        id_, merchant, at = f"dec_{number:028x}", f"m_{number % 20_000}", micros(NOON) + number * 1_000_000
        decided.append((id_, "acme", f"evt_{number}", merchant, made.outcome.value, at, text, "payout.requested"))
        place = (
            number + 1,
            number,
            "acme",
            f"evt_{number}",
            "payout.requested",
            merchant,
            number,
            "acct",
            at,
            at,
            event,
        )
        events.append(place)
        used_rows += [(kind, key, id_) for kind, key in uses.of_decision(made)] if len(made.findings) > 1 else []
        if made.outcome.stops:
            held.append((f"hold_{number}", id_, merchant, at))
        if len(decided) == 20_000 or number == total - 1:
            _write(database, decided, used_rows, held, events)
            for each in (decided, used_rows, held, events):
                each.clear()
    database.commit()
    database.close()


def _write(database: sqlite3.Connection, decided, used, held, events) -> None:
    database.executemany(
        "INSERT INTO decisions (id, instance, event_id, merchant, outcome, decided_at, body, event_type) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        decided,
    )
    database.executemany(
        "INSERT INTO events (position, seen, instance, id, type, merchant, seq, account, occurred_at, "
        "recorded_at, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        events,
    )
    database.executemany("INSERT INTO uses VALUES (?, ?, ?)", used)
    database.executemany(
        "INSERT INTO holds (id, decision_id, merchant, instance, account, subject_kind, subject_id, outcome, rule, "
        "merchant_reason, created_at, source, scope, two_people) VALUES "
        "(?, ?, ?, 'acme', 'acct', 'payout', 'po', 'hold', 'payouts/known', '', ?, 'decision', 'payouts', 1)",
        held,
    )


def by_reading_all(path: Path, wrong: Indicator) -> set[str]:
    """The independent truth: which decisions' texts name the indicator in a finding."""
    found = set()
    database = sqlite3.connect(path)
    for id_, body in database.execute("SELECT id, body FROM decisions"):
        if f'"{wrong.reference}"' in body:
            named = [each["evidence"] for each in json.loads(body)["findings"]]
            key = (wrong.digest, wrong.source, wrong.reference)
            found |= {id_ for e in named if (e.get("digest"), e.get("source"), e.get("reference")) == key}
    database.close()
    return found


def measured(directory: Path, total: int, used: int) -> tuple[float, float]:
    """Withdraw, write the whole list as CSV by the command, compare with the truth; returns seconds for each."""
    path, listing = directory / "paycordon.db", directory / "list.csv"
    wrong = indicator("case-0007")
    store = Store.open(f"sqlite:///{path}")
    with store.write() as connection:
        indicators.add(connection, wrong, NOON)
    store.close()
    fill(path, total, wrong, used)
    store = Store.open(f"sqlite:///{path}")
    begun = time.perf_counter()
    with store.write() as connection:
        because = Correction("ada", "the source took it back")
        withdrawal = indicators.withdraw(
            connection, wrong.digest, wrong.source, wrong.reference, NOON, correction=because
        )
        assert count(connection, withdrawal.id) == used
    found_s = time.perf_counter() - begun
    store.close()
    config = str(directory / "paycordon.yaml")
    done = CliRunner().invoke(build(), ["withdrawal", "show", withdrawal.id, "--csv", str(listing), "-c", config])
    listed_s = time.perf_counter() - begun - found_s
    assert done.exit_code == 0, done.output
    with listing.open(newline="") as file:
        written = {row["decision"] for row in csv.DictReader(file)}
    assert written == by_reading_all(path, wrong)
    assert len(written) == used
    return found_s, listed_s


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    done = CliRunner().invoke(build(), ["init", str(tmp_path)])
    assert done.exit_code == 0, done.output
    return tmp_path


def test_every_decision_of_a_small_store_is_found_and_listed(deployed: Path) -> None:
    measured(deployed, 2_000, 40)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("used", [1_000, 50_000])
def test_all_decisions_among_a_million_are_found_within_ten_seconds(deployed: Path, used: int) -> None:
    found_s, listed_s = measured(deployed, 1_000_000, used)
    size = (deployed / "paycordon.db").stat().st_size / 1e9
    print(
        f"\n1,000,000 decisions ({size:.1f} GB), {used:,} used it: found in {found_s:.2f} s, listed in {listed_s:.2f} s"
    )
    assert found_s + listed_s < LIMIT_S
