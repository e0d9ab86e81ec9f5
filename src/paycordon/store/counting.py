"""What counts of a source: all of it, ranges of its references, or some names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, text

from paycordon.coalition.indicators import Part
from paycordon.store.indicator_rows import CHUNK, chunks
from paycordon.store.prepared import Prepared

_Name = tuple[str, str]  # digest and reference
_NAMES = "SELECT digest, reference FROM indicators WHERE source = :source AND withdrawn_at IS NULL"
_PLACES = ", ".join(f":d{i}" for i in range(CHUNK))
_all = Prepared(text(_NAMES))
_among = Prepared(text(f"{_NAMES} AND digest IN ({_PLACES})"))
_how_many = Prepared(text("SELECT COUNT(*) FROM indicators WHERE source = :source AND withdrawn_at IS NULL"))
# PostgreSQL's own `<` follows the language of the database, which code points do not.
_FROM = {"sqlite": "reference >= :start", "postgresql": "reference ~>=~ :start"}
_BEFORE = {"sqlite": "reference < :end", "postgresql": "reference ~<~ :end"}
_from = {name: Prepared(text(f"{_NAMES} AND {start}")) for name, start in _FROM.items()}
_within = {name: Prepared(text(f"{_NAMES} AND {start} AND {_BEFORE[name]}")) for name, start in _FROM.items()}


def names_counting(connection: Connection, source: str, parts: Sequence[Part] = ()) -> Iterator[_Name]:
    """Yield digest and reference of each indicator of a source that counts: of all, or of some ranges of references."""
    if not parts:
        yield from _pairs(_all(connection, {"source": source}))
    for part in parts:
        if part.end is None:
            found = _from[connection.dialect.name](connection, {"source": source, "start": part.start})
        else:
            place = {"source": source, "start": part.start, "end": part.end}
            found = _within[connection.dialect.name](connection, place)
        yield from _pairs(found)


def counting_among(connection: Connection, source: str, names: Iterable[_Name]) -> set[_Name]:
    """Return those of some names, digest and reference, that count."""
    wanted = set(names)
    found: set[_Name] = set()
    for places in chunks(sorted({digest for digest, _ in wanted})):
        found.update(_pairs(_among(connection, {"source": source, **places})))
    return found & wanted


def how_many_count(connection: Connection, source: str) -> int:
    """Return how many indicators of a source count."""
    return int(_how_many(connection, {"source": source}).scalar() or 0)


def _pairs(rows: Iterable[tuple[str, ...]]) -> Iterator[_Name]:
    return ((digest, reference) for digest, reference in rows)
