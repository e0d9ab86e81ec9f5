"""The five traps of the expression engine, each with what keeps rules out of it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import MappingProxyType

import pytest
from cel_expr_python import cel

from paycordon.events import Money
from paycordon.policy.cel import Language, Unclear
from paycordon.policy.functions import functions
from paycordon.policy.schema import SCHEMA, bind

NOTHING = MappingProxyType({})


def answers(event, *sources, language=None, **variables):
    language = language or Language({}, ())
    conditions = language.conditions(sources)
    return conditions.evaluate({**bind(event, (), conditions.uses), **variables})


def test_trap_1_an_error_is_a_value_and_a_truthy_one_and_never_an_answer(event):
    environment = cel.NewEnv(SCHEMA.pool)
    raw = environment.compile("1 / 0 > 2").eval(environment.Activation({}))
    assert bool(raw.value()) is True  # the trap
    assert raw.type() == cel.Type.ERROR
    (answer,) = answers(event, "1 / 0 > 2")
    assert isinstance(answer, Unclear)


def test_trap_2_an_activation_belongs_to_its_thread_so_each_evaluation_makes_its_own(event):
    environment = cel.NewEnv(
        SCHEMA.pool, functions=functions({"l": {"a": None}}, None), variables={"x": cel.Type.STRING}
    )
    program = environment.compile("money(1, x).minor == 1")
    made_here = environment.Activation({"x": "EUR"})
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="PyCelArena"):
        pool.submit(program.eval, made_here).result()  # the trap
    conditions = Language({}, (), lists={"l": {"ba_1": None}}).conditions(
        [
            "listed(event.payout.destination, lists.l)",
            "event.payout.amount.at_least(money(1, 'EUR'), event.occurred_at)",
        ]
    )
    bound = bind(event, (), conditions.uses)
    assert conditions.evaluate(bound) == [True, True]

    async def on_loop():
        return await asyncio.gather(*(asyncio.to_thread(conditions.evaluate, bound) for _ in range(200)))

    assert asyncio.run(on_loop()) == [[True, True]] * 200
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: conditions.evaluate(bound), range(500))) == [[True, True]] * 500


def test_trap_3_times_have_a_declared_type_and_lists_are_lists_whatever_python_has(event):
    untyped = cel.NewEnv(SCHEMA.pool, variables={"x": cel.Type.DYN})
    found = untyped.compile("x == x").eval(untyped.Activation({"x": event.occurred_at}))
    assert found.type() == cel.Type.ERROR  # the trap
    params = {"names": ("a", "b"), "age": timedelta(days=4), "small": Money(minor=1, currency="EUR")}
    language = Language(params, {"last": "time"})
    sources = [
        "'a' in params.names",
        "event.occurred_at - event.account.created_at < params.age",
        "aggregates.last < event.occurred_at",
        "params.small.minor == 1",
        "event.merchant.country == 'NL'",
        "event.merchant.country == null",
    ]
    found = answers(event, *sources, language=language, **{"aggregates.last": 1_000_000})
    assert found == [True, True, True, True, False, True]


def test_trap_4_what_a_function_raises_is_an_error_and_a_time_span_is_read_only_at_run_time(event):
    convert = "event.payout.amount.in_currency('USD', event.occurred_at).minor > 1"
    found = answers(event, convert, f"{convert} || true", f"{convert} && false", "duration('30d') < duration('1h')")
    assert [answer if isinstance(answer, bool) else None for answer in found] == [None, True, False, None]
    assert "no exchange rates" in found[0].detail


def test_trap_5_true_or_error_is_true_so_missing_data_can_pass_a_branch_silently(event):
    missing = "event.merchant.created_at < event.occurred_at"
    found = answers(event, f"{missing} || event.gateway == 'stripe'", f"{missing} || event.gateway == 'adyen'")
    assert found[0] is True
    assert isinstance(found[1], Unclear)
    assert answers(event, f"has(event.merchant.created_at) && ({missing} || event.gateway == 'stripe')") == [False]
