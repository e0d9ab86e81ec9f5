"""One call of the simulated API, and what several of them have in common: merging, pages."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from paycordon_adyen.simulator.ledger import Json, Ledger
from paycordon_adyen.simulator.problems import Problem, bad

DEFAULT_LIMIT = 10
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been understood.

    Attributes:
        ledger: the state it works on.
        ids: what stands in the variable parts of its path.
        body: what it carries, held to the description.
        query: its parameters, with the types of the description.
        url: its address without a query, for links to further pages.
    """

    ledger: Ledger
    ids: tuple[str, ...]
    body: Json
    query: Json
    url: str

    @property
    def id(self) -> str:
        """The last id in the path."""
        return self.ids[-1]


@dataclass(frozen=True, slots=True)
class Answered:
    """A status with a body; none for an empty one."""

    status: int
    body: Any


Handler = Callable[[Call], Json | Answered]
NO_CONTENT = Answered(204, None)


def offset_page(call: Call, found: Sequence[Json], name: str) -> Json:
    """Return one page of a list that counts in offsets.

    Raises:
        Problem: limit or offset are out of bounds.
    """
    offset, limit = call.query.get("offset", 0), _limit(call)
    if offset < 0:
        raise bad("offset", offset, "offset must not be negative")
    return {
        name: list(found[offset : offset + limit]),
        "hasNext": offset + limit < len(found),
        "hasPrevious": offset > 0 and bool(found),
    }


def cursor_page(call: Call, found: Sequence[Json]) -> tuple[list[Json], str | None, str | None]:
    """Return one page of a list, and the addresses of the next and the previous one if there are such.

    Raises:
        Problem: the limit is out of bounds, or the cursor is not one of ours.
    """
    limit, start = _limit(call), _position(call.query.get("cursor"))
    following = _link(call, start + limit) if start + limit < len(found) else None
    before = _link(call, max(0, start - limit)) if start > 0 else None
    return list(found[start : start + limit]), following, before


def _limit(call: Call) -> int:
    limit: int = call.query.get("limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        raise bad("limit", limit, f"limit must be between 1 and {MAX_LIMIT}")
    return limit


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(cursor).decode().removeprefix("from:"))
    except ValueError:
        raise Problem(422, "the cursor is not valid", code="30_031") from None


def _link(call: Call, start: int) -> str:
    cursor = base64.urlsafe_b64encode(f"from:{start}".encode()).decode()
    return f"{call.url}?{urlencode({**call.query, 'cursor': cursor})}"


def merged(old: Json, changes: Json) -> Json:
    """Return an object after a PATCH: what is given replaces, objects are merged, null takes away."""
    made = dict(old)
    for name, value in changes.items():
        if value is None:
            made.pop(name, None)
        elif isinstance(value, dict) and isinstance(made.get(name), dict):
            made[name] = merged(made[name], value)
        else:
            made[name] = value
    return made
