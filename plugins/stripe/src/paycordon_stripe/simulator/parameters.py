"""What parameters Stripe takes, read from the types its own SDK declares for each call.

Unknown names, unknown values of closed lists and texts where numbers belong are 400, as at Stripe. Forms carry texts
only, so texts are turned into the numbers and booleans that the types ask for.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from paycordon_stripe.simulator.problems import Problem, bad, missing

_OPTIONS = "RequestOptions"
_OF_OPTIONS = {"Mapping": dict, "StripeContext": Any}  # named by the types of those options, which are left out
_SCALARS = {"str": str, "int": int, "bool": bool, "float": float}


def typed(values: dict[str, Any], call: str) -> dict[str, Any]:
    """Return parameters with the types that a call declares: `PayoutCreateParams`, `v2.core.AccountUpdateParams`.

    Raises:
        Problem: Stripe would not take them.
    """
    return _mapping(values, _declared(call), "")


def prepare(calls: Iterable[str]) -> None:
    """Read the types of these calls now: the SDK takes most of a second to import, which no request should wait for."""
    for call in calls:
        _fields(_declared(call))


def _declared(call: str) -> Any:
    package, _, name = call.rpartition(".")
    if package == "OAuth":
        return getattr(import_module("stripe").OAuth, name)
    return getattr(import_module(f"stripe.params.{package}" if package else "stripe.params"), name)


@cache
def _fields(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the fields of a declared mapping with their types, and the names of those that have to be there."""
    # Some of the types inherit the SDK's own options of a request, which it does not send as parameters.
    inherits = any(base.__name__ == _OPTIONS for base in getattr(kind, "__orig_bases__", ()))
    options = import_module("stripe._request_options").RequestOptions.__annotations__ if inherits else {}
    hints = get_type_hints(kind, localns=_OF_OPTIONS)
    known = {name: hint for name, hint in hints.items() if name not in options}
    return known, frozenset(kind.__required_keys__ - options.keys())


def _is_object(kind: Any) -> bool:
    return hasattr(kind, "__required_keys__")


def _mapping(values: Any, kind: Any, path: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise bad(path, "Invalid object")
    known, needed = _fields(kind)
    for name in values.keys() - known.keys():
        raise _unknown(_inner(path, name))
    for name in sorted(needed - values.keys()):
        raise missing(_inner(path, name))
    return {name: _value(value, known[name], _inner(path, name)) for name, value in values.items()}


def _value(value: Any, kind: Any, path: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _first_that_fits(value, get_args(kind), path)
    if origin is Literal:
        if value not in get_args(kind):
            raise bad(path, f"Invalid {path}: must be one of {', '.join(map(str, get_args(kind)))}")
        return value
    if origin in (list, tuple) or kind is list:
        return _list(value, get_args(kind), path)
    if origin is dict:
        return _dictionary(value, get_args(kind)[1], path)
    if _is_object(kind):
        return _mapping(value, kind, path)
    return _scalar(value, kind, path)


def _first_that_fits(value: Any, kinds: tuple[Any, ...], path: str) -> Any:
    worst: Problem | None = None
    for kind in kinds:
        try:
            return _value(value, kind, path)
        except Problem as problem:
            # What is wrong inside an object says more than that it is no object.
            if worst is None or _is_object(kind):
                worst = problem
    raise worst or bad(path, "Invalid value")


def _list(value: Any, kinds: tuple[Any, ...], path: str) -> list[Any]:
    if not isinstance(value, list):
        raise bad(path, "Invalid array")
    kind = kinds[0] if kinds else Any
    return [_value(inner, kind, f"{path}[{index}]") for index, inner in enumerate(value)]


def _dictionary(value: Any, kind: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise bad(path, "Invalid object")
    return {key: _value(inner, kind, _inner(path, key)) for key, inner in value.items()}


def _scalar(value: Any, kind: Any, path: str) -> Any:
    name = getattr(kind, "__name__", "")
    if kind is NoneType:
        if value is not None:
            raise bad(path, "Invalid value")
        return None
    if name == "UntypedStripeObject":
        raise bad(path, "Invalid object")
    if name not in _SCALARS:
        return value
    if isinstance(value, _SCALARS[name]) and not (name == "int" and isinstance(value, bool)):
        return value
    if isinstance(value, str):
        return _read(value, name, path)
    raise bad(path, f"Invalid {name}")


def _read(text: str, name: str, path: str) -> Any:
    if name == "bool":
        if text not in ("true", "false"):
            raise bad(path, f"Invalid boolean: {text}")
        return text == "true"
    try:
        return int(text) if name == "int" else float(text)
    except ValueError:
        raise bad(path, f"Invalid {name}: {text}", f"parameter_invalid_{name}eger" if name == "int" else "") from None


def _unknown(path: str) -> Problem:
    return bad(path, f"Received unknown parameter: {path}", "parameter_unknown")


def _inner(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name
