"""A temporary deployment in which histories of tests happen, by the code that runs live."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection

from paycordon.aggregates import Aggregate, Number
from paycordon.coalition.identifiers import Digester
from paycordon.decisions import Outcome
from paycordon.events import Event
from paycordon.store import Store
from paycordon.store.engine import Session
from paycordon.store.ledger import Entry, record
from paycordon.store.snapshot import origin
from paycordon.store.windows import aggregate

_KEY = b"tests of policies, never live data"
_NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class _Undone(Exception):
    """Takes back all that a history wrote."""


class Rehearsal:
    """Records the history of a test, computes aggregates after it, and takes everything back."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._digester = Digester({"test": _KEY}, "test")

    def conceal(self, event: Event) -> Event:
        """Return the event with digests in place of all plain identifier values."""
        return self._digester.conceal(event)

    def aggregates(self, event: Event, history: Sequence[Event], wanted: Mapping[str, Aggregate]) -> dict[str, Number]:
        """Compute aggregates for an event after the others were recorded, in their order."""
        with self._undone() as connection:
            for past in map(self.conceal, history):
                found = origin(connection, past)
                if found.recorded is None:  # a redelivered event counts once
                    record(connection, Entry(past, found, None, Outcome.ALLOW), _NOW, secrets.token_bytes)
            return dict(aggregate(connection, event, origin(connection, event).merchant, wanted))

    @contextmanager
    def _undone(self) -> Iterator[Connection]:
        """A transaction of which nothing stays."""
        with suppress(_Undone), self._session.write() as connection:
            yield connection
            raise _Undone


@contextmanager
def rehearsal() -> Iterator[Rehearsal]:
    """Open a temporary database and delete it in the end."""
    with TemporaryDirectory(prefix="paycordon-test-") as directory:
        store = Store.open(f"sqlite:///{Path(directory) / 'test.db'}")
        try:
            with store.session() as session:
                yield Rehearsal(session)
        finally:
            store.close()
