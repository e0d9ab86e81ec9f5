"""Cases and what people did in them: what somebody changes, removes or adds in the database is found."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.people import Person, Role
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.record.verify import verify
from paycordon.review import actions
from paycordon.review.appeals import Appeal, receive
from paycordon.review.retention import Retention, erase_merchant
from paycordon.screening import Cordon, Limits
from paycordon.sections import RetentionSection
from paycordon.store import Store, cases, holds
from paycordon.testing import FrozenClock, make_event

POLICY = """\
policy: payouts
version: 1
on_error: review
rules:
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor > 100000
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""
ANA, BEN = (Person(name, frozenset({Role.ANALYST})) for name in ("ana", "ben"))
LATER = timedelta(days=30)


class Desk:
    """An engine on a store, and what people do with its cases."""

    def __init__(self, store: Store, cordon: Cordon, clock: FrozenClock) -> None:
        self.store, self.cordon, self.clock = store, cordon, clock

    def held(self, merchant: str) -> str:
        """Let a merchant be held; returns its case."""
        self.clock.advance(timedelta(seconds=1))
        self.cordon.screen(
            make_event(
                "payout.requested",
                id=f"evt_{merchant}_{self.clock().timestamp():.0f}",
                merchant={"id": merchant},
                account={"id": f"acct_{merchant}"},
                payout={"id": f"po_{merchant}", "amount": {"minor": 200_000, "currency": "EUR"}},
            )
        )
        with self.store.read() as connection:
            (case,) = cases.queue(connection, merchant=merchant)
        return case.id

    def act(self, action: Callable[..., Any], case: str, by: Person = ANA, **options: Any) -> None:
        self.clock.advance(timedelta(seconds=1))
        with self.store.write() as connection:
            action(connection, case, by=by, now=self.clock(), **options)

    def write(self, work: Callable[[Connection], Any]) -> None:
        with self.store.write() as connection:
            work(connection)

    def problems(self) -> list[str]:
        return [each.text for each in verify(self.store).problems]


@pytest.fixture
def desk(sqlite_store: Store, digester: Digester, clock: FrozenClock, tmp_path: Path) -> Iterator[Desk]:
    yield from _desk(sqlite_store, digester, clock, tmp_path)


@pytest.fixture
def desk_of_each(store: Store, digester: Digester, clock: FrozenClock, tmp_path: Path) -> Iterator[Desk]:
    """On SQLite and PostgreSQL."""
    yield from _desk(store, digester, clock, tmp_path)


def _desk(store: Store, digester: Digester, clock: FrozenClock, place: Path) -> Iterator[Desk]:
    (place / "payouts.yaml").write_text(POLICY)
    limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
    plugins = Plugins({"checks": builtin_checks})
    cordon = Cordon(store, load_policies([place / "payouts.yaml"]), plugins, digester, limits=limits, clock=clock)
    yield Desk(store, cordon, clock)
    cordon.close()


def worked(desk: Desk) -> tuple[str, str]:
    """Let people work on two cases in all the ways there are; returns both: one open, one closed."""
    first, second = desk.held("m_1"), desk.held("m_2")
    desk.act(actions.assign, first, to="ben", reason="knows them")
    desk.act(actions.assign, first, to="ana", reason="")
    desk.act(actions.note, first, text="called them")
    desk.act(actions.attach, first, reference="dms:1", sha256=None, text="passport")
    desk.act(actions.escalate, first, by=BEN, reason="unsure")
    desk.act(actions.request_information, first, reason="asked")
    desk.act(actions.resume, first, reason="answered")
    desk.act(actions.uphold, first, reason="it stands", review_at=desk.clock() + LATER)
    desk.act(actions.reopen, first, reason="new facts")
    desk.act(actions.uphold, first, reason="it still stands", review_at=desk.clock() + LATER)
    desk.write(
        lambda connection: receive(connection, Appeal(id="apl_1", merchant="m_1", text="we object"), desk.clock())
    )
    with desk.store.write() as connection:
        (hold,) = holds.listed(connection, merchant="m_2")
        holds.release(connection, hold.id, by="ana", reason="all in order", now=desk.clock())
    return first, second


def test_whatever_people_do_in_cases_verifies(desk_of_each: Desk) -> None:
    first, second = worked(desk_of_each)
    with desk_of_each.store.read() as connection:
        found = [(cases.get(connection, id_).state, cases.get(connection, id_).assignee) for id_ in (first, second)]
    assert found == [("open", "ana"), ("closed", None)]
    assert desk_of_each.problems() == []


CHANGES = [
    ("UPDATE case_events SET note = 'called nobody' WHERE kind = 'note'", "its line `note` is not what the log"),
    ("UPDATE case_events SET actor = 'ben' WHERE kind = 'resume'", "its line `resume` is not what the log"),
    ("UPDATE case_events SET at = at + 1 WHERE kind = 'escalate'", "its line `escalate` is not what the log"),
    ("UPDATE case_events SET detail = '{}' WHERE kind = 'attachment'", "its line `attachment` is not what"),
    ("UPDATE case_events SET note = 'to eve: x' WHERE note = 'to ana'", "its line `assign` is not what the log"),
    ("UPDATE case_events SET note = 'paid me' WHERE kind = 'release'", "its line `release` is not what the log"),
    ("UPDATE case_events SET kind = 'remark' WHERE kind = 'note'", "a line `note` that the log names is missing"),
    ("DELETE FROM case_events WHERE kind = 'note'", "a line `note` that the log names is missing"),
    ("DELETE FROM case_events WHERE kind = 'appeal'", "a line `appeal` that the log names is missing"),
    ("DELETE FROM case_events WHERE kind = 'release'", "was not closed by whom, when or as it says"),
    (
        "INSERT INTO case_events (case_id, at, kind, actor, note) SELECT id, 7, 'note', 'ana', 'x' FROM cases",
        "its line `note` is not what the log says, or no entry names it",
    ),
    (
        "INSERT INTO case_events (case_id, at, kind, decision_id) SELECT id, 7, 'decision', 'dec_0' FROM cases",
        "has a line on a decision that is not there",
    ),
    (
        "UPDATE case_events SET case_id = (SELECT id FROM cases WHERE merchant = 'm_2') WHERE kind = 'decision'",
        "has a line on a decision that is not there, or is about another merchant",
    ),
    ("UPDATE cases SET merchant = 'm_3' WHERE merchant = 'm_2'", "is about another merchant"),
    ("UPDATE cases SET assignee = 'eve' WHERE merchant = 'm_1'", "is not assigned to whom the log says"),
    ("UPDATE cases SET closed_by = 'eve' WHERE merchant = 'm_2'", "was not closed by whom, when or as it says"),
    ("UPDATE cases SET closed_at = 7 WHERE merchant = 'm_2'", "was not closed by whom, when or as it says"),
    ("UPDATE cases SET resolution = 'uphold' WHERE merchant = 'm_2'", "was not closed by whom, when or as"),
    ("UPDATE cases SET state = 'open' WHERE merchant = 'm_2'", "is closed and open at once"),
    (
        "UPDATE cases SET state = 'closed', closed_at = 7, closed_by = 'eve', resolution = 'release' "
        "WHERE merchant = 'm_1'",
        "was not closed by whom, when or as it says",
    ),
    ("UPDATE cases SET restricted = 1 WHERE merchant = 'm_1'", "is missing, the log names it"),
    ("DELETE FROM cases WHERE merchant = 'm_1'", "is missing, the log names it"),
]


def test_what_is_changed_removed_or_added_is_found(desk: Desk, tmp_path: Path) -> None:
    worked(desk)
    for number, (statement, told) in enumerate(CHANGES):
        place = tmp_path / f"{number}.db"
        with (
            closing(sqlite3.connect(str(desk.store.engine.url.database))) as whole,
            closing(sqlite3.connect(place)) as copy,
        ):
            whole.backup(copy)
            assert copy.execute(statement).rowcount > 0, statement
            copy.commit()
        changed = Store.open(f"sqlite:///{place}", migrate=False)
        found = [each.text for each in verify(changed).problems]
        changed.close()
        assert any(told in each and each.startswith("case `") for each in found), (statement, found)


def test_a_case_that_was_upheld_and_is_open_again_is_found(desk: Desk) -> None:
    case = desk.held("m_1")
    desk.act(actions.uphold, case, reason="it stands", review_at=desk.clock() + LATER)
    assert desk.problems() == []
    undo = "UPDATE cases SET state = 'open', closed_at = NULL, closed_by = NULL, resolution = NULL"
    desk.write(lambda connection: connection.execute(text(undo)))
    assert desk.problems() == [f"case `{case}`: is open, but was upheld"]


def test_what_retention_deletes_is_not_missed_and_what_others_delete_is(desk_of_each: Desk) -> None:
    desk = desk_of_each
    first, _ = worked(desk)
    third = desk.held("m_3")
    with desk.store.write() as connection:
        for hold in holds.listed(connection):
            holds.release(connection, hold.id, by="ana", reason="all in order", now=desk.clock())
    desk.clock.advance(timedelta(days=800))
    erase_merchant(desk.store, "m_1", by="ada", basis="asked", clock=desk.clock)
    kept = RetentionSection.model_validate({"cases": "1y"})
    while Retention(desk.store, kept, desk.clock).step():
        pass
    with desk.store.read() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM cases")).scalar() == 0
        payloads = connection.execute(text("SELECT payload FROM log WHERE kind IN ('retention', 'erased.merchant')"))
        named = [id_ for each in payloads.scalars() for id_ in json.loads(each).get("cases", [])]
    assert {first, third} <= set(named)
    assert desk.problems() == []

    fourth = desk.held("m_4")
    desk.act(actions.note, fourth, text=secrets.token_hex(4))
    desk.write(lambda connection: connection.execute(text("DELETE FROM case_events")))
    desk.write(lambda connection: connection.execute(text("DELETE FROM cases")))
    assert desk.problems() == [f"case `{fourth}`: is missing, the log names it"]
