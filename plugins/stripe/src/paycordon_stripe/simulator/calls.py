"""One call of the simulated API, and what most of them have in common: lists, filters, metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from paycordon_stripe.simulator.ledger import Json, Ledger
from paycordon_stripe.simulator.problems import bad

DEFAULT_LIMIT = 10
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been understood.

    Attributes:
        ledger: the state it works on.
        owner: the connected account it is made for, or `PLATFORM`.
        params: its parameters, with the types that Stripe's SDK declares.
        ids: what stands in the variable parts of its path.
        version: the API version it asks for.
    """

    ledger: Ledger
    owner: str
    params: Json
    ids: tuple[str, ...]
    version: str

    @property
    def id(self) -> str:
        """The last id in the path."""
        return self.ids[-1]


Handler = Callable[[Call], Json]


def page(call: Call, found: Iterable[Json], url: str) -> Json:
    """Return one page of a list; `found` is oldest first, the page is newest first.

    Raises:
        Problem: the limit is out of bounds, or the cursor names nothing in the list.
    """
    limit = call.params.get("limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        raise bad("limit", f"This value must be between 1 and {MAX_LIMIT}.")
    rest = list(found)[::-1]
    after, before = call.params.get("starting_after"), call.params.get("ending_before")
    if after is not None:
        rest = rest[_position(rest, after, "starting_after") + 1 :]
    if before is not None:
        rest = rest[: _position(rest, before, "ending_before")]
        return {"object": "list", "data": rest[-limit:], "has_more": len(rest) > limit, "url": url}
    return {"object": "list", "data": rest[:limit], "has_more": len(rest) > limit, "url": url}


def _position(rest: list[Json], id_: str, param: str) -> int:
    for index, each in enumerate(rest):
        if each["id"] == id_:
            return index
    raise bad(param, f"No such object: '{id_}'", "resource_missing")


def matching(call: Call, found: Iterable[Json], *equal: str, times: tuple[str, ...] = ("created",)) -> list[Json]:
    """Leave those objects that the parameters of these names ask for."""
    params = call.params
    kept = [each for each in found if all(each.get(name) == params[name] for name in equal if name in params)]
    for name in times:
        if name in params:
            kept = [each for each in kept if in_range(each[name], params[name])]
    return kept


def in_range(value: int, asked: Any) -> bool:
    """Tell whether a time is the one asked for, or between `gt`, `gte`, `lt` and `lte`."""
    if not isinstance(asked, dict):
        return bool(value == asked)
    tests = {"gt": value.__gt__, "gte": value.__ge__, "lt": value.__lt__, "lte": value.__le__}
    return all(test(asked[name]) for name, test in tests.items() if name in asked)


def merged_metadata(old: Json, given: Any) -> Json:
    """Return metadata after a request: an empty text takes all or one away."""
    if given == "":
        return {}
    merged = {**old, **(given or {})}
    return {key: value for key, value in merged.items() if value != ""}


def positive(value: Any, name: str = "amount") -> int:
    """Return an amount.

    Raises:
        Problem: it is not above zero.
    """
    if not isinstance(value, int) or value < 1:
        raise bad(name, "Invalid positive integer", "parameter_invalid_integer")
    return value
