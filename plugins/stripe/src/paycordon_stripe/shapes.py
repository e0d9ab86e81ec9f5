"""Read JSON whose shape is only promised: every field by its type, every surprise a `PayloadInvalid`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

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

    def time(self, key: str) -> datetime | None:
        """Return seconds since 1970 as a time in UTC, or nothing."""
        seconds = self.integer(key)
        if seconds is None:
            return None
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (OverflowError, OSError, ValueError):
            raise self._wrong(key, "a time") from None

    def reference(self, key: str) -> str | None:
        """Return the id of another object, which Stripe gives plain or, when expanded, as the object itself."""
        if isinstance(self._fields.get(key), Mapping):
            return self.child(key).text("id")
        return self.text(key)

    def expanded(self, key: str) -> Node:
        """Return another object where Stripe has expanded it; where it gives only the id there are no fields."""
        return self.child(key) if isinstance(self._fields.get(key), Mapping) else Node(None, f"{self._path}.{key}")

    def child(self, key: str) -> Node:
        """Return an inner object; an absent one has no fields."""
        return Node(self._fields.get(key), f"{self._path}.{key}")

    def items(self, key: str) -> list[Node]:
        """Return the objects of one of Stripe's lists (`{"data": [...]}`)."""
        inner = self.child(key)
        values = inner._fields.get("data")
        if values is None:
            return []
        if not isinstance(values, list):
            raise inner._wrong("data", "a list")
        return [Node(value, f"{self._path}.{key}.data[{index}]") for index, value in enumerate(values)]
