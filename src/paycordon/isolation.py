"""Run checks so that none can harm the others or keep the caller waiting.

Checks run one after another on one worker thread, because handing work to a thread (about 0.1 ms) costs more than most
checks do; those that promise to be `bounded`, as the built-in ones are, run on the caller's own. When a check
overstays its deadline the caller gives the thread up, notes the check as late, and another thread goes on with the
rest. A check with too many threads given up is not started again until one of them comes back, so that a check that
never returns costs a few threads once, and not one for every event.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from paycordon.checks.base import Check
from paycordon.context import Context
from paycordon.decisions import CheckError, ErrorKind, Finding
from paycordon.errors import type_and_place
from paycordon.events import Event

MAX_FINDINGS = 100
MAX_FINDING_BYTES = 16_384
MAX_STUCK_THREADS = 2

Monotonic = Callable[[], float]
_Result = list[Finding] | CheckError


@dataclass(frozen=True, slots=True)
class CheckCall:
    """A check's implementation of one hook. `argnames` are the hook arguments it takes."""

    check: Check[Any]
    function: Callable[..., Iterable[Finding] | None]
    argnames: tuple[str, ...]


@dataclass(slots=True)
class _Job:
    """Checks to run in order. All fields are guarded by `changed`."""

    event: Event
    calls: Sequence[CheckCall]
    contexts: Mapping[str, Context]
    moved_at: float
    changed: threading.Condition = field(default_factory=threading.Condition)
    results: list[_Result] = field(default_factory=list)
    abandoned: bool = False


class CheckRunner:
    """Runs checks with isolation and deadlines.

    Args:
        deadline: how long one check may take, in seconds.
        monotonic: a clock that only runs forward, in seconds.
    """

    def __init__(self, deadline: float, monotonic: Monotonic = time.monotonic) -> None:
        self._deadline = deadline
        self._monotonic = monotonic
        self._idle: list[_Worker] = []
        self._stuck: Counter[str] = Counter()
        self._lock = threading.Lock()

    def run(
        self, event: Event, calls: Sequence[CheckCall], contexts: Mapping[str, Context], until: float
    ) -> tuple[list[Finding], list[CheckError]]:
        """Run all calls, in order, and return what they found and which of them failed.

        Args:
            event: what happened.
            calls: the checks, in the order of their ids.
            contexts: for each check id, what that check may know.
            until: when the caller needs its answer, on the runner's monotonic clock.
        """
        results: dict[str, _Result] = {}
        for call in calls:
            if call.check.bounded:
                results[call.check.id] = _call(call, event, contexts[call.check.id])
        self._run_isolated(event, [call for call in calls if not call.check.bounded], contexts, until, results)
        ordered = [results[call.check.id] for call in calls]
        findings = [finding for result in ordered if isinstance(result, list) for finding in result]
        return findings, [result for result in ordered if isinstance(result, CheckError)]

    def _run_isolated(
        self,
        event: Event,
        calls: Sequence[CheckCall],
        contexts: Mapping[str, Context],
        until: float,
        results: dict[str, _Result],
    ) -> None:
        rest = self._startable(calls, results)
        while rest:
            if self._monotonic() >= until:
                results.update((call.check.id, _not_started(call, "the budget was used up")) for call in rest)
                return
            job = _Job(event, rest, contexts, self._monotonic())
            worker = self._take()
            worker.jobs.put(job)
            collected = self._collect(job, until)
            results.update((call.check.id, result) for call, result in zip(rest, collected, strict=False))
            if len(collected) == len(rest):
                self._give_back(worker)
                return
            late = rest[len(collected)].check.id
            results[late] = CheckError(check=late, kind=ErrorKind.LATE, detail="no answer within its deadline")
            rest = self._startable(rest[len(collected) + 1 :], results)

    def close(self) -> None:
        """End the idle threads; those given up end when their check returns."""
        with self._lock:
            workers, self._idle = self._idle, []
        for worker in workers:
            worker.jobs.put(None)

    def _startable(self, calls: Sequence[CheckCall], results: dict[str, _Result]) -> Sequence[CheckCall]:
        if not self._stuck:
            return calls
        free = []
        for call in calls:
            if self._stuck[call.check.id] < MAX_STUCK_THREADS:
                free.append(call)
            else:
                results[call.check.id] = _not_started(call, "it still has not returned from earlier events")
        return free

    def _collect(self, job: _Job, until: float) -> list[_Result]:
        """Wait for the job; on a check that is late, give the job up and return what there is."""
        with job.changed:
            while len(job.results) < len(job.calls):
                remaining = min(job.moved_at + self._deadline, until) - self._monotonic()
                if remaining <= 0:
                    job.abandoned = True
                    self._mark_stuck(job.calls[len(job.results)].check.id, 1)
                    break
                job.changed.wait(remaining)
            return job.results

    def _mark_stuck(self, check: str, by: int) -> None:
        with self._lock:
            self._stuck[check] += by
            if not self._stuck[check]:
                del self._stuck[check]

    def _take(self) -> _Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        worker = _Worker(self._returned, self._monotonic)
        worker.start()
        return worker

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            self._idle.append(worker)

    def _returned(self, worker: _Worker, check: str) -> None:
        """A check that was given up has returned after all: its thread is of use again."""
        self._mark_stuck(check, -1)
        self._give_back(worker)


class _Worker(threading.Thread):
    """One thread that runs jobs. A daemon: a check that never returns must not keep the process alive."""

    def __init__(self, returned: Callable[[_Worker, str], None], monotonic: Monotonic) -> None:
        super().__init__(name="paycordon-checks", daemon=True)
        self._monotonic = monotonic
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._returned = returned

    def run(self) -> None:
        while (job := self.jobs.get()) is not None:
            self._work(job)
            del job

    def _work(self, job: _Job) -> None:
        for call in job.calls:
            result = _call(call, job.event, job.contexts[call.check.id])
            with job.changed:
                if job.abandoned:
                    break
                job.results.append(result)
                job.moved_at = self._monotonic()
                if len(job.results) == len(job.calls):
                    job.changed.notify()
        else:
            return
        self._returned(self, call.check.id)


def _not_started(call: CheckCall, why: str) -> CheckError:
    return CheckError(check=call.check.id, kind=ErrorKind.LATE, detail=f"not started: {why}")


def _call(call: CheckCall, event: Event, context: Context) -> _Result:
    arguments = {"event": event, "context": context}
    try:
        returned = call.function(*[arguments[name] for name in call.argnames])
        return _validated(call.check, returned)
    except BaseException as error:  # a check may raise anything, SystemExit included
        return CheckError(check=call.check.id, kind=ErrorKind.RAISED, detail=type_and_place(error))


def _validated(check: Check[Any], returned: object) -> _Result:
    if returned is None:
        return []
    problem = ""
    findings: list[Finding] = []
    if isinstance(returned, Iterable) and not isinstance(returned, str | bytes | Mapping):
        for item in returned:
            problem = _problem(check, item, len(findings))
            if problem:
                break
            try:
                findings.append(_copied(item))
            except ValueError as error:  # of pydantic, for what it cannot write or would not have taken
                problem = f"yielded a finding that cannot be recorded ({type(error).__name__})"
                break
    else:
        problem = f"returned `{type(returned).__name__}`, not findings"
    return CheckError(check=check.id, kind=ErrorKind.INVALID, detail=problem) if problem else findings


def _problem(check: Check[Any], item: object, count: int) -> str:
    if not isinstance(item, Finding):
        return f"yielded `{type(item).__name__}`, not a finding"
    if item.check != check.id:
        return f"yielded a finding in the name of `{item.check}`"
    if item.code not in check.emits:
        return f"yielded the code `{item.code}`, which it does not declare"
    if count >= MAX_FINDINGS:
        return f"yielded more than {MAX_FINDINGS} findings"
    return ""


def _copied(finding: Finding) -> Finding:
    """Take over what will be recorded: evidence is a dictionary, which the check may still change or have spoilt."""
    text = finding.__pydantic_serializer__.to_json(finding, warnings="error")
    if len(text) > MAX_FINDING_BYTES:
        raise ValueError("the evidence is too long")
    return Finding.model_validate_json(text)
