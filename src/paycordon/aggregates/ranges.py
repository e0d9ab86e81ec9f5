# ruff: noqa: S608 - the statements are put together of constants; what a policy says is in their parameters
"""The arithmetic of `paycordon.aggregates.offline`: windows as ranges of ranks.

Within one history (`k`: a merchant, a payer, an identifier …) the events that are counted, the hits, are ranked by
(occurred_at, position). The window of an event that is asked about is then a range of ranks, `lo` to `hi`, with equal
times in the order in which they came. In it are only too many: hits that had not come yet when the event was judged.
These are found (`excess`) and taken out: numbers and sums by subtraction, everything else by cutting the range there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from paycordon.aggregates.definition import IDENTIFIER, Aggregate, By, Function
from paycordon.aggregates.where import in_sql, value_in_sql

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MICROSECOND = timedelta(microseconds=1)

_ORDER = "PARTITION BY k ORDER BY occurred_at, position"
_TO_HERE = f"({_ORDER} ROWS UNBOUNDED PRECEDING)"
_BEFORE_HERE = f"({_ORDER} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
_AFTER_HERE = (
    "(PARTITION BY k ORDER BY occurred_at DESC, position DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
)
_TABLES = ("counted", "ranked", "queries", "excess", "ranges")


def values_into(duck: DuckDBPyConnection, table: str, wanted: Aggregate) -> None:
    """Make a temporary table of `position` and `value`, with no row or null where there is no value."""
    _make_counted(duck, wanted)
    _make_ranked(duck, wanted)
    _make_excess(duck)
    _make_ranges(duck)
    _make(duck, table, _VALUES[wanted.function])
    for name in _TABLES:
        duck.execute(f"DROP TABLE {name}")


def _make(duck: DuckDBPyConnection, table: str, select: str, parameters: dict[str, Any] | None = None) -> None:
    duck.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {select}", parameters)


def _make_counted(duck: DuckDBPyConnection, wanted: Aggregate) -> None:
    """`counted`: the events that are counted (`hit`) or asked about, each in the history `k` that it belongs to.

    `part` says whether it belongs to the part of a `ratio` or `share`; `v` is its amount or value.
    """
    conditions, parameters = in_sql(wanted.where, "$")
    satisfied = f"COALESCE({conditions}, FALSE)" if conditions else "TRUE"
    types = ", ".join(f"'{type_}'" for type_ in wanted.types)  # of our own enumeration
    is_share = wanted.function is Function.SHARE
    hit = f"type IN ({types})" + ("" if is_share else f" AND {satisfied}")
    part = satisfied if is_share else f"type = '{wanted.of}'"
    value = "amount" if wanted.needs_currency else "NULL"
    if wanted.function is Function.DISTINCT:
        value = value_in_sql(wanted.value)
    key, source, first = _history(wanted)
    _make(
        duck,
        "counted",
        f"SELECT * FROM (SELECT {key} AS k, position, seen, occurred_at, {value} AS v, {hit} AS hit, {part} AS part, "
        f"type IN (SELECT type FROM asked) AND {first} AS asked FROM {source}) "
        "WHERE k IS NOT NULL AND (hit OR asked)",
        parameters or None,
    )


def _history(wanted: Aggregate) -> tuple[str, str, str]:
    """The key of a history, where to read it, and which of an event's keys is the one it asks by."""
    source, first = "facts", "TRUE"
    if wanted.by.startswith(IDENTIFIER):
        kind = wanted.by.removeprefix(IDENTIFIER)  # of letters, digits and underscores, as `Aggregate` requires
        of_kind = f"(SELECT position, digest, is_first FROM identifiers WHERE kind = '{kind}')"
        key, source, first = "digest", f"facts JOIN {of_kind} USING (position)", "is_first"
    elif wanted.by == By.ACCOUNT:
        key = "merchant || chr(30) || account"  # which no merchant's id contains
    else:
        key = str(wanted.by)
    return f"{key} || chr(30) || currency" if wanted.needs_currency else key, source, first


def _make_ranked(duck: DuckDBPyConnection, wanted: Aggregate) -> None:
    """`ranked`: with ranks and running sums; `queries`: the ranges of those that are asked about.

    `newest` is the latest position among the hits before it: if that is behind `seen`, the range has too many.
    """
    weight = "CASE WHEN hit THEN v END" if wanted.function is Function.SUM else "CASE WHEN hit AND part THEN 1 END"
    sums = f"COALESCE(sum({weight}) OVER {_TO_HERE}, 0)" if wanted.function in _SUMMED else "0"
    _make(
        duck,
        "ranked",
        f"SELECT *, count(CASE WHEN hit THEN 1 END) OVER {_TO_HERE} AS h, {sums} AS s, "
        f"max(CASE WHEN hit THEN position END) OVER {_BEFORE_HERE} AS newest FROM counted",
    )
    own = "FALSE" if wanted.include_current else "hit"
    # Joined rather than framed by RANGE: DuckDB finds the ends of such frames by searches that take five times as long.
    _make(
        duck,
        "queries",
        "SELECT q.k, q.position, q.seen, COALESCE(older.h, 0) + 1 AS lo, "
        f"q.h - CASE WHEN {own} THEN 1 ELSE 0 END AS hi, q.newest, "
        f"q.s - COALESCE(older.s, 0) - COALESCE(CASE WHEN {own} THEN {weight} END, 0) AS s "
        f"FROM (SELECT *, occurred_at - {wanted.window // _MICROSECOND} AS since FROM ranked WHERE asked) AS q "
        "ASOF LEFT JOIN (SELECT k AS older_k, occurred_at AS t, max(h) AS h, max_by(s, h) AS s FROM ranked WHERE hit "
        "GROUP BY k, occurred_at) AS older ON q.k = older.older_k AND q.since >= older.t",
    )


def _make_excess(duck: DuckDBPyConnection) -> None:
    """`excess`: for each query the hits of its range that had not come yet when it was judged.

    Only hits that came after a later event was judged can be that (`late`). Among them, numbered by rank, those a query
    must look at begin with the first one whose running maximum of positions is behind its `seen`.
    """
    if duck.execute("SELECT 1 FROM queries WHERE newest > seen LIMIT 1").fetchone() is None:
        duck.execute(
            "CREATE OR REPLACE TEMP TABLE excess (position BIGINT, k VARCHAR, h BIGINT, v VARCHAR, part BOOLEAN)"
        )
        return
    _make(
        duck,
        "late",
        "SELECT *, row_number() OVER (PARTITION BY k ORDER BY h) AS n, "
        "max(position) OVER (PARTITION BY k ORDER BY h ROWS UNBOUNDED PRECEDING) AS newest_late FROM ("
        f"SELECT k, position, h, v, part, hit, min(CASE WHEN asked THEN seen END) OVER {_AFTER_HERE} AS judged "
        "FROM ranked) WHERE hit AND judged < position",
    )
    _make(
        duck,
        "excess",
        "SELECT q.position, q.k, x.h, x.v, x.part FROM ("
        "SELECT q.*, unnest(generate_series(start.n, final.n)) AS n "
        "FROM (SELECT * FROM queries WHERE newest > seen AND lo <= hi) AS q "
        "ASOF JOIN (SELECT k, n, position FROM late WHERE position = newest_late) AS start "
        "ON q.k = start.k AND q.seen < start.position "
        "ASOF JOIN late AS final ON q.k = final.k AND q.hi >= final.h"
        ") AS q JOIN late AS x ON x.k = q.k AND x.n = q.n "
        "WHERE x.position > q.seen AND x.position <> q.position AND x.h >= q.lo",
    )
    duck.execute("DROP TABLE late")


def _make_ranges(duck: DuckDBPyConnection) -> None:
    """`ranges`: what remains of each query's range when it is cut at its excess; none if nothing remains."""
    _make(
        duck,
        "ranges",
        "SELECT * FROM ("
        "SELECT position, k, lo, hi FROM queries ANTI JOIN excess USING (position) "
        "UNION ALL SELECT e.position, e.k, "
        "COALESCE(lag(e.h) OVER (PARTITION BY e.position ORDER BY e.h) + 1, q.lo) AS lo, e.h - 1 AS hi "
        "FROM excess AS e JOIN queries AS q USING (position) "
        "UNION ALL SELECT e.position, e.k, max(e.h) + 1 AS lo, any_value(q.hi) AS hi "
        "FROM excess AS e JOIN queries AS q USING (position) GROUP BY e.position, e.k"
        ") WHERE lo <= hi",
    )


def _over(function: str, hits: str, ranges: str) -> str:
    """Apply a function to the values of `hits` (p, r, v) in each of `ranges` (p, position, lo, hi): p, position, value.

    The ranges are put among the hits, each behind its last one, and look back as far as to its first one; their own
    values are null.
    """
    return (
        f"(WITH points AS MATERIALIZED (SELECT *, row_number() OVER (PARTITION BY p ORDER BY r, position NULLS FIRST) "
        f"AS n FROM (SELECT p, r, v, NULL AS lo, NULL AS position FROM ({hits}) "
        f"UNION ALL SELECT p, hi AS r, NULL AS v, lo, position FROM ({ranges}))) "
        f"SELECT p, position, value FROM (SELECT q.p, position, {function}v) OVER (PARTITION BY q.p ORDER BY q.n "
        "ROWS BETWEEN COALESCE(q.n - start.n, 0) PRECEDING AND CURRENT ROW) AS value FROM points AS q "
        "ASOF LEFT JOIN (SELECT p, r, n FROM points WHERE position IS NULL) AS start "
        "ON q.p = start.p AND q.lo <= start.r"
        ") WHERE position IS NOT NULL)"
    )


_SUMMED = frozenset({Function.SUM, Function.RATIO, Function.SHARE})
_HITS = "SELECT k AS p, h AS r, v FROM ranked WHERE hit"
_RANGES = "SELECT k AS p, position, lo, hi FROM ranges"
_TIMES = "(SELECT k, h, occurred_at AS t FROM ranked WHERE hit)"

_NUMBER = "hi - lo + 1 - COALESCE(x.n, 0)"
_LESS = "queries LEFT JOIN (SELECT position, count(*) AS n FROM excess GROUP BY position) AS x USING (position)"
_SUM_LESS = (
    "queries LEFT JOIN (SELECT position, sum(CAST(v AS HUGEINT)) AS v FROM excess GROUP BY position) AS x "
    "USING (position)"
)
_PART_LESS = (
    "queries LEFT JOIN (SELECT position, count(*) AS n, count(CASE WHEN part THEN 1 END) AS part FROM excess "
    "GROUP BY position) AS x USING (position)"
)
_FRACTION = (
    f"SELECT position, CASE WHEN whole > 0 THEN CAST(a AS DOUBLE) / CAST(whole AS DOUBLE) END AS value FROM ("
    f"SELECT position, a, {{whole}} AS whole FROM (SELECT position, s - COALESCE(x.part, 0) AS a, {_NUMBER} AS b "
    f"FROM {_PART_LESS}))"
)


def _extreme(function: str) -> str:
    return f"SELECT position, {function}(value) AS value FROM {_over(f'{function}(', _HITS, _RANGES)} GROUP BY position"


def _end(pick: str) -> str:
    """When the first or the last of what remains of each range happened; how many remain."""
    return (
        f"(SELECT position, t, n FROM (SELECT position, k, {pick} AS h, sum(hi - lo + 1) AS n FROM ranges "
        f"GROUP BY position, k) JOIN {_TIMES} USING (k, h))"
    )


def _gap(function: str) -> str:
    """Gaps inside of what remains, and those across what was cut out."""
    gaps = f"SELECT k AS p, h AS r, t - lag(t) OVER (PARTITION BY k ORDER BY h) AS v FROM {_TIMES}"
    inside = _over(f"{function}(", gaps, "SELECT k AS p, position, lo + 1 AS lo, hi FROM ranges WHERE lo < hi")
    cuts = "(SELECT position, k, lo, lag(hi) OVER (PARTITION BY position ORDER BY lo) AS until FROM ranges)"
    across = (
        f"SELECT position, b.t - a.t AS value FROM {cuts} AS c JOIN {_TIMES} AS a ON a.k = c.k AND a.h = c.until "
        f"JOIN {_TIMES} AS b ON b.k = c.k AND b.h = c.lo"
    )
    every = f"(SELECT position, value FROM {inside} UNION ALL {across})"
    return f"SELECT position, {function}(value) AS value FROM {every} GROUP BY position"


# A value is gone from a range if all its hits there are excess.
_LOST = "(SELECT position, k, v, count(*) AS n FROM excess WHERE v IS NOT NULL GROUP BY position, k, v)"
_OCCURRENCES = _over(
    "count(",
    f"SELECT (k, v) AS p, h AS r, 1 AS v FROM ranked SEMI JOIN {_LOST} USING (k, v) WHERE hit",
    f"SELECT (k, v) AS p, position, lo, hi FROM {_LOST} JOIN queries USING (position, k)",
)
_ALL = "SELECT k AS p, position, lo, hi FROM queries WHERE lo <= hi"
_DISTINCT = (
    "SELECT q.position, COALESCE(d.value, 0) - COALESCE(gone.n, 0) AS value FROM queries AS q "
    f"LEFT JOIN {_over('count(DISTINCT ', _HITS, _ALL)} AS d USING (position) LEFT JOIN ("
    f"SELECT lost.position, count(*) AS n FROM {_LOST} AS lost JOIN {_OCCURRENCES} AS o "
    "ON o.position = lost.position AND o.p = (lost.k, lost.v) AND o.value = lost.n GROUP BY lost.position"
    ") AS gone USING (position)"
)
_VALUES: Mapping[Function, str] = {
    Function.COUNT: f"SELECT position, {_NUMBER} AS value FROM {_LESS}",
    Function.SUM: "SELECT position, CAST(greatest(least(s - COALESCE(x.v, 0), 9223372036854775807), "
    f"-9223372036854775808) AS BIGINT) AS value FROM {_SUM_LESS}",
    Function.DISTINCT: _DISTINCT,
    Function.MIN: _extreme("min"),
    Function.MAX: _extreme("max"),
    Function.FIRST: f"SELECT position, t AS value FROM {_end('min(lo)')}",
    Function.LAST: f"SELECT position, t AS value FROM {_end('max(hi)')}",
    Function.GAP_MEAN: f"SELECT position, (b.t - a.t) // (n - 1) AS value FROM {_end('min(lo)')} AS a "
    f"JOIN {_end('max(hi)')} AS b USING (position, n) WHERE n > 1",
    Function.GAP_MIN: _gap("min"),
    Function.GAP_MAX: _gap("max"),
    Function.RATIO: _FRACTION.format(whole="b - a"),
    Function.SHARE: _FRACTION.format(whole="b"),
}
