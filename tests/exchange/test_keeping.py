"""What is kept of what others were told, for how long, and what the log proves of it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from paycordon.errors import Conflict, NotFound
from paycordon.record.verify import verify
from paycordon.review import proposals
from paycordon.review.actions import close_unheld
from paycordon.review.retention import Retention, erase_merchant
from paycordon.sections import RetentionSection
from paycordon.store import Store, cases, schema
from paycordon.store.contributed import State

from .conftest import MAIL, Office


def test_what_stands_elsewhere_outlives_erasure_so_that_it_can_be_taken_back(small_office: Office) -> None:
    office = small_office
    office.payout()
    sent, drafted = office.sent(), office.draft(kind="sighting")
    office.release()
    with pytest.raises(Conflict, match="a word to others that is under way"):
        erase_merchant(office.store, "m_1", by="ada", basis="asked", clock=office.clock)
    office.upkeep()
    (proposal,) = office.open_proposals()
    with office.store.write() as connection:
        proposals.decline(connection, proposal.id, office.wish(office.ben, "it stands"))
        connection.execute(text("UPDATE cases SET closed_at = 1, state = 'closed'"))
        connection.execute(text("UPDATE clocks SET ended_at = 1, state = 'stopped'"))
    erase_merchant(office.store, "m_1", by="ada", basis="asked", clock=office.clock)
    assert office.contribution(sent).state is State.SENT
    with pytest.raises(NotFound):
        office.contribution(drafted.message.contribution or "")
    assert verify(office.store).ok


def test_what_is_over_goes_after_its_time_and_leaves_no_plain_bytes(small_office: Office, tmp_path: Path) -> None:
    office = small_office
    office.payout()
    office.sent(party={"legal_name": "Synthetic Shop Ltd"})
    office.release()
    office.upkeep()
    office.agree(office.open_proposals()[0].id)
    office.work()
    with office.store.write() as connection:
        for case in cases.queue(connection):
            close_unheld(connection, case.id, by=office.ana, reason="all told", now=office.clock())
        connection.execute(text("UPDATE clocks SET ended_at = 1, state = 'stopped'"))
    office.clock.advance(timedelta(days=40))
    kept = RetentionSection.model_validate({"contributions": "30d", "feedback": "30d"})
    Retention(office.store, kept, office.clock).run()
    with office.store.read() as connection:
        for table in (schema.contributions, schema.messages):
            assert connection.execute(select(table.c.id)).first() is None
    assert verify(office.store).ok
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    assert b"contribution.drafted" in stored
    assert b"Synthetic Shop" not in stored
    assert MAIL.encode() not in stored


CHANGES = (
    "UPDATE contributions SET merchant = 'm_2'",
    "UPDATE contributions SET state = 'retracted'",
    "UPDATE contributions SET state = 'declined'",
    "UPDATE contributions SET digests = '[]'",
    "UPDATE exchange_messages SET agreed_by = 'ana'",
    "UPDATE exchange_messages SET verb = 'retract'",
    "UPDATE exchange_messages SET theirs = 'other'",
    "UPDATE exchange_messages SET state = 'waiting'",
    "UPDATE exchange_messages SET body = '{}'",
    "UPDATE exchange_messages SET reason = 'other'",
)


def test_the_log_tells_what_was_changed(small_office: Office, tmp_path: Path) -> None:
    office = small_office
    office.payout()
    office.sent()
    assert verify(office.store).ok
    whole = tmp_path / "whole.db"
    with closing(sqlite3.connect(tmp_path / "store.db")) as source, closing(sqlite3.connect(whole)) as copy:
        source.backup(copy)
    for change in CHANGES:
        shutil.copy(whole, tmp_path / "changed.db")
        with closing(sqlite3.connect(tmp_path / "changed.db")) as changed, changed:
            changed.execute(change)
        store = Store.open(f"sqlite:///{tmp_path / 'changed.db'}", migrate=False)
        assert not verify(store).ok, change
        store.close()
