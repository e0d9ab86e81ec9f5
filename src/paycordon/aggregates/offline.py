"""Compute aggregates over a whole history at once, in DuckDB; they equal those of the store bit for bit.

Use::

    duck = duckdb.connect(path, config={"memory_limit": "1GB", "temp_directory": directory})
    create_tables(duck)
    insert(duck, ((position, seen, facts_of(event, merchant)) for …))     # as often as you like, in any order
    found = compute(duck, {"payouts_1d": definition}, ["payout.requested"])
    found.order("position").fetchmany(…)                                   # position, payouts_1d

`position` is an event's place in the order in which events were taken in, unique and positive; `seen` is up to where
that order was known when the event was judged. For a history of the store both are columns of its table `events`; for
a file they are the line's number and the number before it. `facts_of` wants the merchant that the store would have
resolved the event to, and identifiers as digests. Redelivered events may be inserted: the first one counts, and the
others get no values.

`compute` makes the table `aggregates`: one row for each event of the types asked for, with a column for each wanted
name (quote names with dots) of type BIGINT, or DOUBLE for fractions; NULL is "no value". What it costs grows with the
number of events (times its logarithm) and, for events that came late, with how many others were judged meanwhile.
Memory is the connection's business: everything here can spill.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from paycordon.aggregates.definition import Aggregate
from paycordon.aggregates.facts import Facts
from paycordon.aggregates.ranges import values_into

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

Placed = tuple[int, int, Facts]
"""`position`, `seen` and the facts of an event."""

_CHUNK = 100_000
_INTEGERS = ("mcc", "payer_hour", "payer_weekday")
_BIG = ("occurred_at", "amount")
_COLUMNS = ("position", "seen", *Facts._fields[:-1])


def create_tables(duck: DuckDBPyConnection) -> None:
    """Make the tables that `insert` fills."""
    columns = ", ".join(f"{name} {_type(name)}" for name in _COLUMNS)
    duck.execute(f"CREATE TABLE facts ({columns})")
    duck.execute("CREATE TABLE identifiers (position BIGINT, kind VARCHAR, digest VARCHAR, is_first BOOLEAN)")


def _type(name: str) -> str:
    if name in _INTEGERS:
        return "INTEGER"
    return "BIGINT" if name in ("position", "seen", *_BIG) else "VARCHAR"


def insert(duck: DuckDBPyConnection, rows: Iterable[Placed]) -> None:
    """Add events, in bulk."""
    remaining = iter(rows)
    while chunk := list(islice(remaining, _CHUNK)):
        _insert_chunk(duck, chunk)


def _insert_chunk(duck: DuckDBPyConnection, chunk: list[Placed]) -> None:
    import pyarrow

    types = {"INTEGER": pyarrow.int32(), "BIGINT": pyarrow.int64(), "VARCHAR": pyarrow.string()}
    columns = zip(*((position, seen, *facts[:-1]) for position, seen, facts in chunk), strict=True)
    arrays = [pyarrow.array(values, types[_type(name)]) for name, values in zip(_COLUMNS, columns, strict=True)]
    _insert_arrow(duck, "facts", pyarrow.table(arrays, names=list(_COLUMNS)))
    named = [named for position, _, facts in chunk for named in _identifiers(position, facts)]
    if named:
        names = ["position", "kind", "digest", "is_first"]
        arrays = [pyarrow.array(values) for values in zip(*named, strict=True)]
        _insert_arrow(duck, "identifiers", pyarrow.table(arrays, names=names))


def _identifiers(position: int, facts: Facts) -> Iterable[tuple[int, str, str, bool]]:
    for kind, digest in facts.identifiers:
        yield position, kind, digest, facts.identifier(kind) == digest


def _insert_arrow(duck: DuckDBPyConnection, table: str, rows: Any) -> None:
    duck.register("chunk", rows)
    try:
        duck.execute(f"INSERT INTO {table} SELECT * FROM chunk")  # noqa: S608  # one of the two names above
    finally:
        duck.unregister("chunk")


def compute(duck: DuckDBPyConnection, wanted: Mapping[str, Aggregate], types: Collection[str]) -> DuckDBPyRelation:
    """Compute aggregates for every event of some types.

    Args:
        duck: where `insert` put the history.
        wanted: the definitions, by the names their columns get.
        types: of the events to compute them for; not of those that are counted.

    Returns:
        The table `aggregates`; the next call replaces it.
    """
    _remove_redelivered(duck)
    duck.execute("CREATE OR REPLACE TEMP TABLE asked (type VARCHAR)")
    duck.executemany("INSERT INTO asked VALUES (?)", [[str(type_)] for type_ in types]) if types else None
    distinct = list(dict.fromkeys(wanted.values()))
    for number, definition in enumerate(distinct):
        values_into(duck, f"values_{number}", definition)
    columns = "".join(f", v{distinct.index(each)}.value AS {_quoted(name)}" for name, each in wanted.items())
    joins = "".join(f" LEFT JOIN values_{n} AS v{n} USING (position)" for n in range(len(distinct)))
    duck.execute(
        f"CREATE OR REPLACE TEMP TABLE aggregates AS SELECT position{columns} FROM facts{joins} "  # noqa: S608
        "WHERE type IN (SELECT type FROM asked)"
    )
    for number in range(len(distinct)):
        duck.execute(f"DROP TABLE values_{number}")
    return duck.table("aggregates")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _remove_redelivered(duck: DuckDBPyConnection) -> None:
    again = "SELECT position FROM facts QUALIFY row_number() OVER (PARTITION BY instance, id ORDER BY position) > 1"
    duck.execute(f"CREATE OR REPLACE TEMP TABLE again AS {again}")
    for table in ("facts", "identifiers"):
        duck.execute(f"DELETE FROM {table} WHERE position IN (SELECT position FROM again)")  # noqa: S608
    duck.execute("DROP TABLE again")
