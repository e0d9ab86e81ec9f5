"""One definition, three voices: the store as events come in, DuckDB over the whole history, and a count by hand.

They must agree bit for bit on histories full of ties, late and redelivered events, over every function, by everybody,
filtered or not. Seeded faults show that these histories would tell wrong arithmetic from right.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paycordon.aggregates import Aggregate, Function, Number
from paycordon.aggregates.definition import By, Column, Condition
from paycordon.aggregates.facts import Facts
from paycordon.aggregates.offline import compute, create_tables, insert
from paycordon.events import EventType
from paycordon.store import Store, schema

Take = Callable[..., Sequence[Any]]
Make = Callable[..., Any]
TYPES = tuple(str(type_) for type_ in EventType)
LARGEST = 2**63 - 1
SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def offline(taken: Sequence[Any], wanted: Mapping[str, Aggregate]) -> dict[int, dict[str, Number]]:
    """The values of all events by DuckDB, handed in in no order and some of them a second time."""
    rows = [(each.position, each.seen, each.facts) for each in taken]
    last = max(row[0] for row in rows)
    again = [(last + n, last + n - 1, facts._replace(amount=1)) for n, (_, _, facts) in enumerate(rows[::7], 1)]
    rows = [*again, *rows]
    random.Random(1).shuffle(rows)
    with duckdb.connect(config={"threads": 2}) as duck:
        create_tables(duck)
        insert(duck, rows)
        found = compute(duck, wanted, TYPES)
        names = found.columns[1:]
        return {position: dict(zip(names, values, strict=True)) for position, *values in found.fetchall()}


def key_of(facts: Facts, by: str) -> tuple[object, ...] | None:
    """Whose history an event asks for."""
    if by.startswith("identifier."):
        digest = next((d for kind, d in facts.identifiers if f"identifier.{kind}" == by), None)
        return None if digest is None else (digest,)
    if by == By.ACCOUNT:
        return facts.merchant, facts.account
    value = getattr(facts, by)
    return None if value is None else (value,)


def keys_of(facts: Facts, by: str) -> set[tuple[object, ...] | None]:
    """All histories of a kind that an event belongs to."""
    if by.startswith("identifier."):
        return {(digest,) for kind, digest in facts.identifiers if f"identifier.{kind}" == by}
    return {key_of(facts, by)}


def column(facts: Facts, name: Column) -> Any:
    return (facts.payer or facts.destination) if name is Column.COUNTERPARTY else getattr(facts, name)


def satisfies(facts: Facts, wanted: Aggregate) -> bool:
    for condition in wanted.where:
        value = column(facts, condition.column)
        if value is None or (condition.any_of is not None and value not in condition.any_of):
            return False
        if condition.at_least is not None and value < condition.at_least:
            return False
        if condition.below is not None and value >= condition.below:
            return False
        if condition.multiple_of is not None and value // condition.multiple_of * condition.multiple_of != value:
            return False
    return True


Knows = Callable[[Any, Any], bool]


def point_in_time(each: Any, current: Any) -> bool:
    """What was known when the current event was judged."""
    return bool(each.position <= current.seen)


def by_hand(taken: Sequence[Any], current: Any, wanted: Aggregate, knows: Knows = point_in_time) -> Number:
    """Say, one by one and without any cleverness, what an aggregate is."""
    facts = current.facts
    key = key_of(facts, wanted.by)
    if key is None or (wanted.needs_currency and facts.currency is None):
        return None
    until, window = facts.occurred_at, int(wanted.window.total_seconds()) * 1_000_000
    before = [
        each
        for each in taken
        if each is not current and knows(each, current) and until - window < each.facts.occurred_at <= until
    ]
    inside = sorted(before, key=lambda each: (each.facts.occurred_at, each.position))
    inside += [current] if wanted.include_current else []
    seen = [each.facts for each in inside if each.facts.type in wanted.types and key in keys_of(each.facts, wanted.by)]
    chosen = [each for each in seen if satisfies(each, wanted)]
    if wanted.function is Function.SHARE:
        return len(chosen) / len(seen) if seen else None
    if wanted.function is Function.RATIO:
        one, other = (sum(each.type == type_ for each in chosen) for type_ in wanted.types)
        return one / other if other else None
    return _of(wanted, chosen, facts.currency)


def _of(wanted: Aggregate, chosen: Sequence[Facts], currency: str | None) -> Number:
    amounts = [each.amount for each in chosen if each.currency == currency and each.amount is not None]
    times = [each.occurred_at for each in chosen]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    values = {column(each, wanted.value) for each in chosen} - {None}
    found: dict[Function, Callable[[], Number]] = {
        Function.COUNT: lambda: len(chosen),
        Function.SUM: lambda: max(-LARGEST - 1, min(sum(amounts), LARGEST)),
        Function.DISTINCT: lambda: len(values),
        Function.MIN: lambda: min(amounts, default=None),
        Function.MAX: lambda: max(amounts, default=None),
        Function.FIRST: lambda: times[0] if times else None,
        Function.LAST: lambda: times[-1] if times else None,
        Function.GAP_MIN: lambda: min(gaps, default=None),
        Function.GAP_MEAN: lambda: sum(gaps) // len(gaps) if gaps else None,
        Function.GAP_MAX: lambda: max(gaps, default=None),
    }
    return found[wanted.function]()


def differing(taken: Sequence[Any], wanted: Mapping[str, Aggregate], by_hand_every: int = 1) -> list[object]:
    """Where the voices disagree; 1 and 1.0 are different."""
    found = offline(taken, wanted)
    wrong: list[object] = []
    for number, current in enumerate(taken):
        for name, online in current.values.items():
            heard = [online, found[current.position][name]]
            if number % by_hand_every == 0:
                heard.append(by_hand(taken, current, wanted[name]))
            if len({(type(value), value) for value in heard}) != 1:
                wrong.append((name, current.position, heard))
    return wrong


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 10))])
def test_store_and_duckdb_agree_on_ten_thousand_events(
    seed: int, sqlite_store: Store, history: Make, definitions: Make, take: Take
) -> None:
    rng = random.Random(seed)
    wanted = dict(rng.sample(sorted(definitions(rng, 20).items()), 30))
    taken = take(sqlite_store, rng, history(rng, 1_000), wanted)
    assert len(taken) == 1_000
    assert differing(taken, wanted, by_hand_every=20) == []


def test_all_three_agree_on_every_function_by_everybody(
    store: Store, history: Make, definitions: Make, take: Take
) -> None:
    rng = random.Random("every one")
    wanted = definitions(rng, 60)
    assert {(each.function, str(each.by)) for each in wanted.values()} >= {
        (function, by) for function in Function for by in (*By, "identifier.iban")
    }
    taken = take(store, rng, history(rng, 120), wanted)
    assert differing(taken, wanted) == []
    # Most of them are more than empty or missing, and of every function some are.
    told = [name for name in wanted if {current.values[name] for current in taken} - {None, 0}]
    assert len(told) > len(wanted) // 2
    assert {wanted[name].function for name in told} == set(Function)


@settings(max_examples=15, deadline=None, suppress_health_check=SUPPRESSED)
@given(rng=st.randoms(use_true_random=False), size=st.integers(1, 8))
def test_all_three_agree_on_short_histories_that_shrink(
    sqlite_store: Store, history: Make, definitions: Make, take: Take, rng: random.Random, size: int
) -> None:
    with sqlite_store.write() as connection:
        for table in ("facts", "hours", "events", "log", "merchants", "accounts", "sightings"):
            connection.execute(schema.metadata.tables[table].delete())
    wanted = definitions(rng, 3, every=False)
    taken = take(sqlite_store, rng, history(rng, size), wanted)
    assert differing(taken, wanted) == []


def test_all_three_agree_on_even_amounts_in_several_currencies(store: Store, history: Make, take: Take) -> None:
    rng = random.Random("even")
    where = (
        Condition(column=Column.AMOUNT, at_least=-(2**62), below=2**62, multiple_of=20),
        Condition(column=Column.CURRENCY, any_of=("EUR", "SEK")),
    )
    about = {"of": EventType.PAYMENT_SUCCEEDED, "where": where, "window": timedelta(days=30)}
    wanted = {str(function): Aggregate(function=function, **about) for function in (Function.COUNT, Function.SHARE)}
    taken = take(store, rng, history(rng, 150), wanted)
    assert differing(taken, wanted) == []
    assert {0, 1} < {current.values["count"] for current in taken}


def plain_range(each: Any, current: Any) -> bool:
    """A window framed by RANGE over time alone: everything of that time, also what came later."""
    return True


def all_before(each: Any, current: Any) -> bool:
    """Everything recorded before the current event, known at its judgement or not."""
    return bool(each.position < current.position)


def no_ties(each: Any, current: Any) -> bool:
    """A window that leaves out what happened at the very same time."""
    return point_in_time(each, current) and each.facts.occurred_at != current.facts.occurred_at


def no_late(each: Any, current: Any) -> bool:
    """A window over rows in their order of arrival, whose lateness is nobody's business."""
    return point_in_time(each, current) and each.position > current.position - 5


@pytest.mark.parametrize("fault", [plain_range, all_before, no_ties, no_late])
def test_these_histories_tell_wrong_arithmetic_from_right(
    fault: Knows, sqlite_store: Store, history: Make, definitions: Make, take: Take
) -> None:
    rng = random.Random("faults")
    wanted = definitions(rng, 0)
    taken = take(sqlite_store, rng, history(rng, 400), wanted)
    caught = {
        (wanted[name].function, wanted[name].by)
        for current in taken[::2]
        for name, value in current.values.items()
        if by_hand(taken, current, wanted[name], fault) != value
    }
    # Not every definition sees every fault: histories of one merchant are judged one after the other.
    assert len({function for function, _ in caught}) >= 4
