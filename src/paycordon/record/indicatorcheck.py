"""Compare the indicators, source by source, with the sums that the log says they add up to; and what was confirmed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from paycordon.record.problems import Problems
from paycordon.store.prepared import Prepared
from paycordon.store.sums import COLUMNS, Sum

_PAGE = 5_000
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM indicators"  # noqa: S608  # names of columns
_ORDER = "ORDER BY digest, source, reference LIMIT :page"
_first = Prepared(text(f"{_SELECT} {_ORDER}"))
_confirmed = Prepared(text("SELECT digest FROM confirmations WHERE confirmed = 1"))
_next = Prepared(text(f"{_SELECT} WHERE (digest, source, reference) > (:digest, :source, :reference) {_ORDER}"))


class IndicatorCheck:
    """Adds up each source's indicators: hand it all entries by `take`, then call `end`."""

    def __init__(self, connection: Connection, problems: Problems) -> None:
        self._connection = connection
        self._problems = problems
        self._confirmed: set[str] = set()
        self._said: dict[str, tuple[int, int, str]] = {}  # by source: entry, rows, digest of the sum

    def take(self, entries: Sequence[Any]) -> None:
        """Follow what these entries say of sums: each goes on from where the one before had got to."""
        for row in entries:
            content = _mapping(row.payload) if row.kind.startswith("indicator") else {}
            if row.kind == "indicator.confirmed":
                self._confirmed.add(str(content.get("indicator")))
            elif row.kind == "indicator.unconfirmed":
                self._confirmed.discard(str(content.get("indicator")))
            source, rows, before, after = (content.get(n) for n in ("source", "rows", "sum_before", "sum_after"))
            if not (isinstance(source, str) and isinstance(rows, int) and isinstance(after, str)):
                continue
            if before is not None and before != self._before(source):
                self._add(source, f"the stored sum was changed before entry {row.seq}", row.seq)
            self._said[source] = row.seq, rows, after

    def end(self) -> None:
        """Add up the rows themselves."""
        sums: dict[str, Sum] = {}
        odd: set[str] = set()
        for values in self._rows():
            source = str(values[1])
            try:
                sums.setdefault(source, Sum()).put(values)
            except TypeError:  # SQLite lets anybody store what is neither text nor number
                odd.add(source)
        for source in sorted(sums.keys() | self._said.keys()):
            entry, rows, digest = self._said.get(source, (0, 0, Sum().digest))
            found = sums.get(source, Sum())
            if source in odd or found.digest != digest:
                left = f"entry {entry} left {rows} rows" if entry else "no entry of the log names any"
                what = "was changed" if found.rows == rows else "was added or deleted"
                self._add(source, f"{found.rows} rows, one of which {what} by hand: {left}", entry or None)

        for digest in sorted(self._confirmed ^ set(_confirmed(self._connection).scalars())):
            said = "two people confirmed it" if digest in self._confirmed else "nobody has confirmed it"
            self._problems.add("changed", f"indicator `{digest}`: was changed by hand; {said}", record=digest)

    def _before(self, source: str) -> str:
        return self._said[source][2] if source in self._said else Sum().digest

    def _rows(self) -> Iterator[Sequence[Any]]:
        page = _first(self._connection, {"page": _PAGE}).all()
        while page:
            yield from page
            after = dict(zip(("digest", "source", "reference"), page[-1], strict=False))
            page = _next(self._connection, {**after, "page": _PAGE}).all()

    def _add(self, source: str, sentence: str, entry: int | None) -> None:
        self._problems.add("changed", f"indicators of `{source}`: {sentence}", entry=entry, record=source)


def _mapping(payload: object) -> Mapping[str, Any]:
    try:
        content = json.loads(payload) if isinstance(payload, str) else None
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
