"""How sure an indicator makes us is one pure function of what is said, trusted, aged and objected to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycordon.coalition.confidence import effective_confidence, strongest

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
percent = st.integers(0, 100)


@pytest.mark.parametrize(
    ("stated", "trust", "half_life", "days", "refuted", "expected"),
    [
        (90, 100, None, 999, 0, 90),
        (90, 50, None, 0, 0, 45),
        (80, 100, 30, 30, 0, 40),
        (80, 100, 30, 60, 0, 20),
        (80, 50, 30, 30, 50, 10),
        (80, 100, 30, -5, 0, 80),  # seen in the future: clocks differ
        (100, 100, None, 0, 100, 0),
        (0, 100, None, 0, 0, 0),
        (29, 100, None, 0, 0, 29),
    ],
)
def test_examples(stated: int, trust: int, half_life: int | None, days: int, refuted: int, expected: int) -> None:
    fresh = NOW - timedelta(days=days)
    got = effective_confidence(stated, trust=trust, half_life_days=half_life, fresh_at=fresh, now=NOW, refuted=refuted)
    assert got == expected


@given(stated=percent, trust=percent, half_life=st.integers(1, 999), days=st.integers(0, 9999), refuted=percent)
def test_nothing_makes_us_surer_than_the_source(
    stated: int, trust: int, half_life: int, days: int, refuted: int
) -> None:
    def sure(days: int = days, refuted: int = refuted, trust: int = trust) -> int:
        fresh = NOW - timedelta(days=days)
        return effective_confidence(
            stated, trust=trust, half_life_days=half_life, fresh_at=fresh, now=NOW, refuted=refuted
        )

    assert 0 <= sure() <= stated
    assert sure(days=days + 1) <= sure()
    assert sure(refuted=0) >= sure()
    assert sure(trust=100) >= sure()


def test_several_sources_that_say_the_same_do_not_add_up() -> None:
    assert strongest([40, 70, 10]) == 70
    assert strongest([]) == 0
