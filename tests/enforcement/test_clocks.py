"""Deadlines of holds and cases: started, warned of ahead, escalated, reminded of; never silent, never doubled."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from paycordon.decisions import Decision, Outcome, RuleMatch, Scope
from paycordon.enforcement.clocks import Clockwork
from paycordon.events import Subject
from paycordon.people import Person, Role
from paycordon.review import actions
from paycordon.sections import Clocks, LegalSection
from paycordon.spans import Span
from paycordon.store import Store, cases, clocks, holds, schema
from paycordon.store.clocks import ClockState
from paycordon.store.holds import NewHold, Source
from paycordon.store.schema import from_micros, micros
from paycordon.testing import NOON, FrozenClock

DAY = timedelta(days=1)


def new_hold(merchant: str = "m_1", outcome: Outcome = Outcome.HOLD, decision_id: str | None = None) -> NewHold:
    return NewHold(
        merchant=merchant,
        instance="acme",
        account=f"a_{merchant}",
        subject_kind="payout",
        subject_id="po_1",
        outcome=outcome,
        scope=Scope.PAYOUTS,
        rule="p/r",
        merchant_reason="additional_information_required",
        source=Source.DECISION if decision_id else Source.PERSON,
        decision_id=decision_id,
    )


def decide(store: Store, id_: str, merchant: str, review_after: timedelta | None, now: datetime) -> None:
    after = None if review_after is None else int(review_after.total_seconds())
    decision = Decision(
        id=id_,
        event_id=id_,
        event_type="payout.requested",
        instance="acme",
        mode="test",
        merchant=merchant,
        subject=Subject(instance="acme", kind="payout", id="po_1", account=f"a_{merchant}"),
        outcome=Outcome.HOLD,
        matches=(RuleMatch(policy="p", rule="r", outcome=Outcome.HOLD, review_after_s=after),),
        decided_at=now,
    )
    row = {
        "id": id_,
        "instance": "acme",
        "event_id": id_,
        "merchant": merchant,
        "outcome": "hold",
        "decided_at": micros(now),
        "body": decision.model_dump_json(),
        "event_type": "payout.requested",
    }
    with store.write() as connection:
        connection.execute(schema.decisions.insert().values(row))


def place(store: Store, hold: NewHold, now: datetime) -> str:
    with store.write() as connection:
        cases.open_for(connection, hold.merchant, now, random.Random(hold.merchant).randbytes)
        return holds.place(connection, hold, now, lambda n: random.randbytes(n))


def work(duty: Clockwork) -> None:
    while duty.run_once():
        pass


def said(store: Store) -> list[tuple[datetime, str, str, str]]:
    """What the log says about clocks: when, what, of which subject, of which kind."""
    table = schema.log
    with store.read() as connection:
        rows = connection.execute(select(table).where(table.c.kind.like("clock.%")).order_by(table.c.seq)).all()
    found = []
    for row in rows:
        content = json.loads(row.payload)
        subject = next(content[kind] for kind in ("hold", "case", "restriction") if kind in content)
        found.append((from_micros(row.at), row.kind, subject, content["clock"]))
    return found


def running(store: Store, **where: Any) -> dict[str, datetime]:
    with store.read() as connection:
        return {clock.kind: clock.due_at for clock in clocks.listed(connection, **where)}


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def duty(store: Store, clock: FrozenClock) -> Clockwork:
    return Clockwork(store, Clocks(), clock)


def test_a_hold_is_reviewed_when_its_policy_says(store: Store, duty: Clockwork) -> None:
    decide(store, "dec_1", "m_1", timedelta(hours=6), NOON)
    hold = place(store, new_hold(decision_id="dec_1"), NOON)
    work(duty)
    assert running(store, subject_id=hold) == {"review": NOON + timedelta(hours=6), "maximum": NOON + 90 * DAY}


def test_a_hold_without_a_word_of_its_policy_has_a_review_date_all_the_same(store: Store, duty: Clockwork) -> None:
    hold = place(store, new_hold(), NOON)
    work(duty)
    assert running(store, subject_id=hold)["review"] == NOON + DAY


def test_people_are_warned_ahead_told_when_it_is_over_and_reminded(
    store: Store, duty: Clockwork, clock: FrozenClock
) -> None:
    hold = place(store, new_hold(), NOON)
    work(duty)
    assert said(store) == []
    clock.advance(timedelta(hours=18))
    work(duty)
    clock.advance(timedelta(hours=6))
    work(duty)
    with store.read() as connection:
        [case] = connection.execute(select(schema.cases)).all()
    assert (case.state, case.priority) == ("escalated", 1)
    clock.advance(7 * DAY)
    work(duty)
    about = [(kind, at) for at, kind, subject, of in said(store) if (subject, of) == (hold, "review")]
    assert about == [
        ("clock.warned", NOON + timedelta(hours=18)),
        ("clock.due", NOON + DAY),
        ("clock.reminded", NOON + 8 * DAY),
    ]


def test_a_deadline_that_passed_while_no_worker_ran_is_noticed_once_and_says_how_late(
    store: Store, duty: Clockwork, clock: FrozenClock
) -> None:
    hold = place(store, new_hold(), NOON)
    clock.advance(20 * DAY)
    work(duty)
    work(duty)
    table = schema.case_events
    with store.read() as connection:
        notes = connection.execute(select(table.c.note).where(table.c.kind == "clock.due")).scalars().all()
    assert sum(f"review of hold {hold}" in note for note in notes) == 1
    assert any("noticed 19 d later" in note for note in notes)


def test_a_release_stops_the_clocks_of_a_hold_and_of_its_case(
    store: Store, duty: Clockwork, clock: FrozenClock
) -> None:
    hold = place(store, new_hold(), NOON)
    work(duty)
    with store.write() as connection:
        holds.release(connection, hold, by="ann", reason="looked at", now=NOON)
    clock.advance(100 * DAY)
    work(duty)
    assert said(store) == []
    assert running(store) == {}


def test_a_hold_released_before_any_worker_ran_gets_no_clocks(store: Store, duty: Clockwork) -> None:
    hold = place(store, new_hold(), NOON)
    with store.write() as connection:
        holds.release(connection, hold, by="ann", reason="looked at", now=NOON)
    work(duty)
    assert running(store) == {}


def test_a_gateway_that_lets_go_by_itself_is_read_at_once(store: Store, duty: Clockwork, clock: FrozenClock) -> None:
    hold = new_hold()
    with store.write() as connection:
        values = {"instance": "acme", "account": hold.account, "merchant": hold.merchant}
        connection.execute(schema.accounts.insert().values(values))
    place(store, hold, NOON)
    later = NOON + 900 * DAY
    with store.write() as connection:
        connection.execute(schema.restrictions.update().values(due_at=micros(later), state="settled"))
        clocks.keep_gateway(connection, "acme", hold.account, hold.merchant, NOON + 10 * DAY, NOON)
        clocks.keep_gateway(connection, "acme", hold.account, hold.merchant, NOON + 10 * DAY, NOON)
    clock.advance(10 * DAY)
    work(duty)
    with store.read() as connection:
        row = connection.execute(select(schema.restrictions)).one()
        case = connection.execute(select(schema.cases)).one()
    assert (row.state, from_micros(row.due_at), case.priority) == ("pending", clock(), 0)
    assert [kind for _, kind, subject, _ in said(store) if subject == f"acme/{hold.account}"] == ["clock.due"]


def test_a_gateway_that_never_lets_go_has_no_clock(store: Store) -> None:
    with store.write() as connection:
        clocks.keep_gateway(connection, "acme", "a", "m", NOON + DAY, NOON)
        clocks.keep_gateway(connection, "acme", "a", "m", None, NOON)
        assert clocks.listed(connection) == []


def test_legal_deadlines_run_where_they_are_chosen(store: Store, clock: FrozenClock) -> None:
    own = LegalSection(on="hold", after="2 business days", calendar="GB", source="contract 12")
    duty = Clockwork(store, Clocks(legal={"visa_listing": LegalSection(), "us_sar": LegalSection(), "own": own}), clock)
    held, blocked = place(store, new_hold(), NOON), place(store, new_hold("m_2", Outcome.BLOCK), NOON)
    work(duty)
    assert running(store, subject_id=held)["own"] == datetime(2026, 3, 5, tzinfo=UTC)  # Monday noon, two days later
    assert "visa_listing" not in running(store, subject_id=held)
    assert "visa_listing" in running(store, subject_id=blocked)
    assert sum(clock.kind == "us_sar" for clock in _all(store)) == 2


def _all(store: Store) -> Any:
    with store.read() as connection:
        return clocks.listed(connection)


def test_restricted_clocks_are_not_attended_to(store: Store, duty: Clockwork, clock: FrozenClock) -> None:
    secret = clocks.NewClock("directive", "dir_1", "m_1", "ends", "an order", NOON + DAY, restricted=True)
    with store.write() as connection:
        clocks.start(connection, secret, NOON)
    clock.advance(30 * DAY)
    assert duty.run_once() is False
    assert _all(store) == []


def test_a_crash_in_the_middle_leaves_a_clock_to_be_attended_to_again(
    store: Store, duty: Clockwork, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = place(store, new_hold(), NOON)
    work(duty)
    clock.advance(DAY)
    with monkeypatch.context() as patched:
        patched.setattr(cases, "escalate", _dies)
        with pytest.raises(KeyboardInterrupt):
            work(duty)
    assert said(store) == []
    work(duty)
    assert [kind for _, kind, subject, of in said(store) if (subject, of) == (hold, "review")] == ["clock.due"]


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_case_that_becomes_more_urgent_has_less_time(store: Store, duty: Clockwork, clock: FrozenClock) -> None:
    with store.write() as connection:
        case = cases.open_for(connection, "m_1", NOON, random.Random(1).randbytes)
    work(duty)
    assert running(store, subject_id=case) == {"sla": NOON + 3 * DAY}
    clock.advance(timedelta(hours=1))
    with store.write() as connection:
        cases.open_for(connection, "m_1", clock(), random.Random(2).randbytes, priority=0)
    work(duty)
    assert running(store, subject_id=case) == {"sla": NOON + timedelta(hours=4)}
    with store.write() as connection:
        cases.open_for(connection, "m_1", clock(), random.Random(3).randbytes, priority=1)
    work(duty)
    assert running(store, subject_id=case) == {"sla": NOON + timedelta(hours=4)}


def test_a_case_whose_time_is_over_is_not_over_again_when_it_becomes_more_urgent(
    store: Store, duty: Clockwork, clock: FrozenClock
) -> None:
    with store.write() as connection:
        case = cases.open_for(connection, "m_1", NOON, random.Random(1).randbytes)
    work(duty)
    clock.advance(3 * DAY)
    work(duty)
    with store.write() as connection:
        cases.make_urgent(connection, "m_1")
    work(duty)
    assert [kind for _, kind, subject, _ in said(store) if subject == case] == ["clock.due"]


def test_a_case_opened_again_has_its_deadlines_anew(store: Store, duty: Clockwork, clock: FrozenClock) -> None:
    ann = Person("ann", frozenset(Role))
    with store.write() as connection:
        case = cases.open_for(connection, "m_1", NOON, random.Random(1).randbytes)
    work(duty)
    with store.write() as connection:
        actions.uphold(connection, case, by=ann, reason="looked at", now=NOON, review_at=NOON + 30 * DAY)
    work(duty)
    assert running(store, subject_id=case) == {}
    clock.advance(10 * DAY)
    with store.write() as connection:
        actions.reopen(connection, case, by=ann, reason="the merchant wrote", now=clock())
    work(duty)
    assert running(store, subject_id=case) == {"sla": NOON + 13 * DAY}


def test_a_deadline_that_was_forgotten_on_a_closed_case_says_nothing(
    store: Store, duty: Clockwork, clock: FrozenClock
) -> None:
    with store.write() as connection:
        case = cases.open_for(connection, "m_1", NOON, random.Random(1).randbytes)
    work(duty)
    with store.write() as connection:
        connection.execute(schema.cases.update().values(closed_at=micros(NOON), state="closed"))
    clock.advance(9 * DAY)
    work(duty)
    assert (said(store), running(store, subject_id=case)) == ([], {})


Key = tuple[str, str]


@dataclass
class Model:
    """What should be said about each deadline, computed without the store."""

    settings: Clocks
    deadlines: dict[Key, tuple[datetime, datetime]] = field(default_factory=dict)
    next_word: dict[Key, tuple[datetime, str]] = field(default_factory=dict)
    said: list[tuple[datetime, str, str, str]] = field(default_factory=list)
    case_of: dict[str, str] = field(default_factory=dict)  # by any subject of the same merchant
    opened: dict[str, tuple[datetime, int]] = field(default_factory=dict)  # by case: when, how urgent

    def begin(self, subject: str, kind: str, begins: datetime, due: datetime) -> None:
        warn = due - (due - begins) * self.settings.warn_percent / 100
        self.deadlines[subject, kind] = warn, due
        self.next_word[subject, kind] = warn, "clock.warned"

    def end(self, subject: str) -> None:
        self.next_word = {key: word for key, word in self.next_word.items() if key[0] != subject}

    def tick(self, now: datetime) -> None:
        while key := min((k for k, (at, _) in self.next_word.items() if at <= now), key=self._at, default=None):
            _, word = self.next_word[key]
            _, due = self.deadlines[key]
            if word == "clock.warned" and now < due:
                self.said.append((now, "clock.warned", *key))
                self.next_word[key] = due, "clock.due"
                continue
            self.said.append((now, "clock.reminded" if word == "clock.reminded" else "clock.due", *key))
            self.next_word[key] = now + self.settings.remind.length, "clock.reminded"
            if word != "clock.reminded":
                self._press(self.case_of[key[0]], 0 if key[1] == "gateway" else 1)

    def _at(self, key: Key) -> datetime:
        return self.next_word[key][0]

    def _press(self, case: str, priority: int) -> None:
        """A case that becomes more urgent has less time, if its time is not over yet."""
        begins, before = self.opened[case]
        self.opened[case] = begins, min(before, priority)
        sooner = begins + self.settings.sla_of(min(before, priority)).length
        if self.next_word[case, "sla"][1] != "clock.reminded" and sooner < self.deadlines[case, "sla"][1]:
            self.begin(case, "sla", begins, sooner)


def simulate(store: Store, days: int, number: int, seed: int) -> Counter[str]:
    """Holds come and go for some days, with a worker that is away now and then; returns what was said, counted."""
    chance = random.Random(seed)
    clock = FrozenClock()
    legal = {"gb_daml": LegalSection(), "eu_p2b_termination": LegalSection(), "us_sar": LegalSection()}
    settings = Clocks(hold_review=Span(3 * DAY), hold_maximum=Span(40 * DAY), legal=legal)
    duty, model = Clockwork(store, settings, clock), Model(settings)
    arrivals = sorted(chance.uniform(0, days * 0.9) for _ in range(number))
    ends: list[tuple[datetime, str, str]] = []
    open_cases: dict[str, str] = {}
    held: dict[str, str] = {}
    count = 0
    until = NOON + timedelta(days=days)
    while clock() < until:
        away = chance.random() < 0.01
        clock.advance(timedelta(hours=chance.uniform(24, 200) if away else chance.uniform(2, 8)))
        now = clock()
        while arrivals and NOON + timedelta(days=arrivals[0]) <= now:
            at = NOON + timedelta(days=arrivals.pop(0))
            count += 1
            hold, merchant = _arrive(store, model, chance, count, at)
            held[merchant] = hold
            ends.append((at + timedelta(days=chance.expovariate(1 / 15)), hold, merchant))
        for end in sorted(end for end in ends if end[0] <= now):
            ends.remove(end)
            with store.write() as connection:
                holds.release(connection, end[1], by="ann", reason="looked at", now=now)
                clocks.keep_gateway(connection, _instance(end[2]), f"a_{end[2]}", end[2], None, now)
            model.end(end[1])
            model.end(_account(end[2]))
        for case, is_open in _cases(store):
            if not is_open:
                model.end(case.id)
            elif case.id not in open_cases:
                open_cases[case.id] = case.merchant
                begins = from_micros(case.opened_at)
                model.opened[case.id] = begins, case.priority
                model.case_of |= dict.fromkeys((case.id, held[case.merchant], _account(case.merchant)), case.id)
                model.begin(case.id, "sla", begins, begins + settings.sla_of(case.priority).length)
                model.begin(case.id, "us_sar", begins, begins + 30 * DAY)
        work(duty)
        model.tick(now)
    assert sorted(said(store)) == sorted(model.said)
    with store.read() as connection:
        standing = connection.execute(select(schema.clocks).where(schema.clocks.c.state != "stopped")).all()
        unreleased = select(schema.holds.c.id).where(schema.holds.c.released_at.is_(None))
        still_held = set(connection.execute(unreleased).scalars())
    assert all(row.next_at is not None and row.next_at > micros(clock()) for row in standing)
    assert {row.subject_id for row in standing if row.subject_kind == "hold"} == still_held
    return Counter(kind for _, kind, _, _ in model.said) + Counter({"holds": count, "still held": len(still_held)})


def _arrive(store: Store, model: Model, chance: random.Random, number: int, at: datetime) -> tuple[str, str]:
    merchant = f"m_{number}"
    review = chance.choice([None, timedelta(hours=12), 10 * DAY])
    outcome = chance.choice([Outcome.HOLD, Outcome.BLOCK])
    decide(store, f"dec_{number}", merchant, review, at)
    hold = place(store, new_hold(merchant, outcome, f"dec_{number}"), at)
    model.begin(hold, "review", at, at + (review or model.settings.hold_review.length))
    model.begin(hold, "maximum", at, at + model.settings.hold_maximum.length)
    for id_, legal in model.settings.legal_clocks():
        if legal.on == "hold" or (legal.on == "block" and outcome is Outcome.BLOCK):
            model.begin(hold, id_, at, _business(at, 7) if legal.after.business_days else at + legal.after.length)
    if chance.random() < 0.5:
        ends_at = at + timedelta(days=chance.choice([10, 30, 90]))
        with store.write() as connection:
            clocks.keep_gateway(connection, _instance(merchant), f"a_{merchant}", merchant, ends_at, at)
        model.begin(_account(merchant), "gateway", at, ends_at)
    return hold, merchant


def _instance(merchant: str) -> str:
    """Merchants are at one of two gateways."""
    return "acme" if merchant[-1] in "02468" else "other"


def _account(merchant: str) -> str:
    return f"{_instance(merchant)}/a_{merchant}"


# Public holidays of the United Kingdom (all of it) from March 2026 to March 2027, written down by hand.
_GB = {"2026-04-03", "2026-05-04", "2026-05-25", "2026-12-25", "2026-12-28", "2027-01-01"}


def _business(at: datetime, days: int) -> datetime:
    from zoneinfo import ZoneInfo

    london = ZoneInfo("Europe/London")
    day = at.astimezone(london).date()
    while days:
        day += DAY
        days -= day.weekday() < 5 and day.isoformat() not in _GB
    return datetime(day.year, day.month, day.day, tzinfo=london).astimezone(UTC) + DAY


def _cases(store: Store) -> Iterator[tuple[Any, bool]]:
    with store.read() as connection:
        rows = connection.execute(select(schema.cases)).all()
    return ((row, row.closed_at is None) for row in rows)


def test_two_months_of_holds_expire_neither_silently_nor_twice(sqlite_store: Store) -> None:
    counts = simulate(sqlite_store, days=60, number=80, seed=7)
    print(dict(counts))
    assert min(counts[f"clock.{word}"] for word in ("warned", "due", "reminded")) > 20


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_a_year_of_thousands_of_holds_expires_neither_silently_nor_twice(
    sqlite_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = simulate(sqlite_store, days=365, number=3_000, seed=11)
    with capsys.disabled():
        print("\n365 days:", dict(counts))


def test_states_are_those_the_schema_names() -> None:
    assert {state.value for state in ClockState} == {"running", "warned", "due", "stopped"}
