"""`paycordon policy lint`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_json, print_line, print_note
from paycordon.cli.root import FINDINGS

if TYPE_CHECKING:
    from paycordon.policy import Issue
    from paycordon.policy.lint import Files, Known, Report
    from paycordon.policy.lint.fixes import Change

_ALL = "all"


def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATHS]", help="Policy files or directories; else those of the configuration."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0 for code scanning.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Leave out what changes no judgement, and show what it was.")
    ] = False,
    explain: Annotated[
        str | None, typer.Option(metavar="ID", help="Say why an issue matters, with an example; `all` lists them.")
    ] = None,
) -> int:
    """Find what is wrong or risky in policy files. Exits with 1 on bugs and risks; style alone is 0."""
    if explain is not None:
        _explain(explain)
        return 0
    from paycordon.policy import Severity
    from paycordon.policy.lint import examined

    files, known = _files(paths, config), _known()
    report = _fixed(files, known, aside=as_json or as_sarif) if fix else examined(files, known)
    if as_sarif:
        _print_sarif(report, files)
    elif as_json:
        print_json([_document(issue) for issue in report.issues])
    else:
        _print(report, len(list(files)))
    return FINDINGS if any(issue.severity is not Severity.STYLE for issue in report.issues) else 0


def _files(paths: Sequence[Path] | None, config: Path) -> Files:
    from paycordon.policy.lint import Files

    if not paths:
        found = read_config(config).policy_files()
        return Files(found.policies, found.bindings)
    policies, bindings = _expanded(paths)
    if len(bindings) > 1:
        raise typer.BadParameter("more than one `bindings.yaml`; lint each deployment on its own")
    return Files(tuple(policies), bindings[0] if bindings else None)


def _expanded(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Put the files of a directory in its place and tell policies from bindings; files of tests are left out."""
    from paycordon.config import BINDINGS_FILE

    policies: list[Path] = []
    bindings: list[Path] = []
    for path in paths:
        for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
            if not file.name.endswith(".test.yaml"):
                (bindings if file.name == BINDINGS_FILE else policies).append(file)
    return policies, bindings


def _known() -> Known:
    from paycordon.plugins import load_all
    from paycordon.policy.lint import Known

    plugins = load_all()
    codes = frozenset(code for check in plugins.checks.values() for code in check.emits)
    return Known(codes, frozenset(plugins.gateways), datetime.now(UTC))


def _fixed(files: Files, known: Known, *, aside: bool) -> Report:
    from paycordon.policy.lint.fixes import repair, write

    changes, report = repair(files, known)
    for change in changes:
        write(change)
        for line in _difference(change):
            (print_note if aside else print_line)(line)
    return report


def _difference(change: Change) -> Iterable[str]:
    """What was changed, as a unified diff, after the issues that it repairs."""
    from difflib import unified_diff

    ids = ", ".join(sorted({issue.id for issue in change.issues}))
    before, after = (text.decode("utf-8").splitlines() for text in (change.before, change.after))
    yield f"{change.path}: repaired {ids}; raise its `version` before it judges"
    yield from unified_diff(before, after, f"{change.path}", f"{change.path} (repaired)", lineterm="", n=1)


def _print(report: Report, files: int) -> None:
    for issue in report.issues:
        hint = f" ({issue.hint})" if issue.hint else ""
        print_line(f"{issue.position}: {issue.id} {issue.severity}: {issue.message}{hint}")
    ignored = f", {len(report.ignored)} ignored with a reason" if report.ignored else ""
    fixable = sum(issue.fixable for issue in report.issues)
    repaired = f"; `--fix` repairs {fixable}" if fixable else ""
    print_line(f"{files} files, {len(report.issues) or 'no'} issues{ignored}{repaired}")


def _print_sarif(report: Report, files: Files) -> None:
    from importlib.metadata import version

    from paycordon.policy.lint.sarif import sarif

    print_json(sarif(report, files, Path.cwd(), version("paycordon")))


def _explain(id_: str) -> None:
    from paycordon.policy import ISSUES
    from paycordon.policy.lint import FIXABLE, explanation, severity_of

    if id_.lower() == _ALL:
        for each, meaning in ISSUES.items():
            repaired = " (`--fix` repairs it)" if each in FIXABLE else ""
            print_line(f"{each} {severity_of(each)}: {meaning}{repaired}")
    elif id_.upper() in ISSUES:
        for line in explanation(id_.upper()).splitlines():
            print_line(line)
    else:
        raise typer.BadParameter(f"there is no issue `{id_}`; `--explain all` lists them")


def _document(issue: Issue) -> dict[str, object]:
    place = issue.position
    return {
        "id": issue.id,
        "severity": issue.severity.value,
        "file": str(place.file),
        "line": place.line,
        "column": place.column,
        "message": issue.message,
        "hint": issue.hint,
        "fixable": issue.fixable,
    }
