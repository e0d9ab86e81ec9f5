"""The files between the steps of a backtest: Parquet, each written as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import from_json, to_json

_NOTES = b"paycordon"

_IDENTIFIER = pa.struct([("kind", pa.string()), ("digest", pa.string()), ("is_first", pa.bool_())])

TAKEN = pa.schema(
    [
        ("position", pa.int64()),
        ("seen", pa.int64()),
        ("is_resolved", pa.bool_()),  # whether `merchant` is more than the account standing for itself
        ("at_gateway", pa.bool_()),
        ("stage", pa.string()),
        ("home", pa.string()),  # the country of the merchant, else of the account
        ("instance", pa.string()),
        ("id", pa.string()),
        ("type", pa.string()),
        ("merchant", pa.string()),
        ("account", pa.string()),
        ("occurred_at", pa.int64()),
        ("amount", pa.int64()),
        ("currency", pa.string()),
        ("payer", pa.string()),
        ("destination", pa.string()),
        ("method", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("payer_country", pa.string()),
        ("country", pa.string()),
        ("mcc", pa.int32()),
        ("payer_hour", pa.int32()),
        ("payer_weekday", pa.int32()),
        ("identifiers", pa.list_(_IDENTIFIER)),
        ("event", pa.string()),
        ("findings", pa.string()),
        ("check_errors", pa.string()),
        ("standing", pa.string()),
    ]
)
"""An event of a history. The last four are there only for events that are judged."""


def judged_schema(sides: Iterable[str]) -> pa.Schema:
    """What policy sets, by the names of the sides, made of each judged event.

    `rules` are those that matched in force, as `policy/rule`; `evaluation` is the whole of it as JSON.
    """
    return pa.schema(
        [
            ("position", pa.int64()),
            *(
                (f"{side}_{name}", type_)
                for side in sides
                for name, type_ in (
                    ("outcome", pa.string()),
                    ("shadow", pa.string()),
                    ("rules", pa.list_(pa.string())),
                    ("unclear", pa.bool_()),  # whether a rule had no answer
                    ("evaluation", pa.string()),
                )
            ),
        ]
    )


def write(path: Path, schema: pa.Schema, rows: Sequence[tuple[Any, ...]], notes: Mapping[str, Any]) -> None:
    """Write rows and notes; after a crash the file is whole or not there."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=schema.with_metadata({_NOTES: to_json(notes)}))
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        pq.write_table(table, file, compression="zstd", compression_level=1, row_group_size=len(rows) or 1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def notes_of(path: Path) -> dict[str, Any]:
    """Return the notes of a written file."""
    metadata = pq.read_schema(path).metadata or {}
    notes: dict[str, Any] = from_json(metadata[_NOTES])
    return notes


def read(path: Path, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return rows of a written file."""
    with pq.ParquetFile(path) as file:
        # One thread: processes share the work, and a thread for each processor would take memory nobody allowed.
        table = file.read(columns=list(columns), use_threads=False)
    return list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))
