"""`paycordon policy test`."""
# ruff: noqa: PT028 - `test` is the command's name, not a test

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import plain, print_json, print_line, print_note
from paycordon.cli.root import FINDINGS, USAGE

if TYPE_CHECKING:
    from paycordon.cli.test_runs import Run

_POLL_S = 0.5
_LONG = 200  # cases; from so many on it is worth saying how far they are
EXAMPLE = """\
# payouts.test.yaml, beside payouts.yaml
cases:
  - name: a known destination is held
    event: {type: payout.requested, payout: {amount: 900 EUR}}
    findings: [indicator.match]
    expect: {outcome: hold, rules: [known-destination]}
    but:
      - name: nothing is known
        findings: []
        expect: {outcome: allow, rules: []}
"""


def test(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATHS]", help="Files of tests, policies or directories; else those of the configuration."
        ),
    ] = None,
    only: Annotated[str, typer.Option("-k", metavar="TEXT", help="Run only cases with this in file or name.")] = "",
    watch: Annotated[
        bool, typer.Option("--watch", help="Run again whenever a file changes, until interrupted.")
    ] = False,
    fail_under: Annotated[
        float, typer.Option(metavar="N", min=0, max=100, help="Fail when coverage is below N percent.")
    ] = 0.0,
    gaps: Annotated[bool, typer.Option("--gaps", help="List what was never true or never false.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the results as JUnit XML.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Run the tests beside policies (`payouts.test.yaml` beside `payouts.yaml`).

    Exits with 1 when a test fails or coverage is below `--fail-under`, and with 2 when a file is wrong or there are no
    tests.
    """

    def once() -> int:
        files = _found(paths, config)
        if not files:
            return _nothing_to_run(as_json=as_json)
        return _run(files, only, fail_under, gaps=gaps, junit=junit, as_json=as_json)

    if not watch:
        return once()
    return watching(once, lambda: _fingerprint(paths, config), time.sleep)


def watching(
    once: Callable[[], int],
    fingerprint: Callable[[], object],
    sleep: Callable[[float], None],
    rounds: int | None = None,
) -> int:
    """Run, and again whenever the fingerprint of the files has changed.

    Args:
        once: runs everything; what is wrong with a file is said, and waits to be put right.
        fingerprint: differs when the content of a file does.
        sleep: waits so many seconds.
        rounds: after so many runs it ends; none means until interrupted.

    Returns:
        what the last run returned.
    """
    from paycordon.cli.root import report
    from paycordon.errors import PaycordonError

    done = 0
    while True:
        before = fingerprint()
        try:
            code = once()
        except PaycordonError as error:
            code = report(error, as_json=False)
        done += 1
        if done == rounds:
            return code
        print_note("waiting for a change; Ctrl-C ends")
        while fingerprint() == before:
            sleep(_POLL_S)


def _found(paths: Sequence[Path] | None, config: Path) -> list[Path]:
    """The files of tests that are meant: named themselves, of policies that are named, or below a named directory."""
    from paycordon.policy.cases import is_case_file

    if not paths:
        paths = list(read_config(config).policies) if config.exists() else [Path()]
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(sorted(path.rglob("*.test.yaml")))
        elif is_case_file(path):
            found[path] = None
        else:
            found |= dict.fromkeys(_beside(path))
    return list(found)


def _beside(policy: Path) -> Iterator[Path]:
    """The files of tests of one policy."""
    from paycordon.policy.cases import policy_beside

    for path in sorted(policy.parent.glob(f"{policy.stem}*.test.yaml")):
        if policy_beside(path) == policy:
            yield path


def _fingerprint(paths: Sequence[Path] | None, config: Path) -> object:
    """The contents of all that tests are made of: policies, their tests, and lists and rates beside them."""
    import hashlib

    directories = {path if path.is_dir() else path.parent for path in paths or [config]}
    if not paths and config.exists():
        directories |= {path.parent for path in read_config(config).policies}
    seen = []
    for directory in sorted(directories):
        for file in sorted((*directory.rglob("*.yaml"), *directory.rglob("*.csv"))):
            try:
                seen.append((file, hashlib.sha256(file.read_bytes()).digest()))
            except OSError:  # it went away between the two calls
                seen.append((file, b""))
    return seen


def _nothing_to_run(*, as_json: bool) -> int:
    if as_json:
        print_json({"files": [], "passed": 0, "failed": 0})
    else:
        print_note("there are no tests yet; put a file such as this one beside your policy:")
        for line in EXAMPLE.splitlines():
            print_line(line)
    return USAGE


def _run(files: Sequence[Path], only: str, fail_under: float, *, gaps: bool, junit: Path | None, as_json: bool) -> int:
    from paycordon.cli.test_runs import run_files
    from paycordon.policy.cases import junit as junit_of
    from paycordon.policy.cases import percent_of

    runs = run_files(files, only, long=_LONG)
    percent = percent_of(run.coverage for run in runs)
    failed = sum(len(run.failed) for run in runs)
    total = sum(len(run.results) for run in runs)
    if junit is not None:
        junit.write_bytes(junit_of((str(run.file.path), run.results) for run in runs))
    if as_json:
        passed = total - failed
        print_json(
            {"files": [run.document() for run in runs], "passed": passed, "failed": failed, "coverage_percent": percent}
        )
    else:
        _print(runs, gaps=gaps)
        if not total:
            print_note(f"no case has `{plain(only)}` in its file or name")
        print_line(f"{len(files)} files, {total} cases, {failed or 'none'} failed, coverage {percent:.1f} %")
    if total == 0:
        return USAGE
    if percent < fail_under:
        print_note(f"coverage is below {fail_under:g} %" + ("" if gaps else "; `--gaps` lists what is missing"))
    return FINDINGS if failed or percent < fail_under else 0


def _print(runs: Sequence[Run], *, gaps: bool) -> None:
    from rich.text import Text

    from paycordon.cli.output import console

    out = console()
    for run in runs:
        for result in run.failed:
            case = result.case
            out.print(Text.assemble(("FAIL ", "bold red"), f"{plain(case.expected_at)} {plain(case.name)}"))
            for each in result.differences:
                out.print(Text.assemble(f"  {plain(each.what)}\n", (f"    - {plain(each.expected)}\n", "red")), end="")
                out.print(Text(f"    + {plain(each.got)}", style="green"))
                for line in each.why:
                    out.print(Text(f"      {plain(line)}", style="dim"))
        missing = run.coverage.gaps
        if gaps:
            for gap in missing:
                what = f"`{plain(gap.text)}`" if gap.text != "rule" else "this rule"
                out.print(Text(f"{plain(gap.position)}: {plain(gap.rule)}: {what} was never {gap.missing}"))
        count = f"{len(run.results) - len(run.failed)}/{len(run.results)}"
        uncovered = f", {len(missing)} gaps" if missing else ""
        print_line(f"{run.file.path}: {count} passed, coverage {run.coverage.percent:.1f} %{uncovered}")
