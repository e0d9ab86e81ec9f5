"""What judging an event by many rules costs, beside other engines on the same rules.

Run with `pytest tests/benchmarks/test_rules.py --benchmark-only -s`. Each measures one judgement from an event and its
findings to all answers, binding included; the others compile each rule before and take the event as a dictionary.
The last test prints how many times longer each took than ours in this very run.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from statistics import median

import pytest

from paycordon.decisions import Finding
from paycordon.events import Event
from paycordon.policy.cel import Language
from paycordon.policy.schema import bind
from paycordon.testing import make_event

CODES = 100
FINDINGS = (
    Finding(check="c", code="bench.c1", confidence=0.9, evidence={}),
    Finding(check="c", code="bench.c8", confidence=0.4, evidence={}),
)
MEDIANS: dict[tuple[str, int], float] = {}


def event() -> Event:
    return make_event(
        type="payout.requested",
        occurred_at=datetime(2026, 6, 1, 9, tzinfo=UTC),
        merchant={"id": "m1", "country": "NL", "mcc": "5812", "name": "A merchant"},
        payout={"id": "po_1", "amount": {"minor": 30_000, "currency": "EUR"}, "method": "instant"},
    )


def rule(number: int, total: int) -> tuple[str, str, str]:
    """One rule for CEL, zen and rule-engine; of many rules, nine in ten need a finding."""
    least, country, code = 40_000 + number * 100, "DE" if number % 2 else "FR", f"bench.c{number % CODES}"
    if number % 10 < (3 if total <= 50 else 9):
        plain = f"event.payout.amount.minor > {number * 10}"
        return (
            f'findings.exists(f, f.code == "{code}" && f.confidence >= 0.5) && {plain}',
            f'some(findings, #.code == "{code}" and #.confidence >= 0.5) and {plain}',
            f'$any([f.code == "{code}" and f.confidence >= 0.5 for f in findings]) and {plain}',
        )
    parts = [f"event.payout.amount.minor > {least}", f'event.merchant.country == "{country}"']
    if number % 3 == 0:
        parts.append('event.payout.method == "instant"')
    return (" && ".join(parts), " and ".join(parts), " and ".join(parts))


def rules(total: int, dialect: int) -> list[str]:
    return [rule(number, total)[dialect] for number in range(total)]


def facts() -> dict[str, object]:
    found = [finding.model_dump(mode="json") for finding in FINDINGS]
    return {"event": json.loads(event().model_dump_json(exclude_none=True)), "findings": found}


def ours(total: int) -> Callable[[], list[bool]]:
    language = Language({}, ())
    sources = rules(total, 0)
    for source in sources[:20]:
        language.check(source)
    conditions = language.conditions(sources)
    given = event()
    return lambda: conditions.evaluate(bind(given, FINDINGS, conditions.uses))


def common_expression_language(total: int) -> Callable[[], list[bool]]:
    cel = pytest.importorskip("cel", reason="`common-expression-language` is not installed")
    programs = [cel.compile(source) for source in rules(total, 0)]
    given = facts()

    def judge() -> list[bool]:
        context = cel.Context(variables=given)
        return [program.execute(context) for program in programs]

    return judge


def zen(total: int) -> Callable[[], list[bool]]:
    engine = pytest.importorskip("zen", reason="`zen-engine` is not installed")
    compiled = [engine.compile_expression(source) for source in rules(total, 1)]
    given = facts()
    return lambda: [expression.evaluate(given) for expression in compiled]


def rule_engine(total: int) -> Callable[[], list[bool]]:
    engine = pytest.importorskip("rule_engine", reason="`rule-engine` is not installed")
    compiled = [engine.Rule(source) for source in rules(total, 2)]
    given = facts()
    return lambda: [each.matches(given) for each in compiled]


ENGINES: Mapping[str, Callable[[int], Callable[[], list[bool]]]] = {
    "paycordon": ours,
    "common-expression-language": common_expression_language,
    "zen-engine": zen,
    "rule-engine": rule_engine,
}


@pytest.mark.filterwarnings("ignore:accessing attribute")  # rule-engine asks for another spelling
@pytest.mark.parametrize("total", [50, 1_000])
@pytest.mark.parametrize("name", ENGINES)
def test_rules(benchmark, name, total):
    judge = ENGINES[name](total)
    answers = judge()
    assert answers == ours(total)()
    assert 0 < sum(answers) < total / 10
    quick = name == "paycordon"
    benchmark.group = f"{total} rules"
    benchmark.pedantic(judge, rounds=300 if quick else 15, iterations=10 if quick else 1, warmup_rounds=2)
    MEDIANS[name, total] = median(benchmark.stats.stats.data)


@pytest.mark.parametrize(("total", "aim_ms"), [(50, 0.05), (1_000, 0.4)])
def test_print_the_medians_and_ratios(benchmark, total, aim_ms):
    own = MEDIANS.get(("paycordon", total))
    if own is None:
        pytest.skip("nothing was measured before")
    benchmark.group = "ratios"
    benchmark.pedantic(lambda: None, rounds=1)
    print(f"\n{total} rules: {own * 1e3:.4f} ms (aim {aim_ms} ms)")
    for (name, measured), seconds in MEDIANS.items():
        if measured == total and name != "paycordon":
            print(f"{total} rules: {name} takes {seconds / own:.1f} times as long ({seconds * 1e3:.3f} ms)")
