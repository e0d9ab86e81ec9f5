"""Conditions on events, in Python and in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paycordon.aggregates.definition import Column, Condition
from paycordon.aggregates.facts import Facts


def value_of(facts: Facts, column: Column) -> Any:
    """What an event says in a column; none if it does not."""
    if column is Column.COUNTERPARTY:
        return facts.payer or facts.destination
    return getattr(facts, column)


def value_in_sql(column: Column) -> str:
    """The same as an SQL expression over columns named like those of `Facts`."""
    return "COALESCE(payer, destination)" if column is Column.COUNTERPARTY else column.value


def matches(facts: Facts, where: Sequence[Condition]) -> bool:
    """Tell whether an event satisfies all conditions; what it lacks matches nothing."""
    return all(_matches(value_of(facts, condition.column), condition) for condition in where)


def _matches(value: Any, condition: Condition) -> bool:
    if value is None:
        return False
    if condition.any_of is not None:
        return value in condition.any_of
    above: bool = condition.at_least is None or value >= condition.at_least
    below: bool = condition.below is None or value < condition.below
    return above and below and (condition.multiple_of is None or value % condition.multiple_of == 0)


def in_sql(where: Sequence[Condition], mark: str) -> tuple[str, dict[str, Any]]:
    """Turn conditions into SQL, with their values as named parameters; null where a value is missing.

    Args:
        where: the conditions; the SQL is empty if there are none.
        mark: what the database writes in front of a parameter's name.
    """
    parts: list[str] = []
    parameters: dict[str, Any] = {}

    def parameter(value: object) -> str:
        parameters[name := f"w{len(parameters)}"] = value
        return f"{mark}{name}"

    for condition in where:
        if condition.any_of is not None:
            parts.append(f"{condition.column} IN ({', '.join(map(parameter, condition.any_of))})")
        if condition.at_least is not None:
            parts.append(f"{condition.column} >= {parameter(condition.at_least)}")
        if condition.below is not None:
            parts.append(f"{condition.column} < {parameter(condition.below)}")
        if condition.multiple_of is not None:
            parts.append(f"{condition.column} % {parameter(condition.multiple_of)} = 0")
    return " AND ".join(parts), parameters
