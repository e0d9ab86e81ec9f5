"""Systematic damage to JSON, and deliveries that no gateway would send."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from pydantic import JsonValue

from paycordon.testing.harness import Statement

Path = tuple[str | int, ...]
CARD_NUMBER = "4242424242424242"
UNKNOWN = "kit_unknown_value"


def walk(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yield every place in a JSON value with what stands there, the root excepted."""
    items: Iterator[tuple[str | int, object]]
    if isinstance(value, Mapping):
        items = iter(value.items())
    elif isinstance(value, list):
        items = iter(enumerate(value))
    else:
        return
    for key, item in items:
        yield (*path, key), item
        yield from walk(item, (*path, key))


def replaced(value: object, path: Path, new: object) -> object:
    """Return the value with another at one place; only the containers on the way are copied."""
    return _edit(value, path, lambda holder, key: holder.__setitem__(key, new))


def removed(value: object, path: Path) -> object:
    """Return the value without what stands at one place; only the containers on the way are copied."""
    return _edit(value, path, lambda holder, key: holder.__delitem__(key))


def _edit(value: object, path: Path, change: Callable[[dict[object, object], object], None]) -> object:
    # A list is edited by index just as a dict is by key.
    holder = cast(
        "dict[object, object]", dict(value) if isinstance(value, Mapping) else list(cast("list[object]", value))
    )
    key, *rest = path
    if rest:
        holder[key] = _edit(holder[key], tuple(rest), change)
    else:
        change(holder, key)
    return holder


def damaged(statement: Statement) -> Iterator[tuple[str, Path, Statement]]:
    """Yield the statement with each of its places removed, nulled, given another type or an unknown value.

    Each comes with a description and the place.
    """
    for path, value in walk(statement):
        place = ".".join(map(str, path))
        yield f"without `{place}`", path, cast("Statement", removed(statement, path))
        for new in (None, *_wrong(value)):
            if new == value and type(new) is type(value):
                continue
            shown = repr(new) if len(repr(new)) < 40 else f"{repr(new)[:40]}…"
            yield f"with {shown} at `{place}`", path, cast("Statement", replaced(statement, path, new))


def _wrong(value: object) -> tuple[JsonValue, ...]:
    if isinstance(value, bool):
        return ("yes", 17)
    if isinstance(value, int | float):
        return ("seventeen", -1, 1.5, 10**30, {})
    if isinstance(value, str):
        return (17, {}, "", UNKNOWN, "x" * 5_000, "\ud800")
    if isinstance(value, Mapping):
        return ([], "text")
    return ({}, [None], "text")


def junk_values(genuine: str) -> Iterator[tuple[str, str]]:
    """Yield header values that are not signatures, each with a description, some made from a genuine value."""
    plain = {
        "empty": "",
        "blank": " ",
        "separators": ",;=:,,==",
        "not ASCII": "ü€\u0661\u200b",
        "NUL and line ends": "\x00\r\n",
        "a lone surrogate": "\ud800",
        "huge": "a" * 1_000_000,
        "many fields": "t=1," * 20_000,
        "bad base64": "v1,!!!====",
        "bad hex": "t=1,v1=zz",
        "odd hex": "t=1,v1=abc",
        "JSON": '{"t": 1}',
        "only a time": "t=1772452800",
        "percent signs": "%s%s%n",
    }
    yield from plain.items()
    yield "cut in half", genuine[: len(genuine) // 2]
    yield "without its digits", re.sub(r"\d", "", genuine)
    for number in ("NaN", "-1", "1e400", "inf", "9" * 400, "0x1", "\u0661\u0662", "²", " 1"):
        yield f"with `{number[:9]}` as its first number", re.sub(r"\d+", number, genuine, count=1)
    for empty in ("=", ":", ","):
        yield f"cut after each `{empty}`", empty.join("" for _ in genuine.split(empty))


def altered(value: str) -> Iterator[str]:
    """Yield a header value with one character changed, at places all over it."""
    # The last characters before base64 padding have bits that do not count.
    end = len(value) - 2 if value.endswith("=") else len(value)
    for index in _spread(end, 48):
        yield value[:index] + _other(value[index]) + value[index + 1 :]


def _other(character: str) -> str:
    if character.isdigit():
        return str((int(character) + 1) % 10)
    return "b" if character != "b" else "c"


def flipped(body: bytes) -> Iterator[bytes]:
    """Yield a body with one bit changed, at places all over it."""
    for index in _spread(len(body), 64):
        yield body[:index] + bytes([body[index] ^ (1 << index % 8)]) + body[index + 1 :]


def _spread(length: int, count: int) -> range:
    return range(0, length, max(1, length // count))


def odd_bodies(genuine: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield bodies that are hard to read, each with a description."""
    yield "empty", b""
    yield "blank", b" \n"
    yield "not UTF-8", b"\xff\xfe" + genuine
    yield "cut", genuine[: len(genuine) // 2]
    yield "doubled", genuine + genuine
    yield "with a byte order mark", b"\xef\xbb\xbf" + genuine
    yield "in UTF-16", genuine.decode().encode("utf-16")
    yield "a list", b"[" + genuine + b"]"
    for text in ("null", "true", "0", '"text"', "{}", "[]", "NaN", '{"id": NaN}', '{"id": "\\ud800"}'):
        yield f"`{text}`", text.encode()
    yield "an endless number", b'{"id": ' + b"1" * 10_000 + b"}"
    yield "nested without end", b"[" * 200_000
    yield "nested deeply", b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    yield "huge", b'{"id": "' + b"x" * 5_000_000 + b'"}'
