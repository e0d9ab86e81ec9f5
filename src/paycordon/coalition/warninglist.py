"""The warning list: identifiers that very many share, so that an indicator on one of them must not match everyone.

Mailbox providers, hosting and link services, banks, networks of content delivery. The shipped list is short and holds
what is public; a deployment adds its own, such as the IBAN that a payout service uses for all its customers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from paycordon.coalition import networks, normalisers
from paycordon.errors import ConfigError, Position
from paycordon.events import Identifier, IdentifierKind

_SHIPPED = Path(__file__).parent / "warninglist.csv"
_COLUMNS = ("kind", "value", "label")


@dataclass(frozen=True, slots=True)
class Entry:
    """One identifier that names no one in particular.

    Attributes:
        kind: of identifier, such as `domain`.
        form: its one spelling.
        label: why it is shared, such as `mailbox provider`; findings say it.
    """

    kind: str
    form: str
    label: str


@cache
def shipped() -> tuple[Entry, ...]:
    """Return the list that comes with the package."""
    return tuple(read(_SHIPPED))


def read(path: Path) -> Iterator[Entry]:
    """Read a list: CSV in UTF-8 with the columns `kind`, `value` and `label`; lines that begin with `#` are left out.

    Raises:
        ConfigError: the file cannot be read, or a line of it cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("the warning list cannot be read", position=Position(path)) from error
    lines = text.splitlines()
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not rows or tuple(next(csv.reader([rows[0][1]]))) != _COLUMNS:
        hint = f"the first line is `{','.join(_COLUMNS)}`"
        raise ConfigError("the warning list has no columns that are known", position=Position(path, 1), hint=hint)
    for number, line in rows[1:]:
        yield from _entries(next(csv.reader([line])), Position(path, number))


def _entries(row: list[str], position: Position) -> Iterable[Entry]:
    if len(row) != len(_COLUMNS) or not all(cell.strip() for cell in row):
        raise ConfigError(f"the line has not the columns {', '.join(_COLUMNS)}", position=position)
    kind, value, label = (cell.strip() for cell in row)
    identifier = Identifier.model_construct(kind=kind, value=value, digest=None)
    form = normalisers.full_form(identifier)
    if form is None:
        raise ConfigError(f"the value is no `{kind}`", position=position)
    try:
        forms = networks.parts(form, wide=True) if kind == IdentifierKind.IP else [form]
    except ValueError as error:
        raise ConfigError(f"the value {error}", position=position) from None
    return [Entry(kind, each, label) for each in forms]
