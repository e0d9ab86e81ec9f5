"""All events of a history in one database: duplicates left out, merchants resolved, aggregates computed."""

# ruff: noqa: S608  # statements are put together from names of columns, sides and tables, never from what was read

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paycordon.aggregates import Aggregate, Kind, offline
from paycordon.aggregates.facts import Facts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FACTS = [name for name in Facts._fields if name not in ("merchant", "identifiers")]

# An event whose id was taken in before says nothing new.
_AGAIN = """
CREATE TEMP TABLE again AS
SELECT position FROM taken JOIN (
    SELECT instance, id, min(position) AS first FROM taken GROUP BY instance, id HAVING count(*) > 1
) USING (instance, id) WHERE position > first
"""
# As the store does it: the word of the event, else whom the account was linked to by the events before, else itself.
# Only accounts with an event that does not name its merchant have to be looked at.
_LINKED = """
CREATE TEMP TABLE linked AS
SELECT position, last_value(CASE WHEN is_resolved AND at_gateway THEN merchant END IGNORE NULLS) OVER (
    PARTITION BY account ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
) AS merchant
FROM taken
WHERE account IN (SELECT account FROM taken WHERE NOT is_resolved) AND position NOT IN (SELECT position FROM again)
"""
_EVENTS = """
CREATE TABLE events AS
SELECT t.position, t.seen, t.stage, t.type, t.instance, t.id, t.occurred_at, t.amount, t.currency, t.home, t.mcc,
    t.event IS NOT NULL AS is_judged,
    CASE WHEN t.is_resolved THEN t.merchant ELSE coalesce(l.merchant, t.merchant) END AS merchant
FROM taken AS t LEFT JOIN linked AS l USING (position)
WHERE t.position NOT IN (SELECT position FROM again)
ORDER BY t.position
"""


def stage(duck: DuckDBPyConnection, files: Sequence[Path]) -> None:
    """Make the tables `events`, and those of `paycordon.aggregates.offline`, unless they are there already."""
    if "events" in _tables(duck):
        return
    duck.execute("BEGIN")
    duck.execute(f"CREATE TEMP VIEW taken AS FROM read_parquet({listed(files)})")
    for statement in (_AGAIN, _LINKED, _EVENTS):
        duck.execute(statement)
    offline.create_tables(duck)
    columns = ", ".join(_FACTS)
    duck.execute(
        f"INSERT INTO facts (position, seen, merchant, {columns}) "
        f"SELECT t.position, t.seen, e.merchant, {', '.join(f't.{name}' for name in _FACTS)} "
        "FROM taken AS t JOIN events AS e USING (position)"
    )
    duck.execute(
        "INSERT INTO identifiers (position, kind, digest, is_first) "
        "SELECT position, i.kind, i.digest, i.is_first FROM "
        "(SELECT position, unnest(identifiers) AS i FROM taken WHERE len(identifiers) > 0) "
        "JOIN events USING (position)"
    )
    duck.execute("COMMIT")
    for kind, name in (("VIEW", "taken"), ("TABLE", "again"), ("TABLE", "linked")):
        duck.execute(f"DROP {kind} {name}")


def add_aggregates(
    duck: DuckDBPyConnection, table: str, wanted: Mapping[str, Aggregate], types: Collection[str]
) -> None:
    """Make a table of `position` and one column for each aggregate, unless it is there already."""
    if table in _tables(duck):
        return
    offline.compute(duck, wanted, types)
    columns = "".join(f", {name}::{_type(each)} AS {name}" for name, each in wanted.items())
    duck.execute(f"CREATE TABLE {table} AS SELECT position{columns} FROM aggregates ORDER BY position")
    duck.execute("DROP TABLE aggregates")


def _type(aggregate: Aggregate) -> str:
    return "DOUBLE" if aggregate.kind is Kind.FRACTION else "BIGINT"


def _tables(duck: DuckDBPyConnection) -> set[str]:
    return {name for (name,) in duck.execute("SELECT table_name FROM duckdb_tables()").fetchall()}


def listed(files: Sequence[Path]) -> str:
    """Write paths as a list in SQL."""
    return "[" + ", ".join("'" + str(file).replace("'", "''") + "'" for file in files) + "]"
