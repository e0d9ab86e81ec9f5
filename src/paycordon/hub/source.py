"""Read the identifiers that a hub's list is built from, or that a member asks about: JSON Lines, CSV or one a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pydantic import ValidationError

from paycordon.cardnumbers import looks_like_card_number
from paycordon.events import Identifier, IdentifierKind

MAX_LINE = 16_384
_COLUMNS = ("kind", "value")


class LineInvalid(Exception):
    """A line cannot be used; says why, and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How lines are written: each a JSON object, a CSV row of these columns, or a value of one kind."""

    columns: tuple[str, ...] | None = None
    kind: str | None = None

    def read(self, line: str) -> Identifier:
        """Read one line.

        Raises:
            LineInvalid: it is no identifier with its plain value, or looks like a card number.
        """
        if self.kind is not None:
            return _identifier(self.kind, line.strip())
        if self.columns is None:
            return _from_json(line)
        try:
            (row,) = csv.reader([line], strict=True)
        except (csv.Error, ValueError):
            raise LineInvalid("is no CSV row of one line") from None
        if len(row) != len(self.columns):
            raise LineInvalid(f"has {len(row)} columns instead of {len(self.columns)}")
        cells = dict(zip(self.columns, row, strict=True))
        return _identifier(cells["kind"].strip(), cells["value"].strip())


def shape_of(first: str, kind: str | None) -> tuple[Shape, bool]:
    """Find out how lines are written from the first of them; tells whether that one is a header.

    Raises:
        LineInvalid: it is neither a JSON object nor a CSV header with `kind` and `value`.
    """
    if kind is not None:
        return Shape(kind=kind), False
    if first.lstrip().startswith("{"):
        return Shape(), False
    columns = tuple(each.strip() for each in next(csv.reader([first]), []))
    if not set(_COLUMNS) <= set(columns):
        raise LineInvalid("is neither a JSON object nor a CSV header with the columns `kind` and `value`")
    return Shape(columns=columns), True


def lines_of(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Return the lines that are not empty, with their numbers from 1; a line too long is cut and so refused later."""
    for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE + 1), b""), start=1):
        if line.strip():
            yield number, line


def text_of(line: bytes) -> str:
    """Decode a line.

    Raises:
        LineInvalid: it is too long or not UTF-8.
    """
    if len(line) > MAX_LINE:
        raise LineInvalid(f"is longer than {MAX_LINE} bytes")
    try:
        return line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError:
        raise LineInvalid("is not UTF-8") from None


def _from_json(line: str) -> Identifier:
    try:
        found = json.loads(line)
        return _identifier(found["kind"], found["value"])
    except (ValueError, RecursionError):
        raise LineInvalid("is no JSON object of one line") from None
    except (KeyError, TypeError):
        raise LineInvalid("has no `kind` and plain `value`") from None


def _identifier(kind: str, value: str) -> Identifier:
    if kind not in (IdentifierKind.IBAN, IdentifierKind.PHONE) and looks_like_card_number(value):
        raise LineInvalid("looks like a card number, which is never taken")
    try:
        return Identifier(kind=kind, value=value)
    except ValidationError as invalid:
        field = invalid.errors(include_url=False, include_input=False)[0]["loc"]
        raise LineInvalid("has a `kind` that is none" if "kind" in field else "has no usable `value`") from None
