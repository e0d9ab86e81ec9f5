"""A check that raises, sleeps for ever or returns rubbish changes nothing but its own `CheckError`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from paycordon.checks.base import Check, CheckSettings
from paycordon.context import Context
from paycordon.decisions import ErrorKind, Finding
from paycordon.events import Event
from paycordon.isolation import MAX_FINDINGS, MAX_STUCK_THREADS, CheckCall, CheckRunner

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CONTEXT = Context(now=NOW, merchant="m-1")
EVENT = Event(
    id="e-1",
    type="merchant.onboarding",
    occurred_at=NOW,
    gateway="acme",
    instance="acme_test",
    account={"id": "acct-1"},  # type: ignore[arg-type]
)
DEADLINE = 0.1


def a_check(id_: str, function: Callable[[], Any], *, bounded: bool = False) -> CheckCall:
    kind = type("Probe", (Check,), {"id": id_, "emits": {f"{id_}.found": "found it"}, "bounded": bounded})
    return CheckCall(kind(CheckSettings()), lambda: function(), ())


def finding(id_: str) -> Finding:
    return Finding(check=id_, code=f"{id_}.found")


@pytest.fixture
def runner() -> Iterator[CheckRunner]:
    runner = CheckRunner(DEADLINE)
    yield runner
    runner.close()


def run(runner: CheckRunner, calls: list[CheckCall], budget: float = 5.0) -> tuple[list[str], Mapping[str, ErrorKind]]:
    contexts = {call.check.id: CONTEXT for call in calls}
    findings, errors = runner.run(EVENT, calls, contexts, time.monotonic() + budget)
    return [f.check for f in findings], {e.check: e.kind for e in errors}


def raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), RecursionError(), MemoryError()]
)
def test_a_check_that_raises_leaves_the_others_alone(runner: CheckRunner, error: BaseException) -> None:
    calls = [a_check("a", lambda: [finding("a")]), a_check("b", raising(error)), a_check("c", lambda: [finding("c")])]
    assert run(runner, calls) == (["a", "c"], {"b": ErrorKind.RAISED})


def test_findings_come_in_the_order_of_ids_whichever_thread_they_come_from(runner: CheckRunner) -> None:
    calls = [a_check(name, lambda name=name: [finding(name)], bounded=name in "bd") for name in "abcde"]  # type: ignore[misc]
    assert run(runner, calls) == (list("abcde"), {})


def test_a_bounded_check_runs_on_the_callers_thread_and_others_do_not(runner: CheckRunner) -> None:
    where: dict[str, int] = {}
    calls = [
        a_check("a", lambda: where.update(a=threading.get_ident()), bounded=True),
        a_check("b", lambda: where.update(b=threading.get_ident())),
    ]
    assert run(runner, calls) == ([], {})
    assert where["a"] == threading.get_ident() != where["b"]


def test_the_text_of_an_exception_stays_out_of_the_record(runner: CheckRunner) -> None:
    calls = [a_check("a", raising(ValueError("jane@example.com")))]
    _, errors = runner.run(EVENT, calls, {"a": CONTEXT}, time.monotonic() + 1)
    assert "ValueError at test_isolation.py" in errors[0].detail
    assert "jane" not in errors[0].detail


def endless() -> Iterable[Finding]:
    while True:
        yield finding("b")


def foreign() -> list[Finding]:
    return [finding("someone_else")]


@pytest.mark.parametrize(
    "rubbish",
    [
        lambda: 3,
        lambda: "found",
        lambda: {"b.found": 1},
        lambda: ["b.found"],
        lambda: [None],
        lambda: finding("b"),
        lambda: [Finding(check="b", code="b.undeclared")],
        foreign,
        endless,
    ],
)
@pytest.mark.parametrize("bounded", [True, False])
def test_rubbish_is_an_error_of_that_check_alone(
    runner: CheckRunner, rubbish: Callable[[], Any], bounded: bool
) -> None:
    calls = [a_check("a", lambda: [finding("a")]), a_check("b", rubbish, bounded=bounded), a_check("c", lambda: None)]
    assert run(runner, calls) == (["a"], {"b": ErrorKind.INVALID})


def test_as_many_findings_as_allowed_are_taken(runner: CheckRunner) -> None:
    found, errors = run(runner, [a_check("a", lambda: [finding("a")] * MAX_FINDINGS)])
    assert len(found) == MAX_FINDINGS
    assert errors == {}


def test_a_check_that_sleeps_for_ever_is_late_and_the_rest_still_run(runner: CheckRunner) -> None:
    wake = threading.Event()
    calls = [a_check("a", lambda: [finding("a")]), a_check("b", wake.wait), a_check("c", lambda: [finding("c")])]
    assert run(runner, calls) == (["a", "c"], {"b": ErrorKind.LATE})
    wake.set()


def test_what_a_late_check_returns_at_last_is_not_taken_for_another_event(runner: CheckRunner) -> None:
    wake = threading.Event()

    def slow() -> list[Finding]:
        wake.wait()
        return [finding("a")]

    assert run(runner, [a_check("a", slow)]) == ([], {"a": ErrorKind.LATE})
    wake.set()
    for _ in range(20):
        assert run(runner, [a_check("b", lambda: [finding("b")])]) == (["b"], {})


def test_a_check_that_never_returns_costs_a_few_threads_once(runner: CheckRunner) -> None:
    wake = threading.Event()
    calls = [a_check("a", wake.wait), a_check("b", lambda: [finding("b")])]
    before = threading.active_count()
    for _ in range(MAX_STUCK_THREADS + 5):
        assert run(runner, calls) == (["b"], {"a": ErrorKind.LATE})
    assert threading.active_count() <= before + MAX_STUCK_THREADS + 1
    wake.set()
    deadline = time.monotonic() + 5
    while run(runner, [a_check("a", lambda: [finding("a")])])[1] and time.monotonic() < deadline:
        pass
    assert run(runner, [a_check("a", lambda: [finding("a")])]) == (["a"], {})


def test_the_budget_ends_a_screening_even_when_each_check_keeps_its_deadline(runner: CheckRunner) -> None:
    wake = threading.Event()
    calls = [a_check(name, wake.wait) for name in "abcdef"]
    started = time.monotonic()
    found, errors = run(runner, calls, budget=2.5 * DEADLINE)
    assert time.monotonic() - started < 6 * DEADLINE
    assert found == []
    assert errors == dict.fromkeys("abcdef", ErrorKind.LATE)
    wake.set()


def test_many_threads_may_screen_at_once(runner: CheckRunner) -> None:
    calls = [a_check(name, lambda name=name: [finding(name)]) for name in "abc"]  # type: ignore[misc]
    results: list[list[str]] = []

    def work() -> None:
        for _ in range(200):
            results.append(run(runner, calls)[0])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [["a", "b", "c"]] * 1600


def tampered() -> Finding:
    made = finding("a")
    made.evidence["later"] = object()  # type: ignore[assignment]
    return made


@pytest.mark.parametrize(
    "rubbish",
    [
        tampered,
        lambda: Finding.model_construct(check="a", code="a.found", confidence="sure", evidence={}),
        lambda: Finding.model_construct(check="a", code="a.found", confidence=float("nan"), evidence={}),
        lambda: Finding.model_construct(check="a", code="a.found", confidence=1.0, evidence={"text": "\ud800"}),
        lambda: Finding.model_construct(check="a", code="a.found", confidence=1.0, evidence={"text": "x" * 100_000}),
    ],
)
@pytest.mark.parametrize("bounded", [True, False])
def test_a_finding_that_could_not_be_recorded_is_an_error_of_its_check(
    runner: CheckRunner, rubbish: Callable[[], Finding], bounded: bool
) -> None:
    calls = [a_check("a", lambda: [rubbish()], bounded=bounded), a_check("b", lambda: [finding("b")], bounded=bounded)]
    assert run(runner, calls) == (["b"], {"a": ErrorKind.INVALID})


@pytest.mark.parametrize("bounded", [True, False])
def test_evidence_that_a_check_changes_afterwards_stays_as_it_was(runner: CheckRunner, bounded: bool) -> None:
    kept = finding("a")
    contexts = {"a": CONTEXT}
    call = a_check("a", lambda: [kept], bounded=bounded)
    (found,), _ = runner.run(EVENT, [call], contexts, time.monotonic() + 5)
    kept.evidence["later"] = 1
    assert found.evidence == {}
