"""`expand`: ids in an answer become the objects they stand for."""

from __future__ import annotations

from typing import Any

from paycordon_stripe.simulator.calls import Call
from paycordon_stripe.simulator.ledger import Json
from paycordon_stripe.simulator.problems import bad

MAX_DEPTH = 4


def expanded(call: Call, answer: Json) -> Json:
    """Put objects in place of the ids that `expand` names; `data.` reaches into a list.

    Raises:
        Problem: a path is too deep, or names nothing that can be expanded.
    """
    for path in call.params.get("expand", []):
        names = path.split(".")
        if len(names) > MAX_DEPTH:
            raise bad("expand", f"You may expand up to {MAX_DEPTH} levels.")
        _expand(call, answer, names, path)
    return answer


def _expand(call: Call, place: Any, names: list[str], path: str) -> None:
    if isinstance(place, list):
        for each in place:
            _expand(call, each, names, path)
        return
    name, *rest = names
    if not isinstance(place, dict) or name not in place:
        raise bad("expand", f"This property cannot be expanded ({path}).")
    value = place[name]
    if isinstance(value, str):
        found = call.ledger.anywhere(call.owner, value)
        place[name] = dict(found) if found is not None else value
    if rest and place[name] is not None:
        _expand(call, place[name], rest, path)
