"""The store's own history: its events in the order of intake, with the findings of the decisions made then."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic_core import to_json
from sqlalchemy import text

from paycordon.backtest.history import Chunk
from paycordon.store import Store

_ROWS = 2_000
_page = text(
    "SELECT e.position, e.seen, e.merchant, e.body, d.body FROM events AS e "
    "LEFT JOIN decisions AS d ON d.instance = e.instance AND d.event_id = e.id "
    "WHERE e.position > :after AND e.position <= :head AND e.body <> '' ORDER BY e.position LIMIT :rows"
)


class RecordedHistory:
    """Everything the store had taken in when this was made; what it takes in meanwhile does not count.

    Events are never changed, so short reads one after the other see one state, and block no one.
    """

    unit = "entry"
    name = "the store"

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.read() as connection:
            self._head, self.size = connection.execute(
                text("SELECT coalesce(max(position), 0), count(*) FROM events WHERE body <> ''")
            ).one()

    def chunks(self) -> Iterator[tuple[Chunk, int]]:
        """Read it, some thousand events at a time; a line's number is its place among the events."""
        after, done, index = 0, 0, 0
        while True:
            with self._store.read() as connection:
                where = {"after": after, "head": self._head, "rows": _ROWS}
                rows = connection.execute(_page, where).all()
            if not rows:
                return
            lines = b"".join(_line(*row) for row in rows)
            first, done, after = done + 1, done + len(rows), rows[-1][0]
            yield Chunk.of(index, first, lines), done
            index += 1


def _line(position: int, seen: int, merchant: str, event: str, decision: str | None) -> bytes:
    """Put the recorded JSON together as it is; it holds no line break, for the engine wrote it."""
    last = b',"decision":' + decision.encode() if decision else b""
    place = b'{"position":%d,"seen":%d,"merchant":%s,"event":' % (position, seen, to_json(merchant))
    return place + event.encode() + last + b"}\n"
