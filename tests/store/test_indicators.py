"""Indicators replace each other by digest, source and reference, and every change can be found in the log."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from paycordon.errors import NotFound
from paycordon.store import Store
from paycordon.store.indicators import Correction, Indicator, add, listed, withdraw

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BECAUSE = Correction("ada", "the source took it back")
ONE = Indicator("email", "k1:aa", "IWF", "case-7", 90, "confirmed", valid_until=NOW + timedelta(days=1))


def logged(store: Store) -> list[tuple[str, dict[str, object]]]:
    with store.read() as connection:
        rows = connection.execute(text("SELECT kind, payload FROM log ORDER BY seq")).all()
    return [(kind, json.loads(payload)) for kind, payload in rows]


def said(indicators: Iterable[Indicator]) -> list[Indicator]:
    """What the sources said, without what the store adds."""
    return [replace(each, changed_at=None, changed_by=None) for each in indicators]


def test_all_that_a_source_says_is_kept(store: Store) -> None:
    whole = replace(
        ONE,
        category="merchant",
        tlp="amber",
        first_seen=NOW - timedelta(days=9),
        last_seen=NOW - timedelta(days=2),
        half_life_days=90,
        licence="CC-BY-4.0",
        reshare=True,
    )
    with store.write() as connection:
        add(connection, whole, NOW)
        (kept,) = listed(connection)
    assert said([kept]) == [whole]
    assert (kept.changed_at, kept.changed_by) == (NOW, "the source")


@pytest.mark.parametrize("wrong", [{"confidence": 101}, {"confidence": -1}, {"half_life_days": 0}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="not between"):
        replace(ONE, **wrong)


def test_a_source_replaces_only_what_it_said_itself(store: Store) -> None:
    other_source, other_case = replace(ONE, source="NCMEC"), replace(ONE, reference="case-8")
    changed = replace(ONE, confidence=10, status="doubtful", valid_until=None)
    with store.write() as connection:
        for each in (ONE, other_source, other_case, changed):
            add(connection, each, NOW)

    with store.read() as connection:
        assert said(listed(connection)) == [changed, other_case, other_source]
        assert said(listed(connection, source="NCMEC")) == [other_source]
        assert said(listed(connection, limit=1)) == [changed]
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
        (kept,) = listed(connection, counting_only=False)
        assert (kept.withdrawn_at, kept.changed_at, kept.changed_by) == (NOW, NOW, "ada")
    assert [kind for kind, _ in logged(store)] == ["indicator.added", "indicator.withdrawn", "withdrawal.begun"]
