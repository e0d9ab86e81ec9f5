"""Indicators replace each other by digest, source and reference, and every change can be found in the log."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from paycordon.errors import NotFound
from paycordon.record.log import digest_of
from paycordon.store import Store
from paycordon.store.indicators import Correction, Indicator, add, add_many, listed, withdraw

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BECAUSE = Correction("ada", "the source took it back")
ONE = Indicator("email", "k1:aa", "IWF", "case-7", 90, "confirmed", valid_until=NOW + timedelta(days=1))


def logged(store: Store) -> list[tuple[str, dict[str, object]]]:
    with store.read() as connection:
        rows = connection.execute(text("SELECT kind, payload FROM log ORDER BY seq")).all()
    return [(kind, json.loads(payload)) for kind, payload in rows]


def test_a_source_replaces_only_what_it_said_itself(store: Store) -> None:
    other_source, other_case = replace(ONE, source="NCMEC"), replace(ONE, reference="case-8")
    changed = replace(ONE, confidence=10, status="doubtful", valid_until=None)
    with store.write() as connection:
        for each in (ONE, other_source, other_case, changed):
            add(connection, each, NOW)

    with store.read() as connection:
        assert list(listed(connection)) == [changed, other_case, other_source]
        assert list(listed(connection, source="NCMEC")) == [other_source]
        assert list(listed(connection, limit=1)) == [changed]
    assert [kind for kind, _ in logged(store)] == ["indicator.added"] * 4
    assert logged(store)[3][1]["confidence"] == 10


def test_what_is_withdrawn_is_kept_and_cannot_be_withdrawn_twice(store: Store) -> None:
    with store.write() as connection:
        add(connection, ONE, NOW)
        withdraw(connection, ONE.digest, ONE.source, ONE.reference, NOW, correction=BECAUSE)

    with store.write() as connection, pytest.raises(NotFound, match="`case-7` of `IWF`"):
        withdraw(connection, ONE.digest, ONE.source, ONE.reference, NOW, correction=BECAUSE)
    with store.read() as connection:
        assert list(listed(connection)) == []
        assert list(listed(connection, counting_only=False)) == [replace(ONE, withdrawn_at=NOW)]
    assert [kind for kind, _ in logged(store)] == ["indicator.added", "indicator.withdrawn", "withdrawal.begun"]


def test_a_feed_is_one_entry_in_the_log_that_proves_all_of_it(store: Store) -> None:
    feed = [replace(ONE, digest=f"k1:{number:04x}") for number in range(3_000)]
    with store.write() as connection:
        add_many(connection, feed, "IWF", NOW)
        assert len(listed(connection, limit=10_000)) == 3_000

    ((kind, payload),) = logged(store)
    with store.read() as connection:
        names = "digest, source, reference, kind, confidence, status, valid_from, valid_until"
        stored = connection.execute(text(f"SELECT {names} FROM indicators ORDER BY digest")).mappings().all()
    rows = json.dumps([dict(row) for row in stored], sort_keys=True, separators=(",", ":"))
    assert (kind, payload) == ("indicators.added", {"source": "IWF", "count": 3_000, "digest": digest_of(rows)})


def test_a_feed_speaks_for_its_own_source_only(store: Store) -> None:
    with store.write() as connection, pytest.raises(ValueError, match="`NCMEC`"):
        add_many(connection, [ONE], "NCMEC", NOW)
    with store.read() as connection:
        assert list(listed(connection)) == []
    assert logged(store) == []
