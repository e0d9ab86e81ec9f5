"""How sure an indicator makes us: one number from what its source says, how far we trust it, its age, and objections.

    effective = stated x trust x decay x (1 - strongest objection)

All of it in integers between 0 and 100, rounded down. Several sources that say the same do not add up: they often
repeat each other, so that the surest of them counts, never their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paycordon.coalition.indicators import Indicator

REFUTED = "refuted"
"""The status with which a source says that an identifier is not what others take it for."""

_DAY = timedelta(days=1)


def effective_confidence(
    stated: int,
    *,
    trust: int = 100,
    half_life_days: int | None = None,
    fresh_at: datetime | None = None,
    now: datetime | None = None,
    refuted: int = 0,
) -> int:
    """Return how sure an indicator makes us, 0 to 100.

    Args:
        stated: what its source says, 0 to 100.
        trust: how far the deployment trusts the source, 0 to 100.
        half_life_days: in so many days it loses half of its weight; none if it loses nothing.
        fresh_at: when it was last known to be true; from then on it decays.
        now: the time that it is asked for; none for no decay.
        refuted: the effective confidence of the strongest source that says the contrary, 0 to 100.
    """
    weight = stated * trust / 100
    if half_life_days and fresh_at is not None and now is not None and now > fresh_at:
        weight *= 0.5 ** ((now - fresh_at) / _DAY / half_life_days)
    return int(weight * (100 - refuted) / 100 + 1e-9)


def strongest(confidences: Iterable[int]) -> int:
    """Combine several sources that say the same: the surest counts. None of them is 0."""
    return max(confidences, default=0)


def weighed(indicators: Sequence[Indicator], trust_in: Callable[[str], int], now: datetime) -> list[int]:
    """Return how sure each indicator makes a finding now, 0 to 100; 0 outside of its time, or withdrawn, or refuting.

    Args:
        indicators: all that is known of some identifiers; an objection counts for those on the same digest.
        trust_in: how far a source is trusted, 0 to 100.
        now: the time, UTC.
    """

    def weight(each: Indicator, refuted: int) -> int:
        begun = each.valid_from is None or each.valid_from <= now
        if each.withdrawn_at is not None or not begun or (each.valid_until is not None and each.valid_until <= now):
            return 0
        return effective_confidence(
            each.confidence,
            trust=trust_in(each.source),
            half_life_days=each.half_life_days,
            fresh_at=each.last_seen or each.changed_at,
            now=now,
            refuted=refuted,
        )

    objections: dict[str, int] = {}
    for each in indicators:
        if each.status == REFUTED:
            objections[each.digest] = max(weight(each, 0), objections.get(each.digest, 0))
    return [0 if each.status == REFUTED else weight(each, objections.get(each.digest, 0)) for each in indicators]
