"""Stripe's JSON: what it has beyond the fields that any gateway's has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

from paycordon.adapting import fields
from paycordon.errors import PayloadInvalid


class Node(fields.Node):
    """One JSON object of Stripe's; times are seconds since 1970, references are ids or the objects themselves."""

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

    def items(self, key: str) -> list[Self]:
        """Return the objects of one of Stripe's lists (`{"data": [...]}`)."""
        return self.child(key).children("data")


def object_of(envelope: Node) -> Node:
    """Return the object that a snapshot event is about.

    Raises:
        PayloadInvalid: there is none.
    """
    found = envelope.child("data").child("object")
    if not found:
        raise PayloadInvalid("`event.data.object` is missing")
    return found
