"""Read JSON whose shape is only promised: every field by its type, every surprise a `PayloadInvalid`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

from pydantic import ValidationError

from paycordon.cardnumbers import looks_like_card_number
from paycordon.errors import PayloadInvalid

_NO_FIELDS: Mapping[str, object] = {}


class Node:
    """One JSON object.

    Absent, `null` and empty text are the same: nothing there. A field of another type than asked for is an error that
    names the field and never repeats its value.

    Raises:
        PayloadInvalid: from every method, when the field has another type.
    """

    def __init__(self, value: object, path: str) -> None:
        if value is None:
            value = _NO_FIELDS
        if not isinstance(value, Mapping):
            raise PayloadInvalid(f"`{path}` is not an object")
        self._fields: Mapping[str, object] = value
        self._path = path

    def __bool__(self) -> bool:
        return bool(self._fields)

    def fields(self) -> Mapping[str, object]:
        """Return the fields as they are, for a reader that checks them itself."""
        return self._fields

    def keys(self) -> list[str]:
        """Return the names of the fields, sorted."""
        return sorted(str(key) for key in self._fields)

    def _wrong(self, key: str, expected: str) -> PayloadInvalid:
        return PayloadInvalid(f"`{self._path}.{key}` is not {expected}")

    def text(self, key: str) -> str | None:
        """Return a text, or nothing."""
        value = self._fields.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self._wrong(key, "a text")
        return value

    def needed_text(self, key: str) -> str:
        """Return a text that must be there."""
        value = self.text(key)
        if value is None:
            raise PayloadInvalid(f"`{self._path}.{key}` is missing")
        return value

    def integer(self, key: str) -> int | None:
        """Return a whole number, or nothing."""
        value = self._fields.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, "a whole number")
        return value

    def needed_integer(self, key: str) -> int:
        """Return a whole number that must be there."""
        value = self.integer(key)
        if value is None:
            raise PayloadInvalid(f"`{self._path}.{key}` is missing")
        return value

    def flag(self, key: str) -> bool | None:
        """Return true, false, or nothing."""
        value = self._fields.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def moment(self, key: str) -> datetime | None:
        """Return a time in ISO 8601 with its offset, as a time in UTC, or nothing."""
        text = self.text(key)
        if text is None:
            return None
        try:
            found = datetime.fromisoformat(text)
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        except (OverflowError, ValueError):
            raise self._wrong(key, "a time") from None

    def child(self, key: str) -> Self:
        """Return an inner object; an absent one has no fields."""
        return type(self)(self._fields.get(key), f"{self._path}.{key}")

    def children(self, key: str) -> list[Self]:
        """Return the objects of a list; an absent one is empty."""
        values = self._fields.get(key)
        if values is None:
            return []
        if not isinstance(values, list):
            raise self._wrong(key, "a list")
        return [type(self)(value, f"{self._path}.{key}[{index}]") for index, value in enumerate(values)]


def problems(error: ValidationError) -> str:
    """Name the fields a validation refused, without their values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"`{'.'.join(map(str, e['loc'])) or 'event'}`: {e['msg']}" for e in found[:3])


def without_card_numbers(value: object) -> object:
    """Return JSON without the texts that look like card numbers: one of them must not keep the rest from being read."""
    if isinstance(value, Mapping):
        return {key: without_card_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_card_numbers(item) for item in value]
    return None if isinstance(value, str) and looks_like_card_number(value) else value
