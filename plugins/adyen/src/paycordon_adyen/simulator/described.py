"""What requests Adyen takes, after its published descriptions (MIT), of which `requests.json` is an extract.

Unknown fields, unknown values of closed lists, missing fields and wrong types are 422, as at Adyen. Texts are not
looked into: formats and patterns are not checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from paycordon_adyen.simulator.problems import InvalidField, Problem

FILE = Path(__file__).with_name("requests.json")
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
Schema = dict[str, Any]


@cache
def _descriptions() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def prepare() -> None:
    """Read the descriptions now, which no request should wait for."""
    _descriptions()


def check_body(operation: str, body: Any, *, partial: bool = False) -> None:
    """Hold the body of a request to its description.

    Args:
        operation: method and path, `*` for an id: `POST /bcl/v2/accountHolders`.
        body: as it was read.
        partial: whether fields may be missing that the description asks for.

    Raises:
        Problem: Adyen would not take it.
    """
    schema = _descriptions()["operations"][operation].get("body")
    if schema is None:
        return
    found = [each for each in _wrong(body, schema, "") if not (partial and each.message == _MISSING)]
    if found:
        raise Problem(422, f"{found[0].name}: {found[0].message}", code="30_031", fields=found)


def check_fields(of: str, fields: dict[str, Any]) -> None:
    """Hold some fields of a request to its description: `bcl.CreateSweepConfigurationV2`.

    Raises:
        Problem: Adyen would not take one of them.
    """
    found = [each for each in _wrong(fields, {"$ref": of}, "") if each.message != _MISSING]
    if found:
        raise Problem(422, f"{found[0].name}: {found[0].message}", code="30_031", fields=found)


def checked_query(operation: str, query: dict[str, str]) -> dict[str, Any]:
    """Return the parameters of a query with the types that the description asks for; it takes no others.

    Raises:
        Problem: Adyen would not take them.
    """
    described = _descriptions()["operations"][operation]
    known = described.get("query", {})
    read: dict[str, Any] = {}
    wrong = [InvalidField(name, "", _MISSING) for name in described.get("needed", ()) if name not in query]
    for name, text in query.items():
        if name not in known:
            wrong.append(InvalidField(name, text, _UNKNOWN))
            continue
        read[name] = _read(text, known[name].get("type"))
        wrong += _wrong(read[name], known[name], name)
    if wrong:
        raise Problem(422, f"{wrong[0].name}: {wrong[0].message}", code="30_031", fields=wrong)
    return read


def _read(text: str, type_: Any) -> Any:
    if type_ == "array":
        return text.split(",")
    return int(text) if type_ == "integer" and text.isdecimal() else text


_MISSING = "is required"
_UNKNOWN = "is not a known field"


def _wrong(value: Any, schema: Schema, path: str) -> Iterator[InvalidField]:
    if "$ref" in schema:
        yield from _wrong(value, _descriptions()["schemas"][schema["$ref"]], path)
    elif "oneOf" in schema or "anyOf" in schema:
        yield from _fits_none(value, schema.get("oneOf") or schema["anyOf"], path)
    else:
        yield from _plainly_wrong(value, schema, path)
        for part in schema.get("allOf", ()):
            yield from _wrong(value, part, path)


def _fits_none(value: Any, options: list[Schema], path: str) -> Iterator[InvalidField]:
    tried = [list(_wrong(value, option, path)) for option in options]
    if all(tried):
        yield from min(tried, key=len)


def _plainly_wrong(value: Any, schema: Schema, path: str) -> Iterator[InvalidField]:
    types = schema.get("type", [])
    if types and not any(_is(value, each) for each in ([types] if isinstance(types, str) else types)):
        yield InvalidField(path, _shown(value), f"must be of type {types}")
    elif "enum" in schema and value not in schema["enum"]:
        yield InvalidField(path, _shown(value), f"must be one of {', '.join(map(str, schema['enum']))}")
    elif isinstance(value, dict):
        yield from _object_wrong(value, schema, path)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _wrong(each, schema.get("items", {}), f"{path}[{index}]")
    else:
        yield from _out_of_bounds(value, schema, path)


def _object_wrong(value: dict[str, Any], schema: Schema, path: str) -> Iterator[InvalidField]:
    known, more = schema.get("properties", {}), schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in value:
            yield InvalidField(_inner(path, name), "", _MISSING)
    for name, inner in value.items():
        if name in known:
            yield from _wrong(inner, known[name], _inner(path, name))
        elif isinstance(more, dict):
            yield from _wrong(inner, more, _inner(path, name))
        elif known or more is False:
            yield InvalidField(_inner(path, name), _shown(inner), _UNKNOWN)


def _out_of_bounds(value: Any, schema: Schema, path: str) -> Iterator[InvalidField]:
    size = len(value) if isinstance(value, str) else value
    names = ("minLength", "maxLength") if isinstance(value, str) else ("minimum", "maximum")
    low, high = (schema.get(name) for name in names)
    if (low is not None and size < low) or (high is not None and size > high):
        yield InvalidField(path, _shown(value), "is out of bounds")


def _is(value: Any, type_: str) -> bool:
    if isinstance(value, bool):
        return type_ == "boolean"
    return isinstance(value, _TYPES[type_])


def _inner(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)[:200]
