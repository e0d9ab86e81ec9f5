"""Run files of tests with their histories in a temporary store; what `paycordon policy test` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paycordon.cli.rehearsal import rehearsal
from paycordon.policy.cases import Case, CaseFile, CaseResult, Coverage, Covered, Meter, load_cases, run

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one file's cases."""

    file: CaseFile
    results: tuple[CaseResult, ...]
    coverage: Coverage

    @property
    def failed(self) -> list[CaseResult]:
        """The cases that did not pass."""
        return [result for result in self.results if not result.passed]

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "file": str(self.file.path),
            "policy": self.file.policy.ref.name,
            "policy_digest": self.file.policy.ref.digest,
            "cases": [_case(result) for result in self.results],
            "coverage_percent": self.coverage.percent,
            "gaps": [_gap(gap) for gap in self.coverage.gaps],
        }


def run_files(files: Sequence[Path], only: str, *, long: int) -> list[Run]:
    """Load all files, then run their cases.

    Args:
        files: files of tests.
        only: runs only cases with this text in file or name.
        long: shows progress from so many cases on, on a terminal.

    Raises:
        PolicyError: a file is wrong; nothing was run then.
    """
    loaded = [load_cases(path) for path in files]
    chosen = [[case for case in file.cases if only in f"{file.path} {case.name}"] for file in loaded]
    with rehearsal() as past, _progress(sum(map(len, chosen)), long) as advance:
        runs = []
        for file, cases in zip(loaded, chosen, strict=True):
            meter, results = Meter(file), []
            for result in run(cases, past):
                meter.add(result)
                results.append(result)
                advance()
            runs.append(Run(file, tuple(results), meter.coverage()))
    return runs


@contextmanager
def _progress(total: int, long: int) -> Iterator[Callable[[], None]]:
    from paycordon.cli.output import console

    out = console(stderr=True)
    if total < long or not out.is_terminal:
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress(console=out, transient=True) as progress:
        task = progress.add_task("cases", total=total)
        yield lambda: progress.advance(task)


def _case(result: CaseResult) -> dict[str, Any]:
    case: Case = result.case
    return {
        "name": case.name,
        "line": case.position.line,
        "column": case.position.column,
        "passed": result.passed,
        "outcome": result.evaluation.outcome.value,
        "rules": sorted({match.rule for match in result.evaluation.matches}),
        "differences": [
            {"what": each.what, "expected": each.expected, "got": each.got, "why": list(each.why)}
            for each in result.differences
        ],
    }


def _gap(gap: Covered) -> dict[str, Any]:
    place = gap.position
    return {
        "rule": gap.rule,
        "text": gap.text,
        "never": gap.missing.split(" nor "),
        "file": str(place.file),
        "line": place.line,
        "column": place.column,
    }
