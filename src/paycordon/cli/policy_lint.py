"""`paycordon policy lint`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_json, print_line
from paycordon.cli.root import FINDINGS

if TYPE_CHECKING:
    from paycordon.policy import Issue


def lint(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATHS]", help="Policy files; else those of the configuration.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Find what is wrong or risky in policy files. Exits with 1 on bugs and risks; style alone is 0."""
    from paycordon.plugins import load_all
    from paycordon.policy import Severity
    from paycordon.policy import lint as lint_policies

    files = _expanded(paths) if paths else list(read_config(config).policies)
    codes = {code for check in load_all().checks.values() for code in check.emits}
    issues = lint_policies(files, codes)
    if as_json:
        print_json([_document(issue) for issue in issues])
    else:
        for issue in issues:
            hint = f" ({issue.hint})" if issue.hint else ""
            print_line(f"{issue.position}: {issue.id} {issue.severity}: {issue.message}{hint}")
        print_line(f"{len(files)} files, {len(issues) or 'no'} issues")
    return FINDINGS if any(issue.severity is not Severity.STYLE for issue in issues) else 0


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
    }


def _expanded(paths: Sequence[Path]) -> list[Path]:
    """Put the policy files of a directory in its place; files of policy tests are left out."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        found.extend(file for file in inside if not file.name.endswith(".test.yaml"))
    return found
