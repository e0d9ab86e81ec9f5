"""Tell the role `restricted` what others do by hand to a merchant whose account is to be kept open.

Whoever places a hold or asks for an act knows of no request, and must not. What they do is done as always; the role
hears of it, so that it can speak with them before an offender is warned.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from paycordon.ids import Randomness
from paycordon.record import restricted
from paycordon.review.directives import ITSELF
from paycordon.store import Store, covert
from paycordon.store.prepared import Prepared

_CURSOR = "by_hand"
_PAGE = 5_000
_at = Prepared(text("SELECT position FROM cursors WHERE name = :name"))
_head = Prepared(text("SELECT COALESCE(MAX(seq), 0) FROM log"))
_begin = Prepared(text("INSERT INTO cursors (name, position) VALUES (:name, :to) ON CONFLICT (name) DO NOTHING"))
_move = Prepared(text("UPDATE cursors SET position = :to WHERE name = :name AND position = :position"))
_done = Prepared(
    text(
        "SELECT at, kind, payload FROM log WHERE seq > :position AND seq <= :to "
        "AND kind IN ('hold.placed', 'act.asked') ORDER BY seq"
    )
)
_kept_open = Prepared(
    text(
        "SELECT MIN(id) FROM directives WHERE merchant = :merchant AND kind = 'keep_open' AND starts_at <= :at "
        "AND ends_at > :at AND (ended_at IS NULL OR ended_at > :at) AND (scope = '' OR :scope = '' OR scope = :scope)"
    )
)


class ByHand:
    """Follows the log, once however many workers run: a worker's duty.

    Args:
        store: where it is.
        clock: says what time it is, UTC.
        randomness: for ids.
    """

    def __init__(
        self, store: Store, *, clock: Callable[[], datetime], randomness: Randomness = secrets.token_bytes
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness

    def step(self) -> bool:
        """Follow the log for a while; false when that was all: to listen is no work that others wait for.

        Raises:
            StoreUnavailable: the database cannot be used; it is followed from the same place again.
        """
        with self._store.read() as connection:
            position: int | None = _at(connection, {"name": _CURSOR}).scalar()
            head = int(_head(connection).scalar())
        if position is not None and head <= position:
            return False
        with self._store.write() as connection:
            if position is None:  # what was done before there was this duty is over
                _begin(connection, {"name": _CURSOR, "to": head})
                return False
            to = min(head, position + _PAGE)
            if _move(connection, {"name": _CURSOR, "position": position, "to": to}).rowcount != 1:
                return False  # another worker was faster
            for at, kind, payload in _done(connection, {"position": position, "to": to}).all():
                self._tell(connection, at, kind, json.loads(payload))
        return head > to

    def _tell(self, connection: Connection, at: int, kind: str, said: Mapping[str, Any]) -> None:
        """Note what was done, if a request counted for the merchant, or the account, when it was."""
        by, merchant = said.get("by"), said.get("merchant")
        scope = f"{said['instance']}/{said['account']}" if said.get("account") else ""
        directive = _kept_open(connection, {"merchant": merchant, "at": at, "scope": scope}).scalar()
        if directive is None or by == ITSELF:
            return
        done = f"the hold {said['placed']}" if kind == "hold.placed" else f"`{said['act']}`, as {said['asked']}"
        now = self._clock()
        note = f"{by} asked for {done} while this account is to be kept open: speak with them"
        covert.note(connection, str(merchant), now, self._randomness, "by_hand", actor=str(by), text_=note)
        what = str(said.get("placed") or said.get("asked"))
        restricted.append(connection, now, "covert.by_hand", {"directive": str(directive), "done": what})
