"""Compare what aggregates read with the events it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, func, select, text, tuple_

from paycordon.aggregates.facts import Facts
from paycordon.store import schema
from paycordon.store.facts import COLUMNS, HOUR, rows_of

_PAGE = 1_000
_KEY = ("key", "type", "occurred_at", "position")
_VALUES = tuple(name for name in COLUMNS if name not in _KEY)
# Integer division rounds towards zero and the remainder follows the sign: made right for times before 1970.
_SUMMED = f"""
    SELECT merchant, type, (occurred_at - ((occurred_at % {HOUR}) + {HOUR}) % {HOUR}) / {HOUR}, account,
    COALESCE(currency, ''), COUNT(*), COALESCE(SUM(amount & 4294967295), 0), COALESCE(SUM(amount >> 32), 0),
    MIN(amount), MAX(amount) FROM facts WHERE key = 'merchant:' || merchant GROUP BY 1, 2, 3, 4, 5"""  # noqa: S608
_STORED = "SELECT merchant, type, hour, account, currency, events, low, high, smallest, largest FROM hours"


class FactCheck:
    """Takes the events that the log names, then tells whether anything is left that came from none of them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._expected = 0

    def differing(self, events: Sequence[tuple[int, Facts]]) -> set[int]:
        """The positions of events whose rows are missing or say something else than their text."""
        expected = {tuple(row[n] for n in _KEY): row for at, facts in events for row in rows_of(facts, at)}
        self._expected += len(expected)
        differing: set[int] = set()
        for page in _pages(list(expected)):
            found = self._rows(page)
            for key in page:
                row = found.get(key)
                if row is None or any(row[name] != expected[key][name] for name in _VALUES):
                    differing.add(expected[key]["position"])
        return differing

    def _rows(self, keys: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], Any]:
        columns = schema.facts.c
        query = select(schema.facts).where(tuple_(*(columns[name] for name in _KEY)).in_(keys))
        return {tuple(row[name] for name in _KEY): row for row in self._connection.execute(query).mappings()}

    def has_unexplained(self) -> bool:
        """Tell whether there are rows beside those of the events that were taken."""
        return self._connection.execute(select(func.count()).select_from(schema.facts)).scalar_one() != self._expected

    def has_wrong_sums(self) -> bool:
        """Tell whether the sums of the hours are others than those of their facts."""
        pairs = ((_SUMMED, _STORED), (_STORED, _SUMMED))
        return any(self._connection.execute(text(f"{one} EXCEPT {other} LIMIT 1")).first() for one, other in pairs)


def _pages(keys: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    remaining = iter(keys)
    while page := list(islice(remaining, _PAGE)):
        yield page
