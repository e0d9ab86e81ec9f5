"""Models for what people write of an event: any part of it, with amounts as `900 EUR` and times as `-3d`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    create_model,
)

from paycordon.aggregates.document import parse_money
from paycordon.events import Event, Money

_RELATIVE = re.compile(r"^([+-])(\d{1,5})([smhd])$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TIME_SCHEMA = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": _RELATIVE.pattern, "description": "relative, such as `-3d`, `-90m` or `+2h`"},
    ]
}


def relative(text: str) -> timedelta | None:
    """Read `-3d`, `-90m`, `-30s` or `+2h`; None if the text is not of that form."""
    found = _RELATIVE.match(text)
    if found is None:
        return None
    distance = timedelta(**{_UNITS[found[3]]: int(found[2])})
    return -distance if found[1] == "-" else distance


def _time(value: object) -> object:
    if isinstance(value, str):
        if (distance := relative(value)) is not None:
            return distance
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError("a time is written as `-3d`, `+2h` or `2026-03-01T12:00:00Z`")


def _money(value: object) -> object:
    if isinstance(value, str):
        money = parse_money(value)
        return {"minor": money.minor, "currency": money.currency}
    if not isinstance(value, dict | Money):
        raise ValueError("an amount is written with its currency, such as `900 EUR`")  # noqa: TRY004 - for pydantic  # noqa: TRY004 - pydantic's
    return value


def _aware(value: datetime | timedelta) -> datetime | timedelta:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("a time needs its zone, such as the `Z` of `2026-03-01T12:00:00Z`")
    return value


Time = Annotated[datetime | timedelta, BeforeValidator(_time), AfterValidator(_aware), WithJsonSchema(_TIME_SCHEMA)]
Amount = Annotated[
    Money,
    BeforeValidator(_money),
    WithJsonSchema({"anyOf": [{"type": "string", "examples": ["900 EUR"]}, Money.model_json_schema()]}),
]


class _Partial(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def partial_of(model: type[BaseModel], *, leave_out: frozenset[str] = frozenset()) -> type[BaseModel]:
    """A model with the same fields, none of them needed, and no validation across fields."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name not in leave_out:
            annotation = _partial(field.annotation)
            written = annotation if annotation is Time else _with(annotation, field.metadata)
            fields[name] = (written | None, Field(default=None, description=field.description))
    return create_model(f"Partial{model.__name__}", __base__=_Partial, __doc__=model.__doc__, **fields)


def _with(annotation: Any, constraints: Sequence[Any]) -> Any:
    return Annotated[annotation, *constraints] if constraints else annotation


def _partial(annotation: Any) -> Any:
    """The annotation with models inside it replaced by partial ones, amounts and times by how people write them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Amount if annotation is Money else partial_of(annotation)
    if annotation is AwareDatetime or annotation is datetime:
        return Time
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = _partial(arguments[0])
        return inner if inner is Time else _with(inner, arguments[1:])
    if origin in (Union, UnionType):
        return Union[(*(_partial(each) for each in arguments if each is not NoneType), None)]
    if origin is tuple:
        return tuple[_partial(arguments[0]), ...]  # type: ignore[misc]  # built at run time
    return annotation


if TYPE_CHECKING:
    PartialEvent = BaseModel
else:
    PartialEvent = partial_of(Event, leave_out=frozenset({"schema_version"}))
    """What a case says of an event."""


def stated(record: BaseModel | None) -> dict[str, Any]:
    """What was written, as plain values; times are datetimes or distances from the event."""
    return {} if record is None else record.model_dump(mode="python", exclude_unset=True)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay what is stated over what is assumed; mappings within each other too, all else is replaced."""
    result = dict(below)
    for name, value in above.items():
        known = result.get(name)
        result[name] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def settled(value: Any, at: datetime) -> Any:
    """The same with every distance replaced by its time, counted from `at`."""
    if isinstance(value, timedelta):
        return at + value
    if isinstance(value, dict):
        return {name: settled(each, at) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [settled(each, at) for each in value]
    return value
