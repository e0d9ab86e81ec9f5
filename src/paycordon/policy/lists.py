"""Lists of texts that rules look values up in: from the policy itself, from a file beside it, or from the store."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from paycordon.documents import lower_first
from paycordon.errors import PolicyError, Position
from paycordon.policy.document import ListDocument, ListItem

MAX_ITEMS = 1_000_000
_COLUMNS = ("value", "until", "reason")

Items = Mapping[str, datetime | None]
"""The values of a list, each with the moment from which it no longer counts."""


def items_of(written: ListDocument) -> Items:
    """Return the items that are written in the policy itself; the last of several entries for one value counts."""
    return {item.value: item.until for item in written.items or ()}


def items_from(content: bytes, file: Path | str) -> Items:
    """Read a CSV file with a header: `value`, and optionally `until` (a date or a time with a zone) and `reason`.

    Raises:
        PolicyError: it is not UTF-8, has another header, too many rows, or a row that cannot be read; with its line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PolicyError("the list is not UTF-8", position=Position(file), hint="save it as UTF-8") from None
    rows = csv.DictReader(io.StringIO(text), strict=True)
    items: dict[str, datetime | None] = {}
    try:
        _check_header(rows, file)
        for row in rows:
            item = _item(row, Position(file, rows.line_num))
            items[item.value] = item.until
            if len(items) > MAX_ITEMS:
                raise PolicyError(f"the list has more than {MAX_ITEMS:,} items", position=Position(file))
    except csv.Error as error:
        raise PolicyError(f"no CSV: {error}", position=Position(file, max(rows.line_num, 1))) from None
    return items


def _check_header(rows: csv.DictReader[str], file: Path | str) -> None:
    names = rows.fieldnames or ()
    if "value" not in names or set(names) - set(_COLUMNS):
        hint = f"the first line names the columns: {','.join(_COLUMNS)}"
        message = "a list needs the column `value`, and takes `until` and `reason`"
        raise PolicyError(message, position=Position(file, 1), hint=hint)


def _item(row: Mapping[str | None, str | None], position: Position) -> ListItem:
    if None in row or None in row.values():
        raise PolicyError("the row has more or fewer columns than the header", position=position)
    try:
        return ListItem.model_validate({name: text for name, text in row.items() if name == "value" or text})
    except ValidationError as invalid:
        detail = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
        message = lower_first(detail["msg"].removeprefix("Value error, ").removeprefix("Input "))
        raise PolicyError(f"`{detail['loc'][0]}`: {message}", position=position) from None
