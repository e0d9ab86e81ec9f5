"""What rules can see: protobuf messages derived from the pydantic models, so that the event schema has one source.

Every optional scalar is a wrapper type and every optional time an `Any`: what is missing is null or an error when a
rule computes with it, never a zero, an empty text or the year 1970. Left out are `event.extra`, which nothing in the
core interprets, and the plain value of identifiers, which is not recorded and so could not be judged again.

Only what expressions use is encoded, since encoding a whole event costs as much as judging it by ten rules. And a
scalar of the event is bound a second time under its full name, such as `event.payout.amount.minor`, which the engine
looks up at a third of the cost of going through messages; null means the same there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from functools import lru_cache
from threading import Lock
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from google.protobuf import any_pb2, descriptor_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from pydantic import AwareDatetime, BaseModel

from paycordon.decisions import Finding
from paycordon.events import Event, Identifier, Money

PACKAGE = "paycordon"
VALUE_LIST = f"{PACKAGE}.ValueList"
"""The type of what stands for a list in an expression: its name, and the event's time in microseconds since 1970."""
_WELL_KNOWN = (any_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
_TIMESTAMP_URL = "type.googleapis.com/google.protobuf.Timestamp"
_DURATION_URL = "type.googleapis.com/google.protobuf.Duration"
_FIELD = descriptor_pb2.FieldDescriptorProto
_WRAPPERS = {
    bool: "google.protobuf.BoolValue",
    int: "google.protobuf.Int64Value",
    float: "google.protobuf.DoubleValue",
    str: "google.protobuf.StringValue",
}
_NOT_FOR_RULES: Mapping[type[BaseModel], frozenset[str]] = {
    Event: frozenset({"extra"}),
    Identifier: frozenset({"value"}),
}

Encoder = Callable[[Any], Any]
Plan = Sequence[tuple[str, Encoder]]
Path = tuple[str, ...]
PRESENCE = ""
"""Ends a path of which an expression only asks whether there is something."""
OCCURRED_AT = ("event", "occurred_at")
"""Bound whatever is used: the time decides what in a list has expired."""


class Schema:
    """Messages for the given models and all models inside them, and how to fill them."""

    def __init__(self, *roots: type[BaseModel]) -> None:
        self.pool = DescriptorPool()
        self._file = descriptor_pb2.FileDescriptorProto(name="paycordon/rules.proto", package=PACKAGE, syntax="proto3")
        for module in _WELL_KNOWN:
            self.pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
            self._file.dependency.append(module.DESCRIPTOR.name)
        self._roots = frozenset(roots)
        self._encoders: dict[type[BaseModel], list[tuple[str, Encoder]]] = {}
        self._nested: dict[tuple[type[BaseModel], str], type[BaseModel]] = {}
        self._aggregates: dict[str, tuple[Plan, Any]] = {}
        self._lock = Lock()
        for root in roots:
            self._add(root)
        listed = self._file.message_type.add(name=VALUE_LIST.removeprefix(f"{PACKAGE}."))
        listed.field.add(name="name", number=1, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_STRING)
        listed.field.add(name="at", number=2, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_INT64)
        self.pool.Add(self._file)
        self.value_list = GetMessageClass(self.pool.FindMessageTypeByName(VALUE_LIST))
        self._classes = {model: GetMessageClass(self._descriptor(model)) for model in self._encoders}

    def _descriptor(self, model: type[BaseModel]) -> Any:
        return self.pool.FindMessageTypeByName(type_name(model))

    def _add(self, model: type[BaseModel]) -> None:
        if model in self._encoders:
            return
        encoders = self._encoders[model] = []
        message = self._file.message_type.add(name=model.__name__)
        for name, field in model.model_fields.items():
            if name in _NOT_FOR_RULES.get(model, ()):
                continue
            always = field.is_required() and model in self._roots
            alternatives = _alternatives(field.annotation)
            type_, repeated, encode = self._field(alternatives, always=always)
            if isinstance(alternatives[0], type) and issubclass(alternatives[0], BaseModel):
                self._nested[model, name] = alternatives[0]
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            number = len(encoders) + 1
            message.field.add(name=name, number=number, label=label, type=_FIELD.TYPE_MESSAGE, type_name=f".{type_}")
            encoders.append((name, encode))

    def _field(self, alternatives: Sequence[Any], *, always: bool) -> tuple[str, bool, Encoder]:
        """The message type of a field, whether it is repeated, and how its value is encoded."""
        first = alternatives[0]
        if get_origin(first) is tuple:
            type_, _, encode = self._field(_alternatives(get_args(first)[0]), always=False)
            return type_, True, lambda items: [encode(item) for item in items]
        if get_origin(first) is dict:
            return "google.protobuf.Struct", False, _same
        if issubclass(first, BaseModel):
            self._add(first)
            return type_name(first), False, lambda record: self._encode(first, record)
        if first is AwareDatetime or issubclass(first, datetime):
            return ("google.protobuf.Timestamp", False, _same) if always else ("google.protobuf.Any", False, _any_time)
        if issubclass(first, Enum):
            first = str
        return _WRAPPERS[first], False, _text if first is str else _wrapped

    def _encode(self, model: type[BaseModel], record: BaseModel) -> dict[str, Any]:
        return _filled(self._encoders[model], record)

    def scalars(self, model: type[BaseModel]) -> dict[Path, Encoder]:
        """The paths, from a model on, that lead to one text, number or truth value, with how to read them."""
        found: dict[Path, Encoder] = {}
        for name, encode in self._encoders[model]:
            if encode in (_text, _wrapped):
                found[(name,)] = _text_value if encode is _text else _same
            elif nested := self._nested.get((model, name)):
                found |= {(name, *rest): read for rest, read in self.scalars(nested).items()}
        return found

    def _plan(self, model: type[BaseModel], paths: frozenset[Path]) -> Plan:
        """How to encode only what some paths, from the model on, lead to."""
        if () in paths:
            return self._encoders[model]
        plan: list[tuple[str, Encoder]] = []
        for name, encode in self._encoders[model]:
            rest = frozenset(path[1:] for path in paths if path[0] == name)
            nested = self._nested.get((model, name))
            if rest and nested is not None and () not in rest:
                plan.append((name, _partial(self._plan(nested, rest))))
            elif rest:
                plan.append((name, encode))
        return plan

    def fields(self, type_: str) -> list[str]:
        """The names of the fields of a message type, given by its full name; none if it is not one of ours."""
        if type_ in self._aggregates:
            return [name for name, _ in self._aggregates[type_][0]]
        return next(
            ([name for name, _ in fields] for model, fields in self._encoders.items() if type_name(model) == type_), []
        )

    def type_of(self, type_: str, field: str) -> tuple[str, bool]:
        """The full name of the message type of a field, and whether the field is a list of these."""
        found: Any = self.pool.FindMessageTypeByName(type_).fields_by_name[field]
        return found.message_type.full_name, found.is_repeated

    def message(self, record: BaseModel) -> Message:
        """Encode a record of one of the models."""
        model = type(record)
        return self._classes[model](**self._encode(model, record))

    def encoder(self, model: type[BaseModel], paths: frozenset[Path]) -> Callable[[BaseModel], Message]:
        """Return what encodes the parts of a model's records that `paths` lead to; the empty path means all of it."""
        plan, message = self._plan(model, paths), self._classes[model]
        return lambda record: message(**_filled(plan, record))

    def aggregates_type(self, kinds: Mapping[str, str]) -> str:
        """The full name of the message type with a field for each aggregate, all of which may be missing.

        Args:
            kinds: `integer`, `fraction`, `time` or `duration`, by the aggregate's name.
        """
        text = ";".join(f"{name}:{kind}" for name, kind in kinds.items())
        name = f"Aggregates_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        full_name = f"{PACKAGE}.{name}"
        with self._lock:  # policies may be loaded while others judge
            if full_name not in self._aggregates:
                self._add_aggregates(name, kinds)
        return full_name

    def _add_aggregates(self, name: str, kinds: Mapping[str, str]) -> None:
        file = descriptor_pb2.FileDescriptorProto(name=f"paycordon/{name}.proto", package=PACKAGE, syntax="proto3")
        file.dependency.extend(module.DESCRIPTOR.name for module in _WELL_KNOWN)
        message = file.message_type.add(name=name)
        plan: list[tuple[str, Encoder]] = []
        for number, (field, kind) in enumerate(kinds.items(), 1):
            type_, encode = _AGGREGATES[kind]
            label = _FIELD.LABEL_OPTIONAL
            message.field.add(name=field, number=number, label=label, type=_FIELD.TYPE_MESSAGE, type_name=f".{type_}")
            plan.append((field, encode))
        self.pool.Add(file)
        full_name = f"{PACKAGE}.{name}"
        self._aggregates[full_name] = plan, GetMessageClass(self.pool.FindMessageTypeByName(full_name))

    def aggregates(self, type_: str, values: Mapping[str, Any]) -> Message:
        """Encode values under `aggregates.name`; None, and what is not there, is missing."""
        plan, message = self._aggregates[type_]
        found = ((name, encode, values.get(f"aggregates.{name}")) for name, encode in plan)
        filled: Message = message(**{name: encode(value) for name, encode, value in found if value is not None})
        return filled


def type_name(model: type[BaseModel]) -> str:
    """The full protobuf name of a model."""
    return f"{PACKAGE}.{model.__name__}"


def _alternatives(annotation: Any) -> list[Any]:
    """Take `Annotated`, optional, literal and union types apart into plain types."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin is Literal:
        return [type(value) for value in get_args(annotation)]
    if origin in (Union, UnionType):
        return [found for each in get_args(annotation) if each is not NoneType for found in _alternatives(each)]
    return [annotation]


def _same(value: Any) -> Any:
    return value


def _wrapped(value: Any) -> dict[str, Any]:
    return {"value": value}


def _text(value: str) -> dict[str, str]:
    return {"value": str(value)}


def _text_value(value: str) -> str:
    return str(value)


def _any_time(value: datetime) -> dict[str, Any]:
    time = timestamp_pb2.Timestamp()
    time.FromDatetime(value)
    return {"type_url": _TIMESTAMP_URL, "value": time.SerializeToString()}


def _time(micros: int) -> dict[str, Any]:
    seconds, rest = divmod(micros, 1_000_000)
    time = timestamp_pb2.Timestamp(seconds=seconds, nanos=rest * 1_000)
    return {"type_url": _TIMESTAMP_URL, "value": time.SerializeToString()}


def _duration(micros: int) -> dict[str, Any]:
    duration = duration_pb2.Duration()
    duration.FromMicroseconds(micros)
    return {"type_url": _DURATION_URL, "value": duration.SerializeToString()}


_AGGREGATES: Mapping[str, tuple[str, Encoder]] = {
    "integer": (_WRAPPERS[int], _wrapped),
    "fraction": (_WRAPPERS[float], _wrapped),
    "time": ("google.protobuf.Any", _time),
    "duration": ("google.protobuf.Any", _duration),
}


def _filled(plan: Plan, record: BaseModel) -> dict[str, Any]:
    values = record.__dict__
    return {name: encode(values[name]) for name, encode in plan if values[name] is not None}


def _partial(plan: Plan) -> Encoder:
    return lambda record: _filled(plan, record)


SCHEMA = Schema(Event, Finding, Money)


def value_list(name: str, at_us: int) -> Message:
    """What stands for a list: its name, and the event's time in microseconds since 1970."""
    message: Message = SCHEMA.value_list(name=name, at=at_us)
    return message


_SCALARS: Mapping[Path, Encoder] = {("event", *path): read for path, read in SCHEMA.scalars(Event).items()}
BY_FULL_NAME: frozenset[Path] = frozenset({*_SCALARS, OCCURRED_AT})
"""The paths whose value is bound under its full name."""


def bind(event: Event, findings: Iterable[Finding], uses: frozenset[Path] | None = None) -> dict[str, Any]:
    """The variables of one evaluation that do not depend on the policy.

    Args:
        event: the event.
        findings: what the checks concluded.
        uses: the paths that expressions use, see `Conditions.uses`; None binds everything.
    """
    encode, readers, encode_finding = _binder(uses)
    bound: dict[str, Any] = {name: read(event) for name, read in readers}
    bound["event.occurred_at"] = event.occurred_at
    if encode is not None:
        bound["event"] = encode(event)
    bound["findings"] = [encode_finding(finding) for finding in findings]
    return bound


_Binder = tuple[Callable[[BaseModel], Message] | None, Sequence[tuple[str, Encoder]], Callable[[BaseModel], Message]]


@lru_cache(maxsize=1_024)
def _binder(uses: frozenset[Path] | None) -> _Binder:
    if uses is None:
        uses = frozenset({("event",), ("findings",), *_SCALARS})
    by_name = [(".".join(path), _reader(path[1:], read)) for path, read in _SCALARS.items() if path in uses]
    paths = frozenset(path[1:] for path in uses - BY_FULL_NAME if path[0] == "event")
    of_findings = frozenset(path[1:] for path in uses if path[0] == "findings")
    encode = SCHEMA.encoder(Event, paths) if paths else None
    return encode, by_name, SCHEMA.encoder(Finding, of_findings | {("code",)})


def _reader(path: Path, read: Encoder) -> Encoder:
    *parents, last = path

    def value(record: Any) -> Any:
        for name in parents:
            record = getattr(record, name)
            if record is None:
                return None
        found = getattr(record, last)
        return None if found is None else read(found)

    return value
