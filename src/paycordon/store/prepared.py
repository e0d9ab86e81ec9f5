"""Statements compiled once and given to the driver as text.

SQLAlchemy builds a context, a result and its metadata for each execution. On the screening path, a dozen short
statements a decision, that was more than the database's own work: 45 µs for a cached Core execution, 25 µs for
`exec_driver_sql`, 5 µs for the driver alone, on SQLite. Dialects, pooling and transactions stay SQLAlchemy's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement

Parameters = Mapping[str, Any]
Row = tuple[Any, ...]


class Rows:
    """What a statement returned, all of it: these statements return few rows."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: Sequence[Row], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def first(self) -> Row | None:
        """Return the first row, if there is one."""
        return self._rows[0] if self._rows else None

    def all(self) -> Sequence[Row]:
        """Return all rows."""
        return self._rows

    def one(self) -> Row:
        """Return the only row."""
        (row,) = self._rows
        return row

    def scalar(self) -> Any:
        """Return the first column of the first row, or none."""
        return self._rows[0][0] if self._rows else None

    def scalars(self) -> list[Any]:
        """Return the first column of each row."""
        return [row[0] for row in self._rows]


class Prepared:
    """A Core statement that is compiled once for each dialect."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, Sequence[str] | None]] = {}

    def __call__(self, connection: Connection, parameters: Parameters | None = None) -> Rows:
        """Execute with one set of named parameters.

        Raises:
            Exception: the driver's own; `Store` turns those that mean an unusable database into `StoreUnavailable`.
        """
        text, order = self._text(connection.dialect)
        given = parameters or {}
        cursor = _cursor(connection)
        try:
            cursor.execute(text, [given[name] for name in order] if order is not None else given)
            return Rows(cursor.fetchall() if cursor.description else (), cursor.rowcount)
        finally:
            cursor.close()

    def many(self, connection: Connection, rows: Sequence[Parameters]) -> None:
        """Execute once for each set of parameters; does nothing when there is none."""
        if not rows:
            return
        text, order = self._text(connection.dialect)
        cursor = _cursor(connection)
        try:
            cursor.executemany(text, [[row[name] for name in order] for row in rows] if order is not None else rows)
        finally:
            cursor.close()

    def _text(self, dialect: Dialect) -> tuple[str, Sequence[str] | None]:
        found = self._compiled.get(dialect.name)
        if found is None:
            assert isinstance(self._statement, ClauseElement)  # noqa: S101  # narrows the type; every statement is one
            compiled: Any = self._statement.compile(dialect=dialect)
            found = (str(compiled), compiled.positiontup)
            self._compiled[dialect.name] = found
        return found


def _cursor(connection: Connection) -> Any:
    driver: Any = connection.connection.driver_connection
    return driver.cursor()
