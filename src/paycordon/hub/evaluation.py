"""Evaluate a whole file of identifiers under the hub's keys, on all processors; any bad line refuses the file."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from pathlib import Path

from paycordon.errors import ConfigError, Position
from paycordon.hub.buckets import Collector
from paycordon.hub.source import LineInvalid, Shape, lines_of, shape_of, text_of
from paycordon.hub.voprf import evaluate
from paycordon.hub.wire import private_input, record_of

_CHUNK = 2_000
_ALONE = 4_000  # up to so many lines are done faster than other processes are started
_SHOWN = 20
_AHEAD = 4  # chunks that are read ahead for each process
_keys: list[bytes] = []

Lines = Sequence[tuple[int, bytes]]
Problems = list[tuple[int, str]]
Progress = Callable[[int], None]


def evaluate_file(path: Path, keys: Sequence[bytes], kind: str | None, progress: Progress) -> list[Collector]:
    """Return a collector with the records of all lines for each key.

    Args:
        path: JSON Lines or CSV with `kind` and `value`, or values of one kind, one a line.
        keys: the private keys.
        kind: what the values are, if the file holds nothing but values.
        progress: told how many bytes of the file are done.

    Raises:
        ConfigError: the file cannot be read, is empty, or has lines that cannot be used; names the first of them.
    """
    collectors, problems = [Collector() for _ in keys], Problems()
    done = 0
    for size, records, wrong in _results(path, keys, kind):
        problems += wrong
        for collector, each in zip(collectors, records, strict=True):
            collector.add(each)
        done += size
        progress(done)
        if len(problems) >= _SHOWN:
            break
    if problems:
        first, *others = sorted(problems)[:_SHOWN]
        more = "".join(f"\n{path}:{line}: {text}" for line, text in others)
        raise ConfigError(f"{first[1]}{more}", position=Position(path, first[0]), hint="nothing was changed")
    if not done:
        raise ConfigError("there is no identifier in it", position=Position(path))
    return collectors


def _results(path: Path, keys: Sequence[bytes], kind: str | None) -> Iterator[tuple[int, list[bytes], Problems]]:
    try:
        with path.open("rb") as file:
            lines = lines_of(file)
            first = next(lines, None)
            if first is None:
                return
            shape, header = _shape(path, first, kind)
            head = [] if header else [first]
            start = [*head, *islice(lines, _ALONE - len(head))]
            if len(start) < _ALONE:
                _keys[:] = keys
                if start:
                    yield _evaluated(shape, start)
                return
            yield from _shared(shape, keys, _chunks(start, lines))
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"cannot be read: {reason}", position=Position(path)) from None
    finally:
        _keys.clear()


def _shape(path: Path, first: tuple[int, bytes], kind: str | None) -> tuple[Shape, bool]:
    try:
        return shape_of(text_of(first[1]), kind)
    except LineInvalid as invalid:
        hint = "or give `--kind` for values, one a line"
        raise ConfigError(f"the first line {invalid}", position=Position(path, first[0]), hint=hint) from None


def _chunks(start: Lines, rest: Iterator[tuple[int, bytes]]) -> Iterator[Lines]:
    for at in range(0, len(start), _CHUNK):
        yield start[at : at + _CHUNK]
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _shared(
    shape: Shape, keys: Sequence[bytes], chunks: Iterator[Lines]
) -> Iterator[tuple[int, list[bytes], Problems]]:
    processes = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_prepare, initargs=(list(keys),))
    try:
        waiting: list[Future[tuple[int, list[bytes], Problems]]] = []
        for chunk in chunks:
            waiting.append(pool.submit(_evaluated, shape, chunk))
            if len(waiting) >= _AHEAD * processes:
                yield waiting.pop(0).result()
        for each in waiting:
            yield each.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare(keys: list[bytes]) -> None:
    _keys[:] = keys


def _evaluated(shape: Shape, lines: Lines) -> tuple[int, list[bytes], Problems]:
    """Return how many bytes the lines had, the records for each key, and what is wrong with which line."""
    records, problems, size = [bytearray() for _ in _keys], Problems(), 0
    for number, line in lines:
        size += len(line)
        try:
            text = private_input(shape.read(text_of(line)))
        except LineInvalid as invalid:
            problems.append((number, str(invalid)))
            continue
        for key, found in zip(_keys, records, strict=True):
            found += record_of(evaluate(key, text))
    return size, [bytes(each) for each in records], problems
