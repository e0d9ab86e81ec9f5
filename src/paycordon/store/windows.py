"""Compute aggregates for an event that is about to be judged, from the facts of what was recorded before.

Every window is one range of the table `facts`. Numbers and amounts of a merchant over a long window are read by whole
hours from the table `hours`, and only the two incomplete hours at its ends event by event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, text

from paycordon.aggregates.definition import IDENTIFIER, Aggregate, By, Column, Function, Number
from paycordon.aggregates.facts import Facts, facts_of
from paycordon.aggregates.where import in_sql, matches, value_in_sql, value_of
from paycordon.events import Event
from paycordon.store.facts import HOUR, key_by
from paycordon.store.prepared import Prepared

_LARGEST = 2**63 - 1  # what an expression of a rule can compute with
_HOURS_FROM = timedelta(hours=6)  # in a shorter window the two edges are most of it
_MICROSECOND = timedelta(microseconds=1)

_Values = Sequence[Any]

# What each function selects from events one by one. Sums are made in halves of 32 bits: a sum of 64-bit integers
# overflows on SQLite, and the merchant could not be screened again.
_SELECT = {
    Function.COUNT: "COUNT(*)",
    Function.SUM: "COALESCE(SUM(amount & 4294967295), 0), COALESCE(SUM(amount >> 32), 0)",
    Function.DISTINCT: "COUNT(DISTINCT {value}), COALESCE(MAX(CASE WHEN {value} = :current THEN 1 ELSE 0 END), 0)",
    Function.MIN: "MIN(amount)",
    Function.MAX: "MAX(amount)",
    Function.FIRST: "MIN(occurred_at)",
    Function.LAST: "MAX(occurred_at)",
    Function.GAP_MEAN: "COUNT(*), MIN(occurred_at), MAX(occurred_at)",
    Function.GAP_MIN: "MIN(gap), MAX(occurred_at)",
    Function.GAP_MAX: "MAX(gap), MAX(occurred_at)",
    Function.RATIO: "COUNT(*)",
    Function.SHARE: "COALESCE(SUM(CASE WHEN {conditions} THEN 1 ELSE 0 END), 0), COUNT(*)",
}
# What they select when hours were summed up beforehand.
_SELECT_HOURS = {
    Function.COUNT: "COALESCE(SUM(events), 0)",
    Function.SUM: "COALESCE(SUM(low), 0), COALESCE(SUM(high), 0)",
    Function.MIN: "MIN(smallest)",
    Function.MAX: "MAX(largest)",
    Function.RATIO: "COALESCE(SUM(events), 0)",
}
_WINDOW = "facts WHERE key IN ({keys}) AND type = :{type} AND occurred_at > :since AND occurred_at <= :until{more}"
_GAPS = (
    "(SELECT occurred_at, occurred_at - LAG(occurred_at) OVER (ORDER BY occurred_at, position) AS gap FROM {window}) "
    "AS gaps"
)
_EDGE = (
    "SELECT 1, amount & 4294967295, amount >> 32, amount, amount FROM facts WHERE key = :key AND type = :{type} "
    "AND occurred_at >= {start} AND occurred_at < {end}{more}"
)
_HOURS = (
    "(SELECT events, low, high, smallest, largest FROM hours WHERE merchant = :merchant AND type = :{type} "
    "AND hour >= :first_hour AND hour < :end_hour{more} UNION ALL {early} UNION ALL {late}) AS parts"
)


def aggregate(
    connection: Connection,
    event: Event,
    merchant: str,
    wanted: Mapping[str, Aggregate],
    older: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> dict[str, Number]:
    """Compute aggregates for an event that is not recorded yet, over everything that is.

    Args:
        connection: in a transaction that sees one consistent state.
        event: with its identifiers as digests.
        merchant: the merchant it was resolved to.
        wanted: the definitions, by any names.
        older: by digest of an identifier, the digests that it had before; their events are its own.
    """
    if not wanted:
        return {}
    facts = facts_of(event, merchant)
    computed: dict[Aggregate, Number] = {}
    for definition in wanted.values():
        if definition not in computed:
            computed[definition] = _value(connection, facts, definition, older)
    return {name: computed[definition] for name, definition in wanted.items()}


def _value(connection: Connection, facts: Facts, wanted: Aggregate, older: Mapping[str, tuple[str, ...]]) -> Number:
    key = key_by(facts, wanted.by)
    if key is None or (wanted.needs_currency and facts.currency is None):
        return None
    before = older.get(key.removeprefix(f"{wanted.by}:"), ()) if older and wanted.by.startswith(IDENTIFIER) else ()
    query = _query(wanted, 1 + len(before))
    values = query.statement(connection, query.parameters | _place(facts, query, key, before, wanted.by)).one()
    return _FINISH[wanted.function]([None if v is None else int(v) for v in values], facts, wanted)


@dataclass(frozen=True, slots=True)
class _Query:
    """The statement of one aggregate, with the parameters that are the same for every event."""

    statement: Prepared
    parameters: dict[str, Any]
    window: int
    value: Column


@lru_cache(maxsize=10_000)
def _query(wanted: Aggregate, keys: int = 1) -> _Query:
    conditions, parameters = in_sql(wanted.where, ":")
    types = {"type": wanted.of.value, "per": wanted.per and wanted.per.value}
    statement = Prepared(text(_sql(wanted, conditions, keys)))
    return _Query(statement, parameters | types, wanted.window // _MICROSECOND, wanted.value)


def _place(facts: Facts, query: _Query, key: str, before: Sequence[str] = (), by: str = "") -> dict[str, Any]:
    """The parameters of one event's windows: (since, until] and what of it is whole hours."""
    until = facts.occurred_at
    since = until - query.window
    first_hour, end_hour = since // HOUR + 1, (until + 1) // HOUR
    return {
        "key": key,
        "merchant": facts.merchant,
        "account": facts.account,
        "currency": facts.currency,
        "current": value_of(facts, query.value),
        "since": since,
        "until": until,
        "first_hour": first_hour,
        "end_hour": end_hour,
        "early_end": first_hour * HOUR,
        "late_start": end_hour * HOUR,
        **{f"key{n}": f"{by}:{digest}" for n, digest in enumerate(before, 1)},
    }


def _sql(wanted: Aggregate, conditions: str, keys: int = 1) -> str:
    """Build the statement; what comes from a policy file is in its parameters, never in its text."""
    more = " AND account = :account" if wanted.by == By.ACCOUNT else ""
    more += " AND currency = :currency" if wanted.needs_currency else ""
    if conditions and wanted.function is not Function.SHARE:
        more += f" AND {conditions}"
    by_hours = _is_by_hours(wanted)
    select = (_SELECT_HOURS if by_hours else _SELECT)[wanted.function]
    select = select.format(value=value_in_sql(wanted.value), conditions=conditions)
    source = _source_by_hours if by_hours else _source
    names = ", ".join([":key", *(f":key{n}" for n in range(1, keys))])
    selects = [f"SELECT {select} FROM {source(wanted, name, more, names)}" for name in ("type", "per")]  # noqa: S608
    return f"SELECT ({selects[0]}), ({selects[1]})" if wanted.function is Function.RATIO else selects[0]


def _is_by_hours(wanted: Aggregate) -> bool:
    of_merchant = wanted.by in (By.MERCHANT, By.ACCOUNT)
    return wanted.function in _SELECT_HOURS and of_merchant and not wanted.where and wanted.window >= _HOURS_FROM


def _source(wanted: Aggregate, type_: str, more: str, keys: str) -> str:
    window = _WINDOW.format(type=type_, more=more, keys=keys)
    return _GAPS.format(window=window) if wanted.function in (Function.GAP_MIN, Function.GAP_MAX) else window


def _source_by_hours(_wanted: Aggregate, type_: str, more: str, _keys: str) -> str:
    early = _EDGE.format(type=type_, start=":since + 1", end=":early_end", more=more)
    late = _EDGE.format(type=type_, start=":late_start", end=":until + 1", more=more)
    return _HOURS.format(type=type_, more=more, early=early, late=late)


def _counts(facts: Facts, wanted: Aggregate) -> bool:
    """Tell whether the current event belongs to what is looked at."""
    return wanted.include_current and facts.type == wanted.of and matches(facts, wanted.where)


def _count(values: _Values, facts: Facts, wanted: Aggregate) -> int:
    return int(values[0]) + _counts(facts, wanted)


def _sum(values: _Values, facts: Facts, wanted: Aggregate) -> int:
    total = values[0] + (values[1] << 32)
    if facts.amount is not None and _counts(facts, wanted):
        total += facts.amount
    return max(-_LARGEST - 1, min(int(total), _LARGEST))


def _distinct(values: _Values, facts: Facts, wanted: Aggregate) -> int:
    number, has_current = values
    is_new = not has_current and value_of(facts, wanted.value) is not None
    return int(number) + (is_new and _counts(facts, wanted))


def _extreme(
    pick: Callable[[Sequence[int]], int], of: Callable[[Facts], int | None]
) -> Callable[[_Values, Facts, Aggregate], Number]:
    def finish(values: _Values, facts: Facts, wanted: Aggregate) -> Number:
        current = of(facts) if _counts(facts, wanted) else None
        known = [value for value in (values[0], current) if value is not None]
        return pick(known) if known else None

    return finish


def _gap_extreme(pick: Callable[[Sequence[int]], int]) -> Callable[[_Values, Facts, Aggregate], Number]:
    def finish(values: _Values, facts: Facts, wanted: Aggregate) -> Number:
        gap, last = values
        newest = facts.occurred_at - last if last is not None and _counts(facts, wanted) else None
        known = [value for value in (gap, newest) if value is not None]
        return pick(known) if known else None

    return finish


def _gap_mean(values: _Values, facts: Facts, wanted: Aggregate) -> Number:
    number, first, last = values
    if _counts(facts, wanted):
        number, last = number + 1, facts.occurred_at
        first = facts.occurred_at if first is None else first
    return (last - first) // (number - 1) if number > 1 else None


def _ratio(values: _Values, facts: Facts, wanted: Aggregate) -> Number:
    here = wanted.include_current and matches(facts, wanted.where)
    number, of = values[0] + (here and facts.type == wanted.of), values[1] + (here and facts.type == wanted.per)
    return number / of if of else None


def _share(values: _Values, facts: Facts, wanted: Aggregate) -> Number:
    here = wanted.include_current and facts.type == wanted.of
    number, of = values[0] + (here and matches(facts, wanted.where)), values[1] + here
    return number / of if of else None


def _amount(facts: Facts) -> int | None:
    return facts.amount


def _time(facts: Facts) -> int:
    return facts.occurred_at


_FINISH: Mapping[Function, Callable[[_Values, Facts, Aggregate], Number]] = {
    Function.COUNT: _count,
    Function.SUM: _sum,
    Function.DISTINCT: _distinct,
    Function.MIN: _extreme(min, _amount),
    Function.MAX: _extreme(max, _amount),
    Function.FIRST: _extreme(min, _time),
    Function.LAST: _extreme(max, _time),
    Function.GAP_MIN: _gap_extreme(min),
    Function.GAP_MAX: _gap_extreme(max),
    Function.GAP_MEAN: _gap_mean,
    Function.RATIO: _ratio,
    Function.SHARE: _share,
}
