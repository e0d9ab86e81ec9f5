"""Work in several processes, with results in order: nothing waits for ever and nothing piles up."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import Any, TypeVar

from paycordon.errors import PaycordonError

_T = TypeVar("_T")
_R = TypeVar("_R")
_AHEAD = 2  # tasks that wait for each process

_worker: Any = None


class WorkerLost(PaycordonError):
    """A process that did part of the work ended; what was finished is kept, and the same run goes on from there."""


def in_order(make: Callable[[], Callable[[_T], _R]], tasks: Iterable[_T], processes: int) -> Iterator[_R]:
    """Yield what a function returns for each task, in the order of the tasks.

    Args:
        make: makes the function, once in each process; it is sent there, as tasks and results are.
        tasks: taken no further than a few tasks ahead.
        processes: how many; with one, and for a single task, everything happens in this process: another takes a
            second to start.

    Raises:
        WorkerLost: a process ended.
    """
    remaining = iter(tasks)
    first = list(islice(remaining, 2 if processes > 1 else 0))
    if len(first) < 2:
        yield from map(make(), chain(first, remaining))
        return
    context = multiprocessing.get_context("spawn")  # DuckDB and Arrow have threads, which do not survive a fork
    pool = ProcessPoolExecutor(processes, context, initializer=_start, initargs=(make,))
    waiting: deque[Future[Any]] = deque()
    try:
        for task in chain(first, remaining):
            waiting.append(pool.submit(_run, task))
            if len(waiting) > processes * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise WorkerLost("a process of the backtest ended unexpectedly, maybe for want of memory") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(make: Callable[[], Any]) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = make()


def _end_with_parent() -> None:
    """End when the process that started this one is gone, which a pool itself would never notice."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(task: Any) -> Any:
    return _worker(task)
