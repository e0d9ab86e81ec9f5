"""What the paths of an expression lead to, from the models that the schema of rules is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel

from paycordon.decisions import Finding
from paycordon.events import Event, Stage

Kind = Literal["record", "list", "map", "time", "scalar"]
PARTS = (Stage.PAYOUT, Stage.DISPUTE, Stage.PAYMENT)
"""The parts of an event that only events of one stage have."""

ROOTS = {"event": Event}
ITEMS: dict[tuple[str, ...], type[BaseModel]] = {("findings",): Finding}
"""What the items of a list are, for the variables of loops over it; lists in events are looked up."""


@dataclass(frozen=True, slots=True)
class Step:
    """One field on a path: what it holds, and whether it may be missing."""

    kind: Kind
    optional: bool
    model: type[BaseModel] | None = None


def steps(root: type[BaseModel], names: Sequence[str]) -> list[Step]:
    """Follow a path from a model; ends where the schema ends, with what is in a map or a list of scalars left out."""
    found: list[Step] = []
    model: type[BaseModel] | None = root
    for name in names:
        if model is None or name not in model.model_fields:
            # What a map holds under a key may always be missing.
            if found and found[-1].kind == "map":
                found.append(Step("scalar", optional=True))
            break
        step = _step(model, name)
        found.append(step)
        model = step.model if step.kind == "record" else None
    return found


def item_of(path: Sequence[str]) -> type[BaseModel] | None:
    """The model of the items of the list at a path of the policy, if they have one."""
    if tuple(path) in ITEMS:
        return ITEMS[tuple(path)]
    if not path or path[0] not in ROOTS:
        return None
    found = steps(ROOTS[path[0]], path[1:])
    return found[-1].model if len(found) == len(path) - 1 and found and found[-1].kind == "list" else None


@cache
def _step(model: type[BaseModel], name: str) -> Step:
    types, optional = _taken_apart(model.model_fields[name].annotation)
    first = types[0]
    if get_origin(first) is tuple:
        item = _taken_apart(get_args(first)[0])[0][0]
        return Step("list", optional, item if _is_model(item) else None)
    if get_origin(first) is dict:
        return Step("map", optional)
    if _is_model(first):
        return Step("record", optional, first)
    is_time = first is AwareDatetime or (isinstance(first, type) and issubclass(first, datetime))
    return Step("time" if is_time else "scalar", optional)


def _taken_apart(annotation: Any) -> tuple[list[Any], bool]:
    """The plain types of an annotation, and whether it may be none."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _taken_apart(get_args(annotation)[0])
    if origin in (Union, UnionType):
        apart = [_taken_apart(each) for each in get_args(annotation) if each is not NoneType]
        types = [type_ for each, _ in apart for type_ in each]
        return types, NoneType in get_args(annotation) or any(optional for _, optional in apart)
    return [annotation], False


def _is_model(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, BaseModel)
