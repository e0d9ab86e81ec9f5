"""What rules can see: protobuf messages derived from the pydantic models, so that the event schema has one source.

Every optional scalar is a wrapper type and every optional time an `Any`: what is missing is null or an error when a
rule computes with it, never a zero, an empty text or the year 1970. Left out are `event.extra`, which nothing in the
core interprets, and the plain value of identifiers, which is not recorded and so could not be judged again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from google.protobuf import any_pb2, descriptor_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from pydantic import AwareDatetime, BaseModel

from paycordon.decisions import Finding
from paycordon.events import Event, Identifier, Money

PACKAGE = "paycordon"
_WELL_KNOWN = (any_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
_TIMESTAMP_URL = "type.googleapis.com/google.protobuf.Timestamp"
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
        for root in roots:
            self._add(root)
        self.pool.Add(self._file)
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
            type_, repeated, encode = self._field(_alternatives(field.annotation), always=always)
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
        values = record.__dict__
        return {name: encode(values[name]) for name, encode in self._encoders[model] if values[name] is not None}

    def fields(self, type_: str) -> list[str]:
        """The names of the fields of a message type, given by its full name; none if it is not one of ours."""
        return next(
            ([name for name, _ in fields] for model, fields in self._encoders.items() if type_name(model) == type_), []
        )

    def message(self, record: BaseModel) -> Message:
        """Encode a record of one of the models."""
        model = type(record)
        return self._classes[model](**self._encode(model, record))


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


def _any_time(value: datetime) -> dict[str, Any]:
    time = timestamp_pb2.Timestamp()
    time.FromDatetime(value)
    return {"type_url": _TIMESTAMP_URL, "value": time.SerializeToString()}


SCHEMA = Schema(Event, Finding, Money)


def bind(event: Event, findings: Iterable[Finding]) -> dict[str, Any]:
    """The variables of one evaluation that do not depend on the policy."""
    return {"event": SCHEMA.message(event), "findings": [SCHEMA.message(finding) for finding in findings]}
