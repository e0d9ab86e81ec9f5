"""Under a keep-open request nothing leaves about a merchant, and nobody without the role can tell."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from paycordon.errors import RetryLater
from paycordon.people import Person, Role
from paycordon.record import restricted
from paycordon.record.verify import verify
from paycordon.review import directives
from paycordon.store import covert, schema
from paycordon.store.contributed import State
from paycordon.store.directives import Kind, Terms

from .conftest import Office

RHEA = Person("rhea", frozenset({Role.RESTRICTED}))
HIDDEN = ("restricted_log", "directives", "covert")


def keep_open(office: Office, merchant: str) -> str:
    now = office.clock()
    terms = Terms(Kind.KEEP_OPEN, merchant, "", "Synthetic Bureau", "LETTER-7", now, now + timedelta(days=30))
    with office.store.write() as connection:
        said = directives.place(connection, terms, by=RHEA, reason="r", now=now, longest=timedelta(days=183))
    return said.id


def visible(office: Office) -> dict[str, Any]:
    """All that is stored and somebody without the role can see, but for ids, digests and random pauses."""
    shown: dict[str, Any] = {}
    with office.store.read() as connection:
        for name, table in schema.metadata.tables.items():
            if name in HIDDEN:
                continue
            query = select(table)
            if "restricted" in table.c:
                query = query.where(table.c.restricted == 0)
            if name == "case_events":
                public = select(schema.cases.c.id).where(schema.cases.c.restricted == 0)
                query = query.where(table.c.case_id.in_(public))
            rows = [dict(row) for row in connection.execute(query).mappings()]
            shown[name] = [
                sorted((c, v) for c, v in row.items() if isinstance(v, int | str | None) and not _random(c, v))
                for row in rows
            ]
    return shown


def _random(column: str, value: Any) -> bool:
    ids = ("id", "_id", "payload", "digest", "due_at", "hash", "salt", "body", "subject")
    return column.endswith(ids) or (isinstance(value, str) and "_0" in value)


@pytest.mark.parametrize("whose", ["m_1", "m_2"])
def test_it_looks_like_a_recipient_that_is_away(small_office: Office, caplog: Any, whose: str) -> None:
    """Also where the request is about another merchant with whom an identifier of the draft was seen."""
    office = small_office
    office.payout()
    office.payout(merchant="m_2", minor=100)
    made = office.draft()
    office.agree(made.proposal.id)
    id_ = made.message.contribution or ""

    office.keeper.away = [RetryLater("busy")]  # how it looks when it is really away
    office.work()
    away, said = visible(office), caplog.text
    with office.store.write() as connection:  # and back to before
        table = schema.messages
        connection.execute(table.update().values(failures=0, last_error=None, due_at=0))
    caplog.clear()
    directive = keep_open(office, whose)
    asked = office.keeper.asked
    office.work()

    assert office.keeper.asked == asked
    assert visible(office) == away
    assert caplog.text == said
    with office.store.read() as connection:
        notes = [line["note"] for line in covert.timeline(connection, whose)]
        assert restricted.verify(connection, None)[1] == []
    assert any(made.message.id in (note or "") for note in notes)  # the role knows, and decides what duty wins

    with office.store.write() as connection:
        directives.end(connection, directive, by=RHEA, reason="over", now=office.clock())
    office.clock.advance(timedelta(hours=1))
    office.work()
    assert office.contribution(id_).state is State.SENT
    assert verify(office.store).ok


def test_a_word_is_taken_back_all_the_same(small_office: Office) -> None:
    office = small_office
    office.payout()
    id_ = office.sent()
    keep_open(office, "m_1")
    office.release()
    office.upkeep()
    (proposal,) = office.open_proposals()
    office.agree(proposal.id)
    office.work()
    assert office.contribution(id_).state is State.RETRACTED
