"""What keys a pydantic model takes at a place inside it, for suggestions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel


def known_keys(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """List the keys known at `loc`; pydantic's own steps in it, such as names of union members, are passed over."""
    places: list[Any] = [model]
    for step in loc:
        places = [inner for place in places for inner in _inside(place, step)] or places
    return sorted({name for place in places for name in _keys(place)})


def _keys(place: Any) -> list[str]:
    return [field.alias or name for name, field in place.model_fields.items()] if _is_model(place) else []


def _inside(place: Any, step: str | int) -> list[Any]:
    """The models and containers that the value at `step` of `place` may be."""
    if _is_model(place):
        field = next((f for name, f in place.model_fields.items() if (f.alias or name) == step), None)
        return _alternatives(field.annotation) if field else []
    if get_args(place):
        return [found for argument in get_args(place) for found in _alternatives(argument)]
    return []


def _alternatives(annotation: Any) -> list[Any]:
    """Take a union, `Annotated` or optional apart, down to models and containers."""
    if _is_model(annotation):
        return [annotation]
    arguments = get_args(annotation)
    origin = getattr(annotation, "__origin__", None)
    if origin in (dict, list, tuple, frozenset, set) or "Mapping" in str(origin) or "Sequence" in str(origin):
        return [annotation]
    return [found for argument in arguments for found in _alternatives(argument)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
